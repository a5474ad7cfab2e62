"""Drop: takes all rows and rejected records of a wrongly loaded source object out of the lake."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.errors import ConflictError, LakemeshError
from ingest.ledger.dropped import DroppedVersion, record_dropped
from ingest.ledger.entry import Entry
from ingest.ledger.ledger import Ledger
from ingest.ledger.sources import LoadedObject
from ingest.ledger.state import LedgerState
from ingest.retry import while_preceded
from ingest.steps.rewrite import Rewrite, rewrite_without
from ingest.storage.store import Store


@dataclass(frozen=True, slots=True)
class Drop:
    """What was dropped from one feed.

    Attributes:
        objects: the versions whose records were dropped, as they were before.
        empty: objects without rows and rejected records: already dropped, or always empty.
        replaced: objects of which another version was loaded meanwhile; they were not changed.
    """

    feed: str
    objects: tuple[LoadedObject, ...] = ()
    empty: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


def drop(lake: Store, ledger: Ledger, names: Collection[str], because: str, now: dt.datetime) -> Drop:
    """Drop the rows and the rejected records of the named objects, all in one commit.

    This applies to the versions that the ledger has at the start. They are not loaded again; other content under their
    keys is. Safe to repeat, to interrupt at any point and to run alongside other writers.

    Args:
        names: bucket/key of objects in the ledger.
        because: the reason, kept with the record of the drop.

    Raises:
        RetriableError: other writers kept changing the same files.
        LakemeshError: the lake does not hold the records of an object that the ledger states.
    """
    intended = ledger.state().objects.lookup(names)
    busy = f"{ledger.feed}: other writers keep changing the same files; nothing was dropped, run it again"
    with lake.disk_errors():
        return while_preceded(lambda: _drop(lake, ledger, intended, because, now), busy)


def _drop(lake: Store, ledger: Ledger, intended: Mapping[str, LoadedObject], because: str, now: dt.datetime) -> Drop:
    state = ledger.state()
    known = state.objects.lookup(intended)
    replaced = tuple(sorted(name for name, item in known.items() if not _is_same(item, intended[name])))
    empty = tuple(sorted(n for n, item in known.items() if n not in replaced and not item.rows + item.quarantined))
    chosen = {name: item for name, item in sorted(known.items()) if name not in {*replaced, *empty}}
    if not chosen:
        return Drop(ledger.feed, empty=empty, replaced=replaced)
    load_id = f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
    without = {name: _without_records(item) for name, item in chosen.items()}
    rewrite = rewrite_without(lake, state, chosen, load_id)
    try:
        _require_all(ledger, state, chosen, rewrite)
        etags = _etags(lake, rewrite, chosen)
        versions = [DroppedVersion(item, etags[name], because, now) for name, item in without.items()]
        note = record_dropped(lake, ledger.feed, load_id, versions)
    except BaseException:
        lake.delete(file.path for file in rewrite.added)
        raise
    entry = Entry(load_id, now, tuple(without.values()), tuple(rewrite.added), tuple(rewrite.removed))
    try:
        ledger.commit(entry, state.position)
    except ConflictError:  # after any other error the commit may have succeeded, so files and note stay
        lake.delete([note, *(file.path for file in rewrite.added)])
        raise
    return Drop(ledger.feed, tuple(chosen.values()), empty, replaced)


def _is_same(item: LoadedObject, intended: LoadedObject) -> bool:
    return (item.load_id, item.content_hash) == (intended.load_id, intended.content_hash)


def _without_records(item: LoadedObject) -> LoadedObject:
    dropped = item.dropped + item.rows + item.quarantined
    return replace(item, rows=0, quarantined=0, dropped=dropped, event_dates=())


def _require_all(ledger: Ledger, state: LedgerState, chosen: Mapping[str, LoadedObject], rewrite: Rewrite) -> None:
    """Check that the number of records removed from the files equals that of the objects in the ledger.

    Raises:
        LakemeshError: the numbers differ.
    """
    removed = sum(state.files[path].rows for path in rewrite.removed) - sum(file.rows for file in rewrite.added)
    expected = sum(item.rows + item.quarantined for item in chosen.values())
    if removed != expected:
        raise LakemeshError(
            f"{', '.join(chosen)}: the lake holds {removed:,} records, the ledger states {expected:,}; nothing was "
            f"dropped. `lake verify {ledger.feed}` shows the difference"
        )


def _etags(lake: Store, rewrite: Rewrite, chosen: Mapping[str, LoadedObject]) -> dict[str, tuple[str, ...]]:
    """The etags under which the objects' records were loaded; the ledger may have a later one of the same content."""
    found = {name: {item.etag} for name, item in chosen.items()}
    wanted = pa.array(chosen, pa.string())
    for path in rewrite.removed:
        with lake.open(path) as source:
            for batch in pq.ParquetFile(source).iter_batches(1 << 16, columns=["_source_file", "_source_etag"]):
                names, etags = (batch.column(place).cast(pa.string()) for place in range(2))
                mask = pc.is_in(names, value_set=wanted)
                pairs = zip(names.filter(mask).to_pylist(), etags.filter(mask).to_pylist(), strict=True)
                for name, etag in set(pairs):
                    found[name].add(etag)
    return {name: tuple(sorted(etags)) for name, etags in found.items()}
