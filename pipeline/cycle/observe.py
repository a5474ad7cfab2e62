"""What a cycle tells monitors: its measures, and its events for OpenLineage. Neither makes it fail."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ingest.contracts.contract import contracts
from ingest.errors import LakemeshError
from pipeline.cycle.summary import RunSummary
from pipeline.cycle.usage import Meter, cycle_usage, keep_usage
from pipeline.lake import Lake
from pipeline.monitoring import running
from pipeline.monitoring.cycles import CycleFacts, note_cycle, note_killed, note_maintenance
from pipeline.monitoring.datasets import Dataset, landing_of, released, table_of
from pipeline.monitoring.events import Events
from pipeline.monitoring.exposition import write_file
from pipeline.monitoring.kept import keeping
from pipeline.monitoring.sender import LAST_SECONDS, Sender
from pipeline.process.contain import contained
from pipeline.process.log import note_event

ABORT_SECONDS = 1.0
"""How long a cycle that is interrupted waits for its last event: it has a few seconds to end."""


@contextmanager
def observed(lake: Lake, summary: RunSummary, now: Callable[[], dt.datetime]) -> Iterator[None]:
    """Send the events of the cycle that the body is, and leave its measures and what it used.

    What fails here is a warning of the summary. If the body raises, there was no cycle: nothing is measured.
    """
    meter = Meter()
    events = _Lineage(lake, summary, now) if lake.options.sends_lineage else None
    try:
        yield
    except BaseException:
        running.end(lake.options)
        if events:
            events.end("ABORT")
        raise
    if events:
        events.end("FAIL" if summary.exit_code else "COMPLETE")
    seconds = {f"{stage}_seconds": spent for stage, spent in summary.seconds.items()}
    note_event("cycle", outcome=summary.outcome, exit_code=summary.exit_code, release=summary.state, **seconds)
    with contained("the measures", _warning(summary)), keeping(lake.options, "cycle") as kept:
        note_cycle(kept, _facts(summary, now()))
        running.end(lake.options)
    if lake.options.metrics_file:
        with contained("METRICS_FILE", _warning(summary)):
            write_file(lake, now())
    with contained("the record of what was used", _warning(summary)):
        keep_usage(lake, cycle_usage(lake, meter, summary), summary.run_id)


def note_start(lake: Lake, summary: RunSummary) -> None:
    """Note that this process runs a cycle, and count the one before if it was killed; the cycle has its lock by now."""
    with contained("the measures", _warning(summary)):
        if running.begin(lake.options):
            with keeping(lake.options, "cycle") as kept:
                note_killed(kept)


def measure_maintenance(lake: Lake, exit_code: int, now: dt.datetime, failed: Callable[[LakemeshError], None]) -> None:
    """Leave the measures of a maintenance.

    Args:
        failed: receives why they could not be written.
    """
    with contained("the measures", failed), keeping(lake.options, "maintenance") as kept:
        note_maintenance(kept, exit_code, now)
    if lake.options.metrics_file:
        with contained("METRICS_FILE", failed):
            write_file(lake, now)


class _Lineage:
    """The events of a cycle."""

    def __init__(self, lake: Lake, summary: RunSummary, now: Callable[[], dt.datetime]) -> None:
        self._lake, self._summary, self._now = lake, summary, now
        self._sender: Sender | None = None
        with contained("OpenLineage", _warning(summary)):
            self._events = Events(summary.run_id, lake.options)
            self._sender = Sender()
            began = now()
            self._sender.send(lambda: self._events.cycle("START", began))

    def end(self, state: str) -> None:
        """Send the events of the models, and the last one of the cycle."""
        if self._sender is None:
            return
        summary, events, ended = self._summary, self._events, self._now()
        inputs, outputs = _datasets(self._lake, summary)
        errors = list(summary.errors)
        for run in list(summary.model_runs):
            self._sender.send(lambda run=run: events.model(run))  # type: ignore[misc]  # the default binds it now
        self._sender.send(lambda: events.cycle(state, ended, inputs, outputs, errors))
        if fault := self._sender.close(ABORT_SECONDS if state == "ABORT" else LAST_SECONDS):
            summary.warnings.append(f"OpenLineage: {fault}")


def _datasets(lake: Lake, summary: RunSummary) -> tuple[list[Dataset], list[Dataset]]:
    """What a cycle read and wrote: landings with new objects; their bronze, and what changed for readers."""
    loaded = [feed.feed for feed in (summary.ingest.feeds if summary.ingest else []) if feed.loads]
    known = contracts()
    inputs = [landing_of(known[feed], lake.options) for feed in loaded]
    outputs = [table_of(f"bronze.{feed}", lake.options) for feed in loaded]
    return inputs, outputs + [released(name, lake.options) for name in sorted(summary.published_dates)]


def _facts(summary: RunSummary, now: dt.datetime) -> CycleFacts:
    feeds = summary.ingest.feeds if summary.ingest else []
    computed = summary.computed.values()
    failed = sum(done.failed_audits for done in computed) + sum(bool(item.rows) for item in summary.audits)
    broken = sum(item.is_broken for item in summary.audits)
    passed = sum(done.audits for done in computed)
    passed += sum(not (item.rows or item.is_broken) for item in summary.audits)
    return CycleFacts(
        outcome=summary.outcome,
        exit_code=summary.exit_code,
        ended_at=now,
        seconds=dict(summary.seconds),
        dates=sum(len(done.dates) for done in computed),
        models=len(summary.computed),
        skipped=len(summary.unchanged),
        withheld=sum(map(len, summary.held.values())),
        audits={"passed": passed, "failed": failed, "broken": broken},
        rows=_by_feed((feed.feed, feed.rows) for feed in feeds),
        quarantined=_by_feed((feed.feed, feed.quarantined) for feed in feeds),
    )


def _by_feed(counts: Iterator[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for feed, count in counts:
        found[feed] = found.get(feed, 0) + count
    return found


def _warning(summary: RunSummary) -> Callable[[LakemeshError], None]:
    return lambda error: summary.warnings.append(str(error))
