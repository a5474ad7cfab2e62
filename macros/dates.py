"""Days and times as numbers, equal on every engine.

SQLMesh finds the macros that models call in macros/.
"""

from __future__ import annotations

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()  # type: ignore[untyped-decorator]  # SQLMesh publishes no types
def day_of_week(evaluator: MacroEvaluator, day: exp.Expression) -> exp.Expression:
    """The day of the week of a DATE or TIMESTAMP, 1 for Monday to 7 for Sunday (ISO 8601).

    `@DAY_OF_WEEK(d)` → `(DATE_DIFF('DAY', CAST(DATE_TRUNC('WEEK', d) AS DATE), CAST(d AS DATE)) + 1)`
    """
    monday = exp.cast(exp.TimestampTrunc(this=day.copy(), unit=exp.Var(this="WEEK")), "DATE")
    days = exp.DateDiff(this=exp.cast(day.copy(), "DATE"), expression=monday, unit=exp.Var(this="DAY"))
    return exp.paren(exp.Add(this=days, expression=exp.Literal.number(1)))


@macro()  # type: ignore[untyped-decorator]
def epoch_seconds(evaluator: MacroEvaluator, time: exp.Expression) -> exp.Expression:
    """Whole seconds from 1970-01-01 00:00:00 UTC to a TIMESTAMP; the fraction is dropped.

    `@EPOCH_SECONDS(t)` → `DATE_DIFF('SECOND', CAST('1970-01-01 00:00:00' AS TIMESTAMP), DATE_TRUNC('SECOND', t))`
    """
    start = exp.cast(exp.Literal.string("1970-01-01 00:00:00"), exp.DataType.build("TIMESTAMP", dialect="duckdb"))
    unit = exp.Var(this="SECOND")
    whole = exp.TimestampTrunc(this=time.copy(), unit=unit)
    return exp.DateDiff(this=whole, expression=start, unit=unit.copy())


@macro()  # type: ignore[untyped-decorator]
def business_date(evaluator: MacroEvaluator, time: exp.Expression) -> exp.Expression:
    """The date of a UTC TIMESTAMP by the clock in `reporting_timezone`, an IANA name in config.yaml.

    `@BUSINESS_DATE(t)` → `CAST(t AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin' AS DATE)`
    """
    zone = evaluator.var("reporting_timezone")
    there = exp.ConvertTimezone(
        source_tz=exp.Literal.string("UTC"), target_tz=exp.Literal.string(str(zone)), timestamp=time.copy()
    )
    return exp.cast(there, "DATE")
