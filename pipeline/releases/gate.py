"""Only proven numbers are published: what has to hold before readers see a new state."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ingest.contracts.contract import contracts
from ingest.errors import IngestError
from ingest.settings import Settings
from ingest.storage.store import Store
from pipeline.access.masking import masked_row
from pipeline.cycle.summary import RunSummary
from pipeline.invalidation.invalidate import settle_unchanged
from pipeline.releases.audits import Outcome, offenders, standalone_audits, suspects
from pipeline.releases.export import Change, changes, is_told_alike, prune, publish
from pipeline.releases.release import Published, State
from pipeline.state import interval_log as history
from pipeline.state.compute_lock import must_still_hold
from pipeline.state.state import State as StateDatabase
from pipeline.state.state import open_state, settled_positions
from pipeline.warehouse.bronze import registered_positions
from pipeline.warehouse.duck import connect
from pipeline.warehouse.project import Project


class Unproven(IngestError):  # noqa: N818  it is the data that erred: what readers see stays as it was
    """Gold is not fit to be published; the message says why, and readers keep the state that they have."""


@dataclass(frozen=True, slots=True)
class _Proof:
    """Gold that is fit to be published.

    Attributes:
        before: the newest state, whether readers get it or not.
        sequence, positions, lake_id: see `State`.
        is_same: whether nothing differs from that state.
    """

    before: State | None
    changed: Mapping[str, Change]
    sequence: int
    positions: Mapping[str, int]
    lake_id: str
    is_same: bool


def audit_and_publish(
    project: Project, options: Settings, summary: RunSummary, now: dt.datetime, release: bool = False
) -> None:
    """Publishes gold as it stands, if nothing is missing and every audit that blocks finds nothing.

    Args:
        summary: gets the outcome, the state that readers have afterwards, and an error for whatever went wrong.
        release: whether the hold of a rollback ends.
    """
    published = Published(options)
    with summary.contained("the published states") as looking:
        summary.look(published)
    proof = None
    with summary.contained("the audits"):
        proof = _prove(project, options, summary, now, published)
    if proof is None:
        return
    state_before = summary.state
    with summary.contained("the publication") as publishing:
        _publish(proof, project, options, summary, now, published, release)
    if publishing.error and not looking.error:
        with summary.contained("the published states"):
            summary.look(published)
            if summary.state is not None and summary.state != state_before:  # it failed after readers were switched
                summary.outcome = "published"
                summary.published_dates = published.state(summary.state).dates


def _prove(project: Project, options: Settings, summary: RunSummary, now: dt.datetime, published: Published) -> _Proof:
    """Audits what changed since the newest state.

    Raises:
        Unproven: something is missing, or an audit that blocks found rows or could not be run.
        RetriableError: the lock of a shared state was lost on the way.
    """
    before = published.newest()
    snapshots = project.snapshots()
    if behind := feeds_behind(project, options):
        raise Unproven(f"{', '.join(behind)}: models saw loads whose dates are not marked yet; run `lake ingest` first")
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
    return _Proof(before, changed, sequence, positions, lake_id or "", is_same)


def _publish(
    proof: _Proof,
    project: Project,
    options: Settings,
    summary: RunSummary,
    now: dt.datetime,
    published: Published,
    release: bool,
) -> None:
    """Gives readers what is proven, unless they have it or are kept where they are."""
    pointer, before = published.pointer(), proof.before
    if proof.is_same and before is not None:
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
            proof.lake_id,
            proof.positions,
            proof.sequence,
            {},
            tuple({"name": item.name, "scope": item.scope, "rows": item.rows} for item in summary.audits),
        )
        held = bool(pointer.get("held")) and not release
        with open_state(options) as state:
            history.publishing(state, number - 1, number, proof.sequence)
        done = publish(published, project.context.engine_adapter, proof.changed, before, about, held)
        summary.published_dates = done.dates
        summary.outcome = "held" if held else "published"
        summary.state = pointer["state"] if held else done.number
        with summary.contained("old published states"):
            prune(published, options.published_states, now)
            with open_state(options) as state:
                history.forget(state, done.sequence)


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
    """Feeds of which the run saw newer loads than those whose dates are marked: their other dates are stale.

    Positions that change no row, as those of maintenance, are settled by this.
    """
    shown = registered_positions(project.context.engine_adapter)
    return settle_unchanged(options, Store(options.lake_uri, options), shown)


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
    adapter = project.context.engine_adapter
    found = standalone_audits(snapshots, project.audit_scopes(), adapter, dates, summary.failed, computed)
    sources: dict[str, tuple[str, ...]] = {}
    if failing := [item for item in found if item.rows]:
        with summary.contained("the objects that audits found rows of"), connect(options) as reader:
            published, lake = before.positions if before else {}, Store(options.lake_uri, options)
            for item in failing:
                sources[item.name] = suspects(lake, contracts().values(), published, item.examples, reader)
    found = [replace(item, sources=sources.get(item.name, ())) for item in found]
    summary.audits += [item for item in found if not item.is_broken]
    if blocking := [item for item in found if item.blocks]:
        raise Unproven(
            f"{'; '.join(_told(item) for item in blocking)}. Readers keep the state that they have; fix the data or "
            "the model, the next cycle tries again"
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


def failed_audits(project: Project, options: Settings, summary: RunSummary) -> list[Outcome]:
    """The blocking audits that stopped a model, with rows and the objects that brought them."""
    found = []
    with connect(options) as reader:
        published = Published(options).current()
        lake = Store(options.lake_uri, options)
        for error in project.console.failed_audits:
            name = f"{error.model_name}: {error.audit_name}"
            outcome = Outcome(name, "computed dates", error.count, blocks=True)
            with summary.contained(f"the rows that audit {name} found"):
                _, examples = offenders(project.context.engine_adapter, error.query)
                outcome = replace(outcome, examples=examples)
                positions = published.positions if published else {}
                outcome = replace(outcome, sources=suspects(lake, contracts().values(), positions, examples, reader))
            found.append(outcome)
    return found


def _told(item: Outcome) -> str:
    if item.is_broken:
        return f"audit {item.name} could not be run"
    sources = f", from {', '.join(item.sources[:3])}" if item.sources else ""
    return f"audit {item.name} found {item.rows:,} rows, for instance {masked_row(item.examples[0])}{sources}"


def _range(dates: list[dt.date]) -> str:
    return str(dates[0]) if len(dates) == 1 else f"{dates[0]} to {dates[-1]} ({len(dates)} dates)"
