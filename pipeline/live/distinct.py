"""Sets of identifiers in eight bytes each.

An identifier is kept as a 64-bit hash. Two of n collide with a probability of n² ÷ 2⁶⁵: 7 in 100,000 for 50 million.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

_SHARD_BITS = 10
_BUFFERED = 1 << 15
"""Hashes that wait in a set of Python's before they are sorted in: at most 4 MB."""

Hashes = npt.NDArray[np.uint64]


def hashed(identifier: str) -> int:
    """The 64-bit hash of an identifier."""
    return int.from_bytes(blake2b(identifier.encode(), digest_size=8).digest(), "little")


class HashSet:
    """A set of 64-bit hashes: sorted arrays by their first bits, and a small buffer of the newest."""

    __slots__ = ("_buffer", "_length", "_shards")

    def __init__(self) -> None:
        self._buffer: set[int] = set()
        self._shards: list[Hashes] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length + len(self._buffer)

    def __contains__(self, value: int) -> bool:
        if value in self._buffer:
            return True
        if not self._shards:
            return False
        shard = self._shards[value >> (64 - _SHARD_BITS)]
        place = int(np.searchsorted(shard, np.uint64(value)))
        return place < len(shard) and int(shard[place]) == value

    def add(self, value: int) -> bool:
        """Add a hash; returns whether it is new."""
        if value in self:
            return False
        self._buffer.add(value)
        if len(self._buffer) >= _BUFFERED:
            self._sort_in()
        return True

    def update(self, values: Iterable[int]) -> None:
        """Add many hashes."""
        for value in values:
            self.add(value)

    @property
    def bytes(self) -> int:
        """Bytes that the sorted hashes take."""
        return sum(shard.nbytes for shard in self._shards)

    def _sort_in(self) -> None:
        new = np.fromiter(self._buffer, np.uint64, len(self._buffer))
        new.sort()
        if not self._shards:
            self._shards = [np.empty(0, np.uint64)] * (1 << _SHARD_BITS)
        bounds = np.arange(1, 1 << _SHARD_BITS, dtype=np.uint64) << np.uint64(64 - _SHARD_BITS)
        for number, part in enumerate(np.split(new, np.searchsorted(new, bounds))):
            if len(part):
                shard = self._shards[number]
                self._shards[number] = np.insert(shard, np.searchsorted(shard, part), part)
        self._length += len(new)
        self._buffer = set()
