"""Money as integers: minor units of any currency, and division that rounds half up without an intermediate DOUBLE.

SQLMesh finds the macros that models call in macros/.
"""

from __future__ import annotations

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()  # type: ignore[untyped-decorator]  # SQLMesh publishes no types
def ten_thousandths(evaluator: MacroEvaluator, digits: exp.Expression) -> exp.Expression:
    """Ten-thousandths of the major unit in one minor unit, by the currency's digits (ISO 4217: 0 to 4); otherwise NULL.

    `@TEN_THOUSANDTHS(currencies.digits)` → `CASE currencies.digits WHEN 0 THEN 10000 WHEN 1 THEN 1000 … END`
    """
    found = exp.Case(this=digits.copy())
    for number in range(5):
        found = found.when(exp.Literal.number(number), exp.Literal.number(10 ** (4 - number)))
    return found


@macro()  # type: ignore[untyped-decorator]
def major_units(evaluator: MacroEvaluator, amount: exp.Expression, digits: exp.Expression) -> exp.Expression:
    """Convert an amount in minor units to an exact DECIMAL in major units.

    `@MAJOR_UNITS(lines.tax, currencies.digits)` →
    `CAST(lines.tax * CASE currencies.digits … END AS DECIMAL(28, 0)) * CAST(0.0001 AS DECIMAL(5, 4))`
    """
    factor = ten_thousandths(evaluator, digits)
    whole = exp.cast(exp.Mul(this=exp.paren(amount.copy()), expression=exp.paren(factor)), "DECIMAL(28, 0)")
    return exp.paren(exp.Mul(this=whole, expression=exp.cast(exp.Literal.number("0.0001"), "DECIMAL(5, 4)")))


@macro()  # type: ignore[untyped-decorator]
def half_up(evaluator: MacroEvaluator, numerator: exp.Expression, denominator: exp.Expression) -> exp.Expression:
    """Divide an integer by a positive integer and round to an integer, halves away from zero.

    `@HALF_UP(a, b)` → `CASE WHEN a < 0 THEN -1 ELSE 1 END * ((2 * ABS(a) + b) // (2 * b))`
    """
    above, below = exp.paren(numerator.copy()), exp.paren(denominator.copy())
    sign = exp.case().when(exp.LT(this=above, expression=exp.Literal.number(0)), exp.Literal.number(-1)).else_("1")
    twice = exp.Mul(this=exp.Literal.number(2), expression=exp.Abs(this=above.copy()))
    quotient = exp.IntDiv(
        this=exp.paren(exp.Add(this=twice, expression=below)),
        expression=exp.paren(exp.Mul(this=exp.Literal.number(2), expression=below.copy())),
    )
    return exp.paren(exp.Mul(this=exp.paren(sign), expression=exp.paren(quotient)))
