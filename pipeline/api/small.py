"""Answers of tools: small enough for a conversation, and saying what was cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.api.formats import as_json

MOST_CHARACTERS = 8000
"""About 2,000 tokens."""
_LONGEST_TEXT = 600


def small(value: Mapping[str, Any], lists: Sequence[str], how: str) -> str:
    """Write JSON of at most MOST_CHARACTERS, by cutting long texts, then lists.

    Args:
        lists: names of the lists that may be cut; the longest is cut first.
        how: how to get at what was cut, to be read after `cut: `.
    """
    found = dict(_shortened(value))
    total = {name: len(found[name]) for name in lists if isinstance(found.get(name), list)}
    while len(text := as_json(found).decode()) > MOST_CHARACTERS and total:
        name = max(total, key=lambda item: len(as_json(found[item])))
        left = len(found[name]) // 2
        found[name] = found[name][:left]
        found["cut"] = f"{name}: {left} of {total[name]} are shown; {how}"
        if not left:
            del total[name]
    return text[:MOST_CHARACTERS]


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]}… ({len(value):,} characters)"
    if isinstance(value, Mapping):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(item) for item in value]
    return value
