"""Which objects make up one load. Pure: no store, no clock."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.discover import Waiting
from ingest.limits import DEFAULT, Limits


def plan_loads(waiting: Sequence[Waiting], limits: Limits = DEFAULT) -> list[list[Waiting]]:
    """Splits the waiting objects, in their order, into loads within the limits.

    An object larger than `load_bytes` is a load of its own. A crash costs at most the work of one load.

    >>> plan_loads([])
    []
    """
    loads: list[list[Waiting]] = []
    size = 0
    for item in waiting:
        if not loads or size + item.version.size > limits.load_bytes or len(loads[-1]) >= limits.load_objects:
            loads.append([])
            size = 0
        loads[-1].append(item)
        size += item.version.size
    return loads
