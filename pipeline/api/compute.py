"""Compute a task in a session: a page of a table, metrics, or a statement."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import duckdb
import pyarrow as pa

from ingest.errors import ConfigError
from ingest.text import printable
from pipeline.api.formats import BY_NAME, as_json, encode
from pipeline.api.problems import Kind, Problem
from pipeline.api.rows import NEXT, Page, check, following, parse_cursor, select
from pipeline.api.session import Session
from pipeline.api.statement import checked
from pipeline.api.tasks import Outcome, Task
from pipeline.metrics.definition import base_names
from pipeline.metrics.filters import Filter, parse_filter
from pipeline.metrics.period import Compare, Grain
from pipeline.metrics.query import Query, answer
from pipeline.metrics.request import known, split_by
from pipeline.metrics.result import as_dict
from pipeline.metrics.standing import standing
from pipeline.process.duck import error_text
from pipeline.releases.release import ReleaseTable
from pipeline.report.health import health
from pipeline.report.span import Span

BATCH = 2048
_GONE = (duckdb.IOException, duckdb.HTTPException, duckdb.PermissionException)
"""What a file of the release that is gone raises: statements can name no other."""


def compute(session: Session, task: Task) -> Outcome:
    """The answer to a task; problems are answers too."""
    try:
        return _TASKS[task.kind](session, task)
    except Problem as problem:
        return Outcome(problem=problem.kind.slug, detail=str(problem))
    except ConfigError as error:
        return Outcome(problem=Kind.BAD_REQUEST.slug, detail=str(error))
    except (duckdb.OutOfMemoryException, MemoryError):
        return Outcome(problem=Kind.MEMORY.slug, detail=too_much_memory())
    except duckdb.InterruptException:
        return Outcome(problem=Kind.SECONDS.slug)
    except _GONE:
        return Outcome(problem=Kind.UNAVAILABLE.slug, detail="a file of the release cannot be read; try again")
    except (pa.ArrowException, duckdb.Error, UnicodeError) as error:
        return Outcome(problem=Kind.FAILED.slug, detail=_fault(error))


def _fault(error: Exception) -> str:
    """What is wrong with a statement, with the names that DuckDB proposes."""
    proposed = [line.strip() for line in str(error).splitlines()[1:] if line.startswith(("Candidate", "Did you mean"))]
    said = [printable(error_text(error))[:500], *(printable(line)[:500] for line in proposed[:1])]
    return f"{'; '.join(said)}; correct the statement"


def too_much_memory() -> str:
    """What to do about it."""
    return "filter earlier, aggregate, select fewer columns, or sort fewer rows"


def _table(session: Session, task: Task) -> Outcome:
    asked = task.arguments
    table = session.release.tables[asked["name"]]
    page = Page(
        tuple(asked["columns"]),
        tuple(map(parse_filter, asked["where"])),
        tuple(asked["order"]),
        min(int(asked["limit"]), task.rows),
        parse_cursor(asked["cursor"]) if asked["cursor"] else None,
    )
    check(table, page)
    _check_values(session, table, page.where)
    found = _fetch(session, select(table, page), page.limit + 1, task.bytes, is_cut=True)[0]
    cursor = ""
    if found.num_rows > page.limit:
        found = found.slice(0, page.limit)
        keys = [name for name in found.column_names if name.startswith(NEXT)]
        last = found.select(keys).slice(page.limit - 1).to_pylist()
        cursor = following(page, table, session.release.number, last[0], _repeated(found, keys)).text()
    found = found.select([name for name in found.column_names if not name.startswith(NEXT)])
    return _outcome(session, task, found, [table.name], cursor=cursor)


def _repeated(found: pa.Table, keys: Sequence[str]) -> int:
    """Rows at the end with the same keys as the last one."""
    if not keys:
        return 0
    rows = found.select(keys).to_pylist()
    return next((place for place, row in enumerate(reversed(rows)) if row != rows[-1]), len(rows))


def _check_values(session: Session, table: ReleaseTable, where: Sequence[Filter]) -> None:
    kinds = {name: kind for name, kind, _ in table.columns}
    for item in where:
        for value in item.values:
            kind = kinds[item.dimension]
            (is_none,) = session.connection.execute(f"SELECT TRY_CAST(? AS {kind}) IS NULL", [value]).fetchone() or (1,)
            if is_none:
                raise Problem(Kind.BAD_REQUEST, f"{printable(str(item))}: '{printable(value)}' is no {kind}")


def _metrics(session: Session, task: Task) -> Outcome:
    asked, definitions = task.arguments, session.definitions
    names = tuple(dict.fromkeys(asked["names"]))
    for name in names:
        known(definitions, name)
    tables = [definitions[base].table for name in names for base in base_names(definitions, name)]
    found = answer(session.connection, definitions, metrics_query(asked))
    state = standing(session.release, session.connection, definitions, names)
    is_cut = len(found.rows) > task.rows
    if is_cut and not task.cut:
        raise _too_many_rows(task.rows)
    values = as_dict(found, state)
    values["rows"] = values["rows"][: task.rows]
    if task.format == "json":
        body = as_json(values | ({"cut": _cut(task.rows, len(found.rows))} if is_cut else {}))
    else:
        columns = {
            column.name: pa.array([row[place] for row in found.rows[: task.rows]])
            for place, column in enumerate(found.columns)
        }
        body = encode(BY_NAME[task.format], pa.table(columns), asdict(state))
    _check_size(body, task.bytes)
    rows = len(values["rows"])
    return Outcome(body=body, rows=rows, tables=sorted(set(tables)), complete_to=state.complete_to, is_cut=is_cut)


def metrics_query(asked: Mapping[str, Any]) -> Query:
    """The query of a request's texts.

    Raises:
        Problem, ConfigError: one of them cannot be read.
    """
    grain, dimensions = split_by(",".join(asked.get("by") or ()))
    compare = asked.get("compare") or ""
    if compare and compare not in tuple(Compare):
        raise Problem(Kind.BAD_REQUEST, f"compare={printable(compare)} is none of {', '.join(Compare)}")
    return Query(
        tuple(dict.fromkeys(asked["names"])),
        dimensions,
        grain,
        tuple(map(parse_filter, asked.get("where") or ())),
        _day("since", asked.get("since")),
        _day("until", asked.get("until")),
        Compare(compare) if compare else None,
    )


def _day(name: str, text: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise Problem(Kind.BAD_REQUEST, f"{name}={printable(text or '')} is no date; expected 2026-01-31") from None


def _sql(session: Session, task: Task) -> Outcome:
    sql = task.arguments["sql"]
    tables = checked(session.connection, sql, session.release.tables)
    found, is_cut = _fetch(session, sql, task.rows, task.bytes, task.cut)
    names = found.column_names
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Problem(Kind.FAILED, f"two columns are called '{printable(twice)}'; give one another name with AS")
    return _outcome(session, task, found, sorted(tables), is_cut=is_cut)


def _health(session: Session, task: Task) -> Outcome:
    now = dt.datetime.fromisoformat(task.arguments["now"])
    daily = {item.domain: item.table for item in session.definitions.values() if item.grains[0] == Grain.DAY}
    complete = {domain: session.complete_to([table]) for domain, table in daily.items()}
    span = Span(now.date() - dt.timedelta(days=1), Grain.DAY)
    facts = health(session.release, session.connection, span, complete, now, task.arguments["withheld"])
    found = [{"what": fact.name, "state": fact.state.value, "text": fact.text} for fact in facts]
    return Outcome(body=as_json(found), rows=len(found))


def _fetch(session: Session, sql: str, rows: int, most_bytes: int, is_cut: bool) -> tuple[pa.Table, bool]:
    """Run a SELECT and read at most so many rows.

    Args:
        is_cut: whether more rows are left out, rather than refused.

    Returns:
        The rows, and whether there were more.
    """
    reader = session.connection.execute(sql).to_arrow_reader(BATCH)
    batches: list[pa.RecordBatch] = []
    count = size = 0
    for batch in reader:
        batches.append(batch)
        count += batch.num_rows
        size += batch.nbytes
        if count > rows and not is_cut:
            raise _too_many_rows(rows)
        if size > most_bytes:
            raise _too_many_bytes(most_bytes)
        if count > rows:
            return pa.Table.from_batches(batches, reader.schema).slice(0, rows), True
    return pa.Table.from_batches(batches, reader.schema), False


def _outcome(
    session: Session, task: Task, found: pa.Table, tables: list[str], cursor: str = "", is_cut: bool = False
) -> Outcome:
    envelope = session.envelope(tables) | {
        "columns": [{"name": field.name, "type": str(field.type)} for field in found.schema]
    }
    envelope |= {"next": cursor or None} if task.kind == "table" else {}
    envelope |= {"cut": _cut(task.rows)} if is_cut else {}
    body = encode(BY_NAME[task.format], found, envelope)
    _check_size(body, task.bytes)
    return Outcome(
        body=body,
        rows=found.num_rows,
        tables=tables,
        complete_to=envelope["complete_to"],
        next=cursor,
        is_cut=is_cut,
    )


def _cut(shown: int, of: int | None = None) -> str:
    total = f" of {of:,}" if of else ""
    return f"the first {shown:,} rows{total}; filter, aggregate or add LIMIT and OFFSET for others"


def _check_size(body: bytes, most: int) -> None:
    if len(body) > most:
        raise _too_many_bytes(most)


def _too_many_rows(most: int) -> Problem:
    return Problem(
        Kind.ROWS, f"more than {most:,} rows (LAKE_API_ROWS); aggregate, filter, or read the table page by page"
    )


def _too_many_bytes(most: int) -> Problem:
    return Problem(
        Kind.BYTES, f"more than {most:,} bytes (LAKE_API_BYTES); select fewer columns, or read it page by page"
    )


_TASKS: Mapping[str, Callable[[Session, Task], Outcome]] = {
    "table": _table,
    "metrics": _metrics,
    "sql": _sql,
    "health": _health,
}
