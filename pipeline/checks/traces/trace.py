"""What the proof finds, and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

LISTED = 10_000
"""Traces of a place that are listed; the others are counted."""


class Kind(StrEnum):
    """What a trace says.

    Attributes:
        FOUND: a value is there.
        MAY_REMAIN: bytes of deleted rows may be there that nobody can decode, such as free blocks of a database.
        UNREADABLE: it could not be read, or not to its end.
    """

    FOUND = "found"
    MAY_REMAIN = "may remain"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, order=True)
class Trace:
    """One thing that keeps an erasure from being proven.

    Attributes:
        place: the name of the place.
        where: the object, file or table in it, and the part of it. Values in it are replaced by their labels.
        kind: what it says.
        label: of the value that was found; empty for other kinds.
        encoding: in which it was found; for other kinds the reason.
    """

    place: str
    where: str
    kind: Kind
    label: str = ""
    encoding: str = ""

    def __str__(self) -> str:
        said = f"{self.label} ({self.encoding})" if self.kind is Kind.FOUND else f"{self.kind}: {self.encoding}"
        return f"{self.place}: {self.where}: {said}"


@dataclass(slots=True)
class Scan:
    """The result of a scan.

    Attributes:
        traces: sorted; none is the proof.
        unlisted: number of further traces by place.
        objects: number of objects, files and tables by place.
        bytes: stored bytes by place, where they are known.
    """

    traces: list[Trace] = field(default_factory=list)
    unlisted: dict[str, int] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left."""
        return not self.traces

    def of(self, kind: Kind) -> list[Trace]:
        """The traces of a kind."""
        return [trace for trace in self.traces if trace.kind is kind]


def listed(traces: Iterable[Trace]) -> Iterator[Trace]:
    """Each trace once."""
    return iter(dict.fromkeys(traces))
