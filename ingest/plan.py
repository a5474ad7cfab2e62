"""Which objects make up one load. Pure: no store, no clock."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.discover import Waiting

TARGET_BYTES = 1 << 30
TARGET_OBJECTS = 50_000


def plan_loads(
    waiting: Sequence[Waiting], target_bytes: int = TARGET_BYTES, target_objects: int = TARGET_OBJECTS
) -> list[list[Waiting]]:
    """Splits the waiting objects, in their order, into loads of at most the given size.

    An object larger than `target_bytes` is a load of its own. A crash costs at most the work of one load.

    >>> plan_loads([])
    []
    """
    loads: list[list[Waiting]] = []
    size = 0
    for item in waiting:
        if not loads or size + item.version.size > target_bytes or len(loads[-1]) >= target_objects:
            loads.append([])
            size = 0
        loads[-1].append(item)
        size += item.version.size
    return loads
