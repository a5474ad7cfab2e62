"""The class of a column: how its values relate to a person. docs/privacy.md says how a class is chosen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

_SUBJECT = re.compile(r"[a-z][a-z0-9_]*")
"""A subject: the kind of person that a column describes, such as account, child, customer or employee."""


class Class(StrEnum):
    """How the values of a column relate to a person.

    `direct` identifies one by itself: a name, an email address, a key of an account. `quasi` identifies one only
    together with other values: a country, a date of birth. `sensitive` deserves special protection whatever it
    identifies: everything about a single child, health, pay. `none` is all the rest, keys of things included.
    """

    NONE = "none"
    QUASI = "quasi"
    DIRECT = "direct"
    SENSITIVE = "sensitive"

    @property
    def is_personal(self) -> bool:
        """Whether values are about a person, so that commands mask them."""
        return self is not Class.NONE

    @property
    def is_restricted(self) -> bool:
        """Whether values are in no page, and in gold and ops only for a written reason: direct or sensitive."""
        return self in (Class.DIRECT, Class.SENSITIVE)


_STRICTNESS = {found: place for place, found in enumerate(Class)}


def strictest(classes: Iterable[Class]) -> Class:
    """Return the strictest of some classes: sensitive before direct before quasi before none; none for no class.

    >>> strictest([Class.QUASI, Class.DIRECT]), strictest([])
    (<Class.DIRECT: 'direct'>, <Class.NONE: 'none'>)
    """
    return max(classes, key=_STRICTNESS.__getitem__, default=Class.NONE)


def subject_name(value: str) -> str:
    """Return the name of a subject unchanged.

    Raises:
        ValueError: it is not lower_snake_case.
    """
    if not _SUBJECT.fullmatch(value):
        raise ValueError(f"'{value}' is not a subject; expected a kind of person in lower_snake_case, such as account")
    return value
