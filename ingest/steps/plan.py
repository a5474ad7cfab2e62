"""Planning of loads. Pure functions: no store, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ingest.limits import DEFAULT, Limits
from ingest.records.waiting import Waiting


def plan_loads(waiting: Iterable[Waiting], limits: Limits = DEFAULT) -> Iterator[list[Waiting]]:
    """Split the waiting objects, in order, lazily into loads within the limits.

    An object larger than `load_bytes` is a load by itself. A crash loses at most the work of one load.

    >>> list(plan_loads([]))
    []
    """
    load: list[Waiting] = []
    size = 0
    for item in waiting:
        if load and (size + item.version.size > limits.load_bytes or len(load) >= limits.load_objects):
            yield load
            load, size = [], 0
        load.append(item)
        size += item.version.size
    if load:
        yield load
