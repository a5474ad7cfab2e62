"""Search of bytes for all encodings of all values at once.

A table of hashes of four bytes says in a few passes of NumPy where a needle may begin, whatever their number; the last
bytes of the needles of that beginning are compared next, and only what is left is compared byte by byte. Letter
case is folded before and compared after.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.checks.traces.boundaries import is_cell, is_whole
from pipeline.checks.traces.encodings import Form, Needle, needles
from pipeline.checks.traces.escapes import unescaped
from pipeline.checks.traces.value import SHORTEST, Value, plain

Places: TypeAlias = npt.NDArray[np.int64]
BLOCK_BYTES = 256 << 10
"""Bytes that are filtered at a time, so that they stay in the cache of the processor."""
_HASH, _SHIFT = np.uint32(2654435761), np.uint32(12)
_TAIL = SHORTEST
_MARGIN = 32
_LONGEST_ESCAPE = 6
_LONGEST_SHORT = 24
_SPACE = rb"\\*[\"']?\s{0,4}(?:[:=]|%3[AaDd])\s{0,4}\\*[\"']?"


@dataclass(frozen=True, slots=True)
class Found:
    """A value that was found.

    Attributes:
        value: its number.
        form: its encoding.
        is_escaped: whether escapes had to be undone.
    """

    value: int
    form: Form
    is_escaped: bool = False

    def __str__(self) -> str:
        return f"{self.form}, escaped" if self.is_escaped else str(self.form)


class Matcher:
    """Finds values in bytes.

    Args:
        values: what is looked for.

    Attributes:
        overlap: how many bytes of a block are to be searched again with the next one.
    """

    def __init__(self, values: Sequence[Value]) -> None:
        self.values = tuple(values)
        self._table = np.zeros(1 << 20, np.bool_)
        self._heads: dict[int, dict[int, dict[bytes, list[Needle]]]] = {}
        longest = 1
        for needle in dict.fromkeys(needles(self.values)):
            folded = needle.data.lower()
            head = int.from_bytes(folded[:4], "little")
            self._heads.setdefault(head, {}).setdefault(len(folded), {}).setdefault(folded, []).append(needle)
            self._table[self._hashed(np.array([head], np.uint32))] = True
            longest = max(longest, len(folded))
        self._tails = {
            (head, length): np.array(sorted({int.from_bytes(data[-_TAIL:], "little") for data in found}), np.uint64)
            for head, lengths in self._heads.items()
            for length, found in lengths.items()
        }
        self._sorted_heads = np.array(sorted(self._heads), np.uint32)
        short = [(number, value) for number, value in enumerate(self.values) if not value.is_distinctive]
        self._named = {
            (plain(name), value.text.strip().lower().encode()): number
            for number, value in short
            for name in value.columns
        }
        names = {name for _, value in short for name in value.columns}
        self._names = [one.lower().encode() for one in {*names, *(re.sub(r"[\W_]", "", name) for name in names)}]
        self._after_name = re.compile(_SPACE + rb"([\w.+-]{1,%d})" % _LONGEST_SHORT)
        self._around = _LONGEST_ESCAPE * max((len(value.text.encode()) for value in self.values), default=1) + _MARGIN
        self.overlap = max(longest, 2 * self._around) + 2 * _MARGIN

    def search(
        self, data: bytes, *, is_first: bool = True, is_last: bool = True, has_headers: bool = False
    ) -> set[Found]:
        """Find the values in bytes.

        Args:
            has_headers: whether a text has its length before it in one byte, as in pages of Postgres.
            is_first, is_last: whether the data begins and ends here. If not, what is too near to the edge to be judged
                is left to the block before or after, which overlaps by `overlap` bytes.
        """
        low, high = 0 if is_first else _MARGIN, len(data) if is_last else len(data) - _MARGIN
        found = {Found(*one) for one in self._search(data, low, high, has_headers)}
        for text in unescaped(data, self._around):
            found |= {Found(value, form, True) for value, form in self._search(text, 0, len(text))}
        plainly = {(one.value, one.form) for one in found if not one.is_escaped}
        return {one for one in found if not one.is_escaped or (one.value, one.form) not in plainly}

    def in_name(self, name: str) -> set[Found]:
        """Find the values in the name of an object, a table or a column; short ones as a part of a path.

        `customer_id=17/`, `/17.json` and `customer-17.json` have the customer 17, `event_date=2026-01-17/` has not.
        """
        found = self.search(name.encode("utf-8", "surrogateescape"))
        for number, value in enumerate(self.values):
            if not value.is_distinctive and _short_in_name(value).search(name):
                found.add(Found(number, Form.TEXT))
        return found

    def masked(self, text: str) -> str:
        """A text with the labels of values instead of them."""
        for value in sorted(self.values, key=lambda one: -len(one.text)):
            if value.is_distinctive:
                text = re.sub(re.escape(value.text.strip()), f"<{value.label}>", text, flags=re.IGNORECASE)
            else:
                text = _short_in_name(value).sub(rf"\g<1><{value.label}>", text)
        return text

    @staticmethod
    def _hashed(heads: np.ndarray) -> np.ndarray:
        return (heads * _HASH) >> _SHIFT

    def _search(self, data: bytes, low: int, high: int, has_headers: bool = False) -> Iterator[tuple[int, Form]]:
        """Yield value and form of what begins and ends within the bounds."""
        folded = data.lower()
        yield from self._after_names(folded, low, high)
        for head, places in self._beginnings(folded):
            for length, wanted in self._heads[head].items():
                fitting = places[(places >= low) & (places + length <= high)]
                ends = _ends(folded, fitting + (length - _TAIL))
                for start in fitting[_is_among(ends, self._tails[head, length])].tolist():
                    for needle in wanted.get(folded[start : start + length], ()):
                        if needle.is_exact and data[start : start + length] != needle.data:
                            continue
                        is_address = self.values[needle.value].is_address
                        if (has_headers and is_cell(data, start, length)) or is_whole(
                            data, start, start + length, needle, is_address
                        ):
                            yield needle.value, needle.form

    def _beginnings(self, folded: bytes) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each beginning that is there with its places."""
        found_heads, found_places = [], []
        for start in range(0, len(folded), BLOCK_BYTES):
            size = min(BLOCK_BYTES + 3, len(folded) - start)
            for offset in range(min(4, size - 3)):
                words = np.frombuffer(folded, np.uint32, (size - offset) // 4, start + offset)
                places = np.flatnonzero(self._table[self._hashed(words)])
                if len(places):
                    found_heads.append(words[places])
                    found_places.append(places * 4 + (start + offset))
        if not found_heads:
            return
        heads, places = np.concatenate(found_heads), np.concatenate(found_places)
        known = _is_among(heads, self._sorted_heads)
        heads, places = heads[known], places[known]
        if not len(heads):
            return
        order = np.argsort(heads, kind="stable")
        heads, places = heads[order], places[order]
        names, starts = np.unique(heads, return_index=True)
        yield from zip(names.tolist(), np.split(places, starts[1:]), strict=True)

    def _after_names(self, folded: bytes, low: int, high: int) -> Iterator[tuple[int, Form]]:
        """Yield the values that are not distinctive where the name of their column stands before them."""
        for name in self._names:
            place = folded.find(name)
            while place >= 0:
                match = self._after_name.match(folded, place + len(name))
                if match and low <= match.start(1) and match.end(1) <= high:
                    token = match[1].rstrip(b".")
                    number = self._named.get((plain(name.decode()), token))
                    if number is not None:
                        yield number, Form.NAMED
                place = folded.find(name, place + len(name))


def _ends(data: bytes, places: Places) -> np.ndarray:
    """The bytes that the end of a needle is compared by, at each place, as a number."""
    every = np.frombuffer(data, np.uint8)
    found = every[places].astype(np.uint64)
    for number in range(1, _TAIL):
        found |= every[places + number].astype(np.uint64) << np.uint64(8 * number)
    return found


def _is_among(numbers: np.ndarray, known: np.ndarray) -> npt.NDArray[np.bool_]:
    """Which numbers are among the known ones, which are sorted."""
    at = np.searchsorted(known, numbers)
    at[at == len(known)] = 0
    return np.asarray(known[at] == numbers)


def _short_in_name(value: Value) -> re.Pattern[str]:
    columns = {name.lower() for name in value.columns}
    beside = "|".join(sorted(map(re.escape, columns | {re.sub("_(id|key)$", "", name) for name in columns})))
    text = re.escape(value.text.strip())
    return re.compile(rf"((?:^|/)|(?:^|[^a-z0-9])(?:{beside})[=_. -]){text}(?=$|/|\.[a-z]|[^\w.])", re.IGNORECASE)
