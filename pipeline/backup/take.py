"""Takes a back-up: what cannot be derived, of one moment, as the next number at its place."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.errors import ConflictError
from ingest.ledger.identity import lake_id
from ingest.retry import while_preceded
from ingest.settings import Settings
from ingest.storage.store import Store
from pipeline.backup import lake_objects
from pipeline.backup.contents import Writer, upload
from pipeline.backup.known import note_place
from pipeline.backup.manifest import LAKE, STATE, WAREHOUSE, About, Backup, Copied, by_key
from pipeline.backup.place import Backups, Swept, bring_tombstones
from pipeline.backup.release_objects import copy_releases
from pipeline.releases.release import Releases
from pipeline.state.database import Database

if TYPE_CHECKING:  # SQLGlot takes a fifth of the time of a back-up with nothing new
    from pipeline.warehouse.engine import Engine


@dataclass(frozen=True, slots=True)
class Source:
    """What is backed up.

    Attributes:
        engine: of the warehouse; None to leave the warehouse out.
        erased: returns the requests of erasure that were carried out.
    """

    options: Settings
    lake: Store
    releases: Releases
    state: Database
    engine: type[Engine] | None
    erased: Callable[[], list[str]]


@dataclass(frozen=True, slots=True)
class Taken:
    """A back-up that was taken.

    Attributes:
        put_objects, put_bytes: contents that the place had not yet.
        withdrawn: back-ups of before an erasure, which were deleted.
        pruned: older ones that were deleted.
    """

    about: About
    objects: int
    bytes: int
    put_objects: int
    put_bytes: int
    seconds: float
    withdrawn: Swept = field(default_factory=Swept)
    pruned: Swept = field(default_factory=Swept)


def take(
    source: Source, backups: Backups, now: Callable[[], dt.datetime], wait_seconds: float, full: bool = False
) -> Taken:
    """Take a back-up. Loads, cycles, maintenance, erasures and other back-ups may run meanwhile.

    Safe to interrupt at any point: without its manifest, which is written last, it does not exist, and the next one
    takes over what it wrote.

    Args:
        wait_seconds: how long to wait for a process that uses the state or the warehouse.
        full: whether to copy what older back-ups have once more, for instance because it was damaged there.

    Raises:
        RetriableError: a store cannot be reached, or other back-ups keep taking its number.
        LostLedger: the log of a feed lacks entries.
    """
    return while_preceded(
        lambda: _take(source, backups, now, wait_seconds, full),
        f"{backups.uri}: other processes keep making back-ups; run this again",
    )


def _take(source: Source, backups: Backups, now: Callable[[], dt.datetime], wait_seconds: float, full: bool) -> Taken:
    began = now()
    options = source.options
    others = lake_objects.others_within(options.lake_uri, options.published_uri, options.landing_uri)
    erased = tuple(source.erased())  # of what is done by now nothing is copied
    before = backups.newest()
    number = before.number + 1 if before else 1
    known = before.objects if before and not full else {}
    writer = Writer(backups.store, number, known, backups.written(number))
    # releases and state first: neither may be newer than the lake
    released = copy_releases(source.releases, writer)
    objects = list(released.objects)
    kind, databases = _databases(source, writer, wait_seconds)
    objects += databases
    objects += writer.copy_all(LAKE, source.lake, lake_objects.early_records(source.lake, others))
    positions = released.newest.positions if released.newest else {}
    copies = [
        copy
        for feed in lake_objects.feeds(source.lake)
        if (copy := lake_objects.copy_feed(source.lake, writer, feed, positions.get(feed, 0)))
    ]
    objects += (item for copy in copies for item in copy.objects)
    objects += _late(source.lake, writer, others)
    about = About(
        number=number,
        began_at=began.isoformat(),
        created_at=now().isoformat(),
        lake_id=lake_id(source.lake),
        lake_uri=source.lake.uri,
        positions={copy.feed: copy.position for copy in copies},
        committed_at=max((copy.committed_at for copy in copies), default=""),
        release=released.current,
        withheld=released.withheld,
        newest=released.newest.number if released.newest else 0,
        at_newest={copy.feed: copy.at_newest for copy in copies if copy.at_newest},
        unavailable=tuple(copy.feed for copy in copies if not copy.is_available),
        state=kind,
        erased=erased,
        versions={name: _version(name) for name in ("lakemesh", "sqlmesh", "duckdb")},
    )
    backup = Backup(about, by_key(objects))
    bring_tombstones(source.lake, backups.store)
    if not backups.add(backup):
        raise ConflictError(f"{backups.uri}: back-up {number} was made by another process")
    note_place(source.lake, backups.uri, about)
    seconds = (now() - began).total_seconds()
    return Taken(about, len(backup.objects), backup.size, writer.objects, writer.bytes, seconds)


def withdraw(backups: Backups, erased: tuple[str, ...]) -> Swept:
    """Delete the back-ups of before an erasure that is carried out, and the contents that only those have.

    Args:
        erased: the requests that the newest back-up knows to be carried out.
    """
    older = backups.numbers()[:-1]
    return backups.remove([n for n in older if not set(erased) <= set(backups.get(n).about.erased)] if erased else [])


def prune(backups: Backups, keep: int) -> Swept:
    """Delete all but the newest back-ups."""
    return backups.remove(backups.numbers()[:-keep])


def _late(lake: Store, writer: Writer, others: Collection[str]) -> Iterator[Copied]:
    """Copy what follows the logs; records that are replaced by others meanwhile are listed again."""
    for attempt in range(lake_objects.ATTEMPTS):
        try:
            yield from list(writer.copy_all(LAKE, lake, lake_objects.late_records(lake, others)))
            return
        except FileNotFoundError:
            if attempt == lake_objects.ATTEMPTS - 1:
                raise


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lakemesh-") as folder:
        yield Path(folder)


def _databases(source: Source, writer: Writer, wait_seconds: float) -> tuple[str, list[Copied]]:
    """Copy the state and, if wanted, the warehouse of the same moment."""
    with _folder() as folder:
        state, warehouse = folder / "state", folder / "warehouse"
        with ExitStack() as stack:
            if source.engine:
                stack.enter_context(source.state.compute_lock())
            kind = stack.enter_context(source.state.copied(state, wait_seconds))
            has_warehouse = False
            if source.engine:
                has_warehouse = stack.enter_context(source.engine.copied(source.options, warehouse, wait_seconds))
        found = [upload(writer, STATE, kind, state)] if kind else []
        return kind, found + ([upload(writer, WAREHOUSE, "warehouse", warehouse)] if has_warehouse else [])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # run from a checkout that is not installed
        return ""
