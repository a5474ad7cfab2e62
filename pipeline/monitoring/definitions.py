"""The measures of a lake: names by Prometheus's conventions, labels whose values are bounded.

Moments are time stamps, never ages: an age that is written to a file stops growing when nobody writes the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ingest.errors import LakemeshError

Kind = Literal["gauge", "counter"]


@dataclass(frozen=True, slots=True)
class Definition:
    """A measure.

    Attributes:
        labels: names of its labels. Their values are names of feeds, stages, outcomes, reasons and the like: tens,
            never names of objects, persons or releases.
    """

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """A value of a measure.

    Attributes:
        labels: values of the labels, in the order of the definition.
    """

    name: str
    value: float
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """Samples, and why others are missing."""

    samples: tuple[Sample, ...]
    errors: tuple[LakemeshError, ...] = ()


_FEED = ("feed",)
FEEDS: Mapping[str, Definition] = {
    "lakemesh_feed_readable": Definition("gauge", "Whether landing and ledger of the feed could be read.", _FEED),
    "lakemesh_feed_waiting_objects": Definition("gauge", "Objects in the landing that the next ingest loads.", _FEED),
    "lakemesh_feed_waiting_bytes": Definition("gauge", "Size of the objects that the next ingest loads.", _FEED),
    "lakemesh_feed_waiting_messages": Definition("gauge", "Messages of the topic that the next load reads.", _FEED),
    "lakemesh_feed_oldest_waiting_timestamp_seconds": Definition(
        "gauge", "When the oldest waiting object was written; absent if none waits.", _FEED
    ),
    "lakemesh_feed_unloadable_objects": Definition("gauge", "Objects in the landing that cannot be loaded.", _FEED),
    "lakemesh_feed_newest_object_timestamp_seconds": Definition(
        "gauge", "When the newest loaded object was written; before the first, when the feed was first seen.", _FEED
    ),
    "lakemesh_feed_freshness_seconds": Definition(
        "gauge", "Maximum age of the newest object by the feed's contract.", _FEED
    ),
    "lakemesh_feed_last_commit_timestamp_seconds": Definition("gauge", "When the ledger was last written.", _FEED),
    "lakemesh_feed_position": Definition("gauge", "Number of the newest entry of the ledger.", _FEED),
    "lakemesh_feed_loaded_objects": Definition("gauge", "Source objects in the ledger.", _FEED),
    "lakemesh_feed_rows": Definition("gauge", "Rows of live bronze files.", _FEED),
    "lakemesh_feed_files": Definition("gauge", "Live bronze files.", _FEED),
    "lakemesh_feed_bytes": Definition("gauge", "Size of live bronze files.", _FEED),
    "lakemesh_feed_quarantined_records": Definition(
        "gauge", "Open records of the quarantine; the rarest reasons together as `other`.", ("feed", "reason")
    ),
    "lakemesh_feed_quality_ratio": Definition(
        "gauge",
        "Quality of the newest whole day in the current release by ops.quality_daily, 0 to 1.",
        ("feed", "dimension"),
    ),
}
RELEASES: Mapping[str, Definition] = {
    "lakemesh_release_number": Definition("gauge", "Number of the release that readers get."),
    "lakemesh_release_published_timestamp_seconds": Definition("gauge", "When that release was published."),
    "lakemesh_release_tables": Definition("gauge", "Tables of that release."),
    "lakemesh_release_rows": Definition("gauge", "Rows of that release."),
    "lakemesh_release_bytes": Definition("gauge", "Size of the files of that release."),
    "lakemesh_release_is_held": Definition("gauge", "Whether later releases are withheld after a rollback."),
    "lakemesh_release_is_suspect": Definition("gauge", "Whether a later audit found rows in that release."),
    "lakemesh_releases_kept": Definition("gauge", "Kept releases."),
    "lakemesh_storage_bytes": Definition(
        "gauge", "Size of what is stored: live bronze, all releases, warehouse, state.", ("place",)
    ),
}
CYCLES: Mapping[str, Definition] = {
    "lakemesh_cycles_total": Definition("counter", "Cycles, by outcome.", ("outcome",)),
    "lakemesh_cycle_failures_total": Definition("counter", "Cycles that ended with an error, whatever they published."),
    "lakemesh_cycle_seconds_total": Definition("counter", "Time spent in cycles, by stage.", ("stage",)),
    "lakemesh_cycle_dates_computed_total": Definition("counter", "Dates computed, over all models."),
    "lakemesh_cycle_models_computed_total": Definition("counter", "Computations of models."),
    "lakemesh_cycle_models_skipped_total": Definition(
        "counter", "Models that were due and not computed, since nothing that they read had changed."
    ),
    "lakemesh_cycle_rows_loaded_total": Definition("counter", "Rows that cycles loaded.", _FEED),
    "lakemesh_cycle_records_quarantined_total": Definition("counter", "Records that cycles rejected.", _FEED),
    "lakemesh_audits_total": Definition(
        "counter", "Audits: of models, and over whole tables or changed dates; by result.", ("result",)
    ),
    "lakemesh_cycle_last_seconds": Definition("gauge", "Duration of the last cycle of each outcome.", ("outcome",)),
    "lakemesh_cycle_last_stage_seconds": Definition("gauge", "Duration of the stages of the last cycle.", ("stage",)),
    "lakemesh_cycle_last_exit_code": Definition("gauge", "Exit code of the last cycle: 0 done, 1 failed, 2 misuse."),
    "lakemesh_cycle_last_end_timestamp_seconds": Definition("gauge", "When the last cycle ended."),
    "lakemesh_cycle_last_models_computed": Definition("gauge", "Models that the last cycle computed."),
    "lakemesh_cycle_last_models_skipped": Definition("gauge", "Models that the last cycle skipped as unchanged."),
    "lakemesh_cycle_last_dates_computed": Definition("gauge", "Dates that the last cycle computed, over all models."),
    "lakemesh_cycle_last_withheld_dates": Definition("gauge", "Dates withheld until their feeds are complete."),
    "lakemesh_cycle_last_peak_memory_bytes": Definition(
        "gauge", "Largest resident memory of the process of the last cycle since its start."
    ),
    "lakemesh_release_current_timestamp_seconds": Definition(
        "gauge", "When a cycle last published, or found that the release has everything."
    ),
}
MAINTENANCE: Mapping[str, Definition] = {
    "lakemesh_maintenance_failures_total": Definition("counter", "Maintenance that ended with an error."),
    "lakemesh_maintenance_total": Definition("counter", "Runs of `lake maintain`."),
    "lakemesh_maintenance_last_end_timestamp_seconds": Definition("gauge", "When `lake maintain` last ended."),
}
LIVE: Mapping[str, Definition] = {
    "lakemesh_live_latency_seconds": Definition(
        "gauge", "From an event's time to the live number that counts it.", ("feed", "percentile")
    ),
    "lakemesh_live_lag_messages": Definition("gauge", "Messages that the live numbers have not read.", _FEED),
}
DEFINITIONS: Mapping[str, Definition] = {**FEEDS, **RELEASES, **CYCLES, **MAINTENANCE, **LIVE}
