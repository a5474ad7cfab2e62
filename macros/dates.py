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
def business_time(evaluator: MacroEvaluator, time: exp.Expression) -> exp.Expression:
    """The time on the clock of `reporting_timezone` at a TIMESTAMP in UTC; its date is the business date.

    `@BUSINESS_TIME(t)` → `CAST(t AS TIMESTAMP) AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Berlin'` on DuckDB,
    `FROM_UTC_TIMESTAMP(t, 'Europe/Berlin')` on Spark

    Raises:
        ConfigError: the variable is not the name of a time zone.
    """
    from zoneinfo import available_timezones

    from ingest.errors import ConfigError

    zone = str(evaluator.var("reporting_timezone"))
    if zone not in available_timezones():
        raise ConfigError(f"variable reporting_timezone: expected a name such as Europe/Berlin, found {zone}")
    engine = evaluator.locals.get("engine_adapter")
    is_spark = engine.dialect == "spark" if engine else (evaluator.gateway or "").startswith("spark")
    utc = exp.cast(time.copy(), exp.DataType.build("TIMESTAMP", dialect="duckdb"))
    name = exp.Literal.string(zone)
    if is_spark:
        local = exp.Anonymous(this="FROM_UTC_TIMESTAMP", expressions=[utc, name])
    else:
        local = exp.AtTimeZone(this=exp.AtTimeZone(this=utc, zone=exp.Literal.string("UTC")), zone=name)
    return exp.cast(exp.paren(local), exp.DataType.build("TIMESTAMP", dialect="duckdb"))


@macro()  # type: ignore[untyped-decorator]
def business_week(evaluator: MacroEvaluator, day: exp.Expression) -> exp.Expression:
    """The first day of the week of a DATE or TIMESTAMP, for weeks that begin on `first_day_of_week`.

    `@BUSINESS_WEEK(d)` → `CAST(CAST(DATE_TRUNC('WEEK', d - INTERVAL '6' DAY) AS DATE) + INTERVAL '6' DAY AS DATE)`
    where weeks begin on Sunday

    Raises:
        ConfigError: the variable is not 1 for Monday to 7 for Sunday.
    """
    from ingest.errors import ConfigError

    first = evaluator.var("first_day_of_week")
    if first not in range(1, 8):
        raise ConfigError(f"variable first_day_of_week: expected 1 for Monday to 7 for Sunday, found {first}")
    shift = exp.Interval(this=exp.Literal.string(str(first - 1)), unit=exp.Var(this="DAY"))
    shifted = exp.Sub(this=exp.cast(day.copy(), "DATE"), expression=shift)
    monday = exp.cast(exp.TimestampTrunc(this=exp.paren(shifted), unit=exp.Var(this="WEEK")), "DATE")
    return exp.cast(exp.paren(exp.Add(this=monday, expression=shift.copy())), "DATE")
