"""Amounts of an order, allocated to its items to the minor unit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from sqlglot import parse_one
from sqlmesh import Context
from sqlmesh.core.macros import MacroEvaluator, normalize_macro_name

from tests.shop_sales import allocate

Parts = dict[int, list[Decimal | None]]


def allocated(project: Context, orders: Sequence[tuple[Decimal, list[Decimal], int]]) -> Parts:
    """The parts of orders, each of an amount, weights and digits, by their number."""
    evaluator = MacroEvaluator(dialect="duckdb")
    evaluator.macros.update({normalize_macro_name(name): item.func for name, item in project._macros.items()})
    query = evaluator.transform(parse_one("SELECT * FROM (@ALLOCATED(lines, cost, share)) AS parts", dialect="duckdb"))
    found: Parts = {}
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            "CREATE TABLE lines (order_id BIGINT, line_number BIGINT, digits INT, cost DECIMAL(12, 4), "
            "share DECIMAL(18, 4))"
        )
        for number, (amount, weights, digits) in enumerate(orders):
            rows = [(number, line, digits, amount, weight) for line, weight in enumerate(weights, 1)]
            connection.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?)", rows)
        rows = connection.execute(query.sql("duckdb")).fetchall()
    for number, _, part in sorted(rows):
        found.setdefault(number, []).append(part)
    return found


def texts(*values: str) -> list[Decimal]:
    return [Decimal(value) for value in values]


@pytest.mark.parametrize(
    ("amount", "weights", "digits", "expected"),
    [
        ("1.00", ("1", "1", "1"), 2, ("0.34", "0.33", "0.33")),  # ties to the smaller line number
        ("1.00", ("1", "2", "3"), 2, ("0.17", "0.33", "0.50")),  # 16.67, 33.33, 50: the greatest remainder
        ("0.02", ("1", "1", "1"), 2, ("0.01", "0.01", "0")),
        ("100", ("1", "1", "1"), 0, ("34", "33", "33")),
        ("1", ("1", "1", "1"), 3, ("0.334", "0.333", "0.333")),
        ("100.50", ("1", "1"), 0, ("50.50", "50")),  # what is less than a unit goes to the next
        ("3.00", ("0", "5", "0"), 2, ("0", "3", "0")),
        ("3.00", ("0", "0"), 2, ("3", "0")),  # nothing to go by
        ("0", ("1", "2"), 2, ("0", "0")),
        ("-1.00", ("1", "1", "1"), 2, ("-0.33", "-0.33", "-0.34")),
        ("5.00", ("7",), 2, ("5",)),
    ],
)
def test_parts_are_rounded_down_and_the_rest_goes_to_the_greatest_remainders(
    project: Context, amount: str, weights: tuple[str, ...], digits: int, expected: tuple[str, ...]
) -> None:
    assert allocated(project, [(Decimal(amount), texts(*weights), digits)])[0] == texts(*expected)


def test_parts_equal_those_of_fractions_and_add_up(project: Context) -> None:
    dice = random.Random(1)

    def number(least: int, most: int) -> Decimal:
        return Decimal(dice.randint(least, most)) / 100

    orders = []
    for _ in range(400):
        weights = [number(*dice.choice([(0, 3), (0, 99_999), (-500, 3000)])) for _ in range(dice.randint(1, 6))]
        orders.append((number(*dice.choice([(0, 9), (0, 9_999_999), (-9999, 9999)])), weights, dice.randint(0, 4)))
    found = allocated(project, orders)
    for place, (amount, weights, digits) in enumerate(orders):
        assert found[place] == allocate(amount, weights, digits), (amount, weights, digits)
        assert sum(part for part in found[place] if part is not None) == amount


def test_parts_in_an_unknown_currency_are_null(project: Context) -> None:
    assert allocated(project, [(Decimal(1), texts("1", "2"), 5)])[0] == [None, None]


def test_large_amounts_are_exact_and_larger_ones_fail(project: Context) -> None:
    amount: Any = Decimal("9999999.99")
    assert sum(part for part in allocated(project, [(amount, texts("1", "9999999.99"), 2)])[0] if part) == amount
    with pytest.raises(duckdb.OutOfRangeException):
        allocated(project, [(Decimal("99999999.99"), texts("99999999999.99"), 2)])
