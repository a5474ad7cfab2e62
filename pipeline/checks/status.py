"""Backlog, loaded data and last activity of each feed: `lake status`."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass

from ingest.contracts.contract import Contract
from ingest.ledger.files import LakeFile
from ingest.ledger.ledger import Ledger
from ingest.ledger.sources import SINCE_2
from ingest.ledger.state import LedgerState
from ingest.records.waiting import Backlog
from ingest.steps.discover import discover
from ingest.steps.sweep import last_sweep
from ingest.storage.landing import Landing
from ingest.storage.names import NotLoaded
from ingest.storage.store import Store
from ingest.topics.connection import Connection
from pipeline.checks.landings import Absent, absent
from pipeline.checks.topics import TopicStatus, topic_status


@dataclass(frozen=True, slots=True)
class DayStatus:
    """Data loaded on one UTC date.

    Attributes:
        rows: rows of live bronze files.
        quarantined: rows of live quarantine files.
    """

    ingest_date: dt.date
    rows: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """Status of one feed.

    Attributes:
        waiting: objects in the landing whose current version is not loaded.
        oldest_waiting_at: modification time of the oldest of them; None if none waits.
        objects: source objects in the ledger.
        files: live bronze files.
        bytes: their size.
        dropped: records of objects removed by `lake drop`.
        erased, skipped: see LoadedObject.
        topic: what waits in the feed's topic; None if it reads none.
        last_commit_at: time of the newest ledger entry; None before the first.
        last_sweep_at: start of the last full sweep whose objects are all loaded; None if unknown.
        days: the most recent load dates, newest first.
        ignored: objects in the landing that a rule ignores, by rule.
        unloadable: objects in the landing that cannot be loaded, by reason.
        no_landing: the feed's landing location, if it does not exist.
    """

    feed: str
    waiting: int
    waiting_bytes: int
    oldest_waiting_at: dt.datetime | None
    objects: int
    rows: int
    quarantined: int
    files: int
    bytes: int
    position: int
    last_commit_at: dt.datetime | None
    last_sweep_at: dt.datetime | None
    days: tuple[DayStatus, ...]
    ignored: tuple[NotLoaded, ...] = ()
    unloadable: tuple[NotLoaded, ...] = ()
    no_landing: Absent | None = None
    dropped: int = 0
    erased: int = 0
    skipped: int = 0
    topic: TopicStatus | None = None


def waiting_objects(contract: Contract, landing: Landing, lake: Store) -> Backlog:
    """Return what the next ingest would load, in load order, and what it would not.

    Raises:
        ConfigError: a bucket is missing or access is refused.
        RetriableError: a store cannot be reached.
    """
    return discover(contract, landing, Ledger(lake, contract.feed).state())


def feed_status(
    contract: Contract, landing: Landing, lake: Store, days: int = 7, kafka: Connection | None = None
) -> FeedStatus:
    """Read the status of a feed from landing, topic and ledger; changes nothing.

    Args:
        kafka: the broker; by default topics are not looked at.

    Raises:
        ConfigError: a bucket is missing or access is refused.
        RetriableError: a store cannot be reached.
    """
    place = absent(contract, landing, lake)
    ledger = Ledger(lake, contract.feed)
    state = ledger.state()
    found = discover(contract, landing, state)
    waiting = [item.version for item in found]
    bronze = state.bronze_files()
    quarantine = [file for path, file in state.files.items() if path.startswith("quarantine/")]
    return FeedStatus(
        contract.feed,
        len(waiting),
        sum(version.size for version in waiting),
        min((version.modified_at for version in waiting), default=None),
        len(state.objects),
        sum(file.rows for file in bronze),
        sum(file.rows for file in quarantine),
        len(bronze),
        sum(file.bytes for file in bronze),
        state.position,
        ledger.committed_at(state.position) if state.position else None,
        sweep.started_at if (sweep := last_sweep(lake, contract.feed)) else None,
        _by_day(bronze, quarantine)[:days],
        ignored=found.ignored,
        unloadable=found.unloadable,
        no_landing=place,
        topic=topic_status(contract, kafka, state) if kafka is not None else None,
        **_counts(state),
    )


def _counts(state: LedgerState) -> dict[str, int]:
    """Counts of records that are neither rows nor quarantined, of objects and messages."""
    found = state.objects.sums(*SINCE_2)
    return {name: count + sum(getattr(span, name) for span in state.ranges.values()) for name, count in found.items()}


def _by_day(bronze: list[LakeFile], quarantine: list[LakeFile]) -> tuple[DayStatus, ...]:
    counts: dict[dt.date, list[int]] = defaultdict(lambda: [0, 0])
    for place, files in enumerate((bronze, quarantine)):
        for file in files:
            counts[file.ingest_date][place] += file.rows
    return tuple(DayStatus(day, *numbers) for day, numbers in sorted(counts.items(), reverse=True))
