"""What histories have to be, from what triggers wrote; and how the records of a connector become objects."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ingest.contracts.contract import Contract
from tests.shop_database import Row, Written, key_of

UNAVAILABLE = "__debezium_unavailable_value"
ALWAYS = dt.datetime(1900, 1, 1)
Key = tuple[Any, ...]
Record = dict[str, Any]
_Change = tuple[dt.datetime, Row, bool]
"""When it was committed; the row, or what it was before it was deleted; whether it was."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a row.

    Attributes:
        start, end: its period, UTC; `end` is None for the current one.
        values: those of the contract's columns; of a deleted row the last ones.
    """

    start: dt.datetime
    end: dt.datetime | None
    is_deleted: bool
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """A time of which the connector may not have captured all changes; it ends with a snapshot."""

    start: dt.datetime
    end: dt.datetime

    def __contains__(self, at: dt.datetime | None) -> bool:
        return at is not None and self.start <= at < self.end


def history(contract: Contract, written: Sequence[Written]) -> dict[Key, list[Version]]:
    """The versions of each key; of several changes in one transaction the last one counts."""
    table = contract.feed
    last: dict[Key, dict[int, _Change]] = defaultdict(dict)
    for change in written:
        was, is_now = (row and key_of(table, row) for row in (change.was, change.is_now))
        if change.was and was != is_now:
            last[was][change.transaction] = change.at, change.was, True
        if change.is_now:
            last[is_now][change.transaction] = change.at, change.is_now, False
    return {key: found for key, changes in last.items() if (found := _versions(contract, list(changes.values())))}


def _versions(contract: Contract, changes: Sequence[_Change]) -> list[Version]:
    assert [at for at, _, _ in changes] == sorted({at for at, _, _ in changes})
    found: list[Version] = []
    for at, row, is_deleted in changes:
        if is_deleted and (not found or found[-1].is_deleted):
            continue  # what appeared and went in one transaction was never there
        if found:
            found[-1] = replace(found[-1], end=at)
        found.append(Version(at, None, is_deleted, tuple(row[column.name] for column in contract.columns)))
    return found


def compared(
    contract: Contract, recorded: dict[Key, list[Version]], found: dict[Key, list[Version]], gaps: Sequence[Gap]
) -> tuple[set[tuple[Key, Version]], set[tuple[Key, Version]], int]:
    """Two sets that must be equal: the versions that begin outside of gaps, recorded by triggers and found in a table.

    The first version of a key begins when its row was created, by the contract's column, or always. An end within a
    gap is not compared. Neither is the first version of a key that appeared within one, nor a key that also went in it;
    the third result is the number of the latter.
    """
    expected, actual = set(), set()
    unseen = 0
    names = [column.name for column in contract.columns]
    for key in recorded.keys() | found.keys():
        truth, versions = list(recorded.get(key, ())), list(found.get(key, ()))
        born = truth[0].start if truth else None
        gap = next((gap for gap in gaps if born in gap), None)
        if gap and [item for item in truth if item.start < gap.end][-1].is_deleted:
            unseen += 1
            continue
        if gap:
            versions = versions[1:]
        elif truth:
            first = truth[0]
            created = first.values[names.index(contract.created_at)] if contract.created_at else None
            truth[0] = replace(first, start=min(created or ALWAYS, first.start))
        masked = {item.start for item in truth if any(item.end in gap for gap in gaps)}
        for source, result in ((truth, expected), (versions, actual)):
            for item in source:
                if (item is source[0] and not gap) or not any(item.start in gap for gap in gaps):
                    end = None if item.start in masked else item.end
                    result.add((key, replace(item, end=end, values=hashable(item.values))))
    return expected, actual, unseen


def hashable(values: Iterable[Any]) -> tuple[Any, ...]:
    """The values with lists as tuples."""
    return tuple(tuple(item) if isinstance(item, list) else item for item in values)


def envelope(record: Record) -> Record | None:
    """The envelope of a record, with or without a schema part; None for a tombstone."""
    value = record["value"]
    return value["payload"] if value and value.keys() == {"schema", "payload"} else value


def kinds(records: Sequence[Record]) -> Counter[str]:
    """What the records of a table's topic tell, counted by kind."""
    found: Counter[str] = Counter()
    seen: set[tuple[Any, ...]] = set()
    at: dict[int, set[str]] = defaultdict(set)
    newest: dict[int, int] = defaultdict(int)
    for record in records:
        event = envelope(record)
        if event is None:
            found["tombstone"] += 1
            continue
        source = event["source"]
        found[event["op"]] += 1
        found["schema part" if "schema" in record["value"] else "no schema part"] += 1
        found["unavailable"] += UNAVAILABLE in json.dumps(event["after"])
        found["first after a snapshot"] += json.loads(source["sequence"])[0] is None and event["op"] != "r"
        place = (
            event["op"],
            source["lsn"],
            json.dumps(record["key"].get("payload", record["key"]) if record["key"] else None),
        )
        found["again"] += place in seen and event["op"] != "r"
        if place not in seen:
            found["out of order"] += source["lsn"] < newest[record["partition"]]
            newest[record["partition"]] = max(newest[record["partition"]], source["lsn"])
        seen.add(place)
        at[source["lsn"]].add(event["op"])
    found["changed key"] = sum({"d", "c"} <= operations for operations in at.values())
    return found


def objects(records: Sequence[Record], dice: random.Random) -> Iterator[bytes]:
    """The records as JSON lines in objects of random sizes, some of them twice."""
    start = 0
    while start < len(records):
        end = start + dice.choice([1, 5, 20, 60])
        lines = b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records[start:end])
        yield from [lines] * dice.choice([1, 1, 1, 1, 2])
        start = end
