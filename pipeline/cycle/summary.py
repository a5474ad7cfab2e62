"""Summary of a cycle, for display and for `--json`."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingest.errors import ConfigError, LakemeshError
from pipeline.process.contain import Step, contained
from pipeline.process.log import located
from pipeline.process.spent import cpu_seconds

if TYPE_CHECKING:  # a cycle that cannot start also has a summary, and must not load SQLMesh for it
    from pipeline.cycle.ingest import IngestSummary
    from pipeline.monitoring.model_runs import ModelRun
    from pipeline.portal.publication import Written
    from pipeline.releases.audits import Outcome
    from pipeline.releases.release import Releases
    from pipeline.releases.roles import Made
    from pipeline.serving.serve import Served
    from pipeline.warehouse.project import Computed


@dataclass(slots=True)
class RunSummary:
    """Summary of one cycle.

    Attributes:
        run_id: identifies the cycle: in the record of cycles, in log lines and in events.
        outcome: `published`, `unchanged` (nothing new to publish), `held` (readers stay on an older release after a
            rollback), `not published`, `audited` if only audits were run, `busy` if another cycle is in progress, or
            `failed` if the cycle could not start.
        state: number of the release that readers get, however the cycle ended; None before the first, and if the
            releases cannot be read.
        is_state_known: whether the releases could be read.
        due_at: when the next interval is due, if nothing was new or due and SQLMesh was not loaded; otherwise None.
        ingest: what was loaded; None if the cycle only publishes.
        computed: computed dates, by model.
        unchanged: models that were due by the calendar alone and not computed, since nothing that they read changed.
        broken_promises: contract violations, by name of the alert.
        held: dates withheld, by model, because a feed is not yet complete by its contract.
        published_dates: dates that are new or changed for readers, by table.
        audits: the standalone audits of this cycle, and the blocking ones that failed.
        warnings: warnings of SQLMesh, above all failed non-blocking audits.
        pages: what was written of the portal; None if it is not installed, or failed.
        roles: what was written for roles that see something else than before.
        removed_roles: names of roles that are no longer defined, whose releases were deleted.
        served: what was written to Postgres; None if SERVING_DSN is not set, or serving failed.
        unserved: why Postgres lacks the current release; one of the errors.
        errors: one line each.
        model_runs: how models ran, for events; empty unless they are sent.
        seconds: wall time per stage.
        cpu_seconds: CPU time per stage, of all threads and ended child processes.
        engine_requests: requests of the engine to the store of the lake by operation, and bytes `read`.
        exit_code: 0 done, 1 failed, 2 misuse.
    """

    started_at: dt.datetime
    outcome: str = "not published"
    state: int | None = None
    is_state_known: bool = False
    due_at: dt.datetime | None = None
    ingest: IngestSummary | None = None
    computed: dict[str, Computed] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    broken_promises: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, list[dt.date]] = field(default_factory=dict)
    published_dates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    audits: list[Outcome] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    pages: Written | None = None
    roles: list[Made] = field(default_factory=list)
    removed_roles: list[str] = field(default_factory=list)
    served: Served | None = None
    unserved: str = ""
    errors: list[str] = field(default_factory=list)
    model_runs: list[ModelRun] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    engine_requests: dict[str, int] = field(default_factory=dict)
    exit_code: int = 0
    run_id: str = ""

    def __post_init__(self) -> None:
        self.run_id = self.run_id or f"{self.started_at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"

    def failed(self, error: LakemeshError) -> None:
        """Add an error, without duplicates."""
        if str(error) not in self.errors:
            self.errors.append(str(error))
        self.exit_code = max(self.exit_code, 2 if isinstance(error, ConfigError) else 1)

    def merge_ingest(self, ingest: IngestSummary) -> None:
        """Take over the errors and exit code of ingest; safe to repeat."""
        self.errors += [error for error in ingest.errors if error not in self.errors]
        self.exit_code = max(self.exit_code, ingest.exit_code)

    def contained(self, place: str, reraise: tuple[type[LakemeshError], ...] = ()) -> AbstractContextManager[Step]:
        """Run the body as a contained step, see pipeline/process/contain.py."""
        return contained(place, self.failed, reraise)

    def read_release(self, published: Releases) -> None:
        """Read the number of the release that readers get.

        Raises:
            ConfigError, RetriableError: the releases cannot be read.
        """
        self.state, self.is_state_known = None, False
        self.state = published.pointer().get("state")
        self.is_state_known = True

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, excluding nested stages."""
        start, before = time.monotonic(), sum(self.seconds.values())
        cpu, cpu_before = cpu_seconds(), sum(self.cpu_seconds.values())
        try:
            with located(stage=name):
                yield
        finally:
            inner = sum(self.seconds.values()) - before
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start - inner, 3)
            inner = sum(self.cpu_seconds.values()) - cpu_before
            self.cpu_seconds[name] = round(self.cpu_seconds.get(name, 0.0) + cpu_seconds() - cpu - inner, 6)
