"""What one cycle did, for people and for machines."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingest.errors import ConfigError, LakemeshError
from pipeline.process.contain import Step, contained

if TYPE_CHECKING:  # a cycle that cannot begin has a summary too, and must not load SQLMesh for it
    from pipeline.cycle.ingest import IngestSummary
    from pipeline.releases.audits import Outcome
    from pipeline.releases.release import Releases
    from pipeline.serving.serve import Served
    from pipeline.warehouse.project import Computed


@dataclass(slots=True)
class RunSummary:
    """What one cycle did.

    Attributes:
        outcome: `published`, `unchanged` (nothing new to publish), `held` (a rollback keeps readers where they are),
            `not published`, or `failed` when the cycle could not begin.
        state: number of the state that readers get, whatever became of the cycle; None before the first, and when
            the published states cannot be read.
        is_state_known: whether the published states could be read.
        ingest: what was loaded; None when only publishing was asked for.
        computed: the dates that were computed, by model.
        broken_promises: what feeds owe by their contracts, by the name of the alert.
        held: dates that wait, by model, because a feed is not complete by its contract yet.
        published_dates: dates that readers see anew, by table.
        audits: the standalone audits of this cycle, and blocking ones that failed.
        warnings: what SQLMesh had to say, failing non-blocking audits above all.
        served: what Postgres got; None where none is set, or when it failed.
        unserved: why Postgres lacks the state that readers of the files have; one of the errors.
        errors: one line each.
        seconds: wall time per stage.
        exit_code: 0 done, 1 failed, 2 misuse.
    """

    started_at: dt.datetime
    outcome: str = "not published"
    state: int | None = None
    is_state_known: bool = False
    ingest: IngestSummary | None = None
    computed: dict[str, Computed] = field(default_factory=dict)
    broken_promises: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, list[dt.date]] = field(default_factory=dict)
    published_dates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    audits: list[Outcome] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    served: Served | None = None
    unserved: str = ""
    errors: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    exit_code: int = 0

    def failed(self, error: LakemeshError) -> None:
        """Notes an error, once however often it is met."""
        if str(error) not in self.errors:
            self.errors.append(str(error))
        self.exit_code = max(self.exit_code, 2 if isinstance(error, ConfigError) else 1)

    def take_over(self, ingest: IngestSummary) -> None:
        """Counts what went wrong with ingesting as the cycle's; safe to repeat."""
        self.errors += [error for error in ingest.errors if error not in self.errors]
        self.exit_code = max(self.exit_code, ingest.exit_code)

    def contained(self, place: str, but: tuple[type[LakemeshError], ...] = ()) -> AbstractContextManager[Step]:
        """Runs the body as a step that fails alone, see pipeline/process/contain.py."""
        return contained(place, self.failed, but)

    def look(self, published: Releases) -> None:
        """Reads which state readers get.

        Raises:
            ConfigError, RetriableError: the published states cannot be read.
        """
        self.state, self.is_state_known = None, False
        self.state = published.pointer().get("state")
        self.is_state_known = True

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the wall time of the body to a stage, but for what stages within it took."""
        start, told = time.monotonic(), sum(self.seconds.values())
        try:
            yield
        finally:
            inner = sum(self.seconds.values()) - told
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start - inner, 3)
