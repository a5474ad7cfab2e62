"""What a cycle or a maintenance leaves for monitors."""

from __future__ import annotations

import datetime as dt
import re
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.monitoring.kept import Kept

RESULTS = ("passed", "failed", "broken")


@dataclass(frozen=True, slots=True)
class CycleFacts:
    """What is measured of a cycle.

    Attributes:
        outcome: see RunSummary.
        seconds: by stage.
        dates, models, skipped: computed dates over all models, computed models, models skipped as unchanged.
        withheld: dates withheld until their feeds are complete, over all models.
        audits: number by result, one of RESULTS.
        rows, quarantined: loaded rows and rejected records, by feed.
    """

    outcome: str
    exit_code: int
    ended_at: dt.datetime
    seconds: Mapping[str, float] = field(default_factory=dict)
    dates: int = 0
    models: int = 0
    skipped: int = 0
    withheld: int = 0
    audits: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)


def note_cycle(kept: Kept, facts: CycleFacts) -> None:
    """Count a cycle, and keep what it did as the last one."""
    outcome, end = facts.outcome.replace(" ", "_"), facts.ended_at.timestamp()
    kept.add("lakemesh_cycles_total", 1, outcome)
    kept.add("lakemesh_cycle_failures_total", float(facts.exit_code != 0))
    kept.add("lakemesh_cycle_dates_computed_total", facts.dates)
    kept.add("lakemesh_cycle_models_computed_total", facts.models)
    kept.add("lakemesh_cycle_models_skipped_total", facts.skipped)
    for result in RESULTS:
        kept.add("lakemesh_audits_total", facts.audits.get(result, 0), result)
    for name, counts in (("rows_loaded", facts.rows), ("records_quarantined", facts.quarantined)):
        for feed, count in counts.items():
            kept.add(f"lakemesh_cycle_{name}_total", count, feed)
    kept.forget("lakemesh_cycle_last_stage_seconds")
    for stage, seconds in facts.seconds.items():
        name = re.sub(r"\W+", "_", stage)
        kept.add("lakemesh_cycle_seconds_total", seconds, name)
        kept.set("lakemesh_cycle_last_stage_seconds", seconds, name)
    kept.set("lakemesh_cycle_last_seconds", sum(facts.seconds.values()), outcome)
    kept.set("lakemesh_cycle_last_exit_code", facts.exit_code)
    kept.set("lakemesh_cycle_last_end_timestamp_seconds", end)
    kept.set("lakemesh_cycle_last_models_computed", facts.models)
    kept.set("lakemesh_cycle_last_models_skipped", facts.skipped)
    kept.set("lakemesh_cycle_last_dates_computed", facts.dates)
    kept.set("lakemesh_cycle_last_withheld_dates", facts.withheld)
    kept.set("lakemesh_cycle_last_peak_memory_bytes", peak_memory())
    if facts.outcome == "published" or (facts.outcome == "unchanged" and not facts.exit_code):
        kept.set("lakemesh_release_current_timestamp_seconds", end)


def note_killed(kept: Kept) -> None:
    """Count a cycle that was killed."""
    kept.add("lakemesh_cycles_total", 1, "killed")
    kept.add("lakemesh_cycle_failures_total", 1)


def note_maintenance(kept: Kept, exit_code: int, now: dt.datetime) -> None:
    """Count a maintenance."""
    kept.add("lakemesh_maintenance_total", 1)
    kept.add("lakemesh_maintenance_failures_total", float(exit_code != 0))
    kept.set("lakemesh_maintenance_last_end_timestamp_seconds", now.timestamp())


def peak_memory() -> float:
    """The largest resident memory of this process since its start, bytes."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(found if sys.platform == "darwin" else found * 1024)
