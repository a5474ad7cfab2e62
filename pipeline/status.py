"""What waits, what is loaded, and since when: `lake status`."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.contract import Contract, select
from ingest.discover import discover
from ingest.entry import SINCE_2, LakeFile
from ingest.ledger import Ledger
from ingest.settings import Settings
from ingest.store import Store
from ingest.sweep import last_sweep


@dataclass(frozen=True, slots=True)
class DayStatus:
    """What one UTC date of loading brought.

    Attributes:
        rows: rows of live bronze files.
        quarantined: rows of live quarantine files.
    """

    ingest_date: dt.date
    rows: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """The state of one feed.

    Attributes:
        waiting: objects in the landing that are not loaded in their current version.
        oldest_waiting_at: when the oldest of them was written; None when none waits.
        objects: source objects that the ledger knows.
        files: live bronze files.
        bytes: their size.
        dropped: records of objects that `lake drop` took out.
        erased, skipped: as of a LoadedObject.
        last_commit_at: time of the newest ledger entry; None before the first.
        last_sweep_at: when the last full listing began of which all is loaded; None when nobody knows.
        days: the newest dates of loading, newest first.
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
    dropped: int = 0
    erased: int = 0
    skipped: int = 0


def waiting_objects(feeds: tuple[str, ...], options: Settings) -> Iterator[tuple[str, int]]:
    """(bucket/key, bytes) of each object that the next ingest would load, feed by feed, in the order of loading.

    Raises:
        ConfigError: a feed is unknown, a bucket is missing or access is refused.
        RetriableError: a store cannot be reached.
    """
    lake = Store(options.lake_uri, options)
    for contract in select(feeds):
        landing = Store(options.landing(contract.source.bucket), options)
        for item in discover(contract, landing, Ledger(lake, contract.feed).state()):
            yield item.source_file, item.version.size


def feed_status(contract: Contract, options: Settings, days: int = 7) -> FeedStatus:
    """Looks at landing and ledger; changes nothing.

    Raises:
        ConfigError: a bucket is missing or access is refused.
        RetriableError: a store cannot be reached.
    """
    landing, lake = Store(options.landing(contract.source.bucket), options), Store(options.lake_uri, options)
    ledger = Ledger(lake, contract.feed)
    state = ledger.state()
    waiting = [item.version for item in discover(contract, landing, state)]
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
        **state.objects.sums(*SINCE_2),
    )


def _by_day(bronze: list[LakeFile], quarantine: list[LakeFile]) -> tuple[DayStatus, ...]:
    counts: dict[dt.date, list[int]] = defaultdict(lambda: [0, 0])
    for place, files in enumerate((bronze, quarantine)):
        for file in files:
            counts[file.ingest_date][place] += file.rows
    return tuple(DayStatus(day, *numbers) for day, numbers in sorted(counts.items(), reverse=True))
