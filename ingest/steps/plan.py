"""Which objects make up one load. Pure: no store, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ingest.limits import DEFAULT, Limits
from ingest.steps.discover import Waiting


def plan_loads(waiting: Iterable[Waiting], limits: Limits = DEFAULT) -> Iterator[list[Waiting]]:
    """Splits the waiting objects, in their order, into loads within the limits, each when it is asked for.

    An object larger than `load_bytes` is a load of its own. A crash costs at most the work of one load.

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
