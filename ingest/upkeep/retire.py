"""Source objects that are loaded and old enough are deleted, moved or tagged, if their contract says so.

An object is retired only when the ledger holds exactly the version that the landing shows, with every record accounted
for and kept in the lake, when the lake's files are all there, and when the version is still the same immediately before
the deed. The records of a dropped object are kept nowhere, so it stays. What is about to leave is noted first, so a
crash at any point leaves an object that is either still there or explained; an object that was copied but not deleted
is copied again.
"""

from __future__ import annotations

import datetime as dt
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.contracts.contract import Contract
from ingest.errors import ConfigError, RetriableError
from ingest.ledger.entry import LAYERS
from ingest.ledger.ledger import Ledger, LedgerState
from ingest.ledger.objects import SAME
from ingest.ledger.quarantine import DISCARDED, INCOMPLETE, OPEN
from ingest.ledger.retired import is_retired, read_retired, record_retired
from ingest.steps.discover import compare
from ingest.storage.landing import Landing
from ingest.storage.names import draft_of
from ingest.storage.store import ObjectChanged, Store, StoredObject

THREADS = 16
BATCH = 1000
MAX_OBJECTS = 100_000
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
TAG = "lakemesh-loaded"
"""Name of the tag; its value is `true`."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """What was done with one feed's source objects.

    Attributes:
        action: delete, move or tag; None when the contract retires nothing.
        objects: how many.
        bytes: their size.
        changed: objects that were overwritten or deleted just then, and left alone.
        conditional: whether the delete itself checks the version; otherwise an overwrite in the milliseconds after the
            last check would be lost (on disk: microseconds).
    """

    action: str | None = None
    objects: int = 0
    bytes: int = 0
    changed: int = 0
    conditional: bool = True


def plan_retirement(
    contract: Contract, landing: Landing, lake: Store, now: dt.datetime, limit: int = MAX_OBJECTS
) -> list[StoredObject]:
    """The objects that may be retired now, at most `limit`, in key order; changes nothing.

    Raises:
        RetriableError: a file of the lake is missing, so nothing may leave the landing.
    """
    rule = contract.source.retire
    if rule is None:
        return []
    state = Ledger(lake, contract.feed).state()
    listed = compare(contract, landing, state)
    before = pa.scalar(now - dt.timedelta(days=rule.after_days), listed.table.schema.field("modified_at").type)
    chosen = pc.and_(pc.equal(pa.array(listed.status), SAME), pc.less(listed.table.column("modified_at"), before))
    if rule.action == "tag":
        done = is_retired(read_retired(lake, contract.feed), listed.names, _etags(listed.table))
        chosen = pc.and_(chosen, pc.invert(done))
    table = listed.table.filter(chosen).sort_by("key")
    if not len(table):
        return []
    _lake_must_be_whole(contract, lake, state)
    kept = _kept_for_their_bytes(lake, state)
    found: list[StoredObject] = []
    for start in range(0, len(table), BATCH):
        versions = [StoredObject(**row) for row in table.slice(start, BATCH).to_pylist()]
        known = state.objects.lookup(f"{contract.source.bucket}/{version.key}" for version in versions)
        for version in versions:
            item = known[f"{contract.source.bucket}/{version.key}"]
            is_whole = item.is_conserved and not item.dropped and item.size == version.size and version.etag
            if is_whole and item.etag == version.etag and item.source_file not in kept:
                found.append(version)
        if len(found) >= limit:
            break
    return found[:limit]


def retire(
    contract: Contract,
    landing: Landing,
    lake: Store,
    target: Landing | None,
    now: dt.datetime,
    limit: int = MAX_OBJECTS,
) -> Retirement:
    """Retires what may be. Safe beside ingesters and producers, to repeat and to interrupt.

    Args:
        target: root of the bucket that objects are moved to.

    Raises:
        ConfigError: a right is missing, or tags are asked of a store that has none.
        RetriableError: a store cannot be reached, or the lake is not whole.
    """
    rule = contract.source.retire
    if rule is None:
        return Retirement()
    objects = size = changed = 0
    versions = plan_retirement(contract, landing, lake, now, limit)
    conditional = rule.action == "tag" or not versions or _is_conditional(landing, lake)
    for start in range(0, len(versions), BATCH):
        batch = versions[start : start + BATCH]
        noted = [(f"{contract.source.bucket}/{item.key}", item.etag, moved_to(contract, item.key)) for item in batch]
        if rule.action != "tag":
            record_retired(lake, contract.feed, noted, rule.action, now)

        def deed(version: StoredObject) -> bool:
            return _retire_one(contract, landing, target, version)

        with ThreadPoolExecutor(THREADS) as pool:
            done = list(pool.map(deed, batch))
        if rule.action == "tag" and any(done):
            tagged = [note for note, is_done in zip(noted, done, strict=True) if is_done]
            record_retired(lake, contract.feed, tagged, rule.action, now)
        objects += sum(done)
        size += sum(version.size for version, is_done in zip(batch, done, strict=True) if is_done)
        changed += len(done) - sum(done)
    return Retirement(rule.action, objects, size, changed, conditional)


def _is_conditional(landing: Landing, lake: Store) -> bool:
    """Tried in the lake, never in the landing; files have no conditions, and microseconds suffice."""
    if landing.bucket is None:
        return True
    return lake.bucket is not None and lake.bucket.honours_conditional_delete()


def moved_to(contract: Contract, key: str) -> str | None:
    """Where an object is moved to, as bucket/key; None when it is not moved."""
    rule = contract.source.retire
    return f"{rule.to}/{contract.source.bucket}/{key}" if rule and rule.to else None


def _retire_one(contract: Contract, landing: Landing, target: Landing | None, version: StoredObject) -> bool:
    """Whether it was done; False when the object is another one by now."""
    rule = contract.source.retire
    assert rule is not None
    if rule.action == "tag":
        if landing.bucket is None:
            raise ConfigError(f"{landing.uri}: files have no tags; retire {contract.name} by `delete` or `move`")
        return landing.bucket.tag(version.key, version.etag, TAG, "true")
    if rule.action == "move":
        assert target is not None
        place = str(moved_to(contract, version.key)).split("/", 1)[1]
        try:
            _copy(landing, version, target, place)
        except ObjectChanged:
            return False
    return landing.remove(version)


def _copy(landing: Landing, version: StoredObject, target: Landing, place: str) -> None:
    """Copies exactly this version.

    Raises:
        ObjectChanged: it is not there any more.
        RetriableError: the copy has another size.
    """
    if landing.bucket is not None and target.bucket is not None:
        if not landing.bucket.copy(version.key, version.etag, version.size, target.bucket, place):
            raise ObjectChanged(version.key)
    else:
        draft = target.stage(draft_of(place))
        try:
            with draft.open("xb") as file:
                file.writelines(landing.read(version))
            time = (version.modified_at - _EPOCH) // dt.timedelta(microseconds=1) * 1000
            os.utime(draft, ns=(time, time))
            assert target.root is not None
            draft.replace(target.root / place)
        finally:
            draft.unlink(missing_ok=True)
        target.publish({place: target.root / place})
    copied = target.find(place)
    if copied is None or copied.size != version.size:
        size = "missing" if copied is None else f"{copied.size} bytes"
        raise RetriableError(f"{target.uri}/{place}: the copy is {size}, expected {version.size}; nothing was deleted")


def _etags(table: pa.Table) -> pa.Array:
    return table.column("etag").combine_chunks()


def _lake_must_be_whole(contract: Contract, lake: Store, state: LedgerState) -> None:
    """Checks that every live file is there, with its size.

    Raises:
        RetriableError: one is not.
    """
    folders = [f"{layer}/{contract.feed}" for layer in LAYERS]
    there = {item.key: item.size for folder in folders for item in lake.list(folder)}
    for path, file in state.files.items():
        if there.get(path) != file.bytes:
            raise RetriableError(
                f"{lake.uri}/{path} is missing or has another size than the ledger says, so no source object of "
                f"{contract.name} is retired; `lake verify {contract.feed}` tells more"
            )


def _kept_for_their_bytes(lake: Store, state: LedgerState) -> set[str]:
    """Objects with a rejected record that the quarantine does not hold in full: their bytes are nowhere else."""
    kept: set[str] = set()
    for path in state.files:
        if path.startswith((OPEN, DISCARDED)):
            with lake.open(path) as source:
                table = pq.read_table(source, columns=["_source_file", "reason"])
            found = table.filter(pc.is_in(table.column("reason").cast(pa.string()), value_set=pa.array(INCOMPLETE)))
            kept.update(found.column("_source_file").cast(pa.string()).to_pylist())
    return kept
