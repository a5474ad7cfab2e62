"""Search of decoded columns, nested ones included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.checks.traces.encodings import Form
from pipeline.checks.traces.matcher import Found, Matcher

CUT = frozenset((16, 32, 64, 128, 256))
"""Bytes that writers cut least and greatest values to."""
JOINED_BYTES = 8 << 20
"""Bytes of cells that are searched at a time."""


class Cells:
    """Finds values in the cells of columns.

    Texts are searched for everything, whole cells of an identifier's columns also for its short values, and numbers
    for values that are numbers. Times, dates and truth values are no values of a person that could be looked for.
    """

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._own = [(number, value) for number, value in enumerate(matcher.values) if not value.is_distinctive]
        self._whole = [
            (number, value, int(value.text))
            for number, value in enumerate(matcher.values)
            if value.text.strip().lstrip("-").isdecimal() and abs(int(value.text)) < 1 << 63
        ]

    def search(self, path: tuple[str, ...], cells: Any) -> set[Found]:
        """Find the values in the cells of a column.

        Args:
            path: names of the column and of what it is nested in.
            cells: an Arrow array. What a dictionary has is searched, whether or not a row refers to it.
        """
        kind = cells.type
        if isinstance(kind, pa.BaseExtensionType):
            return self.search(path, cells.storage)
        if pa.types.is_dictionary(kind):
            return self.search(path, cells.dictionary)
        if pa.types.is_struct(kind):
            fields = ((kind.field(number).name, cells.field(number)) for number in range(kind.num_fields))
            return _all(self.search((*path, name), inner) for name, inner in fields)
        if pa.types.is_map(kind):
            return self.search(path, cells.keys) | self.search(path, cells.items)
        if pa.types.is_union(kind):
            return _all(self.search(path, cells.field(number)) for number in range(kind.num_fields))
        if pa.types.is_nested(kind):
            return self.search(path, cells.flatten())
        if pa.types.is_run_end_encoded(kind):
            return self.search(path, cells.values)
        if pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_floating(kind):
            return self._numbers(path, cells)
        if pa.types.is_fixed_size_binary(kind):
            return self._texts(path, cells.cast(pa.large_binary()))
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            return self._texts(path, cells.cast(pa.large_string()).cast(pa.large_binary()))
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
            return self._texts(path, cells.cast(pa.large_binary()))
        return set()

    def cut(self, bounds: Iterable[bytes]) -> set[Found]:
        """Find the values that a long statistic is the beginning of; its last byte may be the next greater one."""
        beginnings = {one[:-1] for one in bounds if len(one) in CUT}
        return {
            Found(number, Form.TEXT)
            for number, value in enumerate(self._matcher.values)
            if any(value.text.strip().encode().startswith(one) for one in beginnings)
            and not any(value.text.strip().encode() == one for one in bounds)
        }

    def _texts(self, path: tuple[str, ...], cells: Any) -> set[Found]:
        found: set[Found] = set()
        if own := [(number, value) for number, value in self._own if value.is_in(path)]:
            texts = pc.ascii_trim_whitespace(cells.cast(pa.large_string(), safe=False)) if len(cells) else cells
            present = set(_present(texts.cast(pa.large_binary()), [value.text.strip().encode() for _, value in own]))
            found = {Found(number, Form.TEXT) for number, value in own if value.text.strip().encode() in present}
        for joined in _joined(cells):
            found |= self._matcher.search(joined)
        return found

    def _numbers(self, path: tuple[str, ...], cells: Any) -> set[Found]:
        wanted = [(number, whole) for number, value, whole in self._whole if value.is_distinctive or value.is_in(path)]
        if not wanted:
            return set()
        if not pa.types.is_integer(cells.type):
            cells = cells.cast(pa.float64())
            present = _present(cells, [float(whole) for _, whole in wanted])
            return {Found(number, Form.NUMBER) for number, whole in wanted if float(whole) in present}
        limits = range(1 << 63) if pa.types.is_unsigned_integer(cells.type) else range(-(1 << 63), 1 << 63)
        whole = cells.cast(pa.uint64() if limits.start == 0 else pa.int64())
        fitting = [(number, one) for number, one in wanted if one in limits]
        present = _present(whole, [one for _, one in fitting])
        return {Found(number, Form.NUMBER) for number, one in fitting if one in present}


def _present(cells: Any, wanted: list[Any]) -> list[Any]:
    """Which of the wanted ones are among the cells."""
    if not len(cells) or not wanted:
        return []
    return list(pc.unique(cells.filter(pc.is_in(cells, value_set=pa.array(wanted, cells.type)))).to_pylist())


def _joined(cells: Any) -> Iterator[bytes]:
    """Yield the cells one after the other, in blocks, with NUL between them."""
    cells = cells.drop_null()
    start = 0
    while start < len(cells):
        length = len(cells) - start
        while length > 1 and cells.slice(start, length).nbytes > JOINED_BYTES:
            length //= 2
        part = cells.slice(start, length)
        whole = pa.LargeListArray.from_arrays(pa.array([0, len(part)], pa.int64()), part)
        yield pc.binary_join(whole, pa.scalar(b"\0", pa.large_binary()))[0].as_buffer().to_pybytes()
        start += length


def _all(found: Iterable[set[Found]]) -> set[Found]:
    return set().union(*found)
