"""What a query asks for, and whether it can be answered: refusals state the reason."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from ingest.errors import ConfigError
from ingest.text import printable
from pipeline.metrics.definition import Metric, base_names
from pipeline.metrics.filters import Filter
from pipeline.metrics.measure import Kind
from pipeline.metrics.period import Compare, Grain


@dataclass(frozen=True, slots=True)
class Query:
    """What to compute.

    Attributes:
        metrics: names.
        by: dimensions to group by.
        grain: periods to group by; None for one value over the whole range.
        where: filters, all of which hold.
        since: first date, inclusive; None from the beginning. A row of a periodic table counts by the first day of
            its period.
        until: last date, inclusive; None to the end.
        compare: what each value is compared with; None for nothing.
        totals: whether to compute the totals over all rows.
    """

    metrics: tuple[str, ...]
    by: tuple[str, ...] = ()
    grain: Grain | None = None
    where: tuple[Filter, ...] = ()
    since: dt.date | None = None
    until: dt.date | None = None
    compare: Compare | None = None
    totals: bool = True


def split_by(text: str) -> tuple[Grain | None, tuple[str, ...]]:
    """Split `week,country_code` into a grain and dimensions.

    Raises:
        ConfigError: it has two grains.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    grains = [name for name in names if name in tuple(Grain)]
    if len(grains) > 1:
        raise ConfigError(f"{' and '.join(grains)} are two grains; expected at most one")
    return (Grain(grains[0]) if grains else None), tuple(dict.fromkeys(name for name in names if name not in grains))


def check(definitions: Mapping[str, Metric], query: Query) -> None:
    """Check that a query has one correct answer.

    Raises:
        ConfigError: a metric or dimension does not exist, or a value would be a sum of what cannot be summed.
    """
    if not query.metrics:
        raise ConfigError("no metric is named; expected at least one, `lake metrics list` shows them")
    for name in query.metrics:
        known(definitions, name)
    for name in query.metrics:
        if reason := refusal(definitions, name, query):
            raise ConfigError(f"{name} {reason}")
    _check_shared(definitions, query)
    check_range(query)


def check_range(query: Query, is_closed: bool = True) -> None:
    """Check the range of dates of a query.

    Args:
        is_closed: whether a comparison without a grain needs both ends, rather than one.

    Raises:
        ConfigError: it ends before it begins, or what it is compared with is not determined.
    """
    if query.since and query.until and query.since > query.until:
        raise ConfigError(f"since {query.since} is after until {query.until}; expected a range of dates")
    ends = bool(query.since) + bool(query.until)
    if query.compare and not query.grain and ends < (2 if is_closed else 1):
        raise ConfigError("a comparison needs a grain, or since and until: all of the past has nothing before it")


def known(definitions: Mapping[str, Metric], name: str) -> Metric:
    """The metric of a name.

    Raises:
        ConfigError: there is none; the message names the nearest names and synonyms.
    """
    if name in definitions:
        return definitions[name]
    words = {word.lower(): item.name for item in definitions.values() for word in (*item.synonyms, item.label)}
    words |= {item.replace("_", " "): item for item in definitions}
    asked = name.lower().replace("_", " ")
    near = [asked] if asked in words else get_close_matches(asked, words, 5, 0.6)
    found = list(dict.fromkeys(words[word] for word in near))[:3]
    hint = f"did you mean {' or '.join(found)}?" if found else "`lake metrics list` shows them"
    raise ConfigError(f"there is no metric '{printable(name)}'; {hint}")


def refusal(definitions: Mapping[str, Metric], name: str, query: Query) -> str:
    """The reason why a metric cannot be computed for a query, to be read after its name; empty if it can."""
    for base in dict.fromkeys((name, *base_names(definitions, name))):
        if reason := _refusal(definitions[base], query):
            return reason if base == name else f"is computed from {base}, which {reason}"
    return ""


def _refusal(metric: Metric, query: Query) -> str:
    for dimension in (*query.by, *(item.dimension for item in query.where)):
        if dimension not in metric.dimensions:
            return f"has no dimension '{printable(dimension)}'; it has {', '.join(metric.dimensions) or 'none'}"
    if query.grain and query.grain not in metric.grains:
        return f"is not known by {query.grain}; it is by {', '.join(metric.grains)}"
    if metric.kind == Kind.STORED and query.grain is None:
        return f"is stored per {metric.grains[0]} and cannot be summed over time; group it by {metric.grains[0]}"
    free = set(metric.not_over or (metric.dimensions if metric.kind == Kind.STORED else ()))
    free -= metric.fixed() | set(query.by) | {item.dimension for item in query.where if item.fixes()}
    if free:
        first = next(name for name in metric.dimensions if name in free)
        return f"cannot be summed over {first}; group by it or fix it to one value"
    return ""


def _check_shared(definitions: Mapping[str, Metric], query: Query) -> None:
    """Refuse to join metrics on dimensions that only have the same name."""
    for dimension in (*query.by, *(item.dimension for item in query.where)):
        labels = {definitions[name].dimensions[dimension]: name for name in query.metrics}
        if len(labels) > 1:
            (label, name), (other, second) = list(labels.items())[:2]
            raise ConfigError(
                f"{dimension} is '{label}' of {name}, but '{other}' of {second}: they cannot be joined; "
                "query them one by one"
            )
