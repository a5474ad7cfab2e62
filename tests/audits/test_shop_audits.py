"""Each audit of the shop's sales finds violated identities, and passes intact ones, in SQLMesh's own query."""

from __future__ import annotations

import pytest
from sqlmesh import Context

from tests.audits.test_own_audits import offenders

SALES = (
    "gold.fct_sales(order_id, line_number, event_type, business_date, quantity, gross_amount, discount_amount, "
    "net_amount, tax_amount, shipping_amount, gross_amount_reporting, net_amount_reporting, cost_amount_reporting)"
)
ORDERS = "silver.current_orders(order_id, total_amount, cancelled_at, is_reconciled)"
ITEMS = "silver.order_items(order_id, line_number, is_current, is_deleted)"
REFUNDS = "silver.refunds(order_id, line_number, is_current, is_deleted)"
DAILY = "gold.rpt_sales_daily(business_date, event_count, net_amount)"
HOURLY = "gold.rpt_sales_hourly(business_date, event_count, net_amount)"
D1, D2 = "DATE '2026-03-01'", "DATE '2026-03-02'"
NEVER, CANCELLED = "NULL::TIMESTAMP, TRUE", "TIMESTAMP '2026-03-05', TRUE"
"""When an order was cancelled, and that it is reconciled."""


def sale(order: int, line: int, event: str, sign: int, quantity: int = 2, net: int = 18, date: str = D1) -> str:
    """An event of an item with a net revenue of 18, a discount of 2, tax of 3 and shipping of 4."""
    amounts = [sign * amount for amount in (quantity, net + 2, 2, net, 3, 4, net + 2, net, 5)]
    return ", ".join([f"{order}, {line}, '{event}', {date}", *map(str, amounts)])


GOOD = {
    SALES: [
        *(sale(1, 1, "sale", 1), sale(1, 2, "sale", 1), sale(1, 1, "refund", -1, 1, 8)),
        *(sale(2, 1, "sale", 1), sale(2, 1, "cancellation", -1)),
    ],
    ORDERS: [f"1, 50, {NEVER}", f"2, 25, {CANCELLED}", "8, 25, NULL::TIMESTAMP, FALSE"],
    ITEMS: [
        *("1, 1, TRUE, FALSE", "1, 2, TRUE, FALSE", "2, 1, TRUE, FALSE", "2, 1, FALSE, FALSE", "2, 2, TRUE, TRUE"),
        *("8, 1, TRUE, FALSE", "9, 1, TRUE, FALSE"),
    ],
    REFUNDS: ["1, 1, TRUE, FALSE", "1, 3, TRUE, TRUE", "1, 3, FALSE, FALSE", "8, 1, TRUE, FALSE", "9, 1, TRUE, FALSE"],
}
REPORTED = {SALES: [sale(1, 1, "sale", 1), sale(1, 2, "sale", 1), sale(1, 1, "refund", -1, 1, 8, D2)]}
Rows = dict[str, list[str]]
# (model, audit): (tables with good rows, [(rows that make them bad, the orders or dates that the audit must find)])
CASES: dict[tuple[str, str], tuple[Rows, list[tuple[Rows, set[object]]]]] = {
    ("gold.fct_sales", "sales_add_up_to_orders"): (
        GOOD,
        [
            ({SALES: [sale(1, 3, "sale", 1)]}, {1}),
            ({SALES: [sale(3, 1, "sale", 1)]}, {3}),
            ({SALES: [sale(3, 1, "sale", 1)], ORDERS: [f"3, 26, {NEVER}"]}, {3}),
            ({SALES: [sale(3, 1, "sale", 1).replace(", 3, 4,", ", NULL, 4,")], ORDERS: [f"3, 25, {NEVER}"]}, {3}),
        ],
    ),
    ("gold.fct_sales", "items_are_sold"): (
        GOOD,
        [
            ({ITEMS: ["1, 3, TRUE, FALSE"]}, {1}),
            ({ITEMS: ["3, 1, TRUE, FALSE"], ORDERS: [f"3, 1, {NEVER}"]}, {3}),
            ({SALES: [sale(1, 3, "sale", 1)]}, {1}),
            ({SALES: [sale(3, 1, "sale", 1)]}, {3}),
        ],
    ),
    ("gold.fct_sales", "refunds_are_of_what_was_sold"): (
        GOOD,
        [
            ({SALES: [sale(1, 1, "refund", -1, 2, 1)]}, {1}),  # three of two pieces
            ({SALES: [sale(1, 1, "refund", -1, 1, 29)]}, {1}),  # 37 of 36 of both items
            ({REFUNDS: ["1, 3, TRUE, FALSE"]}, {1}),  # of an item that the order lacks
        ],
    ),
    ("gold.fct_sales", "cancellations_leave_nothing"): (
        GOOD,
        [
            ({SALES: [sale(2, 2, "sale", 1)]}, {2}),
            ({SALES: [sale(2, 1, "refund", -1, 0, 0)]}, {2}),
            ({SALES: [sale(1, 2, "cancellation", -1)]}, {1}),
            ({SALES: [sale(3, 1, "cancellation", -1)]}, {3}),
            *(
                (
                    {SALES: [f"2, 1, 'sale', {D1}, " + ", ".join("1" if place == odd else "0" for place in range(9))]},
                    {2},
                )
                for odd in (0, 1, 3, 4, 5, 6, 7, 8)
            ),
        ],
    ),
    **{
        (table.split("(")[0], "report_is_all_sales"): (
            REPORTED | {table: [f"{D1}, 1, 18", f"{D1}, 1, 18", f"{D2}, 1, -8"]},
            [
                ({table: [f"{D1}, 1, 0"]}, {"2026-03-01"}),
                ({table: [f"{D1}, 0, 1"]}, {"2026-03-01"}),
                ({table: ["DATE '2026-03-03', 1, 0"]}, {"2026-03-03"}),
                ({SALES: [sale(1, 1, "refund", -1, 1, 0, "DATE '2026-03-03'")]}, {"2026-03-03"}),
            ],
        )
        for table in (DAILY, HOURLY)
    },
}


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_intact_identity_passes(project: Context, case: tuple[str, str]) -> None:
    assert offenders(project, case, CASES[case][0], {}) == set()


@pytest.mark.parametrize(
    ("case", "bad", "expected"), [(case, *fault) for case, (_, faults) in CASES.items() for fault in faults]
)
def test_violated_identity_is_found(project: Context, case: tuple[str, str], bad: Rows, expected: set[object]) -> None:
    assert offenders(project, case, CASES[case][0], bad) == expected


@pytest.mark.parametrize(
    "sales",
    [
        [sale(1, 1, "refund", -1, 1, 11)],  # 19 of 18, of 36 of the order: its discount was rounded another way
        [sale(3, 1, "sale", 1, net=-4)],  # a discount on more than the goods
    ],
)
def test_what_is_no_excess_of_refunds_passes(project: Context, sales: list[str]) -> None:
    case = ("gold.fct_sales", "refunds_are_of_what_was_sold")
    assert offenders(project, case, CASES[case][0], {SALES: sales}) == set()


def test_every_own_audit_of_sales_is_tested_and_blocks(project: Context) -> None:
    models = [model for model in project.models.values() if {"gold", "shop"} <= set(model.tags)]
    carried = {
        (model.name, audit)
        for model in models
        for audit, _ in model.audits
        if audit in project._audits and audit not in ("grain_is_unique", "periods_join")
    }
    assert {case for case in carried if "sales" in case[0]} == set(CASES)
    assert [audit for _, audit in carried if not project._audits[audit].blocking] == []
