"""Names of source objects that have an identifier of a person who is forgotten: a keyed hash stands for them.

The lake knows such an object by `<bucket>/erased-<hash>`, with the end of its name, which may say what format it has.
Its place in the landing is found by hiding the names that are listed there.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import pyarrow as pa

from ingest.ledger.tombstones import hidden_name
from ingest.steps.matchers import Matcher, named_values, tokens

_END = re.compile(r"(?:\.[A-Za-z0-9]{1,8}){1,2}$")
_PARTS = re.compile(r"[/=_]")
_LEAST = 6


class HiddenNames:
    """Hides names that mention one of the persons whom a matcher knows.

    Args:
        key: the secret of the tombstones.
    """

    def __init__(self, matcher: Matcher, key: bytes) -> None:
        self._matcher, self._key = matcher, key
        self._columns = {name: name for name in matcher.names}

    def candidates(self, names: pa.ChunkedArray) -> list[str]:
        """Return those of many names that may mention one."""
        found: list[str] = names.filter(self._matcher.may_be_in(names)).to_pylist()
        return found

    def of(self, name: str) -> str:
        """Return bucket/key as the lake knows the object."""
        return self.hidden(name) if self._mentions(name.partition("/")[2]) else name

    def hidden(self, name: str) -> str:
        """Return what stands for bucket/key."""
        bucket, _, key = name.partition("/")
        end = _END.search(key)
        kept = end[0] if end and not self._mentions(end[0]) else ""
        return f"{bucket}/{hidden_name(self._key, name)}{kept}"

    def _mentions(self, key: str) -> bool:
        if any(self._matcher.has(name, value) for name, value in named_values(key, self._columns)):
            return True
        return any(self._matcher.has(name, part) for part in _parts(key) for name in self._matcher.names)


def _parts(key: str) -> Collection[str]:
    """What of a key may be an identifier, wherever it stands: segments, and what is between their signs."""
    found = set(tokens(key))
    for segment in key.split("/"):
        stem = _END.sub("", segment)
        found |= {segment, stem, *_PARTS.split(stem), *_PARTS.split(segment)}
    return {part for part in found if len(part) >= _LEAST}
