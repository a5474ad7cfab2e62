"""Who is forgotten: known by tombstones, or by name while a request is carried out; and how texts mention them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.ledger.tombstones import Tombstones

_TOKENS = (re.compile(r"[\w.@+-]+"), re.compile(r"""[^\s"',;{}\[\]]+"""), re.compile(r'"([^"\\]+)"'))
"""Words; cells, which may have other signs in them; quoted texts as a whole."""
_ESCAPED = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")
_SHORT = 6
"""A number or word of fewer characters is taken for an identifier only beside the identifier's name."""


class Matcher(Protocol):
    """Knows the persons who are forgotten."""

    @property
    def names(self) -> Collection[str]:
        """The identifiers of which there are values."""

    def has(self, name: str, value: str) -> bool:
        """Whether a value of an identifier is of such a person."""

    def among(self, name: str, values: pa.Array) -> pa.Array:
        """Which of the distinct texts are."""

    def may_be_in(self, texts: pa.Array) -> pa.Array:
        """Which texts may mention one; others need not be looked at."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """Knows them by their tombstones."""

    tombstones: Tombstones

    @property
    def names(self) -> Collection[str]:
        """See Matcher."""
        return self.tombstones.hashes

    def has(self, name: str, value: str) -> bool:
        """See Matcher."""
        return self.tombstones.has(name, value)

    def among(self, name: str, values: pa.Array) -> pa.Array:
        """See Matcher."""
        if name not in self.tombstones.hashes:
            return pa.array(np.zeros(len(values), dtype=bool))
        return pa.array([value is not None and self.has(name, value) for value in values.to_pylist()], pa.bool_())

    def may_be_in(self, texts: pa.Array) -> pa.Array:
        """See Matcher."""
        return pc.is_valid(texts)


@dataclass(frozen=True, slots=True)
class Named:
    """Knows them by name, which is faster: while a request is carried out its values are known.

    Attributes:
        covers: the tombstones of these persons, names of their files; others it does not know.
    """

    identifiers: dict[str, frozenset[str]]
    covers: frozenset[str]

    @property
    def names(self) -> Collection[str]:
        """See Matcher."""
        return self.identifiers

    def has(self, name: str, value: str) -> bool:
        """See Matcher."""
        return value in self.identifiers.get(name, ())

    def among(self, name: str, values: pa.Array) -> pa.Array:
        """See Matcher."""
        return pc.is_in(values, value_set=_array(self.identifiers.get(name, frozenset())))

    def may_be_in(self, texts: pa.Array) -> pa.Array:
        """See Matcher. JSON may escape any character of a value, but then there is a backslash."""
        values = frozenset[str]().union(*self.identifiers.values())
        return pc.fill_null(pc.match_substring_regex(texts, _pattern(values)), False)


@lru_cache(maxsize=64)
def _array(values: frozenset[str]) -> pa.Array:
    return pa.array(sorted(values), pa.string())


@lru_cache(maxsize=8)
def _pattern(values: frozenset[str]) -> str:
    return "|".join([r"\\", *map(re.escape, sorted(values))])


def unescaped(text: str) -> str:
    r"""Return a text with the characters that JSON escapes as \uXXXX, as most producers do with all but ASCII.

    >>> unescaped(r'{"user_id": "m\u00fcller"}')
    '{"user_id": "müller"}'
    """
    if "\\u" not in text:
        return text
    return _ESCAPED.sub(lambda found: json.loads(f'"{found[0]}"'), text)


def named_values(text: str, keys: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(identifier, value) of each value beside the name of its column, whatever is around them."""
    for key, name in keys.items():
        for found in re.finditer(rf"\b{re.escape(key)}\b\W{{1,8}}?(?:\"([^\"\\]+)\"|([\w.@+-]+))", text):
            yield name, found[1] or found[2]


def tokens(text: str) -> Iterable[str]:
    """What of a text may be an identifier, wherever it stands."""
    found: Collection[str] = {token for pattern in _TOKENS for token in pattern.findall(text)}
    return {token for token in (*found, text.strip()) if len(token) >= _SHORT}
