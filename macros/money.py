"""Money in whole numbers: minor units of any currency, and divisions that round half up without a double between."""

from __future__ import annotations

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()  # type: ignore[untyped-decorator]  # SQLMesh publishes no types
def ten_thousandths(evaluator: MacroEvaluator, digits: exp.Expression) -> exp.Expression:
    """How many ten-thousandths of the major unit a minor unit is, by its digits (ISO 4217: 0 to 4); NULL for others.

    `@TEN_THOUSANDTHS(currencies.digits)` → `CASE currencies.digits WHEN 0 THEN 10000 WHEN 1 THEN 1000 … END`
    """
    found = exp.Case(this=digits.copy())
    for number in range(5):
        found = found.when(exp.Literal.number(number), exp.Literal.number(10 ** (4 - number)))
    return found


@macro()  # type: ignore[untyped-decorator]
def major_units(evaluator: MacroEvaluator, amount: exp.Expression, digits: exp.Expression) -> exp.Expression:
    """An amount in minor units as DECIMAL in major ones, exact.

    `@MAJOR_UNITS(lines.tax, currencies.digits)` →
    `CAST(lines.tax * CASE currencies.digits … END AS DECIMAL(28, 0)) * CAST(0.0001 AS DECIMAL(5, 4))`
    """
    factor = ten_thousandths(evaluator, digits)
    whole = exp.cast(exp.Mul(this=exp.paren(amount.copy()), expression=exp.paren(factor)), "DECIMAL(28, 0)")
    return exp.paren(exp.Mul(this=whole, expression=exp.cast(exp.Literal.number("0.0001"), "DECIMAL(5, 4)")))


@macro()  # type: ignore[untyped-decorator]
def half_up(evaluator: MacroEvaluator, numerator: exp.Expression, denominator: exp.Expression) -> exp.Expression:
    """A whole number divided by a positive one, rounded to a whole number; halves away from zero.

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
