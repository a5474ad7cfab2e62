"""Numbers of a page: the additive parts of its metrics per period, in whole and by each dimension of its filters.

The page sums them in the browser, so that one file answers every period, filter and comparison. Values are stored by
column; amounts as integers with a scale, so that sums in floating point stay exact.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Any

import duckdb
from sqlglot import exp

from ingest.errors import ConfigError
from ingest.sql import identifier
from ingest.text import printable
from pipeline.metrics.definition import Metric, base_names
from pipeline.metrics.measure import Kind
from pipeline.metrics.parts import parts
from pipeline.metrics.period import Grain, add_months, last_of
from pipeline.metrics.request import Query, refusal
from pipeline.portal.dashboard import Dashboard
from pipeline.portal.dashboard import Kind as Shape
from pipeline.portal.guard import Guard
from pipeline.warehouse.engine import DIALECT

RECENT_MONTHS = 13
"""Months before the newest one whose numbers a page loads first; older years are loaded on demand."""
MOST_VALUES, MOST_COHORTS = 24, 120
"""Values of a dimension that a page has each; the smaller ones are one, `all others`."""
REST = -1
Row = tuple[Any, ...]
_DECIMALS = 6
_GAP = 8


@dataclass(frozen=True, slots=True)
class Cube:
    """The parts of metrics that share table, condition and grain, in whole or by the values of a dimension.

    Attributes:
        is_additive: whether its parts can be added over the values of the dimension.
        rows: first day of the period, value of the dimension as text or None, and the parts in the order of names; by
            period. A value that is folded into the rest is REST.
    """

    names: tuple[str, ...]
    grain: Grain
    dimension: str | None
    is_additive: bool
    rows: Sequence[Row]

    def covers(self) -> tuple[dt.date, dt.date] | None:
        """The first and last period; None without rows."""
        return (self.rows[0][0], self.rows[-1][0]) if self.rows else None


def wanted(definitions: Mapping[str, Metric], page: Dashboard) -> list[tuple[tuple[str, ...], Grain, str | None, int]]:
    """What a page needs: names of parts that are read together, grain, dimension, and most values of it."""
    found: dict[tuple[str, str, str, Grain, str | None], dict[str, None]] = defaultdict(dict)
    most: dict[str | None, int] = {}
    for tile in page.tiles:
        for name in tile.metrics:
            dimensions = [None, *(item for item in page.filters), *([tile.by] if tile.by else [])]
            if tile.by and tile.kind in (Shape.COHORT, Shape.HEATMAP):
                most[tile.by] = MOST_COHORTS
            for base in base_names(definitions, name):
                metric, grain = definitions[base], definitions[base].grains[0]
                for dimension in dimensions:
                    by = (dimension,) if dimension else ()
                    if not refusal(definitions, base, Query((base,), by, grain)):
                        found[metric.table, metric.time, metric.where, grain, dimension][base] = None
    return [
        (tuple(names), grain, dimension, most.get(dimension, MOST_VALUES))
        for (_, _, _, grain, dimension), names in found.items()
    ]


def read_cubes(
    connection: duckdb.DuckDBPyConnection, definitions: Mapping[str, Metric], page: Dashboard, guard: Guard
) -> list[Cube]:
    """Read the numbers of a page from a release.

    Values of a dimension whose groups are too small to be shown are one, `all others`.

    Raises:
        ConfigError: the release lacks a table or column of a metric.
    """
    cubes = []
    for names, grain, dimension, most in wanted(definitions, page):
        query = parts(definitions, names, grain, dimension)
        additive = not any(definitions[name].kind == Kind.STORED for name in names)
        try:
            small = guard.too_small(connection, definitions[names[0]], dimension) if dimension else set()
            rows = _rows(connection, query, most, additive, small)
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise ConfigError(
                f"dashboard {page.name}: {names[0]} cannot be computed from this release: "
                f"{printable(str(error).splitlines()[0])}"
            ) from error
        cubes.append(Cube(names, grain, dimension, additive, rows))
    return cubes


def _rows(
    connection: duckdb.DuckDBPyConnection, query: exp.Select, most: int, is_additive: bool, small: Collection[Any]
) -> list[Row]:
    """Read parts by period and value; rows without a date are left out.

    All but the largest values are folded into one, before rows leave the database: there may be thousands of values,
    each with a row for every period. What cannot be added is left out.

    Args:
        query: see `parts`.
        most: number of values to keep.
        small: values that are not kept.
    """
    query.set("order", None)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE parts AS {query.sql(DIALECT)}")
    names = [identifier(name) for name, *_ in connection.execute("SELECT * FROM parts LIMIT 0").description[2:]]
    size = f"COALESCE(SUM(ABS({names[0]})), 0)"
    sizes = dict(
        connection.execute(f"SELECT value, {size} FROM parts WHERE period IS NOT NULL GROUP BY value").fetchall()
    )
    large = [value for value in sizes if value not in small]
    kept = sorted(large, key=lambda value: (-sizes[value], str(value)))[:most]
    is_kept = "(COALESCE(value IN (SELECT UNNEST($kept::TEXT[])), FALSE) OR (value IS NULL AND $unknown))"
    values = {"kept": [value for value in kept if value is not None], "unknown": None in kept}
    rows = connection.execute(
        f"FROM parts WHERE period IS NOT NULL AND {is_kept} ORDER BY period, value NULLS LAST", values
    ).fetchall()
    if len(kept) == len(sizes) or not is_additive:
        return rows
    sums = ", ".join(f"SUM({name})" for name in names)
    rest = connection.execute(
        f"SELECT period, {REST}, {sums} FROM parts WHERE period IS NOT NULL AND NOT {is_kept} GROUP BY period", values
    ).fetchall()
    return sorted([*rows, *rest], key=itemgetter(0))


def span(cubes: Iterable[Cube], today: dt.date) -> tuple[dt.date, dt.date] | None:
    """The first and last day that any of the cubes covers; None if all are empty.

    Args:
        today: periods after it, such as revenue that is invoiced for later months, do not count.
    """
    covered = [
        (bounds[0], last_of(bounds[1], cube.grain))
        for cube in cubes
        if (bounds := cube.covers()) and bounds[0] <= today
    ]
    return (min(first for first, _ in covered), min(today, max(last for _, last in covered))) if covered else None


def recent_from(last: dt.date) -> dt.date:
    """The first day whose numbers are loaded first."""
    return add_months(last.replace(day=1), -RECENT_MONTHS)


def payload(cube: Cube, since: dt.date | None, until: dt.date | None, is_first: bool) -> dict[str, Any] | None:
    """A cube's numbers of a range of periods, for a page.

    `periods` are runs of [first day, number of periods], days since 1970-01-01. `runs` are [place of the value, place
    of the first period, number of periods], and each part has one number per period of each run, in that order. A
    period in a run without rows has 0, as in `lake metrics query`, and NULL where nothing may be added.

    Args:
        since: first period; None from the beginning.
        until: end, exclusive; None to the end.
        is_first: whether it is the file that a page loads first, which has what the others build on.

    Returns:
        None if there is nothing in the range and the page does not need to know of the cube.
    """
    begins = bisect_left(cube.rows, since, key=itemgetter(0)) if since else 0
    ends = bisect_left(cube.rows, until, key=itemgetter(0)) if until else len(cube.rows)
    rows = cube.rows[begins:ends]
    if not rows and not is_first:
        return None
    periods = sorted({row[0] for row in rows})
    values = sorted({row[1] for row in rows if row[1] != REST}, key=lambda value: (value is None, value))
    period_at = {period: place for place, period in enumerate(periods)}
    value_at = {value: place for place, value in enumerate(values)} | {REST: REST}
    found_at: dict[int, dict[int, tuple[Any, ...]]] = defaultdict(dict)
    for row in rows:
        found_at[value_at[row[1]] if cube.dimension else 0][period_at[row[0]]] = row
    nothing = (0 if cube.is_additive else None,) * (len(cube.names) + 2)
    runs, data = [], []
    for place, by_period in sorted(found_at.items()):
        for first, last in _runs(sorted(by_period)):
            runs.append([place, first, last - first + 1])
            data += [by_period.get(period, nothing) for period in range(first, last + 1)]
    bounds = cube.covers()
    found: dict[str, Any] = {
        "dimension": cube.dimension,
        "grain": cube.grain.value,
        "periods": _consecutive(periods, cube.grain),
        "runs": runs,
        "parts": {name: _column([row[place] for row in data]) for place, name in enumerate(cube.names, 2)},
    }
    if cube.dimension:
        found["values"] = values
    if is_first:
        found["covers"] = [str(day) for day in bounds] if bounds else None
    return found


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each stretch of places whose gaps are cheaper filled than left out."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and place - found[-1][1] <= _GAP:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return found


def _consecutive(periods: Sequence[dt.date], grain: Grain) -> list[list[int]]:
    """Periods as runs of [first day since 1970-01-01, number]."""
    found: list[list[int]] = []
    expected = None
    for period in periods:
        if period == expected:
            found[-1][1] += 1
        else:
            found.append([(period - dt.date(1970, 1, 1)).days, 1])
        expected = last_of(period, grain) + dt.timedelta(days=1)
    return found


def _column(values: Sequence[Any]) -> dict[str, Any]:
    """Numbers as JSON: decimals as integers with the scale that all of them need."""
    kinds = set(map(type, values))
    if Decimal not in kinds:
        return {"data": [_short(value) for value in values] if float in kinds else values}
    exact = [None if value is None else Decimal(value) for value in values]
    scale = max(max(0, -int(value.normalize().as_tuple().exponent)) for value in exact if value is not None)
    scale = min(scale, _DECIMALS)
    return {"scale": scale, "data": [None if value is None else round(value * 10**scale) for value in exact]}


def _short(value: Any) -> Any:
    """A floating-point number without digits that sums do not show."""
    if not isinstance(value, float):
        return value
    return int(value) if value.is_integer() else round(value, _DECIMALS)
