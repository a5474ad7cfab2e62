"""The definitions of reports, read from reports/<name>.yaml.

title: Daily report
owner: analytics
period: day                     day or week: what one report is about
headline: [plays, mrr_daily]    metrics of its subject
sections:
  - title: Engagement
    metrics: [plays, completion_rate]
    labels: {plays: Plays}      shorter labels for this report
    explain: {plays: [country_code, os_name]}   metrics whose change is divided, and the dimensions to try
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ingest.definitions import faults, read_mapping
from ingest.errors import ConfigError
from ingest.text import printable
from pipeline.metrics.definition import Format, Metric
from pipeline.metrics.measure import Kind
from pipeline.metrics.period import Grain
from pipeline.metrics.request import Query, refusal

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Section(BaseModel):
    """A group of figures, usually of one domain.

    Attributes:
        metrics: names. One that is not known by the report's period is shown by its shortest longer one.
        labels: labels in this report, by name.
        explain: those of them whose change is divided, with the dimensions of which the one that moved most is shown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1)
    metrics: tuple[str, ...] = Field(min_length=1)
    labels: Mapping[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    explain: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)


class ReportDefinition(BaseModel):
    """One report.

    Attributes:
        name: of its file.
        period: the grain of what one report is about.
        headline: the metrics of its subject.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    period: Literal["day", "week"]
    headline: tuple[str, ...] = Field(min_length=1, max_length=3)
    sections: tuple[Section, ...] = Field(min_length=1)

    @property
    def grain(self) -> Grain:
        """The grain of its period."""
        return Grain(self.period)

    def labelled(self, metrics: Mapping[str, Metric]) -> dict[str, Metric]:
        """The definitions of metrics with the labels of this report."""
        labels = {name: label for section in self.sections for name, label in section.labels.items()}
        return {**metrics} | {name: metrics[name].model_copy(update={"label": label}) for name, label in labels.items()}

    def metrics(self) -> tuple[str, ...]:
        """The metrics of all sections, each once."""
        return tuple(dict.fromkeys(name for section in self.sections for name in section.metrics))


def load_reports(folder: Path, metrics: Mapping[str, Metric]) -> dict[str, ReportDefinition]:
    """Read all definitions of a project.

    Args:
        folder: the folder with one YAML file per report; none if it does not exist.
        metrics: the definitions that reports may name.

    Raises:
        ConfigError: a definition is wrong; the message names file, place and what was expected.
    """
    return {path.stem: _report(path, metrics) for path in sorted(folder.glob("*.yaml"))}


def known_report(reports: Mapping[str, ReportDefinition], name: str) -> ReportDefinition:
    """The report of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in reports:
        have = f"expected one of {', '.join(reports)}" if reports else "reports/ has none"
        raise ConfigError(f"there is no report '{printable(name)}'; {have}. docs/reports.md explains how to add one")
    return reports[name]


def grain_of(metric: Metric, period: Grain) -> Grain:
    """The grain by which a report of a period shows a metric: that period, or the metric's shortest longer one.

    Raises:
        ConfigError: the metric has none.
    """
    order = list(Grain)
    for grain in order[order.index(period) :]:
        if grain in metric.grains:
            return grain
    raise ConfigError(f"{metric.name} is known by {', '.join(metric.grains)}; expected {period} or a longer period")


def _report(path: Path, metrics: Mapping[str, Metric]) -> ReportDefinition:
    if not _NAME.fullmatch(path.stem):
        raise ConfigError(f"{path}: '{path.stem}' cannot be a report; expected lower_snake_case")
    raw = read_mapping(path, "title, owner, period, headline and sections")
    try:
        report = ReportDefinition.model_validate({"name": path.stem} | raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {faults(error)}") from None
    titles = [section.title for section in report.sections]
    for section in report.sections:
        if titles.count(section.title) > 1:
            raise ConfigError(f"{path}: two sections have the title {section.title}; expected another title for one")
        _check(f"{path}: section {section.title}", section, report.grain, metrics)
    for name in report.headline:
        if name not in report.metrics():
            raise ConfigError(f"{path}: headline: {name}; expected metrics of its sections")
    return report


def _check(place: str, section: Section, period: Grain, metrics: Mapping[str, Metric]) -> None:
    for name in section.metrics:
        if name not in metrics:
            raise ConfigError(f"{place}: there is no metric {name}; `lake metrics list` shows them")
        try:
            grain = grain_of(metrics[name], period)
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from None
        if reason := refusal(metrics, name, Query((name,), grain=grain)):
            raise ConfigError(f"{place}: {name} {reason}")
    for name in section.labels:
        if name not in section.metrics:
            raise ConfigError(f"{place}: labels: {name}; expected metrics of the section")
    for name, dimensions in section.explain.items():
        if name not in section.metrics:
            raise ConfigError(f"{place}: explain: {name}; expected metrics of the section")
        if reason := _unexplained(metrics, metrics[name], dimensions):
            raise ConfigError(f"{place}: explain: {name} {reason}")


def _unexplained(metrics: Mapping[str, Metric], metric: Metric, dimensions: Sequence[str]) -> str:
    """The reason why a change cannot be divided by dimensions, to be read after the metric's name; empty if it can."""
    for dimension in dimensions:
        if dimension not in metric.dimensions:
            return f"has no dimension '{printable(dimension)}'; it has {', '.join(metric.dimensions) or 'none'}"
        if dimension in metric.not_over:
            return f"cannot be summed over {dimension}; expected other dimensions"
    if not dimensions:
        return f"names no dimension; expected some of {', '.join(metric.dimensions)}"
    if metric.kind == Kind.STORED:
        return "is stored: its values do not add up over dimensions"
    if any(metrics[part].kind == Kind.RATIO for part in metric.measure.ratio):
        return "is a ratio of ratios, whose change has no single mix and rate effect"
    counted = metrics[metric.measure.ratio[1]] if metric.measure.ratio else metric
    if counted.format != Format.INTEGER:
        return "counts nothing, so small groups would not be recognised; expected a count, or a ratio to one"
    return ""
