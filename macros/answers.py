"""Definitions that the analytics questions share, whether they are asked of the seeds or of the loaded feeds.

SQLMesh finds the macros that models call in macros/.
"""

from __future__ import annotations

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()  # type: ignore[untyped-decorator]  # SQLMesh publishes no types
def percent_of(evaluator: MacroEvaluator, part: exp.Expression, whole: exp.Expression) -> exp.Expression:
    """A count as percent of another, two decimals; NULL if the other is 0.

    `@PERCENT_OF(a, b)` → `ROUND(CAST((100 * CAST(a AS DOUBLE) / NULLIF(b, 0)) AS DECIMAL(18, 12)), 2)`
    """
    hundredfold = exp.Mul(this=exp.Literal.number(100), expression=exp.cast(part.copy(), "DOUBLE"))
    none = exp.Nullif(this=whole.copy(), expression=exp.Literal.number(0))
    share = exp.cast(exp.paren(exp.Div(this=hundredfold, expression=none)), "DECIMAL(18, 12)")
    return exp.Round(this=share, decimals=exp.Literal.number(2))


@macro()  # type: ignore[untyped-decorator]
def two_decimals(evaluator: MacroEvaluator, number: exp.Expression) -> exp.Expression:
    """A number rounded to two decimals, halves away from zero.

    `@TWO_DECIMALS(AVG(x))` → `ROUND(CAST(AVG(x) AS DECIMAL(18, 6)), 2)`
    """
    return exp.Round(this=exp.cast(number.copy(), "DECIMAL(18, 6)"), decimals=exp.Literal.number(2))


@macro()  # type: ignore[untyped-decorator]
def in_week_before(evaluator: MacroEvaluator, day: exp.Expression, date: exp.Expression) -> exp.Expression:
    """Whether a date is one of the seven days before a day, which belongs to neither week.

    `@IN_WEEK_BEFORE(a, b)` → `DATE_DIFF('DAY', a, b) BETWEEN -7 AND -1`
    """
    return _days_between(day, date).between(exp.Literal.number(-7), exp.Literal.number(-1))


@macro()  # type: ignore[untyped-decorator]
def in_week_after(evaluator: MacroEvaluator, day: exp.Expression, date: exp.Expression) -> exp.Expression:
    """Whether a date is one of the seven days after a day.

    `@IN_WEEK_AFTER(a, b)` → `DATE_DIFF('DAY', a, b) BETWEEN 1 AND 7`
    """
    return _days_between(day, date).between(exp.Literal.number(1), exp.Literal.number(7))


def _days_between(day: exp.Expression, date: exp.Expression) -> exp.DateDiff:
    return exp.DateDiff(this=date.copy(), expression=day.copy(), unit=exp.Var(this="DAY"))
