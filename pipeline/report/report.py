"""A report, computed from one release."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from ingest.errors import ConfigError
from pipeline.metrics.definition import Metric
from pipeline.metrics.query import covered
from pipeline.releases.release import Release
from pipeline.report.definition import ReportDefinition
from pipeline.report.figures import Figure, read_figures
from pipeline.report.health import Fact, health
from pipeline.report.movement import Movement, movement_of
from pipeline.report.span import Span
from pipeline.report.unusual import Course, Unusual, courses


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says.

    Attributes:
        span: the newest period that any of its metrics has completely.
        figures: by metric; one whose table is not as far has the last period that is complete there.
        currency: the reporting currency, ISO code; empty if unknown.
    """

    definition: ReportDefinition
    span: Span
    release: int
    figures: Mapping[str, Figure]
    courses: tuple[Course, ...]
    movements: tuple[Movement, ...]
    health: tuple[Fact, ...]
    currency: str = ""

    @property
    def unusual(self) -> list[Unusual]:
        """What is unusual, the farthest from usual first."""
        found = (item for course in self.courses for item in course.unusual)
        return sorted(found, key=lambda item: -item.distance)

    def lags(self, figure: Figure) -> bool:
        """Whether a figure is about an earlier period than the report."""
        return figure.span.grain == self.span.grain and figure.span != self.span


def make_report(
    definition: ReportDefinition,
    definitions: Mapping[str, Metric],
    release: Release,
    connection: duckdb.DuckDBPyConnection,
    now: dt.datetime,
    minimum_group: int,
    withheld: bool = False,
    is_current: bool = True,
    currency: str = "",
) -> Report:
    """Compute a report.

    Args:
        definitions: of the metrics.
        connection: to the release, see `Releases.connect`.
        now: with a time zone.
        minimum_group: size of a group from which on a value of a dimension may be named.
        withheld, is_current: see `health`.
        currency: ISO code of the reporting currency.

    Raises:
        ConfigError: the release has no complete period yet, or lacks a table.
    """
    definitions = definition.labelled(definitions)
    newest = release.published_at.astimezone(dt.UTC).date() - dt.timedelta(days=1)
    grain = definition.grain
    covers = {name: covered(connection, definitions, [name]) for name in definition.metrics()}
    figures = read_figures(connection, definitions, covers, grain, newest)
    own = [item.span for item in figures.values() if item.span.grain == grain]
    if not own:
        raise ConfigError(
            f"release {release.number} has no complete {definition.period} yet: a report needs a {definition.period} "
            "that is over and computed; run `lake run` once it is"
        )
    explained = [item for section in definition.sections for item in section.explain.items() if item[0] in figures]
    movements = (movement_of(connection, definitions, figures[name], by, minimum_group) for name, by in explained)
    complete: dict[str, dt.date | None] = {}
    for section in definition.sections:
        ends = [covers[name][1] for name in section.metrics if grain in definitions[name].grains]
        if ends:
            complete[section.title] = min([newest, *filter(None, ends)]) if all(ends) else None
    span = max(own)
    return Report(
        definition,
        span,
        release.number,
        figures,
        tuple(courses(connection, definitions, figures, grain)),
        tuple(item for item in movements if item),
        tuple(health(release, connection, span, complete, now, withheld, is_current)),
        currency,
    )
