"""Rollups: views that sum a published table by week, month, quarter or year, published as files.

Otherwise readers of such a view would read every day of the table each time. A rollup is a function of the table's
files alone, so a part is rewritten exactly when one of the files that it was computed from is replaced.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sqlglot import exp

from ingest.sql import identifier, identifiers, literal
from pipeline.releases.catalog import create_views
from pipeline.releases.release import Release, ReleaseFile, Releases, ReleaseTable, file_key
from pipeline.warehouse.duck import connect
from pipeline.warehouse.engine import DIALECT, FILE_FORMAT

_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_WEEK = "WEEK"
_COMPLEX = (exp.Window, exp.CTE, exp.Subquery, exp.Join, exp.Limit, exp.Offset, exp.GroupingSets, exp.Cube, exp.Rollup)
_VOLATILE = (exp.CurrentDate, exp.CurrentDatetime, exp.CurrentTime, exp.CurrentTimestamp, exp.Rand)
"""Expressions whose result depends on more than the rows of a period, or on when they are evaluated."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """The definition of a rollup.

    Attributes:
        column: the view's column with the first day of the period.
        parent: the published table that it reads.
        period: WEEK (from Monday), MONTH, QUARTER or YEAR.
    """

    column: str
    parent: str
    period: str

    def months_of(self, month: str) -> set[str]:
        """Months in which the periods that overlap a month begin: `2026-03` → `{2026-02, 2026-03}` by week."""
        first = dt.date.fromisoformat(f"{month}-01")
        last = (first + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)
        return {f"{self._begin(day):%Y-%m}" for day in (first, last)}

    def _begin(self, day: dt.date) -> dt.date:
        if self.period == _WEEK:
            return day - dt.timedelta(days=day.weekday())
        months = _MONTHS[self.period]
        return day.replace(month=(day.month - 1) // months * months + 1, day=1)


def rollup(view: ReleaseTable, tables: Mapping[str, ReleaseTable]) -> Rollup | None:
    """The rollup that a view is, if each of its rows is of one period of one table; None for any other view.

    Args:
        tables: all tables of the same release, by name.
    """
    query = exp.maybe_parse(view.query, dialect=DIALECT)
    read = list(query.find_all(exp.Table))
    if not isinstance(query, exp.Select) or len(read) != 1 or not query.args.get("group"):
        return None
    if query.find(*_COMPLEX, *_VOLATILE):
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
    """WEEK for `CAST(DATE_TRUNC('WEEK', time_column) AS DATE)` etc.; empty for anything else."""
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
    """Store the rollups among a release's views as tables with files, and publish the new files.

    Args:
        tables: all of the release, by name; files of tables that are not views are already published.
        before: the release whose files are reused if they were computed from the same files.
        number: of the release being written.

    Returns:
        The rollups by name.
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
    order = identifiers(dict.fromkeys((found.column, *table.grain)))
    with connect(published.options, published.options.published_uri) as reader:
        # a sum of floats depends on the order: with one thread, unchanged periods yield identical values
        reader.execute("SET threads = 1")
        for month in months:
            files = tuple(file for file in parent.files if month in found.months_of(file.part))
            create_views(reader, published, [replace(parent, files=files)])
            key = file_key(table.name, number, month)
            path = published.store.stage(key)
            (rows,) = reader.execute(
                f"COPY (SELECT * FROM ({table.rollup}) AS periods WHERE {within(found.column, month)} "
                f"ORDER BY {order}) TO {literal(path)} {FILE_FORMAT}"
            ).fetchone() or (0,)
            if rows:
                yield ReleaseFile(key, month, int(rows), path.stat().st_size), path
            else:  # all days of the month belong to a week that began before it
                published.store.discard([path])


def within(column: str, month: str) -> str:
    """SQL condition that a date is in a month, given as 2026-01."""
    first = dt.date.fromisoformat(f"{month}-01")
    after = (first + dt.timedelta(days=31)).replace(day=1)
    return f"{identifier(column)} >= DATE '{first}' AND {identifier(column)} < DATE '{after}'"
