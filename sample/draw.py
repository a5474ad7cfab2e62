"""Random draws: one stream per seed, date and purpose, so that dates and options do not affect each other."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

_HEX = np.array([[ord(char) for char in f"{value:02x}"] for value in range(256)], dtype=np.uint32)
_DIGITS = np.array([place for place in range(36) if place not in (8, 13, 18, 23)])


class Stream(enum.IntEnum):
    """The purpose of a stream. Changing a value changes every sample."""

    VOLUME = 1
    COHORT = 2
    SESSIONS = 3
    PLAYS = 4
    LATE = 5
    DUPLICATES = 6
    MALFORMED = 7
    UNKNOWN_FIELDS = 8
    FUTURE = 9
    UNKNOWN_USERS = 10
    OVERWRITES = 11
    FILES = 12
    UNKNOWN_IDS = 13
    CLOCKS = 14
    CUSTOMERS = 15
    LIVES = 16
    CHANGES = 17
    CHANGE_FILES = 18
    SHOP = 19
    SHOP_FILES = 20
    VISITORS = 21
    CUSTOMER_VISITORS = 22
    VISITS = 23
    CLICKS = 24
    CLICK_FILES = 25
    BROKEN_CLICKS = 26
    MOVEMENTS = 27
    MOVEMENT_FILES = 28
    SPEND = 29
    SPEND_FILES = 30


def generator(seed: int, day: int, stream: Stream, *more: int) -> np.random.Generator:
    """The random stream of one date (or year) and purpose; reproducible only with the same version of numpy.

    Args:
        more: further numbers to separate streams of one purpose; the last must not be zero, because numpy drops it.
    """
    return np.random.default_rng([seed, day, int(stream), *more])


def cumulative(weights: Sequence[float] | Floats) -> Floats:
    """Cumulative shares; the last is 1."""
    total: Floats = np.cumsum(np.asarray(weights, dtype=np.float64))
    shares: Floats = total / total[-1]
    return shares


def pick(rng: np.random.Generator, shares: Floats, count: int) -> Ints:
    """Draw `count` indices with the probabilities of the cumulative `shares`."""
    return np.searchsorted(shares, rng.random(count), side="right").astype(np.int64)


def uuids(rng: np.random.Generator, count: int) -> Bytes:
    """Random UUIDs (version 4) as rows of 16 bytes."""
    raw = np.frombuffer(rng.bytes(16 * count), dtype=np.uint8).reshape(count, 16).copy()
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    return raw


def uuid_texts(raw: Bytes) -> list[str]:
    """Format rows of 16 bytes as UUID texts."""
    chars = np.full((len(raw), 36), ord("-"), dtype=np.uint32)
    chars[:, _DIGITS] = _HEX[raw].reshape(len(raw), 32)
    texts: list[str] = chars.view("U36").ravel().tolist()
    return texts
