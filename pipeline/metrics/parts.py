"""The parts of metrics per period and value of one dimension, from which a page computes sums of its own.

A metric is computed from parts of one table. For any set of the rows, with `period` as they are or within a range:

    sum, count   the sum of the part
    last         the sum of the part over the rows of the last period that any row of the result has
    stored       the part itself, for one row
    ratio        numerator ÷ denominator, each computed as above; unknown if the denominator is 0

That equals `answer` for the same range and filter on the dimension.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from ingest.errors import ConfigError
from pipeline.metrics.definition import Metric, base_names
from pipeline.metrics.period import Grain
from pipeline.metrics.query import Query, known, refusal
from pipeline.metrics.scan import PERIOD, column, scans

VALUE = "value"


def part_names(metric: Metric) -> tuple[str, ...]:
    """The metrics that a metric is computed from: itself, or numerator and denominator."""
    return metric.measure.ratio or (metric.name,)


def parts(
    definitions: Mapping[str, Metric], names: Sequence[str], grain: Grain | str, dimension: str | None = None
) -> exp.Select:
    """The parts of metrics of one table and condition.

    Args:
        dimension: the dimension by whose values the parts are divided; None for no division.

    Returns:
        A query with the columns `period`, `value` (of the dimension, as text, NULL for unknown; without a dimension
        NULL), and one per part, ordered by the first two.

    Raises:
        ConfigError: a metric is unknown, cannot be divided so, or is of another table.
    """
    grain = Grain(grain)
    for name in names:
        known(definitions, name)
        query = Query((name,), (dimension,) if dimension else (), grain)
        if reason := refusal(definitions, name, query):
            raise ConfigError(f"{name} {reason}")
    bases = [
        definitions[name] for name in dict.fromkeys(base for name in names for base in base_names(definitions, name))
    ]
    read, *others = scans(bases, grain, (dimension,) if dimension else (), (), (None, None))
    if others:
        first, second = read.metrics[0], others[0].metrics[0]
        raise ConfigError(f"{first.name} and {second.name} differ in table or condition; expected parts of one")
    value = exp.cast(column(dimension), "TEXT") if dimension else exp.cast(exp.Null(), "TEXT")
    query = exp.select(column(PERIOD), value.as_(VALUE, quoted=True), *(column(metric.name) for metric in read.metrics))
    for name, cte in read.ctes():
        query = query.with_(name, as_=cte) if name == read.name or read.has_last() else query
    order = [exp.Ordered(this=column(name), nulls_first=False) for name in (PERIOD, VALUE)]
    return query.from_(read.name).order_by(*order)
