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


@macro()  # type: ignore[untyped-decorator]
def allocated(
    evaluator: MacroEvaluator, lines: exp.Expression, amount: exp.Expression, weight: exp.Expression
) -> exp.Query:
    """The parts of an amount of an order by line, in proportion to a weight of the lines, to the minor unit.

    Each line gets its exact part rounded down. The units that are left, and what is less than a unit, go one by one to
    the lines with the greatest remainders, ties to the smaller line number. If the weights add up to 0, the first line
    gets all. Currencies have 0 to 4 digits; parts in others are NULL.

    `@ALLOCATED(lines, tax_amount, net_amount)` → `SELECT order_id, line_number, CAST(… AS DECIMAL(18, 4)) AS amount …`

    Args:
        lines: name of a CTE or table with order_id, line_number and digits of the currency.
        amount: its column of the amount of the whole order, major units.
        weight: its column of the weight, major units.
    """
    # In whole numbers of hundredths, or finer where the currency has more digits. The product of an amount and a weight
    # is a BIGINT up to 30 million major units each; larger ones fail.
    by_digits = {"scale": (100, 100, 100, 1000, 10000), "unit": (100, 10, 1, 1, 1), "factor": (100, 100, 100, 10, 1)}
    scale, unit, factor = (
        "CASE lines.digits " + " ".join(f"WHEN {digits} THEN {value}" for digits, value in enumerate(values)) + " END"
        for values in by_digits.values()
    )
    of_line = "lines.order_id AS order_id, lines.line_number AS line_number"
    passed = "lines.unit AS unit, lines.factor AS factor, lines.amount AS amount, lines.total AS total"
    of_order = "OVER (PARTITION BY lines.order_id)"
    of = amount.name  # Spark gets nested CTEs beside others, where each needs a name of its own
    query = f"""
        WITH {of}_whole AS (
          SELECT {of_line}, {unit} AS unit, {factor} AS factor,
            CAST(ROUND(lines.{amount.name} * {scale}) AS BIGINT) AS amount,
            CAST(ROUND(lines.{weight.name} * {scale}) AS BIGINT) AS weight
          FROM {lines.name} AS lines
        ), {of}_weighed AS (
          SELECT {of_line}, lines.unit AS unit, lines.factor AS factor, lines.amount AS amount, lines.weight AS weight,
            CAST(SUM(lines.weight) {of_order} AS BIGINT) AS total
          FROM {of}_whole AS lines
        ), {of}_shares AS (
          SELECT {of_line}, {passed},
            CASE WHEN lines.total < 0 THEN -1 ELSE 1 END * lines.amount * lines.weight AS numerator,
            CASE WHEN lines.total = 0 THEN 1 ELSE ABS(lines.total) * lines.unit END AS denominator
          FROM {of}_weighed AS lines
        ), {of}_rounded AS (
          SELECT {of_line}, {passed}, lines.numerator AS numerator, lines.denominator AS denominator,
            lines.unit * CASE WHEN lines.numerator >= 0 THEN lines.numerator // lines.denominator
              ELSE -((lines.denominator - 1 - lines.numerator) // lines.denominator) END AS part
          FROM {of}_shares AS lines
        ), {of}_ranked AS (
          SELECT {of_line}, {passed}, lines.part AS part,
            lines.amount - CAST(SUM(lines.part) {of_order} AS BIGINT) AS missing,
            ROW_NUMBER() OVER (PARTITION BY lines.order_id ORDER BY CASE WHEN lines.total = 0 THEN 0 ELSE
              lines.numerator - lines.part // lines.unit * lines.denominator END DESC, lines.line_number) - 1 AS place
          FROM {of}_rounded AS lines
        )
        SELECT {of_line}, CAST((CASE
            WHEN lines.total = 0 AND lines.place = 0 THEN lines.amount
            WHEN lines.total = 0 THEN 0
            ELSE lines.part + LEAST(lines.unit, GREATEST(lines.missing - lines.place * lines.unit, 0))
          END * lines.factor) AS DECIMAL(28, 0)) * CAST(0.0001 AS DECIMAL(5, 4)) AS amount
        FROM {of}_ranked AS lines
    """
    return exp.maybe_parse(query, dialect="duckdb")
