"""The files of a release's pages, from its tables, the definitions of metrics, and the dashboards. Stores nothing."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from ingest.errors import ConfigError
from pipeline.metrics.definition import REPORTING_CURRENCY, Metric, base_names
from pipeline.metrics.measure import Kind
from pipeline.metrics.period import last_of
from pipeline.portal import assets
from pipeline.portal.cubes import Cube, payload, read_cubes, recent_from, span
from pipeline.portal.dashboard import Dashboard, Tile
from pipeline.portal.facts import Facts
from pipeline.portal.guard import NOTHING, Guard
from pipeline.portal.script import data_file, digest
from pipeline.portal.table import stored_table
from pipeline.releases.catalog import parents
from pipeline.releases.release import Release

FORMAT = 1
"""Format of data files and of a release's small file."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of a release.

    Attributes:
        files: content of each file whose name follows from it, by key below portal/.
        small: the value of the release's small file, which names them.
        read: names of the pages whose numbers were read; the others are those of the release before.
        left_out: why a page is missing, by its name: the release lacks what it shows.
    """

    files: Mapping[str, bytes]
    small: Mapping[str, Any]
    read: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def write(
    release: Release,
    connection: duckdb.DuckDBPyConnection,
    definitions: Mapping[str, Metric],
    dashboards: Sequence[Dashboard],
    facts: Facts,
    before: Mapping[str, Any] | None = None,
    currency: str = "",
    catalog: Mapping[str, Any] | None = None,
    guard: Guard = NOTHING,
) -> Pages:
    """Make the files of a release's pages.

    Args:
        connection: to the release, see `Releases.connect`.
        before: the small file of an earlier release. A page is not read again if neither its dashboard and metrics nor
            the files of its tables differ.
        currency: the reporting currency, ISO code.
        catalog: further data files of the catalog, by name.
        guard: what no page shows.

    Returns:
        Every page of which the release has all tables and columns; the others are named in `left_out`.
    """
    known: dict[str, dict[str, Any]] = {page["name"]: page for page in (before or {}).get("pages", ())}
    columns = {name: [column for column, *_ in table.columns] for name, table in release.tables.items()}
    files: dict[str, bytes] = {}
    pages, read = [], []
    left_out: dict[str, str] = {}
    for dashboard in dashboards:
        inputs = _inputs(release, definitions, dashboard, currency, guard)
        entry = known.get(dashboard.name, {})
        today = release.published_at.date()
        if entry.get("inputs") != _until(inputs, entry.get("last"), today):
            try:
                guard.check(dashboard, definitions, columns)
                cubes = read_cubes(connection, definitions, dashboard, guard)
                entry, written = _page(connection, definitions, dashboard, cubes, currency, today)
            except ConfigError as error:
                left_out[dashboard.name] = str(error)
                continue
            entry["inputs"] = _until(inputs, entry["last"], today)
            files |= written
            read.append(dashboard.name)
        pages.append(entry)
    named: dict[str, str] = {}
    shown = [dashboard for dashboard in dashboards if dashboard.name not in left_out]
    for name, value in {"definitions": described(definitions, shown, currency), **(catalog or {})}.items():
        data = data_file(name, value)
        named[name] = f"data/{name.replace('/', '-')}-{digest(data)}.js"
        files[named[name]] = data
    application = assets.application()
    files |= dict(application.values())
    app = {name: key for name, (key, _) in application.items()} | {"vega": assets.vega_key()}
    small = {
        "format": FORMAT,
        "number": release.number,
        "published_at": release.published_at.isoformat(timespec="seconds"),
        "audits": len(release.audits),
        **facts.as_json(),
        "app": app,
        "pages": pages,
        "files": named,
    }
    return Pages(files, small, read, left_out)


def keys_of(small: Mapping[str, Any]) -> set[str]:
    """The keys below portal/ of all files that a release's small file names."""
    pages = (key for page in small["pages"] for key in (page["file"], *page["years"].values()))
    return {*pages, *small["files"].values(), *small["app"].values()}


def _inputs(release: Release, definitions: Mapping[str, Metric], page: Dashboard, currency: str, guard: Guard) -> str:
    """A digest of all that a page's files depend on, but for the date that ends them: see `_until`."""
    names = dict.fromkeys(base for name in page.metrics() for base in (name, *base_names(definitions, name)))
    tables = {definitions[name].table for name in names} | page.tables()
    stored: dict[str, Any] = {}
    while tables:
        name = tables.pop()
        table = release.tables.get(name)
        if table is None or name in stored:
            continue
        stored[name] = [table.query, table.version, [file.key for file in table.files]]
        tables |= parents(table)
    about = {
        "writer": assets.writer(),
        "page": page.model_dump(mode="json"),
        "metrics": [definitions[name].model_dump(mode="json") for name in names],
        "tables": stored,
        "currency": currency,
        "guard": [
            [name, sorted(guard.restricted.get(name, ())), sorted(guard.quasi.get(name, ())), guard.sizes.get(name)]
            for name in sorted(stored)
        ],
        "minimum": guard.minimum,
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _until(inputs: str, last: str | None, today: dt.date) -> str:
    """The inputs with the last date that a page has, on which its files depend too: equal ones give equal files.

    Args:
        last: the last date of its numbers, ISO 8601; those after today do not count.
    """
    return f"{inputs}-{min(last, str(today))}" if last else inputs


def _page(
    connection: duckdb.DuckDBPyConnection,
    definitions: Mapping[str, Metric],
    page: Dashboard,
    cubes: Sequence[Cube],
    currency: str,
    today: dt.date,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A page's entry in the small file, and its files."""
    covered = span(cubes, today)
    last = max((last_of(bounds[1], cube.grain) for cube in cubes if (bounds := cube.covers())), default=None)
    recent = recent_from(covered[1]) if covered else None
    tables = {tile.id: stored_table(connection, tile.sql, tile.columns) for tile in page.tiles if tile.sql}
    names = dict.fromkeys(item for name in page.metrics() for item in (name, *_inside(definitions, name)))
    value = {
        "name": page.name,
        "title": page.title,
        "question": page.question,
        "owner": page.owner,
        "period": page.period,
        "until": page.until,
        "from": str(covered[0]) if covered else None,
        "recent": str(recent) if recent else None,
        "filters": [item for name in page.filters if (item := _filter(definitions, page, cubes, name))["values"]],
        "tiles": [_tile(tile) for tile in page.tiles],
        "metrics": {name: _metric(definitions, name, currency) for name in names},
        "tables": tables,
        "cubes": [payload(cube, recent, None, True) for cube in cubes],
    }
    files: dict[str, bytes] = {}
    entry: dict[str, Any] = {
        "name": page.name,
        "title": page.title,
        "to": str(covered[1]) if covered else None,
        "last": str(last) if last else None,
        "years": {},
    }
    entry["file"] = _put(files, f"page/{page.name}", value)
    if covered and recent:
        for year in range(covered[0].year, recent.year + 1):
            ends = min(dt.date(year + 1, 1, 1), recent)
            older = [part for cube in cubes if (part := payload(cube, dt.date(year, 1, 1), ends, False))]
            if older:
                entry["years"][str(year)] = _put(files, f"page/{page.name}/{year}", {"cubes": older})
    return entry, files


def _put(files: dict[str, bytes], name: str, value: Any) -> str:
    data = data_file(name, value)
    key = f"data/{name.removeprefix('page/').replace('/', '-')}-{digest(data)}.js"
    files[key] = data
    return key


def _filter(
    definitions: Mapping[str, Metric], page: Dashboard, cubes: Sequence[Cube], dimension: str
) -> dict[str, Any]:
    """A filter of a page with the values to choose from."""
    found = {
        row[1] for cube in cubes if cube.dimension == dimension for row in cube.rows if isinstance(row[1], str | None)
    }
    label = next(
        metric.dimensions[dimension] for name in page.metrics() if dimension in (metric := definitions[name]).dimensions
    )
    return {"column": dimension, "label": label, "values": sorted(found, key=lambda value: (value is None, value))}


def _tile(tile: Tile) -> dict[str, Any]:
    return tile.model_dump(mode="json", exclude={"sql", "columns"}, exclude_defaults=True) | {
        "metrics": list(tile.metrics),
        "width": tile.width,
    }


def _inside(definitions: Mapping[str, Metric], name: str) -> list[str]:
    """The metrics that a ratio is computed from, and those inside them."""
    return [item for part in definitions[name].measure.ratio for item in (part, *_inside(definitions, part))]


def _metric(definitions: Mapping[str, Metric], name: str, currency: str) -> dict[str, Any]:
    """What a page needs of a metric to compute and show it."""
    metric = definitions[name]
    found: dict[str, Any] = {
        "label": metric.label,
        "format": metric.format.value,
        "direction": metric.direction.value,
        "kind": metric.kind.value,
        "grain": metric.grains[0].value,
        "grains": [grain.value for grain in metric.grains],
        "dimensions": dict(metric.dimensions),
        "not_over": list(metric.dimensions if metric.kind == Kind.STORED else metric.not_over),
        "fixed": sorted(metric.fixed()),
    }
    if metric.measure.ratio:
        found["ratio"] = list(metric.measure.ratio)
    if metric.unit == REPORTING_CURRENCY and currency:
        found["currency"] = currency
    return found


def described(
    definitions: Mapping[str, Metric], dashboards: Sequence[Dashboard], currency: str
) -> dict[str, dict[str, Any]]:
    """The definition of every metric, and the tiles that show it."""
    found = {}
    for name, metric in definitions.items():
        shown = [
            [page.name, page.title, tile.title]
            for page in dashboards
            for tile in page.tiles
            if any(name in (item, *_inside(definitions, item)) for item in tile.metrics)
        ]
        unit = currency if metric.unit == REPORTING_CURRENCY and currency else metric.unit
        found[name] = _metric(definitions, name, currency) | {
            "description": metric.description,
            "unit": unit,
            "domain": metric.domain,
            "owner": metric.owner,
            "table": metric.table,
            "time": metric.time,
            "where": metric.where,
            "formula": f"{metric.kind.value}({metric.measure.expression})",
            "synonyms": list(metric.synonyms),
            "tiles": shown,
        }
    return found
