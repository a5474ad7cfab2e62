"""The gate: gold is published only if no date is missing and no blocking audit finds rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
from sqlglot import exp
from sqlmesh.core.snapshot import Snapshot

from ingest.contracts.contract import contracts
from ingest.errors import PublishBlocked
from ingest.storage.store import Store
from pipeline.process.contain import contained
from pipeline.releases import full_audit
from pipeline.releases.audits import Failed, Outcome, describe, masked_examples, offenders, standalone_audits, suspects
from pipeline.releases.changes import Change, changes, has_other_versions
from pipeline.releases.export import has_same_definition, prune, publish
from pipeline.releases.release import Release, Releases
from pipeline.state import audit_pass
from pipeline.state import interval_log as history
from pipeline.state.database import Database
from pipeline.state.state import State, applied_positions
from pipeline.warehouse.by_key.definition import by_key
from pipeline.warehouse.engine import DIALECT
from pipeline.warehouse.project import Project, plain_name


@dataclass(frozen=True, slots=True)
class Candidate:
    """Current gold, audited.

    Attributes:
        before: the newest release, whether or not readers get it.
        changed: every published model with what was recomputed since then, by table.
        sequence, positions, lake_id: see `Release`.
        is_same: whether nothing differs from that release.
    """

    before: Release | None
    changed: Mapping[str, Change]
    sequence: int
    positions: Mapping[str, int]
    lake_id: str
    is_same: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of the gate.

    Attributes:
        candidate: what may be published; None if it is blocked.
        blocked: why it is blocked.
        audits: results of the standalone audits, except those that could not be run.
        withheld: dates that a signal withholds, by model.
    """

    candidate: Candidate | None = None
    blocked: PublishBlocked | None = None
    audits: Sequence[Outcome] = ()
    withheld: Mapping[str, list[dt.date]] | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """The outcome of releasing a candidate.

    Attributes:
        outcome: `published`, `unchanged` or `held`, see `RunSummary`.
        state: number of the release that readers get; None if that did not change.
        dates: recomputed dates in the new release, by table.
    """

    outcome: str
    state: int | None = None
    dates: Mapping[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate of one lake.

    Attributes:
        project: the SQLMesh project, loaded under the compute lock.
        lake: bronze and ledger, for the source objects of offending rows.
        database: the state.
        releases: where gold is published.
        connect: opens a connection that can read the lake.
        keep: number of newest releases to keep.
        frozen: by table, the date before which it is not computed again.
        is_due: whether a release is to be made even if nothing of gold changed.
    """

    project: Project
    lake: Store
    database: Database
    releases: Releases
    connect: Callable[[], duckdb.DuckDBPyConnection]
    keep: int
    frozen: Mapping[str, dt.date] = field(default_factory=dict)
    is_due: bool = False

    def check(self, now: dt.datetime, behind: Sequence[str], failed: Failed) -> Verdict:
        """Audit what changed since the newest release.

        Args:
            behind: feeds of which models saw loads whose dates are not marked yet.
            failed: receives the errors of audits, and of the search for the source objects of their rows.

        Raises:
            RetriableError: the lock of a shared state was lost.
            ConfigError: there is no production yet.
        """
        before = self.releases.newest()
        snapshots = self.project.snapshots()
        if behind:
            reason = f"{', '.join(behind)}: models saw loads whose dates are not marked yet; run `lake ingest` first"
            return Verdict(blocked=PublishBlocked(reason))
        missing, withheld = self.project.missing(now)
        if missing:
            named = "; ".join(f"{name} {_range(dates)}" for name, dates in sorted(missing.items())[:5])
            reason = f"gold is incomplete, missing are {named}; run `sqlmesh run` or `lake run`"
            return Verdict(blocked=PublishBlocked(reason), withheld=withheld)
        self._mark_audited(snapshots, withheld)
        audits: list[Outcome] = []
        with self.database.open() as state:
            has_failed = audit_pass.has_failed(state)
            if before is not None and not history.is_source_of(state, before.number, before.sequence):
                before = replace(before, sequence=history.UNKNOWN)
            changed = changes(snapshots, before, state)
            sequence = history.newest(state)
            positions = applied_positions(state)
            (lake_id,) = state.row("SELECT MAX(id) FROM lakemesh.lake") or ("",)
            is_same = _is_same(before, changed) and not self.is_due
            if has_failed:
                audits = self._audit_everything(snapshots, before, state, now, failed)
            elif not is_same:
                dates, computed = self._scope(snapshots, changed, before, state)
                found = standalone_audits(
                    snapshots, self.project.audit_scopes(), self.project.engine, dates, failed, computed, self.frozen
                )
                audits = self._with_sources(found, before, failed)
                if before is None and not any(item.blocks for item in audits):
                    audit_pass.record(state, now, audit_pass.PASSED)
            if blocking := [item for item in audits if item.blocks]:
                reason = (
                    f"{'; '.join(map(describe, blocking))}. Readers keep the current release; fix the data or the "
                    "model, the next cycle tries again"
                )
                return Verdict(None, PublishBlocked(reason), _completed(audits), withheld)
        self.database.require_compute_lock()
        candidate = Candidate(before, changed, sequence, positions, lake_id or "", is_same)
        return Verdict(candidate, None, _completed(audits), withheld)

    def audit_everything(self, now: dt.datetime, failed: Failed) -> list[Outcome]:
        """Run every audit over whole tables; when one fails, releases are withheld until all pass.

        Args:
            failed: receives the errors of audits, and of the search for the source objects of their rows.

        Raises:
            ConfigError: there is no production yet.
        """
        snapshots = self.project.snapshots()
        with self.database.open() as state:
            return self._audit_everything(snapshots, self.releases.newest(), state, now, failed)

    def release(
        self,
        candidate: Candidate,
        audits: Sequence[Outcome],
        now: dt.datetime,
        resume: bool,
        failed: Failed,
        log_head: Callable[[], str] = str,
    ) -> Publication:
        """Publish what passed the gate, unless readers have it already or it is withheld after a rollback.

        Args:
            audits: the standalone audits that passed, for the manifest.
            resume: whether to resume publishing after a rollback.
            failed: receives errors of deleting old releases.
            log_head: of the audit log, for the manifest; asked only for a new release.

        Raises:
            ConfigError, RetriableError: the releases cannot be written.
            ConflictError: another process published meanwhile.
        """
        pointer, before = self.releases.pointer(), candidate.before
        if candidate.is_same and before is not None:
            is_behind, is_withheld = pointer.get("state") != before.number, bool(pointer.get("held"))
            if (resume and is_withheld) or (is_behind and not is_withheld):
                self.releases.point_to(before.number)  # after a rollback, or a crash before this step
                return Publication("published", before.number)
            return Publication("held" if is_withheld else "unchanged")
        number = before.number + 1 if before else 1
        about = Release(
            number,
            now,
            candidate.lake_id,
            candidate.positions,
            candidate.sequence,
            {},
            tuple({"name": item.name, "scope": item.scope, "rows": item.rows} for item in audits),
            audit_log=log_head(),
        )
        withhold = bool(pointer.get("held")) and not resume
        with self.database.open() as state:
            history.record_release(state, number - 1, number, candidate.sequence)
        done = publish(self.releases, self.project.engine, candidate.changed, before, about, withhold)
        with contained("old releases", failed):
            prune(self.releases, self.keep, now)
            with self.database.open() as state:
                history.prune(state, done.sequence)
        return Publication(
            "held" if withhold else "published", pointer["state"] if withhold else done.number, done.dates
        )

    def failed_audits(self, failed: Failed) -> list[Outcome]:
        """The blocking audits that stopped a model, with offending rows and their source objects."""
        found = []
        with self.connect() as reader:
            published = self.releases.current()
            for error in self.project.console.failed_audits:
                name = f"{error.model_name}: {error.audit_name}"
                outcome = Outcome(name, "computed dates", error.count, blocks=True)
                with contained(f"the offending rows of audit {name}", failed):
                    _, examples = offenders(self.project.engine, error.query)
                    outcome = replace(outcome, examples=masked_examples(self.project, examples))
                    positions = published.positions if published else {}
                    outcome = replace(
                        outcome, sources=suspects(self.lake, contracts().values(), positions, examples, reader)
                    )
                found.append(outcome)
        return found

    def _mark_audited(self, snapshots: Mapping[str, Snapshot], withheld: Mapping[str, Sequence[dt.date]]) -> None:
        """Record which changes of tables by key need no audit again: an interval is missing until its audits pass."""
        for snapshot in snapshots.values():
            if snapshot.is_model and by_key(snapshot.model) and plain_name(snapshot.name) not in withheld:
                log = self.project.engine.log(exp.to_table(snapshot.table_name(), dialect=DIALECT))
                if log:
                    log.mark_audited()

    def _scope(
        self,
        snapshots: Mapping[str, Any],
        changed: Mapping[str, Change],
        before: Release | None,
        state: State,
    ) -> tuple[set[dt.date] | None, set[str]]:
        """The dates to audit (None for all) and the models that were computed since the newest release.

        All dates are audited when a table gets another version, which may have been computed long ago, on a branch.
        """
        dates: set[dt.date] | None = set()
        computed: set[str] = set()
        for snapshot in snapshots.values():
            if before is None or dates is None or not snapshot.is_model:
                continue
            recomputed = history.recomputed_since(state, snapshot.name, str(snapshot.version), before.sequence)
            if recomputed.changed:
                computed.add(snapshot.name)
            if snapshot.model.kind.is_incremental_by_time_range:
                dates = None if recomputed.dates is None else dates | recomputed.dates
        if before is None or has_other_versions(before, changed):
            dates = None
        return dates, computed

    def _audit_everything(
        self,
        snapshots: Mapping[str, Any],
        before: Release | None,
        state: State,
        now: dt.datetime,
        failed: Failed,
    ) -> list[Outcome]:
        """Run every audit over whole tables, mark releases that may be wrong, then record whether all passed."""
        found = self._with_sources(
            full_audit.audit_everything(self.project, snapshots, now, failed, self.frozen), before, failed
        )
        if wrong := [item for item in found if item.blocks and item.rows]:
            with contained("the marks of suspect releases", failed):
                full_audit.mark_suspects(self.releases, audit_pass.passed_at(state), wrong, now)
        is_wrong = any(item.blocks for item in found)
        audit_pass.record(state, now, audit_pass.FAILED if is_wrong else audit_pass.PASSED)
        return found

    def _with_sources(self, found: Sequence[Outcome], before: Release | None, failed: Failed) -> list[Outcome]:
        """The outcomes with the source objects of offending rows, whose personal values are hidden."""
        sources: dict[str, tuple[str, ...]] = {}
        if failing := [item for item in found if item.rows]:
            with contained("the source objects of offending rows", failed), self.connect() as reader:
                positions = before.positions if before else {}
                for item in failing:
                    sources[item.name] = suspects(self.lake, contracts().values(), positions, item.examples, reader)
        return [
            replace(item, sources=sources.get(item.name, ()), examples=masked_examples(self.project, item.examples))
            for item in found
        ]


def _completed(audits: Sequence[Outcome]) -> list[Outcome]:
    return [item for item in audits if not item.is_broken]


def _is_same(before: Release | None, changed: Mapping[str, Change]) -> bool:
    """Whether no table of gold was recomputed, and none redefined, since the newest release.

    Views change with what they read. Released tables of other layers change in every cycle and so make no release.
    """
    return (
        before is not None
        and not has_other_versions(before, changed)
        and not any(item.is_gold and item.recomputed.changed and not item.is_view for item in changed.values())
        and all(has_same_definition(item, before.tables[name], set(changed)) for name, item in changed.items())
    )


def _range(dates: list[dt.date]) -> str:
    return str(dates[0]) if len(dates) == 1 else f"{dates[0]} to {dates[-1]} ({len(dates)} dates)"
