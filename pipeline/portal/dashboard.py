"""Dashboards, read from dashboards/<name>.yaml: a page with tiles over metrics.

title: Engagement
question: How much do children play, and do they finish?
owner: engagement
order: 2                      place in the navigation
filters: [country_code]       dimensions by which the page can be filtered, one at a time
tiles:
  - {kind: number, metrics: [plays], width: 3}
  - {kind: stacked, metrics: [plays], by: os_name, title: Plays by system, question: Where is it played?}
  - {kind: table, sql: SELECT theme, exit_count FROM gold.q1_completion_rate, title: Themes}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ingest.definitions import faults, read_mapping
from ingest.errors import ConfigError
from pipeline.metrics.definition import Metric
from pipeline.metrics.measure import Kind as Measured
from pipeline.metrics.period import Grain
from pipeline.portal.table import Shown, tables_of

_NAME = re.compile(r"[a-z][a-z0-9_]*")
RESERVED = frozenset({"catalog", "metrics", "page"})
"""First parts of addresses that are not dashboards."""


class Kind(StrEnum):
    """What a tile shows."""

    NUMBER = "number"
    LINE = "line"
    BAR = "bar"
    STACKED = "stacked"
    HEATMAP = "heatmap"
    COHORT = "cohort"
    WATERFALL = "waterfall"
    FUNNEL = "funnel"
    TABLE = "table"
    TEXT = "text"
    SECTION = "section"


class Tile(BaseModel):
    """One tile.

    Attributes:
        id: its place on the page, the key in addresses and file names; unique per page.
        metrics: names; of a waterfall the balance and then what changes it.
        by: a dimension of the metrics by whose values it is divided.
        grain: the shortest period that it shows; by default what suits the page's period.
        sql: for a table that no metric has, the query that it shows.
        columns: how columns of `sql` are shown, by name.
        labels: shorter labels for metrics of this tile, by name.
        values: labels of the dimension's values, by value.
        order: `value` to sort the dimension's values by themselves, otherwise by size.
        limit: bars shown of many; the table has all.
        width: columns of twelve.
        height: of the chart, pixels.
        text: of a text or section; paragraphs are separated by an empty line.
        empty: what a table says that has no rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = ""
    kind: Kind
    title: str = ""
    question: str = ""
    metrics: tuple[str, ...] = ()
    by: str | None = None
    grain: Grain | None = None
    sql: str = ""
    columns: Mapping[str, Shown] = Field(default_factory=dict)
    labels: Mapping[str, str] = Field(default_factory=dict)
    values: Mapping[str, str] = Field(default_factory=dict)
    order: Literal["size", "value"] = "size"
    limit: int = Field(default=10, ge=1, le=50)
    width: Literal[2, 3, 4, 5, 6, 7, 8, 9, 12] = 6
    height: int | None = Field(default=None, ge=100, le=800)
    text: str = ""
    empty: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """Require what the kind needs."""
        needs_text = self.kind in (Kind.TEXT, Kind.SECTION)
        if needs_text and (self.metrics or self.sql):
            raise ValueError(f"{self.kind} has metrics or sql; expected a title and text alone")
        if needs_text and not self.title:
            raise ValueError(f"{self.kind} has no title; expected one")
        if self.kind == Kind.TEXT and not self.text:
            raise ValueError("text is empty; expected what the tile says")
        if self.sql and (self.kind != Kind.TABLE or self.metrics):
            raise ValueError("sql is for a table without metrics; expected one of metrics and sql")
        if self.sql and not self.title:
            raise ValueError("a table over sql has no title; expected one")
        if not needs_text and not self.sql and not self.metrics:
            raise ValueError(f"{self.kind} has no metrics; expected at least one")
        if self.kind in (Kind.STACKED, Kind.HEATMAP, Kind.COHORT) and not self.by:
            raise ValueError(f"{self.kind} has no `by`; expected a dimension of its metric")
        if self.kind in (Kind.NUMBER, Kind.WATERFALL, Kind.FUNNEL) and self.by:
            raise ValueError(f"{self.kind} has `by`; expected none")
        if self.kind in (Kind.WATERFALL, Kind.FUNNEL) and len(self.metrics) < 2:
            raise ValueError(f"{self.kind} has one metric; expected at least two")
        if self.kind in (Kind.NUMBER, Kind.STACKED, Kind.HEATMAP, Kind.COHORT) and len(self.metrics) > 1:
            raise ValueError(f"{self.kind} has {len(self.metrics)} metrics; expected one")
        return self


class Dashboard(BaseModel):
    """One page.

    Attributes:
        name: of its file, and in its address.
        filters: dimensions by which the page can be filtered.
        period: what it shows at first.
        until: the last day that it shows: `complete` for that of the release, `newest` for the newest of its own
            numbers, where they are dated by when something was done, not by what it is about.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    order: int = 100
    filters: tuple[str, ...] = ()
    period: Literal["7d", "28d", "90d", "12m", "all"] = "28d"
    until: Literal["complete", "newest"] = "complete"
    tiles: tuple[Tile, ...] = Field(min_length=1)

    def metrics(self) -> tuple[str, ...]:
        """The metrics that its tiles show, each once."""
        return tuple(dict.fromkeys(name for tile in self.tiles for name in tile.metrics))

    def tables(self) -> set[str]:
        """The tables that its queries read, besides those of its metrics."""
        return {table for tile in self.tiles if tile.sql for table in tables_of(tile.sql)}


def load_dashboards(folder: Path, metrics: Mapping[str, Metric]) -> list[Dashboard]:
    """Read all dashboards of a project, in the order of the navigation.

    Args:
        folder: the folder with one YAML file per page; none if it does not exist.
        metrics: the definitions that tiles may show.

    Raises:
        ConfigError: a dashboard is wrong; the message names file, tile and what was expected.
    """
    found = [_dashboard(path, metrics) for path in sorted(folder.glob("*.yaml"))]
    return sorted(found, key=lambda item: (item.order, item.name))


def _dashboard(path: Path, metrics: Mapping[str, Metric]) -> Dashboard:
    name = path.stem
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise ConfigError(f"{path}: '{name}' cannot be a page; expected lower_snake_case, not {', '.join(RESERVED)}")
    raw = read_mapping(path, "a mapping with title, question, owner and tiles")
    try:
        page = Dashboard.model_validate({"name": name} | raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {faults(error, count_from=1)}") from None
    tiles = []
    for number, tile in enumerate(page.tiles, 1):
        _check(path, number, tile, metrics)
        title = tile.title or metrics[tile.metrics[0]].label
        tiles.append(tile.model_copy(update={"id": _id(tile, number), "title": title}))
    used = [metrics[item] for tile in tiles for item in tile.metrics]
    for dimension in page.filters:
        if not any(dimension in metric.dimensions for metric in used):
            raise ConfigError(f"{path}: filters: {dimension} is no dimension of its metrics; expected one of theirs")
    return page.model_copy(update={"tiles": tuple(tiles)})


def _id(tile: Tile, number: int) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", (tile.title or "-".join(tile.metrics)).lower()).strip("-")
    return f"{number}-{words}"[:60]


def _check(path: Path, number: int, tile: Tile, metrics: Mapping[str, Metric]) -> None:
    place = f"{path}: tile {number}"
    for name in tile.metrics:
        if name not in metrics:
            raise ConfigError(f"{place}: there is no metric {name}; expected one of metrics/, see `lake metrics list`")
        metric = metrics[name]
        if tile.by and tile.by not in metric.dimensions:
            has = ", ".join(metric.dimensions) or "none"
            raise ConfigError(f"{place}: {name} has no dimension {tile.by}; it has {has}")
        if tile.kind == Kind.STACKED and tile.by in metric.not_over:
            raise ConfigError(
                f"{place}: {name} must not be summed over {tile.by}; expected line, bar or table, not stacked"
            )
    if tile.sql:
        try:
            tables_of(tile.sql)
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from None
    if tile.kind == Kind.TABLE:
        return
    formats = {metrics[name].format for name in tile.metrics}
    if len(formats) > 1 and not (tile.kind == Kind.BAR and tile.by):
        raise ConfigError(
            f"{place}: its metrics have the formats {', '.join(sorted(formats))}; expected one axis for all"
        )
    if tile.kind == Kind.WATERFALL and metrics[tile.metrics[0]].kind != Measured.LAST:
        raise ConfigError(f"{place}: {tile.metrics[0]} is no balance; expected a metric of kind `last` first")
