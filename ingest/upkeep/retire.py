"""Retirement: deletes, moves or tags source objects that are loaded and old enough, by the contract's rule.

An object is retired only if the ledger has exactly the version in the landing, with every record accounted for and kept
in the lake, if all files of the lake exist, and if the version is still the same immediately before the action. The
records of a dropped object are kept nowhere, so it is never retired. Each object is recorded before it is deleted or
moved, so after a crash at any point it either still exists or is on record; an object that was copied but not deleted
is copied again.
"""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.contracts.contract import Contract
from ingest.errors import RetriableError
from ingest.ledger.files import LAYERS
from ingest.ledger.ledger import Ledger
from ingest.ledger.objects import SAME
from ingest.ledger.quarantine import DISCARDED, INCOMPLETE, OPEN
from ingest.ledger.retired import is_retired, read_retired, record_retired
from ingest.ledger.state import LedgerState
from ingest.steps.discover import compare
from ingest.storage.landing import Landing
from ingest.storage.objects import ObjectChanged, StoredObject
from ingest.storage.store import Store

THREADS = 16
BATCH = 1000
MAX_OBJECTS = 100_000
TAG = "lakemesh-loaded"
"""Name of the tag; its value is `true`."""


@dataclass(frozen=True, slots=True)
class Retirement:
    """The result of retiring one feed's source objects.

    Attributes:
        action: delete, move or tag; None if the contract retires nothing.
        objects: number of objects retired.
        bytes: their total size.
        changed: objects that were overwritten or deleted concurrently, and not touched.
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
    """List the objects that can be retired now, at most `limit`, in key order; changes nothing.

    Raises:
        RetriableError: a file of the lake is missing, so nothing may be retired.
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
    _require_intact_lake(contract, lake, state)
    kept = _incompletely_quarantined(lake, state)
    found: list[StoredObject] = []
    for start in range(0, len(table), BATCH):
        versions = [StoredObject(**row) for row in table.slice(start, BATCH).to_pylist()]
        known = state.objects.lookup(f"{contract.source.bucket}/{version.key}" for version in versions)
        for version in versions:
            item = known[f"{contract.source.bucket}/{version.key}"]
            is_complete = item.is_conserved and not item.dropped and item.size == version.size and version.etag
            if is_complete and item.etag == version.etag and item.source_file not in kept:
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
    """Retire the objects that can be retired. Safe to repeat, interrupt and run alongside ingesters and producers.

    Args:
        target: root of the bucket that objects are moved to.

    Raises:
        ConfigError: a permission is missing, or the store has no tags.
        RetriableError: a store cannot be reached, or a file of the lake is missing.
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

        def retire_one(version: StoredObject) -> bool:
            return _retire_one(contract, landing, target, version)

        with ThreadPoolExecutor(THREADS) as pool:
            done = list(pool.map(retire_one, batch))
        if rule.action == "tag" and any(done):
            tagged = [note for note, is_done in zip(noted, done, strict=True) if is_done]
            record_retired(lake, contract.feed, tagged, rule.action, now)
        objects += sum(done)
        size += sum(version.size for version, is_done in zip(batch, done, strict=True) if is_done)
        changed += len(done) - sum(done)
    return Retirement(rule.action, objects, size, changed, conditional)


def _is_conditional(landing: Landing, lake: Store) -> bool:
    """Whether deletes are conditional: tested in the lake, never in the landing; True on disk, by checking first."""
    return landing.root is not None or lake.honours_conditional_delete()


def moved_to(contract: Contract, key: str) -> str | None:
    """The bucket/key that an object is moved to; None if it is not moved."""
    rule = contract.source.retire
    return f"{rule.to}/{contract.source.bucket}/{key}" if rule and rule.to else None


def _retire_one(contract: Contract, landing: Landing, target: Landing | None, version: StoredObject) -> bool:
    """Retire one object; False if it has changed meanwhile."""
    rule = contract.source.retire
    assert rule is not None
    if rule.action == "tag":
        return landing.tag(version, TAG, "true")
    if rule.action == "move":
        assert target is not None
        place = str(moved_to(contract, version.key)).split("/", 1)[1]
        try:
            _copy(landing, version, target, place)
        except ObjectChanged:
            return False
    return landing.remove(version)


def _copy(landing: Landing, version: StoredObject, target: Landing, place: str) -> None:
    """Copy exactly this version.

    Raises:
        ObjectChanged: this version no longer exists.
        RetriableError: the copy has another size.
    """
    landing.copy(version, target, place)
    copied = target.find(place)
    if copied is None or copied.size != version.size:
        size = "missing" if copied is None else f"{copied.size} bytes"
        raise RetriableError(f"{target.uri}/{place}: the copy is {size}, expected {version.size}; nothing was deleted")


def _etags(table: pa.Table) -> pa.Array:
    return table.column("etag").combine_chunks()


def _require_intact_lake(contract: Contract, lake: Store, state: LedgerState) -> None:
    """Check that every live file exists with its recorded size.

    Raises:
        RetriableError: a file is missing or has another size.
    """
    folders = [f"{layer}/{contract.feed}" for layer in LAYERS]
    there = {item.key: item.size for folder in folders for item in lake.list(folder)}
    for path, file in state.files.items():
        if there.get(path) != file.bytes:
            raise RetriableError(
                f"{lake.uri}/{path} is missing or its size differs from the ledger, so no source object of "
                f"{contract.name} is retired; `lake verify {contract.feed}` shows details"
            )


def _incompletely_quarantined(lake: Store, state: LedgerState) -> set[str]:
    """Objects with a rejected record that is not in the quarantine in full: their bytes exist nowhere else."""
    kept: set[str] = set()
    for path in state.files:
        if path.startswith((OPEN, DISCARDED)):
            with lake.open(path) as source:
                table = pq.read_table(source, columns=["_source_file", "reason"])
            found = table.filter(pc.is_in(table.column("reason").cast(pa.string()), value_set=pa.array(INCOMPLETE)))
            kept.update(found.column("_source_file").cast(pa.string()).to_pylist())
    return kept
