"""Whether a rejected record or a rescued field is about a person: by a field that identifies, or by a value in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ingest.contracts.contract import Contract
from pipeline.access.subjects import Identifier, Subject


@dataclass(frozen=True, slots=True)
class Mention:
    """How a text has a person.

    Attributes:
        by_field: identifiers that a field of the text gives; a shared one is among them only if nobody else is named.
        by_value: identifiers of which a value is in the text, as a whole word, elsewhere. Of a number that says
            little: 7 is many things.
        is_of_another: whether a field names somebody else, and none the person.
    """

    by_field: frozenset[str] = frozenset()
    by_value: frozenset[str] = frozenset()
    is_of_another: bool = False

    def __bool__(self) -> bool:
        return bool(self.by_field or self.by_value)


class Mentions:
    """Searches texts for one person.

    Args:
        identifiers: those that contracts have, by name.
        subject: the person.
    """

    def __init__(self, identifiers: dict[str, Identifier], subject: Subject) -> None:
        self._identifiers, self._subject = identifiers, subject
        values = {value: name for name, own in subject.values.items() for value in own}
        self._names: dict[str, set[str]] = {value: set() for value in values}
        for name, own in subject.values.items():
            for value in own:
                self._names[value].add(name)
        listed = "|".join(re.escape(value) for value in sorted(values, key=lambda value: (-len(value), value)))
        self.pattern = rf"(?:^|[^\w-])(?:{listed})(?:[^\w-]|$)"
        """Regular expression, of RE2 too, that texts with a value match unless JSON escapes characters of it."""
        self._values = re.compile(rf"(?<![\w-])(?:{listed})(?![\w-])")

    def of(self, contract: Contract, text: str | bytes) -> Mention:
        """How a record of a feed, or a part of it, has the person."""
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        if "\\" not in shown and not self._values.search(shown):
            return Mention()
        fields = {path.rpartition(".")[2]: str(column.identifies) for path, column in contract.identifiers().items()}
        fields |= {name: name for name in self._identifiers}
        try:
            pairs = list(_pairs("", json.loads(shown)))
        except (ValueError, RecursionError):  # cut off, or no JSON at all
            quoted = re.findall(r'"(\w+)"\s*:\s*(?:"((?:[^"\\]|\\.)*)"|(-?\d+))', shown)
            pairs = [(field, one or other) for field, one, other in quoted] + [("", shown)]
        given = [(fields[field], value) for field, value in pairs if field in fields and value]
        own = {name for name, value in given if value in self._subject.of(name)}
        others = {
            name
            for name, value in given
            if not self._identifiers[name].is_shared and value not in self._subject.of(name)
        }
        sure = {name for name in own if not self._identifiers[name].is_shared}
        by_field = own if sure or not others else set()
        found = (match for _, value in pairs for match in self._values.findall(value))
        by_value = {name for match in found for name in self._names[match]} - by_field
        return Mention(frozenset(by_field), frozenset(by_value), bool(others) and not by_field)

    def is_sure(self, mention: Mention) -> bool:
        """Whether a text is the person's: a field says so, or a value that is no mere number, and no field names
        somebody else."""
        texts = {name for name in mention.by_value if self._identifiers[name].type == "string"}
        return bool(mention.by_field) or (bool(texts) and not mention.is_of_another)


def _pairs(field: str, value: Any) -> Iterator[tuple[str, str]]:
    """The values of a JSON document as texts, with the names of their fields; names of fields as values too."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield "", name
            yield from _pairs(name, item)
    elif isinstance(value, list):
        for item in value:
            yield from _pairs(field, item)
    elif value is not None and not isinstance(value, bool):
        yield field.rpartition(".")[2], str(value)
