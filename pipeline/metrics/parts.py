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
from pipeline.metrics.compile import JOINED, joined
from pipeline.metrics.definition import Metric, base_names
from pipeline.metrics.period import Grain
from pipeline.metrics.request import Query, known, refusal
from pipeline.metrics.scan import PERIOD, column, scans

VALUE = "value"


def parts(
    definitions: Mapping[str, Metric], names: Sequence[str], grain: Grain | str, dimension: str | None = None
) -> exp.Select:
    """The parts of metrics of one table.

    Args:
        dimension: the dimension by whose values the parts are divided; None for no division.

    Returns:
        A query with the columns `period`, `value` (of the dimension, as text, NULL for unknown; without a dimension
        NULL), and one per part, ordered by the first two.

    Raises:
        ConfigError: a metric is unknown, cannot be divided so, or is computed from another table than the first.
    """
    grain = Grain(grain)
    for name in names:
        known(definitions, name)
        if reason := refusal(definitions, name, Query((name,), (dimension,) if dimension else (), grain)):
            raise ConfigError(f"{name} {reason}")
    wanted = dict.fromkeys(base for name in names for base in base_names(definitions, name))
    bases = [definitions[name] for name in wanted]
    keys = [PERIOD, *([dimension] if dimension else [])]
    reads = scans(bases, grain, tuple(keys[1:]), (), (None, None))
    for read in reads:
        if read.metrics[0].table != bases[0].table:
            raise ConfigError(
                f"{bases[0].name} is computed from {bases[0].table}, but {read.metrics[0].name} from "
                f"{read.metrics[0].table}; expected metrics of one table"
            )
    value = exp.cast(column(dimension) if dimension else exp.Null(), "TEXT").as_(VALUE, quoted=True)
    built = exp.select(column(PERIOD), value, *(column(metric.name) for metric in bases)).from_(JOINED)
    for name, step in (*(step for read in reads for step in read.ctes()), (JOINED, joined(reads, keys))):
        built = built.with_(name, as_=step)
    return built.order_by(*(exp.Ordered(this=column(name), nulls_first=False) for name in (PERIOD, VALUE)))
