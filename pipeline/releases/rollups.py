"""Rollups: views that sum a published table by week, month, quarter or year are published as files of their own.

A reader of such a view would read all days of the table each time. Its periods follow from the files of the table
alone, so a part of it is written anew when a file that it was made of is another one, whoever computed that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sqlglot import exp

from pipeline.releases.catalog import create_views
from pipeline.releases.release import Release, ReleaseFile, Releases, ReleaseTable, file_key
from pipeline.warehouse.duck import connect
from pipeline.warehouse.engine import DIALECT, FILE_FORMAT

_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_WEEK = "WEEK"
_BEYOND = (exp.Window, exp.CTE, exp.Subquery, exp.Join, exp.Limit, exp.Offset, exp.GroupingSets, exp.Cube, exp.Rollup)
_CLOCK = (exp.CurrentDate, exp.CurrentDatetime, exp.CurrentTime, exp.CurrentTimestamp, exp.Rand)
"""What makes rows depend on more than the rows of their period, and on when they are computed."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """What a view sums.

    Attributes:
        column: of the view: the first day of the period.
        parent: the published table that it reads.
        period: WEEK (from Monday), MONTH, QUARTER or YEAR.
    """

    column: str
    parent: str
    period: str

    def months_of(self, month: str) -> set[str]:
        """Months in which the periods of the days of a month begin: `2026-03` → `{2026-02, 2026-03}` by week."""
        first = dt.date.fromisoformat(f"{month}-01")
        last = (first + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)
        return {f"{self._begin(day):%Y-%m}" for day in (first, last)}

    def _begin(self, day: dt.date) -> dt.date:
        if self.period == _WEEK:
            return day - dt.timedelta(days=day.weekday())
        months = _MONTHS[self.period]
        return day.replace(month=(day.month - 1) // months * months + 1, day=1)


def rollup(view: ReleaseTable, tables: Mapping[str, ReleaseTable]) -> Rollup | None:
    """What a view sums, when each of its rows is of one period of one table; None for any other view.

    Args:
        tables: all that is published with it, by name.
    """
    query = exp.maybe_parse(view.query, dialect=DIALECT)
    read = list(query.find_all(exp.Table))
    if not isinstance(query, exp.Select) or len(read) != 1 or not query.args.get("group"):
        return None
    if query.find(*_BEYOND, *_CLOCK):
        return None
    parent = tables.get(f"{read[0].db}.{read[0].name}")
    if parent is None or parent.query or not parent.time_column:
        return None
    for chosen in query.selects:
        period = _period(chosen.unalias(), parent.time_column)
        if period and chosen.unalias() in query.args["group"].expressions:
            return Rollup(chosen.alias_or_name, parent.name, period)
    return None


def _period(expression: exp.Expression, time_column: str) -> str:
    """WEEK for `CAST(DATE_TRUNC('WEEK', time_column) AS DATE)`, and so on; empty for anything else."""
    if not isinstance(expression, exp.Cast) or not expression.to.is_type("date"):
        return ""
    truncated = expression.this
    if not isinstance(truncated, exp.DateTrunc | exp.TimestampTrunc) or not isinstance(truncated.this, exp.Column):
        return ""
    unit = truncated.unit.name.upper()
    return unit if truncated.this.name == time_column and unit in (*_MONTHS, _WEEK) else ""


def store_rollups(
    published: Releases, tables: Mapping[str, ReleaseTable], before: Release | None, number: int
) -> dict[str, ReleaseTable]:
    """The rollups among some tables, as tables with files; what is new of those is published.

    Args:
        tables: all of a state, by name; the files of those that are no views are published already.
        before: the state whose files are shared as far as they are made of the same files.
        number: of the state that is written.
    """
    done = {}
    for name, view in tables.items():
        found = rollup(view, tables) if view.query else None
        if found:
            done[name] = _roll_up(published, view, found, tables[found.parent], before, number)
    return done


def _roll_up(
    published: Releases,
    view: ReleaseTable,
    found: Rollup,
    parent: ReleaseTable,
    before: Release | None,
    number: int,
) -> ReleaseTable:
    table = replace(view, query="", rollup=view.query, time_column=found.column)
    months = {month for file in parent.files for month in found.months_of(file.part)}
    kept: list[ReleaseFile] = []
    old, old_parent = (before.tables.get(name) for name in (view.name, parent.name)) if before else (None, None)
    if old and old_parent and (old.version, old.rollup) == (table.version, table.rollup):
        differing = set(parent.files) ^ set(old_parent.files)
        touched = {month for file in differing for month in found.months_of(file.part)}
        kept = [file for file in old.files if file.part not in touched]
        months &= touched
    written = dict(_write(published, table, found, parent, sorted(months), number))
    published.store.publish({file.key: path for file, path in written.items()})
    return replace(table, files=tuple(sorted([*kept, *written], key=lambda file: (file.part, file.key))))


def _write(
    published: Releases, table: ReleaseTable, found: Rollup, parent: ReleaseTable, months: list[str], number: int
) -> Iterator[tuple[ReleaseFile, Path]]:
    if not months:
        return
    order = ", ".join(f'"{column}"' for column in dict.fromkeys((found.column, *table.grain)))
    with connect(published.options, published.options.published_uri) as reader:
        # a sum of floats depends on the order: with one thread, periods of which nothing changed stay as they are
        reader.execute("SET threads = 1")
        for month in months:
            files = tuple(file for file in parent.files if month in found.months_of(file.part))
            create_views(reader, published, [replace(parent, files=files)])
            key = file_key(table.name, number, month)
            path = published.store.stage(key)
            target = str(path).replace("'", "''")
            (rows,) = reader.execute(
                f"COPY (SELECT * FROM ({table.rollup}) AS periods WHERE {within(found.column, month)} "
                f"ORDER BY {order}) TO '{target}' {FILE_FORMAT}"
            ).fetchone() or (0,)
            if rows:
                yield ReleaseFile(key, month, int(rows), path.stat().st_size), path
            else:  # the days of the month are of a week that began before it
                published.store.discard([path])


def within(column: str, month: str) -> str:
    """The condition that a date is of a month, as 2026-01."""
    first = dt.date.fromisoformat(f"{month}-01")
    after = (first + dt.timedelta(days=31)).replace(day=1)
    return f"\"{column}\" >= DATE '{first}' AND \"{column}\" < DATE '{after}'"
