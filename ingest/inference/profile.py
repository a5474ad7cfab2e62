"""A field with what an author of a contract wants to know of its values: examples, ranges, how they are written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ingest.contracts.personal import Finding, look, may_be_personal
from ingest.inference.field import CSV, MIXED, Field, common_type

MAX_TEXTS, MAX_TEXT = 100, 100
"""Values of a field that are kept to judge whether they are personal, and characters of each."""
MAX_OUTLIERS, LEAST_VALUES = 0.01, 100
"""Share of the values, of at least so many, that may be faults: they do not decide about the type."""
MAX_EXAMPLE = 40
"""Characters of an example in a comment."""
_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,15})\.(\d{1,4})")
_MONEY = re.compile(
    r"(.*_)?(amounts?|prices?|costs?|fees?|tax(es)?|totals?|subtotals?|balances?|revenue|mrr|arr|discounts?|payments?|"
    r"charges?|refunds?|salary|wage|value|due|paid)(_.*)?"
)
_MOMENT = re.compile(r"(.*_)?(at|time|timestamp|ts|date|since|until|on)")
_DAY = re.compile(r"(.*_)?(date|day|on|born|dob|birthday|until|since|from)")
_EPOCHS = ((10**9, 10**10, "seconds"), (10**12, 10**13, "milliseconds"), (10**15, 10**16, "microseconds"))


@dataclass(slots=True)
class Profile(Field):
    """A field and its values.

    Attributes:
        present: number of records in which it has a value; of a member, number of structs.
        examples: the first value of each kind, as text for people; empty if it may be personal.
        texts: some of its values, as text.
        decimals: number of values that are text of a number with decimals, as in "49.90".
        scale: greatest number of digits after the point of those and of numbers.
        least, greatest: range of its dates and timestamps, as written, or of its integers.
    """

    present: int = 0
    examples: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    decimals: int = 0
    scale: int = 0
    least: Any = None
    greatest: Any = None

    @property
    def shape(self) -> str:
        """The type that accepts its values, but for a few that no type or only text would accept."""
        return common_type(self.seen.keys() - self.outliers.keys())

    @property
    def outliers(self) -> dict[str, int]:
        """The kinds of a few values that its type does not accept, with their number."""
        seen = self.seen
        whole = common_type(seen)
        if whole not in (MIXED, "string") or self.values < LEAST_VALUES:
            return {}
        few = {kind: count for kind, count in seen.items() if 0 < count <= MAX_OUTLIERS * self.values}
        rest = common_type(seen.keys() - few.keys())
        if rest in ("", MIXED) or (whole == "string" and rest not in ("date", "timestamp")):
            return {}
        return {kind: count for kind, count in few.items() if common_type((rest, kind)) != rest}

    def note(self, kind: str, value: Any) -> None:
        """Count a value of a kind and remember what is special about it."""
        if kind not in self.kinds:
            hides = isinstance(value, list | dict) or may_be_personal(self.name, [str(value)])
            self.examples[kind] = "" if hides else _shown(value)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if isinstance(value, str):
            if len(self.texts) < MAX_TEXTS:
                self.texts.append(value[:MAX_TEXT])
            if found := _DECIMAL.fullmatch(value):
                self.decimals += 1
                self.scale = max(self.scale, len(found[2]))
        elif kind == "double" and isinstance(value, float):
            _, _, decimals = repr(value).partition(".")
            self.scale = max(self.scale, len(decimals) if decimals != "0" else 0)
        elif kind == "integer" and isinstance(value, int) and len(self.texts) < MAX_TEXTS:
            self.texts.append(str(value))
        if kind in ("date", "timestamp", "integer"):
            self._extend(value)

    def _extend(self, value: Any) -> None:
        if self.least is None or type(value) is not type(self.least):
            self.least = self.greatest = value
        elif value < self.least:
            self.least = value
        elif value > self.greatest:
            self.greatest = value

    def finding(self, feed: str) -> Finding | None:
        """Return what it looks like if its values look like those of a person."""
        if self.shape in ("struct", "boolean", "timestamp"):
            return None
        return look(self.name, self.texts, feed)

    @property
    def money(self) -> str:
        """The decimal that would keep every digit of a sum of money; empty if it does not look like one."""
        texts = self.decimals and self.decimals == self.values and self.scale <= 4
        numbers = self.shape == "double" and 0 < self.scale <= 4
        return f"decimal(18, {max(self.scale, 2)})" if (texts or numbers) and _MONEY.fullmatch(self.name) else ""

    @property
    def is_csv(self) -> bool:
        """Whether every value comes from CSV files, which state no types."""
        return bool(self.kinds) and all(kind.startswith(CSV) for kind in self.kinds)

    @property
    def epoch_unit(self) -> str:
        """The unit in which its integers seem to count the time since 1970; empty if they do not."""
        if self.shape != "integer" or not _MOMENT.fullmatch(self.name) or not isinstance(self.least, int):
            return ""
        for least, greatest, unit in _EPOCHS:
            if least <= self.least and self.greatest < greatest:
                return unit
        return ""

    @property
    def looks_like_days(self) -> bool:
        """Whether its integers may count days since 1970."""
        if self.shape != "integer" or not _DAY.fullmatch(self.name) or not isinstance(self.least, int):
            return False
        return self.least > -40_000 and self.greatest < 80_000

    def counted(self, kinds: dict[str, int]) -> str:
        """Return kinds with counts and an example of each, most frequent first; no example of what may be personal."""
        shown = []
        hides = may_be_personal(self.name, self.texts) or any(map(may_be_personal, self.path.split(".")))
        for kind, count in sorted(kinds.items(), key=lambda item: -item[1]):
            example = "" if hides else self.examples.get(kind, "")
            shown.append(f"{kind} {count:,}{f', as {example}' if example else ''}")
        return "; ".join(shown)


def _shown(value: Any) -> str:
    text = f'"{value[: MAX_EXAMPLE + 1]}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= MAX_EXAMPLE else f"{text[:MAX_EXAMPLE]}…"
