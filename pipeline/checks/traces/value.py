"""The values of a person that are looked for."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from ingest.errors import ConfigError

SHORTEST, SHORTEST_NUMBER = 6, 10
"""UTF-8 bytes from which a text, or one of digits alone, is distinctive. What is shorter is also a day, a page, a count
or a part of another key."""


@dataclass(frozen=True, slots=True)
class Value:
    """One clear value of a person, or of what identifies one.

    Attributes:
        label: names it in reports, which never show it: `user_id`, `email 2`.
        text: the value as text; a number in decimal digits.
        columns: names of the columns that have it, for an identifier; a value that is not distinctive is looked for
            in these alone.
        ignores_case: whether it is the same value in other letter case, as an e-mail address is.
        group: values of one person have one group: hashes of two of them together are looked for as well.

    Raises:
        ConfigError: the text is empty, or it is not distinctive and no column is named.
    """

    label: str
    text: str
    columns: frozenset[str] = frozenset()
    ignores_case: bool = False
    group: str = ""

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ConfigError(f"{self.label}: the value is empty; expected what is to be looked for")
        if not (self.is_distinctive or self.columns):
            raise ConfigError(
                f"{self.label}: a value of less than {SHORTEST} bytes ({SHORTEST_NUMBER} digits) is found everywhere; "
                "name the columns that have it"
            )

    @property
    def is_distinctive(self) -> bool:
        """Whether the text alone identifies it, wherever it is found as a whole token."""
        size = len(self.text.strip().encode())
        return size >= (SHORTEST_NUMBER if re.fullmatch(r"[+-]?[0-9.]+", self.text.strip()) else SHORTEST)

    @property
    def is_address(self) -> bool:
        """Whether it is an e-mail address, whose token includes dots and dashes."""
        return "@" in self.text

    def is_in(self, columns: Collection[str]) -> bool:
        """Whether one of the names of a column, outer ones first, is of a column that has it."""
        return bool(self._plain & {plain(name) for name in columns})

    @property
    def _plain(self) -> frozenset[str]:
        return frozenset(map(plain, self.columns))


def plain(name: str) -> str:
    """The name of a column without what spellings of it differ in.

    >>> plain("userId") == plain("USER_ID") == plain("user-id")
    True
    """
    return re.sub(r"[\W_]", "", name).casefold()
