"""What a cycle, its releases and the serving database look like."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ingest.text import printable
from pipeline.cli.layout import table as _table
from pipeline.cli.layout import text as _text
from pipeline.cli.show_ingest import show_dates, show_ingest

if TYPE_CHECKING:  # each command imports its dependencies when it runs: SQLMesh alone takes a second
    from pipeline.cycle.summary import RunSummary
    from pipeline.portal.publication import Written
    from pipeline.releases.release import Release, Releases
    from pipeline.releases.roles import Made
    from pipeline.serving.serve import Served


def run_as_dict(summary: RunSummary) -> dict[str, Any]:
    """Convert the summary of a cycle for `--json`, with sorted dates."""
    found = asdict(summary)
    del found["model_runs"]  # what events say of them
    for name, done in summary.computed.items():
        found["computed"][name]["dates"] = sorted(map(str, done.dates))
    return found


def show_run(summary: RunSummary) -> str:
    """Format the summary of `lake run` and `lake publish`."""
    items: list[Any] = []
    if summary.ingest:
        items.append(show_ingest(summary.ingest, "marked for recomputation", with_feeds=summary.due_at is None))
    for name, done in summary.computed.items():
        failed = f", {done.failed_audits} audits found rows" if done.failed_audits else ""
        items.append(f"computed {name}: {show_dates(sorted(done.dates))}{failed}")
    if summary.unchanged:
        items.append(f"{len(summary.unchanged)} models unchanged: they are due, but nothing that they read changed")
    waiting: dict[str, list[str]] = {}
    for name, dates in summary.held.items():
        waiting.setdefault(show_dates(dates), []).append(name)
    items += [f"waiting for complete feeds: {dates} of {', '.join(names)}" for dates, names in waiting.items()]
    items += [printable(f"late: {promise}") for promise in summary.broken_promises.values()]
    items += [printable(f"warning: {warning}") for warning in summary.warnings]
    for audit in summary.audits:
        if audit.rows:
            sources = f"; from {', '.join(audit.sources)}" if audit.sources else ""
            items.append(printable(f"audit {audit.name} ({audit.scope}): {audit.rows:,} rows{sources}"))
            items += [printable(f"  {example}") for example in audit.examples]
    passed = sum(not audit.rows for audit in summary.audits)
    items += [f"{passed} standalone audits passed"] * bool(passed)
    words = {
        "published": f"published release {summary.state}",
        "unchanged": f"nothing new to publish: readers have release {summary.state}",
        "audited": "audited everything; the next release is withheld" if summary.exit_code else "all audits passed",
        "held": f"readers stay on release {summary.state} after a rollback; `lake publish` resumes publishing",
    }
    if summary.due_at:
        items.append(f"nothing is new, and nothing is due before {summary.due_at:%Y-%m-%d %H:%M} UTC")
    items.append(words.get(summary.outcome, f"not published: {_kept(summary)}"))
    items += [show_pages(summary.pages)] if summary.pages and summary.pages.files else []
    items += [show_role(made) for made in summary.roles]
    items += [f"role {name} is no longer defined: all that it could see is deleted" for name in summary.removed_roles]
    items += [show_served(summary.served)] if summary.served else []
    items.append(", ".join(f"{name} {seconds:.1f} s" for name, seconds in summary.seconds.items()))
    return _text(*items)


def _kept(summary: RunSummary) -> str:
    """Describe what readers have after a cycle that published nothing."""
    if not summary.is_state_known:
        return "readers keep their release, whose number cannot be read"
    return f"readers keep release {summary.state}" if summary.state else "there is no release yet"


def show_pages(written: Written) -> str:
    """Format what was written of the portal."""
    return f"pages of release {written.release}: {len(written.files)} files written, see `lake portal`"


def show_role(made: Made) -> str:
    """Format what was written for a role."""
    text = f"role {made.role} has release {made.number}: {made.files} files written, {made.rows:,} rows"
    withdrawn = "" if made.is_first else "; its older releases are withdrawn"
    return f"{text} ({', '.join(made.reasons)}{withdrawn})" if made.reasons else text


def show_served(served: Served) -> str:
    """Format what was written to Postgres."""
    changes = served.changes.values()
    written, deleted = (sum(getattr(change, name) for change in changes) for name in ("written", "deleted"))
    lines = [
        f"{served.place} has release {served.state}: {len(served.changes)} tables changed ({written:,} rows written, "
        f"{deleted:,} deleted), {served.unchanged} unchanged"
    ]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in served.warnings)])


def show_releases(
    releases: Sequence[Release],
    current: int | None,
    published: Releases,
    with_pages: Collection[int] = (),
    suspects: Mapping[int, Mapping[str, Any]] | None = None,
) -> str:
    """Format the releases, with the statement that attaches the current one.

    Args:
        with_pages: numbers of those that `lake portal` opens.
        suspects: see `Releases.suspects`.
    """
    table = _table("release", "published at", "tables", "rows", "files", "pages", "ledger positions")
    for release in releases:
        mark = "*" if release.number == current else " "
        tables = release.tables.values()
        positions = ", ".join(f"{feed} {position}" for feed, position in sorted(release.positions.items()))
        files = sum(len(item.files) for item in tables)
        pages = "yes" if release.number in with_pages else "no"
        numbers = (len(tables), f"{sum(item.rows for item in tables):,}", files, pages)
        at = f"{release.published_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(f"{mark}{release.number}", at, *map(str, numbers), positions)
    marks = [
        f"suspect: release {number}, in whose tables audits found rows later: {', '.join(about['audits'])}"
        for number, about in sorted((suspects or {}).items())
    ]
    return _text(table, *marks, *([published.attach()] if current else []))
