"""Audits outside SQLMesh's run: standalone audits over changed dates, and the source objects behind a failure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
from sqlglot import exp
from sqlmesh.core.snapshot import Snapshot

from ingest.contracts.contract import Contract, Kind
from ingest.errors import ConfigError, LakemeshError
from ingest.ledger.ledger import Ledger
from ingest.sql import identifier
from ingest.storage.store import Store
from pipeline.access.masking import masked_row
from pipeline.process.contain import contained
from pipeline.warehouse.bronze import bronze_query, readable
from pipeline.warehouse.classes import project_classes
from pipeline.warehouse.engine import DIALECT, Engine
from pipeline.warehouse.project import Project

BY_DATE, WARNING, EVERYTHING = "by_date", "warning", "everything"
"""Scopes of standalone audits, stored in their `defaults` because SQLMesh has no tags for audits. by_date: the result
for a date depends only on rows of that date. warning: never blocks and can wait for the pass over everything, as does
everything, which blocks. Any other: blocks, over all dates."""
SHOWN_ROWS, SHOWN_OBJECTS = 5, 20
Failed = Callable[[LakemeshError], None]
"""Receives the error of a step whose failure does not stop the others."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an audit.

    Attributes:
        scope: `changed dates` or `all dates`.
        rows: number of offending rows.
        examples: the first SHOWN_ROWS of them.
        sources: objects that they may come from, as bucket/key.
        blocks: whether it prevents publication.
        is_broken: whether it could not be run, so that its result is unknown.
    """

    name: str
    scope: str
    rows: int
    examples: tuple[dict[str, Any], ...] = ()
    sources: tuple[str, ...] = ()
    blocks: bool = False
    is_broken: bool = False


def describe(item: Outcome) -> str:
    """A failed audit in one clause, with an offending row and the objects that it may come from."""
    if item.is_broken:
        return f"audit {item.name} could not be run"
    sources = f", from {', '.join(item.sources[:3])}" if item.sources else ""
    example = f", for instance {item.examples[0]}" if item.examples else ""
    return f"audit {item.name} found {item.rows:,} rows{example}{sources}"


def masked_examples(project: Project, examples: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    """Offending rows with values hidden in columns that have the name of a personal column of any table.

    Texts are hidden too in columns that an audit names by itself, as `user_id || '!' AS label`.
    """
    if not examples:
        return ()
    try:
        classes = project_classes(project.context)
        known = {name for columns in classes.columns.values() for name in columns}
        own = {name for row in examples for name, value in row.items() if isinstance(value, str) and name not in known}
        names = classes.personal_names() | own
    except ConfigError:  # what is personal is not known
        names = frozenset(name for row in examples for name in row)
    return tuple(masked_row(row, names) for row in examples)


def standalone_audits(
    snapshots: Mapping[str, Snapshot],
    scopes: Mapping[str, str],
    engine: Engine,
    dates: Collection[dt.date] | None,
    failed: Failed,
    computed: Collection[str] = (),
) -> list[Outcome]:
    """Run production's standalone audits. One that cannot be run does not prevent the others.

    Args:
        scopes: by name of the audit.
        failed: receives the reason why an audit could not be run.
        dates: by_date audits check only these; None for all audits over all dates.
        computed: with dates, the recomputed tables, by SQLMesh's full name: a blocking audit that is not by_date
            checks all dates if it reads one of them.
    """
    found = []
    for snapshot in snapshots.values():
        audit = snapshot.node
        if snapshot.is_model or audit.skip:
            continue
        scope = scopes.get(audit.name, "")
        narrowed = dates if scope == BY_DATE else None
        can_wait = scope in (WARNING, EVERYTHING)
        is_due = bool(dates) if scope == BY_DATE else not (can_wait or audit.depends_on.isdisjoint(computed))
        if dates is not None and not is_due:
            continue
        checked = "all dates" if narrowed is None else "changed dates"
        with contained(f"audit {audit.name}", failed) as step:
            query = _physical(audit.render_audit_query(), snapshots, narrowed)
            rows, examples = offenders(engine, query)
            found.append(Outcome(audit.name, checked, rows, examples, (), bool(rows) and scope != WARNING))
        if step.error:
            found.append(Outcome(audit.name, checked, 0, blocks=scope != WARNING, is_broken=True))
    return found


def offenders(engine: Engine, query: exp.Query) -> tuple[int, tuple[dict[str, Any], ...]]:
    """The number of rows that a query returns, and the first of them."""
    found = query.subquery("offenders")
    names, rows = engine.select(exp.select("*").from_(found).limit(SHOWN_ROWS + 1))
    count = len(rows)
    if count > SHOWN_ROWS:
        _, ((count,),) = engine.select(exp.select(exp.Count(this=exp.Star())).from_(found))
    return int(count), tuple(dict(zip(names, row, strict=True)) for row in rows[:SHOWN_ROWS])


def suspects(
    lake: Store,
    contracts: Iterable[Contract],
    published: Mapping[str, int],
    examples: Iterable[Mapping[str, Any]],
    reader: duckdb.DuckDBPyConnection,
) -> tuple[str, ...]:
    """The source objects that offending rows may come from.

    Objects that contain a key of such a row; if there are none, objects loaded since the release with records of a date
    of such a row; else any object with records of such a date.

    Args:
        published: ledger positions of the release that readers get.
        reader: a connection that can read the lake.
    """
    rows = list(examples)
    days = {day for row in rows for value in row.values() if (day := _as_date(value))}
    by_key: set[str] = set()
    newer: set[str] = set()
    older: set[str] = set()
    for contract in contracts:
        ledger = Ledger(lake, contract.feed)
        live = ledger.live()
        contract = readable(contract, lake, live)
        key = contract.key[0]
        values = sorted({str(row[key]) for row in rows if row.get(key) is not None})
        files = [file for file in live.bronze_files() if file.event_date is None or not days or file.event_date in days]
        if values and files:
            query = (
                f"SELECT DISTINCT _source_file FROM ({bronze_query(contract, lake.uri, files)}) AS bronze "
                f"WHERE bronze.{identifier(key)}::TEXT IN (SELECT UNNEST(?))"
            )
            by_key |= {name for (name,) in reader.execute(query, [values]).fetchall()}
        if contract.kind is Kind.EVENT and days:
            since = published.get(contract.feed, 0)
            for position in ledger.entries_with_objects(live):
                objects = ledger.entry(position).objects
                sources = {item.source_file for item in objects if days & {day for day, _ in item.event_dates}}
                (newer if position > since else older).update(sources)
            older |= {
                span.name
                for spans in live.ranges.days.values()
                for span in spans.values()
                if days & {day for day, _ in span.event_dates}
            }
    return tuple(sorted(by_key or newer or older)[:SHOWN_OBJECTS])


def _physical(query: exp.Query, snapshots: Mapping[str, Snapshot], dates: Collection[dt.date] | None) -> exp.Query:
    """The query over production's physical tables, with incremental ones narrowed to the given dates."""

    def narrowed(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Table):
            return node
        snapshot = snapshots.get(exp.table_name(node, identify=True))
        if snapshot is None or not snapshot.is_model:
            return node
        table = exp.to_table(snapshot.table_name(), dialect=DIALECT)
        alias = node.alias or node.name
        time = snapshot.model.time_column
        if dates is None or time is None or not snapshot.model.kind.is_incremental_by_time_range:
            return exp.alias_(table, alias, table=True)
        days = [exp.cast(exp.Literal.string(str(day)), "DATE") for day in sorted(dates)]
        return exp.select("*").from_(table).where(time.column.isin(*days)).subquery(alias)

    return query.transform(narrowed)


def _as_date(value: Any) -> dt.date | None:
    if isinstance(value, dt.datetime):
        return value.date()
    return value if isinstance(value, dt.date) else None
