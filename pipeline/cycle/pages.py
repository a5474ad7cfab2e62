"""The pages of the release, at the end of a cycle. Whatever fails here never withholds a release."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ingest.contracts.contract import Contract
from ingest.errors import LakemeshError
from ingest.settings import Settings
from ingest.storage.folders import make_folder
from pipeline.access.privacy import FOLDER as PRIVACY
from pipeline.access.privacy import minimum_group_size
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from pipeline.metrics.definition import REPORTING_CURRENCY
from pipeline.portal import assets
from pipeline.portal.catalog.stored import CatalogPages
from pipeline.portal.facts import Facts, complete_to, feed_facts
from pipeline.portal.guard import Guard
from pipeline.portal.publication import Sources, refresh
from pipeline.process.contain import contained
from pipeline.releases.release import Releases
from pipeline.warehouse.classes import Classes, project_classes
from pipeline.warehouse.project import Project

METRICS, DASHBOARDS = "metrics", "dashboards"


def sources(project: Project, published: Releases, contracts: Mapping[str, Contract]) -> Sources:
    """What the project's pages are made from."""
    currency = str(project.context.config.variables.get(REPORTING_CURRENCY) or "")
    folder = Path(project.context.path)

    @cache
    def classes() -> Classes:
        return project_classes(project.context, contracts)

    catalog = CatalogPages(published, project.context, contracts, classes)
    rules = rules_of_pages(folder, minimum_group_size(project.context.config.variables), contracts)
    return Sources(folder / METRICS, folder / DASHBOARDS, currency, catalog, lambda: Guard.of(classes()), rules)


def rules_of_pages(folder: Path, minimum: object, contracts: Mapping[str, Contract]) -> str:
    """Changes with what the classes of columns and the sizes of groups follow from, beside the models of a release."""
    found = hashlib.sha256(f"{minimum}\n".encode())
    for path in sorted((folder / PRIVACY).glob("*.yaml")):
        found.update(path.name.encode() + path.read_bytes())
    for feed in sorted(contracts):
        found.update(contracts[feed].model_dump_json().encode())
    return found.hexdigest()[:16]


def write_pages(lake: Lake, project: Project, contracts: Mapping[str, Contract], summary: RunSummary) -> None:
    """Write the pages of the release that readers get, unless they are up to date.

    A failure becomes a warning of the summary, and the next cycle tries again.

    Args:
        summary: of the cycle, for what it left waiting; receives what was written.
    """
    if not any((Path(project.context.path) / DASHBOARDS).glob("*.yaml")):
        return

    def failed(error: LakemeshError) -> None:
        summary.warnings.append(f"the pages of the release could not be written, the next cycle tries again: {error}")

    with summary.stage("pages"), contained("the portal", failed):
        if not assets.is_installed():
            note_once(summary, lake.options)
            return
        newest = lake.releases.newest()
        facts = None
        if newest is not None:
            withheld = [{"table": name, "dates": sorted(map(str, days))} for name, days in sorted(summary.held.items())]
            feeds = feed_facts(lake.store, contracts.values(), _waiting(summary))
            facts = Facts(complete_to(newest.published_at, summary.held), feeds, withheld)
        summary.pages = refresh(lake.releases, sources(project, lake.releases, contracts), facts)
        for name, reason in (summary.pages.left_out if summary.pages else {}).items():
            summary.warnings.append(f"page {name} is left out: {reason}")


def note_once(summary: RunSummary, options: Settings) -> None:
    """Note that no pages are written, and how to have them; once, since a lake may well do without."""
    mark = Path(options.lake_home) / "portal.noted"
    if mark.exists():
        return
    summary.warnings.append("no pages are written for releases; install the extra `portal` for them: make setup-portal")
    make_folder(mark.parent, options.lake_folder_mode)
    mark.touch()


def _waiting(summary: RunSummary) -> dict[str, int]:
    """Objects that the cycle found and could not load, by feed."""
    feeds = summary.ingest.feeds if summary.ingest else []
    return {feed.feed: len(feed.stuck) + sum(item.objects for item in feed.unloadable) for feed in feeds}
