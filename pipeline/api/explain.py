"""Where a number comes from: lineage, audits and freshness, from the catalog of the release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ingest.text import printable
from pipeline.api.problems import Kind, Problem
from pipeline.api.snapshots import Snapshot
from pipeline.portal.catalog.entries import Catalog, Table


def explain(snapshot: Snapshot, name: str) -> dict[str, Any]:
    """What a metric, a table or a column is computed from, down to the feeds.

    Raises:
        Problem: there is no such name.
    """
    catalog = snapshot.catalog
    base: dict[str, Any] = {"name": name, **_release(snapshot)}
    metric = snapshot.definitions.get(name)
    table, _, column = name.rpartition(".") if name.count(".") == 2 else (name, "", "")
    if metric is None and table not in snapshot.release.tables and not (catalog and _known(catalog, table)):
        raise Problem(
            Kind.NOT_FOUND,
            f"'{printable(name)}' is no metric, table (schema.table) or column (schema.table.column); use search",
        )
    if catalog is None:
        reason = "roles have no catalog" if snapshot.role else "the release has no catalog yet"
        shown = snapshot.release.tables.get(metric.table if metric else table)
        about = {"table": shown.name, "description": shown.description} if shown else {}
        return {**base, **about, "lineage": [], "note": f"{reason}; lineage and audits are not known here"}
    if metric is not None:
        entry = next(item for item in catalog.metrics if item.name == name) if _has_metric(catalog, name) else None
        start = list(entry.upstream) if entry else []
        base |= {"is": "metric", "description": metric.description, "measure": entry.measure if entry else ""}
        table = metric.table
    elif column:
        start = list(_upstream(catalog, name))
        if not any(item.name == column for item in _tables(catalog)[table].columns):
            raise Problem(Kind.NOT_FOUND, f"{table} has no column '{printable(column)}'; use describe")
        base |= {"is": "column"}
    else:
        start = []
        base |= {"is": "table", "description": _tables(catalog)[table].description}
    lineage = _steps(catalog, name if column else f"metric:{name}", start) if metric or column else []
    tables = _reading(catalog, table)
    feeds = [item for item in tables if item.kind == "feed"]
    return {
        **base,
        "table": table,
        "lineage": lineage,
        "tables": [item.name for item in tables],
        "audits": _audits(tables),
        "feeds": [_feed(snapshot, item) for item in feeds],
        "sql": _tables(catalog)[table].sql,
    }


def _release(snapshot: Snapshot) -> dict[str, Any]:
    release = snapshot.release
    return {
        "release": release.number,
        "published_at": release.published_at,
        "audits_passed": len(release.audits),
    } | ({"note": "newer releases are withheld"} if snapshot.withheld else {})


def _tables(catalog: Catalog) -> Mapping[str, Table]:
    return {table.name: table for table in catalog.tables}


def _known(catalog: Catalog, table: str) -> bool:
    return table in _tables(catalog)


def _has_metric(catalog: Catalog, name: str) -> bool:
    return any(item.name == name for item in catalog.metrics)


def _upstream(catalog: Catalog, reference: str) -> tuple[str, ...]:
    if reference.startswith("metric:"):
        name = reference.removeprefix("metric:")
        return next((item.upstream for item in catalog.metrics if item.name == name), ())
    table, _, column = reference.rpartition(".")
    found = _tables(catalog).get(table)
    while found is None and "." in table:  # a field of a struct
        table, _, head = table.rpartition(".")
        column = f"{head}.{column}"
        found = _tables(catalog).get(table)
    return next((item.upstream for item in found.columns if item.name == column), ()) if found else ()


def _steps(catalog: Catalog, name: str, start: Iterable[str]) -> list[str]:
    """One line per step, from the number back to the fields of source objects."""
    found = [f"{name} ← {', '.join(start)}"] if start else []
    seen, waiting = {name}, list(start)
    while waiting:
        reference = waiting.pop(0)
        if reference in seen or reference.startswith("source:"):
            continue
        seen.add(reference)
        if further := _upstream(catalog, reference):
            found.append(f"{reference} ← {', '.join(further)}")
            waiting += further
    return found


def _reading(catalog: Catalog, table: str) -> list[Table]:
    """A table and all that it is computed from, nearest first."""
    tables = _tables(catalog)
    found: dict[str, Table] = {}
    waiting = [table]
    while waiting:
        name = waiting.pop(0)
        if name in tables and name not in found:
            found[name] = tables[name]
            waiting += tables[name].reads
    return list(found.values())


def _audits(tables: Iterable[Table]) -> dict[str, Any]:
    audits = {(table.name, audit.name): audit for table in tables for audit in table.audits}
    failed = [
        {"table": table, "audit": name, "rows": audit.last.rows, "at": audit.last.at}
        for (table, name), audit in audits.items()
        if audit.last and audit.last.rows
    ]
    passed = sum(1 for audit in audits.values() if audit.last and not audit.last.rows)
    return {"passed": passed, "not_run": len(audits) - passed - len(failed), "failed": failed}


def _feed(snapshot: Snapshot, feed: Table) -> dict[str, Any]:
    contract, quality = feed.contract, feed.quality
    name = feed.name.partition(".")[2]
    found: dict[str, Any] = {"feed": name, "position": snapshot.release.positions.get(name)}
    if contract:
        found |= {"objects": contract.source, "promised_freshness_seconds": contract.freshness_seconds}
    if quality and quality.days:
        day = quality.days[-1]
        shares = ("validity", "completeness", "freshness")
        found |= {
            "last_day": day.date,
            **{part: getattr(day, part) for part in shares if getattr(day, part) is not None},
        }
    return found
