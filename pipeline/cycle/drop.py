"""Removal of wrong source objects from the lake: `lake drop`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from ingest.contracts.contract import Contract, contracts
from ingest.errors import ConfigError, LakemeshError, RetriableError
from ingest.ledger.ledger import Ledger
from ingest.steps.drop import Drop, drop
from ingest.storage.landing import Landings
from ingest.storage.store import Store
from pipeline.cycle.marking import mark
from pipeline.lake import Lake
from pipeline.process.contain import contained
from pipeline.warehouse.damage import lake_damage


@dataclass(slots=True)
class DropSummary:
    """Dropped objects by feed, and the dates and models to recompute.

    Attributes:
        errors: one line per failed feed or step; the other ones succeeded.
        exit_code: 0 done, 1 failed, 2 misuse.
    """

    feeds: list[Drop] = field(default_factory=list)
    dates: Mapping[str, tuple[dt.date, ...]] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    errors: list[str] = field(default_factory=list)
    exit_code: int = 0

    def failed(self, error: LakemeshError) -> None:
        """Add an error without stopping the rest."""
        self.errors.append(str(error))
        self.exit_code = max(self.exit_code, 2 if isinstance(error, ConfigError) else 1)


def drop_all(lake: Lake, names: Iterable[str], because: str) -> DropSummary:
    """Remove rows and rejected records of the named objects, in one commit per feed, and mark their dates.

    Args:
        names: bucket/key, as in `_source_file`.
        because: the reason; kept alongside the ledger.

    Raises:
        ConfigError: an object was never loaded, and nothing was dropped; or the lake cannot be used.
        RetriableError: the lake is in use or cannot be reached.
    """
    wanted = list(dict.fromkeys(names))
    if not because.strip():
        raise ConfigError("no reason given; expected a text after --because, which `lake why` shows later")
    summary, known = DropSummary(), contracts()
    with lake.writable():
        found = {feed: lake.ledger(feed).state().objects.lookup(wanted) for feed in known}
        _must_be_loaded(wanted, {name for objects in found.values() for name in objects}, lake.landings)
        for feed, objects in found.items():
            if objects:
                try:
                    done = _drop(lake.store, known[feed], objects, because)
                except LakemeshError as error:
                    summary.failed(error)
                    continue
                summary.feeds.append(done)
                with contained("the audit log", summary.failed):
                    about = {"feed": feed, "objects": len(objects), "because": because}
                    lake.audit_log.append("objects_dropped", about)
                for name in done.replaced:
                    summary.failed(
                        RetriableError(
                            f"another version of {name} was loaded in the meantime and stays; "
                            f"`lake why {name}` shows it, the same command drops it"
                        )
                    )
        try:
            marked = mark(lake)
        except LakemeshError as error:
            summary.failed(error)
        else:
            summary.dates, summary.models = marked.dates, marked.models
    return summary


def _drop(lake: Store, contract: Contract, names: Collection[str], because: str) -> Drop:
    """Drop the named objects of one feed.

    Raises:
        DamagedLake: a file with their rows is missing or cannot be read; nothing was dropped.
        LakemeshError: as `ingest.steps.drop.drop`.
    """
    try:
        return drop(lake, Ledger(lake, contract.feed), names, because, dt.datetime.now(dt.UTC))
    except (FileNotFoundError, pa.ArrowException) as error:
        raise lake_damage(lake, [contract]) or LakemeshError(
            f"{contract.feed}: {error}; nothing was dropped, `lake verify {contract.feed} --deep` names the file"
        ) from error


def _must_be_loaded(wanted: Collection[str], known: Collection[str], landings: Landings) -> None:
    """Check that every object is in a ledger.

    Raises:
        ConfigError: an object waits in the landing, or is unknown.
    """
    sources = {contract.source.bucket for contract in contracts().values()} - {""}
    for name in wanted:
        if name in known:
            continue
        if _is_in_the_landing(name, sources, landings):
            raise ConfigError(
                f"{name} was never loaded, so there is nothing to drop; delete it from the landing before the next "
                "`lake ingest`. Nothing was dropped"
            )
        raise ConfigError(
            f"{name} is not in any ledger; expected bucket/key of a loaded object, as in the column _source_file, with "
            f"a bucket of {', '.join(sorted(sources))}. Nothing was dropped"
        )


def _is_in_the_landing(name: str, buckets: Collection[str], landings: Landings) -> bool:
    bucket, _, key = name.partition("/")
    try:
        return bucket in buckets and landings.bucket(bucket).find(key) is not None
    except LakemeshError:  # an impossible name, or a store that cannot be reached: it is in no ledger either way
        return False
