"""Collect the catalog of a release from the project, its contracts, metrics and dashboards, and the release itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import msgspec
from sqlmesh.core.context import GenericContext

from ingest.contracts.contract import Contract
from pipeline.metrics.definition import Metric
from pipeline.portal.catalog.entries import FORMAT_VERSION, Audit, Catalog, Result, Table
from pipeline.portal.catalog.exposures import exposure_entries, metric_entries, terms
from pipeline.portal.catalog.feeds import feed_table
from pipeline.portal.catalog.figures import with_figures
from pipeline.portal.catalog.models import references, standalone, tables_of
from pipeline.portal.catalog.quality import last_results, with_quality
from pipeline.portal.dashboard import Dashboard
from pipeline.releases.release import Release
from pipeline.warehouse.classes import Classes

GLOSSARY = Path("docs") / "glossary.md"


@dataclass(frozen=True, slots=True)
class Published:
    """The release that a catalog is of.

    Attributes:
        release: its manifest.
        connection: to it, with its tables as `gold.x`.
        uri: of the releases.
    """

    release: Release
    connection: duckdb.DuckDBPyConnection
    uri: str


@dataclass(frozen=True, slots=True)
class Definitions:
    """What the project declares beside models and contracts.

    Attributes:
        metrics: by name.
        dashboards: in the order of their pages.
        classes: of columns, with the lineage along which they were derived.
    """

    metrics: Mapping[str, Metric]
    dashboards: Sequence[Dashboard]
    classes: Classes


def collect(
    context: GenericContext,
    contracts: Mapping[str, Contract],
    definitions: Definitions,
    published: Published | None = None,
    before: Catalog | None = None,
) -> Catalog:
    """Collect the catalog.

    Args:
        context: the loaded project.
        contracts: by feed.
        definitions: metrics, dashboards, classes and lineage.
        published: the release that it describes; without one the catalog has no figures, as for `lake impact`.
        before: the catalog of an earlier release: profiles of tables whose files are the same are reused.
    """
    project = Path(context.path)
    classes = definitions.classes
    tables = tables_of(context.models.values(), classes, project)
    tables |= {contract.table: feed_table(contract, classes.columns) for contract in contracts.values()}
    audits = _standalone_audits(context)
    results: dict[str, Result] = {}
    if published is not None:
        results = last_results(published.release, published.connection, before.audits if before else ())
    audits = [msgspec.structs.replace(audit, last=results.get(audit.name)) for audit in audits]
    tables = {name: _completed(table, tables, audits, published) for name, table in sorted(tables.items())}
    if published is not None:
        old = {table.name: table for table in before.tables} if before else {}
        release, connection = published.release, published.connection
        known = with_figures(tables.values(), release, connection, published.uri, old, classes)
        tables = with_quality({table.name: table for table in known}, release, connection)
    columns = {
        name: [column.name for column in table.columns if "." not in column.name] for name, table in tables.items()
    }
    glossary = project / GLOSSARY
    return Catalog(
        FORMAT_VERSION,
        context.config.project or project.name,
        published.release.number if published else 0,
        published.release.published_at.isoformat(timespec="seconds") if published else "",
        tuple(tables.values()),
        metric_entries(definitions.metrics),
        exposure_entries(definitions.dashboards, definitions.metrics, columns),
        tuple(audits),
        tuple(terms(glossary.read_text(encoding="utf-8"))) if glossary.is_file() else (),
    )


def _standalone_audits(context: GenericContext) -> list[Audit]:
    found = []
    for audit in context.standalone_audits.values():
        scope = audit.defaults["scope"].name if "scope" in audit.defaults else ""
        found.append(standalone(audit, scope))
    return sorted(found, key=lambda audit: audit.name)


def _completed(
    table: Table, tables: Mapping[str, Table], audits: Iterable[Audit], published: Published | None
) -> Table:
    """A table with its references, the standalone audits that read it, and results of its own.

    A release exists only if every blocking audit of what it was computed from passed.
    """
    own = table.audits
    if published is not None:
        at = published.release.published_at.replace(tzinfo=None).isoformat(timespec="seconds")
        passed = Result(at, 0, "computed dates")
        own = tuple(msgspec.structs.replace(audit, last=passed) if audit.blocking else audit for audit in own)
    reading = tuple(audit for audit in audits if table.name in audit.reads)
    return msgspec.structs.replace(
        table, audits=(*own, *reading), references=references(table, tables) or table.references
    )
