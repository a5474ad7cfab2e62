"""The catalog as data files of the portal: what its pages load, each by a logical name.

    catalog              the index that search runs over: every entry with its columns; opened with the first page
    catalog-texts        comments of columns, for search and its results; loaded after the first paint
    catalog-lineage      what each column, metric and tile is computed from; loaded with the first picture
    catalog-stars        tables of each domain with their keys
    catalog-exposures    metrics, dashboards and standalone audits in full
    catalog-<group>      tables in full, some 40 to a file, by layer and domain

Numbers stand for columns in their order in the index, after them for the names in `more` of catalog-lineage.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from pipeline.portal.catalog.entries import Catalog, Quality, Table
from pipeline.portal.catalog.graph import Graph
from pipeline.portal.catalog.quality import GOOD, WARNING, WEIGHTS

TABLES_PER_FILE = 40
KINDS = ("feed", "table", "view", "seed", "source", "metric", "dashboard", "tile", "audit", "term")
TABLE_KINDS = 5
"""The first so many kinds have columns."""
_PARTS = ("validity", "completeness", "uniqueness", "freshness", "audits", "score", "minimum")
_COUNTS = ("records", "bad", "received", "expected")


def payload(catalog: Catalog) -> dict[str, Any]:
    """The data files by logical name; values are made of dicts, lists, texts and numbers alone."""
    groups = _grouped(catalog.tables)
    stars = _stars(catalog.tables)
    found = {
        "catalog": _index(catalog, groups, stars),
        "catalog-texts": _texts(catalog.tables),
        "catalog-lineage": _lineage(catalog),
        "catalog-stars": stars,
        "catalog-exposures": {
            "metrics": {metric.name: msgspec.to_builtins(metric) for metric in catalog.metrics},
            "dashboards": {item.name: msgspec.to_builtins(item) for item in catalog.exposures},
            "audits": {audit.name: msgspec.to_builtins(audit) for audit in catalog.audits},
        },
    }
    readers = _readers(catalog)
    for name, tables in groups.items():
        found[name] = {table.name: _detail(table, readers.get(table.name, [])) for table in tables}
    return found


def _grouped(tables: Iterable[Table]) -> dict[str, list[Table]]:
    """Tables by file. A table stays in its file when others come and go, unless the number of files doubles."""
    whole: dict[str, list[Table]] = {}
    for table in tables:
        whole.setdefault(f"catalog-{table.name.partition('.')[0]}-{table.domain}", []).append(table)
    found: dict[str, list[Table]] = {}
    for name, members in sorted(whole.items()):
        parts = 1
        while len(members) > parts * TABLES_PER_FILE:
            parts *= 2
        for table in members:
            part = zlib.crc32(table.name.encode()) % parts
            found.setdefault(f"{name}-{part}" if parts > 1 else name, []).append(table)
    return dict(sorted(found.items()))


def _index(
    catalog: Catalog, groups: Mapping[str, list[Table]], stars: Mapping[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    files = list(groups)
    file_of = {table.name: files.index(name) for name, tables in groups.items() for table in tables}
    entries = list(_entries(catalog, file_of))
    owners = sorted({owner for _, _, _, owner, *_ in entries})
    domains = sorted({domain for _, _, _, _, domain, *_ in entries})
    return {
        "release": catalog.release,
        "project": catalog.project,
        "kinds": KINDS,
        "owners": owners,
        "domains": domains,
        "files": files,
        "pictures": sorted(
            {
                f"{layer}/{entry['domain']}"
                for layer, entries in stars.items()
                for entry in entries
                if entry["references"]
            }
        ),
        "quality": {"good": GOOD, "warning": WARNING, "weights": WEIGHTS},
        "entries": [
            [KINDS.index(kind), name, names, owners.index(owner), domains.index(domain), text, *rest]
            for kind, name, names, owner, domain, text, rest in entries
        ],
    }


def _entries(catalog: Catalog, file_of: Mapping[str, int]) -> Iterator[tuple[str, str, str, str, str, str, list[Any]]]:
    """Each entry: kind, name, other names (the first line is shown), owner, domain, text.

    Tables also have file, columns, rows, last date, quality, and whether releases have them.
    """
    for table in catalog.tables:
        figures, quality = table.figures, table.quality
        last = next((day for day in reversed(quality.days) if day.score is not None), None) if quality else None
        yield (
            *(table.kind, table.name, "", table.owner, table.domain, table.description),
            [
                file_of[table.name],
                [column.name for column in table.columns],
                figures.rows if figures else -1,
                figures.last if figures else "",
                [round(last.score or 0, 4), round(last.minimum or 0, 4)] if last else 0,
                int(table.released),
            ],
        )
    for metric in catalog.metrics:
        names = f"{metric.label}\n{' '.join(metric.synonyms)}"
        yield "metric", metric.name, names, metric.owner, metric.domain, metric.description, []
    for exposure in catalog.exposures:
        yield "dashboard", exposure.name, exposure.title, exposure.owner, "", exposure.question, []
        for tile in exposure.tiles:
            yield "tile", f"{exposure.name}/{tile.id}", tile.title, exposure.owner, "", tile.question, []
    for audit in catalog.audits:
        yield "audit", audit.name, "", audit.owner, "", audit.description, []
    for term in catalog.glossary:
        yield "term", term.term, "", "", "", term.meaning, []


def _texts(tables: Iterable[Table]) -> dict[str, Any]:
    """Comments of all columns in their order, each text once."""
    places: dict[str, int] = {}
    of = [places.setdefault(column.description, len(places)) for table in tables for column in table.columns]
    return {"texts": list(places), "of": of}


def _lineage(catalog: Catalog) -> dict[str, Any]:
    """What each number is computed from; a number that only groups or orders its rows is written as -number - 1."""
    graph = Graph.of(catalog)
    columns = [f"{table.name}.{column.name}" for table in catalog.tables for column in table.columns]
    known = set(columns)
    more = [name for name in graph.upstream if name not in known]
    numbers = {name: number for number, name in enumerate((*columns, *more))}

    def number(name: str) -> int | None:
        """Of a column, or of the struct around a field that no contract declares."""
        while name not in numbers and name.count(".") > 2:
            name = name.rpartition(".")[0]
        return numbers.get(name)

    def listed(names: Iterable[str]) -> list[int]:
        return sorted({found for name in names if (found := number(name)) is not None})

    edges: list[list[int]] = []
    for table in catalog.tables:
        for column in table.columns:
            edges.append([*listed(column.upstream), *(-found - 1 for found in listed(column.groups))])
    edges += [listed(graph.upstream[name]) for name in more]
    chosen = {table.name: listed(table.chosen_by) for table in catalog.tables if table.chosen_by}
    return {"more": more, "edges": edges, "chosen": chosen}


def _stars(tables: Iterable[Table]) -> dict[str, Any]:
    """The gold and silver tables of each domain that have keys of others or are such others."""
    found: dict[str, list[dict[str, Any]]] = {}
    listed = list(tables)
    targets: dict[str, set[str]] = {}
    for item in (item for table in listed for item in table.references):
        name, _, column = item.split(" → ")[1].rpartition(".")
        targets.setdefault(name, set()).add(column)
    for table in listed:
        layer = table.name.partition(".")[0]
        if layer not in ("gold", "silver", "bronze", "seeds") or not (table.references or table.name in targets):
            continue
        shown = set(table.grain) | {item.split(" → ")[0] for item in table.references} | targets.get(table.name, set())
        entry = {
            "name": table.name,
            "kind": table.kind,
            "domain": table.domain,
            "grain": list(table.grain),
            "columns": [[column.name, column.type] for column in table.columns if column.name in shown],
            "others": len([column for column in table.columns if column.name not in shown]),
            "references": [item.split(" → ") for item in table.references],
        }
        found.setdefault(layer, []).append(entry)
    return found


def _readers(catalog: Catalog) -> dict[str, list[list[str]]]:
    """Who reads each table: models, metrics and tiles, as kind and name."""
    found: dict[str, dict[tuple[str, str], None]] = {}
    for table in catalog.tables:
        for name in table.reads:
            found.setdefault(name, {})[(table.kind, table.name)] = None
    metrics = {metric.name: metric.table for metric in catalog.metrics}
    for name, table_name in metrics.items():
        found.setdefault(table_name, {})[("metric", name)] = None
    for exposure in catalog.exposures:
        for tile in exposure.tiles:
            for name in tile.upstream:
                owner = metrics.get(name.removeprefix("metric:")) or ".".join(name.split(".", 2)[:2])
                found.setdefault(owner, {})[("tile", f"{exposure.name}/{tile.id}")] = None
    return {name: [list(reader) for reader in readers] for name, readers in found.items()}


def _detail(table: Table, readers: list[list[str]]) -> dict[str, Any]:
    """A table in full, without what other files have: lineage and comments stay with their columns."""
    found: dict[str, Any] = msgspec.to_builtins(table)
    for column in found["columns"]:
        column.pop("upstream", None)
        column.pop("groups", None)
    found.pop("chosen_by", None)
    found["readers"] = readers
    if table.quality:
        found["quality"] = _quality(table.quality)
    return found


def _quality(quality: Quality) -> dict[str, Any]:
    """Days as one list per part, for parts that are known on any day."""
    parts = {name: [getattr(day, name) for day in quality.days] for name in (*_PARTS, *_COUNTS)}
    known = {name: values for name, values in parts.items() if any(values) or 0.0 in values}
    return {
        "dates": [day.date for day in quality.days],
        "parts": known,
        "feeds": list(quality.feeds),
        "findings": msgspec.to_builtins(quality.findings),
        "finding_count": quality.finding_count,
        "violations": msgspec.to_builtins(quality.violations),
    }
