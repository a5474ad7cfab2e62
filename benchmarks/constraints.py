"""CPU of parsing a million records with and without five constraints: `python -m benchmarks.constraints`."""

from __future__ import annotations

import datetime as dt
import json
import random
import statistics
import time
import uuid
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from ingest.contracts.constraint import Constraint
from ingest.contracts.contract import Contract, contracts
from ingest.records.parts import Piece
from ingest.steps.parse import Parser

RECORDS, ROUNDS = 10_000, 100
"""Records of a chunk, and chunks of each contender: a million records each, in turn."""
RULES: tuple[dict[str, Any], ...] = (
    {"column": "data.duration", "range": {"min": 0, "max": 86_400}},
    {"column": "name", "accepted_values": ["app_open", "activity_enter", "activity_exit"]},
    {"column": "event_id", "pattern": "[0-9a-f-]{36}"},
    {"column": "context.app.version", "length": {"min": 1, "max": 20}, "policy": "warn"},
    {"column": "occurred_at", "range": {"above": "2015-01-01"}},
)
AT = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)


def chunk(chance: random.Random) -> bytes:
    """Lines of the feed `events`, of which none violates a constraint."""

    def record(number: int) -> dict[str, Any]:
        return {
            "event_id": str(uuid.UUID(int=chance.getrandbits(128))),
            "name": "activity_exit",
            "occurred_at": f"2026-01-{1 + number % 9:02d} 10:{number % 60:02d}:00.123",
            "user_id": f"user-{number % 5000}",
            "child_id": f"child-{number % 7000}",
            "data": {
                "activity_id": f"activity-{number % 300}",
                "source": "home",
                "duration": chance.random() * 300,
                "completed": True,
                "collection_id": "",
                "loading_time": chance.random(),
            },
            "context": {
                "device": {"device_id": f"device-{number % 6000}", "brand": "Apple", "model": "iPhone12,1"},
                "os": {"name": "iOS", "version": "14.2"},
                "app": {"version": "7.40.0", "build": "123"},
            },
        }

    return b"".join(json.dumps(record(number)).encode() + b"\n" for number in range(RECORDS))


def compare(contenders: Mapping[str, Contract]) -> dict[str, float]:
    """Median CPU seconds of a million records by contender, over chunks that they parse in turn."""
    chance = random.Random(1)
    chunks = [chunk(chance) for _ in range(4)]
    parsers = {name: Parser(contract, [AT]) for name, contract in contenders.items()}
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(ROUNDS):
        for name in sorted(parsers, reverse=number % 2 > 0):
            started = time.process_time()
            parsed = parsers[name].parse([Piece(0, 1, chunks[number % 4])])
            found[name].append(time.process_time() - started)
            assert (parsed.rows.num_rows, parsed.rejects) == (RECORDS, [])
    return {name: statistics.median(times) * 1_000_000 / RECORDS for name, times in found.items()}


def main() -> None:
    """Print CPU seconds of a million records without constraints, with all, and with each alone."""
    pa.set_cpu_count(1)
    events = contracts()["events"]
    rules = tuple(map(Constraint.model_validate, RULES))
    contenders = {"none": (), "all": rules} | {item.name: (item,) for item in rules}
    found = compare({name: events.model_copy(update={"constraints": few}) for name, few in contenders.items()})
    for name in contenders:
        print(f"{name}: {found[name]:.2f} CPU s, {found[name] / found['none'] - 1:+.1%}")


if __name__ == "__main__":
    main()
