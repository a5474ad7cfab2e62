"""Find tables, columns, metrics and terms by words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from pipeline.api.snapshots import Snapshot

_WORD = re.compile(r"[a-z0-9]+")
_NAME, _SYNONYM, _TEXT = 4, 3, 1
_KINDS = {"metric": 2.0, "table": 1.5}
"""How much more an entry of a kind counts than a column: what is defined once comes first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that can be found.

    Attributes:
        kind: metric, table, column or term.
        names: words that count most.
        synonyms: words that count much.
    """

    kind: str
    name: str
    text: str
    names: str = ""
    synonyms: str = ""


def search(snapshot: Snapshot, text: str) -> list[Entry]:
    """Entries by how well they match; those that have more of the words come first."""
    entries = list(_entries(snapshot))
    words = _WORD.findall(text.lower())
    if not words:
        return []
    vocabulary = {word for item in entries for word in _WORD.findall(f"{item.names} {item.synonyms}".lower())}
    near = {word: {word[:-1] if len(word) > 3 and word.endswith("s") else word} for word in words}
    for word in words:
        if not any(word in item for item in vocabulary):
            near[word] |= set(get_close_matches(word, vocabulary, 2, 0.8))
    scored = []
    for place, item in enumerate(entries):
        points = [max(_points(item, form) for form in near[word]) for word in words]
        if any(points):
            scored.append((-sum(map(bool, points)), -sum(points) * _KINDS.get(item.kind, 1.0), place, item))
    return [item for *_, item in sorted(scored, key=lambda found: found[:3])]


def _points(item: Entry, word: str) -> int:
    if word in item.names.lower():
        return _NAME
    if word in item.synonyms.lower():
        return _SYNONYM
    return _TEXT if word in item.text.lower() else 0


def _entries(snapshot: Snapshot) -> Iterator[Entry]:
    for metric in snapshot.definitions.values():
        label = f"{metric.label}: {metric.description}"
        yield Entry("metric", metric.name, label, f"{metric.name} {metric.label}", " ".join(metric.synonyms))
    tables = snapshot.release.tables
    for name, table in sorted(tables.items()):
        yield Entry("table", name, table.description, name)
    catalog = snapshot.catalog
    for other in catalog.tables if catalog else ():
        if other.name not in tables:
            yield Entry(other.kind, other.name, f"{other.description} (not in the release)", other.name)
    for name, table in sorted(tables.items()):
        for column, _, comment in table.columns:
            yield Entry("column", f"{name}.{column}", comment, column)
    for term in catalog.glossary if catalog else ():
        yield Entry("term", term.term, term.meaning, term.term)
