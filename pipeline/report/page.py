"""A report in words: what HTML, text and subject show, so that they say the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cell:
    """A text and how it is coloured.

    Attributes:
        tone: good, bad, warn or flat; what it means also stands in the text, by sign or word.
    """

    text: str
    tone: str = "flat"


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart.

    Attributes:
        name: unique in the report.
        spec: in Vega-Lite.
        alt: what it shows, in words.
        size: in points, width and height.
    """

    name: str
    spec: Mapping[str, Any]
    alt: str
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Row:
    """A figure.

    Attributes:
        note: which period it is about where it is not that of the report.
        spark: None if it has no course.
    """

    label: str
    note: str
    value: str
    changes: tuple[Cell, ...]
    spark: Picture | None


@dataclass(frozen=True, slots=True)
class Group:
    """A section with its figures.

    Attributes:
        heads: of the columns of changes.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """A change divided by a dimension.

    Attributes:
        rows: texts per value: the value, the metric before and now, and its effects.
    """

    title: str
    change: Cell
    against: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the pipeline's health."""

    label: str
    state: Cell
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """All that a report shows.

    Attributes:
        summary: headline figures in one line.
        verdict: how much is unusual.
        problems: how many lines of the health need a look; None if none does.
    """

    title: str
    period: str
    subject: str
    summary: str
    verdict: Cell
    problems: Cell | None
    groups: tuple[Group, ...]
    unusual: tuple[Cell, ...]
    charts: tuple[Picture, ...]
    charted: tuple[str, ...]
    moved: tuple[Moved, ...]
    health: tuple[Line, ...]
    notes: tuple[str, ...]

    def pictures(self) -> dict[str, Picture]:
        """All charts by name."""
        sparks = [row.spark for group in self.groups for row in group.rows if row.spark]
        return {item.name: item for item in (*sparks, *self.charts)}
