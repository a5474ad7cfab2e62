"""Money without intermediate doubles: minor units of any currency, and divisions that round half away from zero."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import duckdb
import pytest
from sqlglot import parse_one
from sqlmesh import Context
from sqlmesh.core.macros import MacroEvaluator, normalize_macro_name


def value(project: Context, expression: str) -> Any:
    """The value of an expression with the project's macros in DuckDB."""
    evaluator = MacroEvaluator(dialect="duckdb")
    evaluator.macros.update({normalize_macro_name(name): item.func for name, item in project._macros.items()})
    query = evaluator.transform(parse_one(f"SELECT {expression}", dialect="duckdb"))
    with duckdb.connect(":memory:") as connection:
        return connection.execute(query.sql("duckdb")).fetchone()[0]


@pytest.mark.parametrize("denominator", [1, 2, 3, 7, 12, 28, 365, 1200])
def test_half_up_equals_that_of_decimal(project: Context, denominator: int) -> None:
    for numerator in (0, 1, 5, 6, 14, 599, 600, 601, 10**15 + 1):
        expected = (Decimal(numerator) / denominator).quantize(Decimal(1), rounding=ROUND_HALF_UP)
        assert value(project, f"@HALF_UP({numerator}::BIGINT, {denominator})") == expected
        assert value(project, f"@HALF_UP(-{numerator}::BIGINT, {denominator})") == -expected


def test_half_up_accepts_expressions(project: Context) -> None:
    assert value(project, "@HALF_UP(1 + 2, 1 + 1)") == 2
    assert value(project, "7 - @HALF_UP(1 + 2, 1 + 1)") == 5
    assert value(project, "@HALF_UP(NULL::BIGINT, 2)") is None


@pytest.mark.parametrize(
    ("digits", "expected"), [(0, "1234"), (1, "123.4"), (2, "12.34"), (3, "1.234"), (4, "0.1234"), (5, None)]
)
def test_major_units_by_the_digits_of_the_currency(project: Context, digits: int, expected: str | None) -> None:
    major = None if expected is None else Decimal(expected)
    assert value(project, f"@MAJOR_UNITS(1000 + 234, {digits})") == major
    assert value(project, f"@MAJOR_UNITS(-1234, {digits})") == (None if major is None else -major)


def test_major_units_of_an_unknown_currency_are_null(project: Context) -> None:
    assert value(project, "@MAJOR_UNITS(1234, NULL::INT)") is None
    assert value(project, "@TEN_THOUSANDTHS(2)") == 100
