"""Source objects that have a person who is forgotten: rewritten or deleted by the contract's rule, or reported.

What is rewritten gets another etag. The ledger has the new content hash before the object does, so that the next ingest
knows the content and loads nothing again: the object's records keep their place among the versions of a key.
"""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from ingest.contracts.contract import Contract
from ingest.errors import CorruptObject, LakemeshError
from ingest.formats import PARQUET, reads_as_csv
from ingest.formats.unpack import unpacked
from ingest.ledger.entry import Entry
from ingest.ledger.landed import LandedLines, read_landed
from ingest.ledger.ledger import Ledger
from ingest.ledger.retired import read_retired, record_retired
from ingest.ledger.tombstones import HIDDEN
from ingest.retry import while_preceded
from ingest.storage.landing import Landing
from ingest.storage.objects import ObjectChanged, StoredObject
from ingest.storage.store import Store

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of the source objects of one feed.

    Attributes:
        rewritten, deleted: bucket/key, or what stands for it.
        left: the same of objects that have the person still, each with the reason.
    """

    feed: str
    rewritten: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = ()


def forget_landed(contract: Contract, landing: Landing, lake: Store, ledger: Ledger, now: dt.datetime) -> Landed:
    """Take persons out of the source objects in which erasures found them. Safe to repeat and to interrupt.

    Raises:
        RetriableError: other writers kept changing the ledger, or the lake cannot be reached.
    """
    rewritten: list[str] = []
    deleted: list[str] = []
    left: dict[str, str] = {}
    moved = _moved(lake, contract.feed)
    keys: Mapping[str, str] | None = None
    for record, lines in read_landed(lake, contract.feed).items():
        kept = len(left)
        for item in lines:
            name = item.name
            key = name.removeprefix(f"{contract.source.bucket}/")
            if key.startswith(HIDDEN):
                keys = _hidden(contract, landing) if keys is None else keys
                key = keys.get(name, key)
            try:
                found = _forget(contract, landing, lake, ledger, item, key, now)
            except (CorruptObject, ObjectChanged, LakemeshError, OSError) as error:
                left[name] = str(error) or "it changed meanwhile; run this again"
                continue
            if found == "rewritten":
                rewritten.append(name)
            elif found == "deleted":
                deleted.append(name)
            elif found:
                left[name] = found
            elif name in moved:
                left[name] = f"it was moved to {moved[name]}, which Lakemesh does not look after"
        if len(left) == kept:
            lake.delete([record])
    return Landed(contract.feed, tuple(rewritten), tuple(deleted), tuple(sorted(left.items())))


def _forget(
    contract: Contract,
    landing: Landing,
    lake: Store,
    ledger: Ledger,
    item: LandedLines,
    key: str,
    now: dt.datetime,
) -> str:
    """What was done with one object, or why nothing; empty if that version is not there any more."""
    name = item.name
    version = landing.find(key)
    if version is None:
        return ""
    known = ledger.state().objects.lookup([name]).get(name)
    if known and known.load_id != item.load_id:
        return ""  # another version was loaded since, with lines of its own
    rule = contract.source.on_erasure
    if rule == "report":
        return "source.on_erasure of the contract is report, so its producer has to"
    data = b"".join(landing.read(version))
    is_known = known and (version.etag == known.etag or hashlib.sha256(data).hexdigest() == known.content_hash)
    if not is_known:
        return "it was overwritten since; the next ingest loads it without the person, then run this again"
    without = _without(contract, name, data, version, item.lines) if rule == "rewrite" else None
    if isinstance(without, str):
        return without
    if not without:
        record_retired(lake, contract.feed, [(name, version.etag, None)], "delete", now)
        return "deleted" if landing.remove(version) else "it changed meanwhile; run this again"
    _record(ledger, name, without, now)
    seen = landing.find(key)
    if seen is None or seen.etag != version.etag:
        return "it changed meanwhile; run this again"
    landing.put(key, without)
    return "rewritten"


def _hidden(contract: Contract, landing: Landing) -> Mapping[str, str]:
    """The keys of objects by what the lake knows them by, of those whose names are hidden."""
    keys = landing.listing(contract.source.folder).column("key").to_pylist()
    names = [f"{contract.source.bucket}/{key}" for key in keys]
    hidden = landing.hide(names) if landing.hide else names
    return {one: key for one, name, key in zip(hidden, names, keys, strict=True) if one != name}


def _without(
    contract: Contract, name: str, data: bytes, version: StoredObject, lines: Collection[int]
) -> bytes | str | None:
    """The content with some of its lines blank, compressed as before; None if no other is left; or why it stays.

    The other lines keep their numbers, so that doing it again changes nothing.
    """
    plain = b"".join(unpacked([data], version.size, name))
    head = plain.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if plain.startswith(PARQUET) or reads_as_csv(contract, name, plain[:4096]) or head == b"[":
        return "only objects of JSON lines are rewritten; delete or replace it, or set source.on_erasure: delete"
    gone = set(lines)
    kept = [b"" if number in gone else line for number, line in enumerate(plain.split(b"\n"), 1)]
    if not any(line.strip() for line in kept):
        return None
    left = b"\n".join(kept)
    if data.startswith(_GZIP):
        return gzip.compress(left, mtime=0)
    if data.startswith(_ZSTD):
        return bytes(pa.Codec("zstd").compress(left, asbytes=True))
    return left


def _record(ledger: Ledger, name: str, content: bytes, now: dt.datetime) -> None:
    """Let the ledger know the content that the object is about to have."""

    def commit() -> int:
        state = ledger.state()
        item = state.objects[name]
        new = replace(item, content_hash=hashlib.sha256(content).hexdigest(), size=len(content))
        entry = Entry(f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}", now, (new,), known=state.forgets)
        return ledger.commit(entry, state.position)

    while_preceded(commit, f"{ledger.feed}: other writers keep changing the ledger; run this again")


def _moved(lake: Store, feed: str) -> Mapping[str, str]:
    """Where objects were moved to when they were retired."""
    table = read_retired(lake, feed)
    pairs = zip(table.column("source_file").to_pylist(), table.column("moved_to").to_pylist(), strict=True)
    return {name: place for name, place in pairs if place}
