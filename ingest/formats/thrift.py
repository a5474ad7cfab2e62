"""Thrift's compact protocol, in which Parquet writes its page headers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

I32, I64, BINARY, LIST, SET, MAP, STRUCT = 5, 6, 8, 9, 10, 11, 12


class Compact:
    """A minimal reader of Thrift's compact protocol; raises IndexError where the data ends."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def byte(self) -> int:
        self.place += 1
        return self.data[self.place - 1]

    def take(self, length: int) -> bytes:
        self.place += length
        return self.data[self.place - length : self.place]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128 or shift > 63:
                return value
            shift += 7

    def integer(self) -> int:
        value = self.varint() & 0xFFFFFFFF
        return (value >> 1) ^ -(value & 1)

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield (number, type) of each field of a struct; the caller reads or skips the value before the next."""
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            yield number, head & 15

    def list_head(self) -> tuple[int, int]:
        """Return (length, type of the items)."""
        head = self.byte()
        return (self.varint() if head >> 4 == 15 else head >> 4), head & 15

    def value(self, kind: int, in_list: bool = False, depth: int = 0) -> Any:
        """Return a value: a struct as a mapping by number of field, None for kinds that Parquet has none of."""
        if depth > 64:
            raise ValueError("nested too deeply")
        if kind == BINARY:
            found = self.take(self.varint())
            if self.place > len(self.data):
                raise IndexError(self.place)
            return found
        if kind in (4, I32, I64):
            value = self.varint() & 0xFFFFFFFFFFFFFFFF
            return (value >> 1) ^ -(value & 1)
        if kind in (LIST, SET):
            length, item = self.list_head()
            return [self.value(item, True, depth + 1) for _ in range(length)]
        if kind == STRUCT:
            return {number: self.value(inner, False, depth + 1) for number, inner in self.fields()}
        self.skip(kind, in_list, depth)
        return None

    def skip(self, kind: int, in_list: bool = False, depth: int = 0) -> None:
        """Skip a value."""
        if depth > 64:
            raise ValueError("nested too deeply")
        if kind in (1, 2):
            self.place += in_list
        elif kind == 3:
            self.place += 1
        elif kind in (4, 5, 6):
            self.varint()
        elif kind == 7:
            self.place += 8
        elif kind == BINARY:
            length = self.varint()
            self.place += length
        elif kind in (LIST, SET):
            length, item = self.list_head()
            for _ in range(length):
                self.skip(item, True, depth + 1)
        elif kind == MAP:
            if length := self.varint():
                kinds = self.byte()
                for _ in range(length):
                    self.skip(kinds >> 4, True, depth + 1)
                    self.skip(kinds & 15, True, depth + 1)
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner, False, depth + 1)
        else:
            raise ValueError(f"a field of type {kind}")
        if self.place > len(self.data):
            raise IndexError(self.place)
