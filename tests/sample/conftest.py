"""A landing in memory, and samples small enough to be checked completely."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from sample.options import SampleOptions
from sample.write import SampleSummary, write_objects

END = dt.date(2026, 11, 20)
MakeOptions = Callable[..., SampleOptions]


@dataclass
class Landing:
    """The objects written, by (bucket, key), in the order of writing."""

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    order: list[tuple[str, str]] = field(default_factory=list)

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self.objects[bucket, key] = body
        self.order.append((bucket, key))

    def write(self, options: SampleOptions) -> SampleSummary:
        return write_objects(options, self.put, {name: len(body) for name, body in self.objects.items()})

    def records(self, feed: str) -> list[dict[str, Any]]:
        """The records of a feed without malformed lines."""
        return [
            json.loads(line)
            for (bucket, _), body in self.objects.items()
            if bucket == f"raw-{feed}"
            for line in body.splitlines()
        ]


@pytest.fixture
def landing() -> Landing:
    return Landing()


@pytest.fixture(scope="session")
def options() -> MakeOptions:
    """Return a factory of options: 600 events over 4 days in objects of 20, no accounts; keyword arguments override."""

    def make(**changed: Any) -> SampleOptions:
        return SampleOptions(**{"end": END, "events": 600, "days": 4, "events_per_file": 20, "accounts": 0} | changed)

    return make
