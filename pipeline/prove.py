"""Only proven numbers are published: what has to hold before readers see a new state."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ingest.contract import contracts
from ingest.errors import IngestError
from ingest.settings import Settings
from ingest.store import Store
from pipeline import history
from pipeline.audits import Outcome, offenders, standalone_audits, suspects
from pipeline.bronze import registered_positions
from pipeline.computing import must_still_hold
from pipeline.duck import connect
from pipeline.masking import masked_row
from pipeline.project import Project
from pipeline.publish import Change, changes, is_told_alike, prune, publish
from pipeline.published import Published, State
from pipeline.state import State as StateDatabase
from pipeline.state import open_state, settled_positions
from pipeline.summary import RunSummary


class Unproven(IngestError):  # noqa: N818  it is the data that erred: what readers see stays as it was
    """Gold is not fit to be published; the message says why, and readers keep the state that they have."""


def audit_and_publish(
    project: Project, options: Settings, summary: RunSummary, now: dt.datetime, release: bool = False
) -> None:
    """Publishes gold as it stands, if nothing is missing and every audit that blocks finds nothing.

    Args:
        summary: gets the outcome, and the error when gold is not fit.
        release: whether the hold of a rollback ends.

    Raises:
        RetriableError: the lock of a shared state was lost on the way.
    """
    published = Published(options)
    pointer, before = published.pointer(), published.newest()
    summary.state = pointer.get("state")
    try:
        snapshots = project.snapshots()
        if behind := feeds_behind(project, options):
            raise Unproven(
                f"{', '.join(behind)}: models saw loads whose dates are not marked yet; run `lake ingest` first"
            )
        missing, summary.held = project.missing(now)
        if missing:
            named = "; ".join(f"{name} {_range(dates)}" for name, dates in sorted(missing.items())[:5])
            raise Unproven(f"not everything is computed, missing are {named}; run `sqlmesh run` or `lake run`")
        with open_state(options) as state, summary.stage("audit"):
            if before is not None and not history.continues(state, before.number, before.sequence):
                before = replace(before, sequence=history.UNKNOWN)
            changed = changes(snapshots, before, state)
            sequence = history.newest(state)
            positions = settled_positions(state)
            (lake_id,) = state.row("SELECT MAX(id) FROM lakemesh.lake") or ("",)
            is_same = _is_same(before, changed)
            if not is_same:
                _audit(project, options, summary, snapshots, changed, before, state, now)
        must_still_hold(options)
        if is_same and before is not None:
            if pointer.get("state") != before.number and (release or not pointer.get("held")):
                published.point_to(before.number)  # a crash came before it, or a rollback ends
                summary.outcome, summary.state = "published", before.number
            else:
                summary.outcome = "held" if pointer.get("held") else "unchanged"
            return
        with summary.stage("publish"):
            number = before.number + 1 if before else 1
            about = State(
                number,
                now,
                lake_id or "",
                positions,
                sequence,
                {},
                tuple({"name": item.name, "scope": item.scope, "rows": item.rows} for item in summary.audits),
            )
            held = bool(pointer.get("held")) and not release
            with open_state(options) as state:
                history.publishing(state, number - 1, number, sequence)
            done = publish(published, project.context.engine_adapter, changed, before, about, held)
            summary.published_dates = done.dates
            summary.outcome = "held" if held else "published"
            summary.state = pointer["state"] if held else done.number
            prune(published, options.published_states, now)
            with open_state(options) as state:
                history.forget(state, done.sequence)
    except Unproven as error:
        summary.failed(error)


def _is_same(before: State | None, changed: Mapping[str, Change]) -> bool:
    """Whether nothing was computed or described anew since the newest state; views change with what they read."""
    return (
        before is not None
        and not _has_other_versions(before, changed)
        and not any(item.recomputed.changed and not item.is_view for item in changed.values())
        and all(is_told_alike(item, before.tables[name], set(changed)) for name, item in changed.items())
    )


def _has_other_versions(before: State, changed: Mapping[str, Change]) -> bool:
    """Whether a table of the newest state is gone, new, or of another version."""
    versions = {name: table.version for name, table in before.tables.items()}
    return versions != {name: str(item.snapshot.version) for name, item in changed.items()}


def feeds_behind(project: Project, options: Settings) -> list[str]:
    """Feeds of which the run saw newer loads than those whose dates are marked: their other dates are stale."""
    with open_state(options) as state:
        settled = settled_positions(state)
    shown = registered_positions(project.context.engine_adapter)
    return sorted(feed for feed, position in shown.items() if position > settled.get(feed, 0))


def _audit(
    project: Project,
    options: Settings,
    summary: RunSummary,
    snapshots: Mapping[str, Any],
    changed: Mapping[str, Change],
    before: State | None,
    state: StateDatabase,
    now: dt.datetime,
) -> None:
    """Standalone audits over what changed since the newest state; now and then all of them over all dates.

    Over all as well when readers get another version of a table: it may have been computed long ago, on a branch.

    Raises:
        Unproven: one that blocks found rows.
    """
    dates: set[dt.date] | None = set()
    computed: set[str] = set()
    for snapshot in snapshots.values():
        if before is None or dates is None or not snapshot.is_model:
            continue
        recomputed = history.since(state, snapshot.name, str(snapshot.version), before.sequence)
        if recomputed.changed:
            computed.add(snapshot.name)
        if snapshot.model.kind.is_incremental_by_time_range:
            dates = None if recomputed.dates is None else dates | recomputed.dates
    if before is None or _has_other_versions(before, changed) or _is_due(state, options, now):
        dates = None
    found = standalone_audits(snapshots, project.audit_scopes(), project.context.engine_adapter, dates, computed)
    failing = [item for item in found if item.rows]
    if failing:
        published = before.positions if before else {}
        with connect(options) as reader:
            lake = Store(options.lake_uri, options)
            found = [
                replace(item, sources=suspects(lake, contracts().values(), published, item.examples, reader))
                if item.rows
                else item
                for item in found
            ]
    summary.audits += found
    if blocking := [item for item in found if item.blocks]:
        told = "; ".join(_told(item) for item in blocking)
        raise Unproven(
            f"{told}. Readers keep the state that they have; mend the data or the model, the next cycle tries again"
        )
    if dates is None:
        state.execute(
            "INSERT INTO lakemesh.audited VALUES ('all dates', ?) "
            "ON CONFLICT (scope) DO UPDATE SET audited_at = excluded.audited_at",
            [now.replace(tzinfo=None)],
        )


def _is_due(state: StateDatabase, options: Settings, now: dt.datetime) -> bool:
    """Whether the last audit of all dates is too old."""
    last = state.row("SELECT audited_at FROM lakemesh.audited WHERE scope = 'all dates'")
    return last is None or now.replace(tzinfo=None) - last[0] >= dt.timedelta(hours=options.full_audit_hours)


def failed_audits(project: Project, options: Settings) -> list[Outcome]:
    """The blocking audits that stopped a model, with rows and the objects that brought them."""
    found = []
    published = Published(options).current()
    with connect(options) as reader:
        lake = Store(options.lake_uri, options)
        for error in project.console.failed_audits:
            _, examples = offenders(project.context.engine_adapter, error.query)
            sources = suspects(lake, contracts().values(), published.positions if published else {}, examples, reader)
            name = f"{error.model_name}: {error.audit_name}"
            found.append(Outcome(name, "computed dates", error.count, examples, sources, True))
    return found


def _told(item: Outcome) -> str:
    sources = f", from {', '.join(item.sources[:3])}" if item.sources else ""
    return f"audit {item.name} found {item.rows:,} rows, for instance {masked_row(item.examples[0])}{sources}"


def _range(dates: list[dt.date]) -> str:
    return str(dates[0]) if len(dates) == 1 else f"{dates[0]} to {dates[-1]} ({len(dates)} dates)"
