"""The definitions of metrics, read from metrics/<domain>.yaml.

owner: engagement
tables:                       what the metrics of a table share; a metric may state its own
  gold.plays_daily:
    time: date
    grains: [day, week, month]
    dimensions: {country_code: Country}
metrics:
  plays: {label: Plays, description: …, unit: plays, format: integer, table: gold.plays_daily,
          measure: {sum: plays}, direction: up, synonyms: [sessions]}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ingest.definitions import faults, read_mapping
from ingest.errors import ConfigError
from pipeline.metrics.measure import Kind, Measure, condition, fixed_columns
from pipeline.metrics.period import SUFFIXES, Grain

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TABLE = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
SHARED = ("time", "grains", "dimensions", "not_over")
"""Fields that the metrics of a table share."""
_RESERVED = (*Grain, "period", "value")
"""Names that have a meaning of their own in queries and their results."""
REPORTING_CURRENCY = "reporting_currency"
"""Unit of amounts in the project's currency, and the variable of config.yaml with its ISO code."""


class Format(StrEnum):
    """How a value is shown: a share as percent, seconds as a duration."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    PERCENT = "percent"
    CURRENCY = "currency"
    DURATION = "duration"


class Direction(StrEnum):
    """Which change is good news."""

    UP = "up"
    DOWN = "down"
    NONE = "none"


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or value in _RESERVED or value.endswith(SUFFIXES):
        raise ValueError(
            f"'{value}' is not a valid name; expected lower_snake_case, none of {', '.join(_RESERVED)}, not ending in "
            f"{', '.join(SUFFIXES)}"
        )
    return value


def _column(value: str) -> str:
    if not _NAME.fullmatch(value) or value in _RESERVED:
        raise ValueError(f"'{value}' is not a column; expected lower_snake_case, none of {', '.join(_RESERVED)}")
    return value


def _table(value: str) -> str:
    if not _TABLE.fullmatch(value):
        raise ValueError(f"'{value}' is not a table; expected schema.table, for instance gold.rpt_mrr_monthly")
    return value


def _where(value: str) -> str:
    condition(value)
    return value


class Metric(BaseModel):
    """One metric, complete: what its table shares and, for a ratio, what its parts share is filled in.

    Attributes:
        name: unique over all domains.
        domain: the name of its file.
        unit: what is counted, for instance plays; `reporting_currency` for money.
        table: the published table that it is computed from.
        time: date column of the table; in a periodic table the first day of the period.
        grains: periods that it can be reported by, finest first: that is the period of one row of the table.
        dimensions: columns of the table by which it can be grouped and filtered, with labels.
        not_over: dimensions over which it must not be summed: a query groups by them or fixes each to one value. For a
            stored metric all of them, unless some are named because the others follow from those.
        additive_reason: why a column may be summed although the comment in its model does not say so.
        where: the condition for the rows that the metric is about; empty for all, and for a ratio, whose parts have
            their own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, AfterValidator(_name)]
    domain: str
    owner: str = Field(min_length=1)
    label: str = Field(min_length=1)
    description: str = Field(min_length=1)
    unit: str = Field(min_length=1)
    format: Format
    table: Annotated[str, AfterValidator(_table)]
    time: str
    grains: tuple[Grain, ...] = Field(min_length=1)
    measure: Measure
    dimensions: Mapping[Annotated[str, AfterValidator(_column)], str] = Field(default_factory=dict)
    not_over: tuple[str, ...] = ()
    where: Annotated[str, AfterValidator(lambda value: value and _where(value))] = ""
    direction: Direction
    synonyms: tuple[str, ...] = ()
    additive_reason: str = ""

    @property
    def kind(self) -> Kind:
        """What may be summed."""
        return self.measure.kind

    def verdict(self, change: float | Decimal) -> int:
        """Whether a change is news: 1 for good news, -1 for bad, 0 for neither."""
        good = {Direction.UP: 1, Direction.DOWN: -1, Direction.NONE: 0}[self.direction]
        return good * ((change > 0) - (change < 0))

    def fixed(self) -> set[str]:
        """Columns that `where` fixes to one value."""
        return fixed_columns(self.where)


def load_metrics(folder: Path) -> dict[str, Metric]:
    """Read all definitions of a project.

    Args:
        folder: the folder with one YAML file per domain.

    Returns:
        The metrics by name, in the order of files and definitions; empty if there is no such folder.

    Raises:
        ConfigError: a definition is wrong; the message names file, metric and what was expected.
    """
    found: dict[str, Metric] = {}
    for path in sorted(folder.glob("*.yaml")):
        raw = read_mapping(path, "owner, tables and metrics")
        tables = _mapping(raw.pop("tables", {}), f"{path}: tables")
        metrics = _mapping(raw.pop("metrics", {}), f"{path}: metrics")
        owner = raw.pop("owner", "")
        if raw:
            raise ConfigError(f"{path}: unknown field {next(iter(raw))}; expected owner, tables and metrics")
        own: dict[str, dict[str, Any]] = {}
        for name, fields in metrics.items():
            place = f"{path}: metric {name}"
            fields = {"owner": owner} | _mapping(fields, place)
            own[name] = _shared(tables, fields, place) | fields
        if circle := _circle({name: _ratio(fields) for name, fields in own.items()}):
            raise ConfigError(f"{path}: metric {circle}; expected metrics of the same file, and no circle")
        for name in own:
            place = f"{path}: metric {name}"
            if name in found:
                raise ConfigError(f"{place} is already defined in {found[name].domain}.yaml; expected a unique name")
            found[name] = _metric(name, path.stem, _inherited(own, name, place), place)
    if circle := _circle({name: metric.measure.ratio for name, metric in found.items()}):
        raise ConfigError(f"{folder}: metric {circle}; expected metrics of the same file, and no circle")
    dimensions = {name: metric.name for metric in found.values() for name in metric.dimensions}
    for metric in found.values():
        if metric.name in dimensions:
            raise ConfigError(
                f"{folder / metric.domain}.yaml: metric {metric.name} has the name of a dimension of "
                f"{dimensions[metric.name]}; expected another name"
            )
        _check_ratio(found, metric, folder / f"{metric.domain}.yaml")
    return found


def _mapping(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        found = "empty" if value is None else "a list" if isinstance(value, list) else f"'{value}'"
        raise ConfigError(f"{place} is {found}; expected a mapping, `name: value`")
    return {str(key): item for key, item in value.items()}


def _shared(tables: Mapping[str, Any], fields: Mapping[str, Any], place: str) -> dict[str, Any]:
    """What the metric's table states for all of its metrics."""
    table = fields.get("table")
    shared = _mapping(tables.get(table, {}) if isinstance(table, str) else {}, f"{place}: its table")
    if unknown := sorted(set(shared) - set(SHARED)):
        raise ConfigError(f"{place}: its table has the field {unknown[0]}; expected {', '.join(SHARED)}")
    return shared


def _ratio(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that a definition divides, before it is checked; empty if it is none of a ratio."""
    measure = fields.get("measure")
    parts = measure.get(Kind.RATIO) if isinstance(measure, dict) else None
    return tuple(map(str, parts)) if isinstance(parts, list) else ()


def _circle(ratios: Mapping[str, tuple[str, ...]]) -> str:
    """A metric that is computed from itself, in words to be read after `metric`; empty if there is none."""
    try:
        TopologicalSorter(ratios).prepare()
    except CycleError as error:
        part, name, *_ = error.args[1]
        return f"{name}: ratio of {part}"
    return ""


def _inherited(own: Mapping[str, dict[str, Any]], name: str, place: str) -> dict[str, Any]:
    """Fill in what a ratio shares with its numerator."""
    fields = own[name]
    parts = _ratio(fields)
    if not parts or "table" in fields:
        return fields
    if parts[0] not in own:
        raise ConfigError(f"{place}: ratio of {parts[0]}; expected metrics of the same file, and no circle")
    numerator = _inherited(own, parts[0], place)
    return {field: numerator[field] for field in ("table", *SHARED) if field in numerator} | fields


def _metric(name: str, domain: str, fields: dict[str, Any], place: str) -> Metric:
    try:
        return Metric(**{"name": name, "domain": domain} | fields)
    except ValidationError as error:
        raise ConfigError(f"{place}: {faults(error)}") from None


def _check_ratio(definitions: Mapping[str, Metric], metric: Metric, path: Path) -> None:
    place = f"{path}: metric {metric.name}"
    for name in metric.not_over:
        if name not in metric.dimensions:
            raise ConfigError(f"{place}: not_over {name}; expected one of its dimensions")
    if metric.where and metric.measure.ratio:
        raise ConfigError(f"{place}: where {metric.where}; expected it at the parts of the ratio, each has its own")
    for name in metric.measure.ratio:
        if name not in definitions:
            raise ConfigError(f"{place}: ratio of {name}, which is not defined; expected metrics of the same file")
        part = definitions[name]
        if part.kind == Kind.STORED:
            raise ConfigError(f"{place}: ratio of {name}, which is stored; expected metrics whose parts can be summed")
        if (part.table, part.time) != (metric.table, metric.time):
            raise ConfigError(f"{place}: {name} is computed from {part.table}; expected {metric.table}, as the ratio")
        if lacking := sorted(set(metric.dimensions) - set(part.dimensions)):
            raise ConfigError(f"{place}: {name} lacks the dimension {lacking[0]}; expected those of the ratio")


def base_names(definitions: Mapping[str, Metric], name: str) -> tuple[str, ...]:
    """The metrics other than ratios that a metric is computed from: itself, or those of its numerator, then those of
    its denominator."""
    ratio = definitions[name].measure.ratio
    return tuple(base for part in ratio for base in base_names(definitions, part)) or (name,)
