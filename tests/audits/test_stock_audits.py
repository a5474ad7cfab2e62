"""Each audit of stock, spend and products finds violated identities, and passes intact ones, in SQLMesh's own query."""

from __future__ import annotations

import pytest
from sqlmesh import Context

from tests.audits.test_own_audits import found, offenders

LEVELS = (
    "gold.fct_inventory_daily(date, business_date, product_id, location, opening_level, received_quantity, "
    "sold_quantity, returned_quantity, transferred_quantity, adjusted_quantity, unexplained_quantity, closing_level)"
)
MOVEMENTS = "silver.inventory_levels(product_id, location, level, moved_at, movement_id)"
RISKS = "gold.rpt_stock_risk(product_id, location, level)"
PRODUCTS = "gold.dim_product(product_key, product_id, is_current, is_deleted)"
TOP = "gold.rpt_top_products(month_date, event_count, sold_quantity, returned_quantity, net_amount, profit_amount)"
SALES = "gold.fct_sales(business_date, quantity, net_amount_reporting, profit_amount_reporting)"
SPEND = "gold.fct_marketing_daily(date, channel)"
CHANNELS = "seeds.channel_groups(channel)"
D1, D2, D3 = "DATE '2026-03-01'", "DATE '2026-03-02'", "DATE '2026-03-03'"
MARCH, APRIL = "DATE '2026-03-01'", "DATE '2026-04-01'"


def level(
    date: str, product: int, opening: int, *moved: int, closing: int, unexplained: int = 0, location: str = "a"
) -> str:
    """A row of a date; `moved` are pieces received, sold, returned, transferred and adjusted."""
    pieces = ", ".join(map(str, moved or (0,) * 5))
    return f"{date}, {date}, {product}, '{location}', {opening}, {pieces}, {unexplained}, {closing}"


def moved(product: int, level: int, at: str, number: int) -> str:
    return f"{product}, 'a', {level}, TIMESTAMP '2026-03-{at}', {number}"


STOCK = {
    LEVELS: [
        level(D1, 1, 0, 9, -1, 2, -3, 4, closing=12, unexplained=1),
        level(D2, 1, 12, closing=12),
        level(D3, 1, 12, 0, -1, 0, 0, 0, closing=11),
        level(D2, 2, 5, 1, 0, 0, 0, 0, closing=6),
        level(D3, 2, 6, closing=6),
        level(D3, 9, 1, closing=1),
        level(D3, 9, 1, closing=1, location="b"),
    ],
    MOVEMENTS: [
        *(moved(1, 7, "01 08:00:00", 3), moved(1, 12, "01 22:59:59", 1), moved(1, 3, "01 22:59:59", 0)),
        *(moved(1, 11, "02 23:00:00", 4), moved(2, 6, "02 09:00:00", 5), moved(2, 8, "03 23:00:00", 6)),
    ],
}
RISK = STOCK | {
    RISKS: ["1, 'a', 11", "2, 'a', 6"],
    PRODUCTS: [
        *("'p0', 1, FALSE, FALSE", "'p1', 1, TRUE, FALSE", "'p2', 2, TRUE, FALSE", "'p8', 8, TRUE, FALSE"),
        *("'p9', 9, TRUE, TRUE", "'-1', -1, TRUE, FALSE"),
    ],
}
SOLD = {
    SALES: [f"{D1}, 3, 30, 10", f"{D3}, -1, -10, NULL", f"{APRIL}, 2, 20, NULL"],
    TOP: [f"{MARCH}, 1, 3, 0, 30, 10", f"{MARCH}, 1, 0, 1, -10, 0", f"{APRIL}, 1, 2, 0, 20, 0"],
}
Rows = dict[str, list[str]]
# (model, audit): (tables with good rows, [(rows that make them bad, the dates, products or months that it must find)])
CASES: dict[tuple[str, str], tuple[Rows, list[tuple[Rows, set[object]]]]] = {
    ("gold.fct_inventory_daily", "movements_are_levels"): (
        STOCK,
        [
            *(
                ({LEVELS: [level(D1, 3, 5, *pieces, closing=5)]}, {"2026-03-01"})
                for pieces in ((1, 0, 0, 0, 0), (0, -1, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 1, 0), (0, 0, 0, 0, 1))
            ),
            ({LEVELS: [level(D1, 3, 5, closing=5, unexplained=1)]}, {"2026-03-01"}),
            ({LEVELS: [level(D2, 3, 5, closing=6, unexplained=1)]}, {"2026-03-02"}),  # nothing moved
            (  # the last movement says otherwise
                {LEVELS: [level(D1, 3, 5, closing=5)], MOVEMENTS: [moved(3, 6, "01 09:00:00", 7)]},
                {"2026-03-01"},
            ),
            ({MOVEMENTS: [moved(1, 13, "01 22:59:59", 2)]}, {"2026-03-01"}),
            ({MOVEMENTS: [moved(3, 6, "01 09:00:00", 7)]}, {"2026-03-01"}),  # moved, and there is no row
            ({LEVELS: [level(D1, 3, 5, closing=5), level(D2, 3, 4, closing=4)]}, {"2026-03-02"}),
        ],
    ),
    ("gold.rpt_stock_risk", "stock_of_existing_products"): (
        RISK,
        [
            ({RISKS: ["9, 'a', 1"]}, {9}),
            ({RISKS: ["1, 'b', 1"]}, {1}),
            ({PRODUCTS: ["'p9', 9, TRUE, FALSE"]}, {9}),
            ({LEVELS: [level(D3, 8, 4, closing=4)]}, {8}),
            ({RISKS: ["8, 'a', 3"], LEVELS: [level(D3, 8, 4, closing=4)]}, {8}),
        ],
    ),
    ("gold.rpt_top_products", "products_are_all_sales"): (
        SOLD,
        [
            ({TOP: [f"{MARCH}, 1, 0, 0, 0, 0"]}, {"2026-03-01"}),
            ({TOP: [f"{MARCH}, 0, 1, 0, 0, 0"]}, {"2026-03-01"}),
            ({TOP: [f"{MARCH}, 0, 0, 1, 0, 0"]}, {"2026-03-01"}),
            ({TOP: [f"{APRIL}, 0, 0, 0, 1, 0"]}, {"2026-04-01"}),
            ({TOP: [f"{APRIL}, 0, 0, 0, 0, 1"]}, {"2026-04-01"}),
            ({TOP: ["DATE '2026-05-01', 1, 1, 0, 1, 0"]}, {"2026-05-01"}),
            ({SALES: ["DATE '2026-05-31', 1, 1, 1"]}, {"2026-05-01"}),
        ],
    ),
}


MARCH = {"start": "2026-03-01", "end": "2026-03-03"}
"""The computed dates."""


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_intact_identity_passes(project: Context, case: tuple[str, str]) -> None:
    assert offenders(project, case, CASES[case][0], {}, **MARCH) == set()


@pytest.mark.parametrize(
    ("case", "bad", "expected"), [(case, *fault) for case, (_, faults) in CASES.items() for fault in faults]
)
def test_violated_identity_is_found(project: Context, case: tuple[str, str], bad: Rows, expected: set[object]) -> None:
    assert offenders(project, case, CASES[case][0], bad, **MARCH) == expected


def test_a_computed_date_is_not_compared_with_those_outside_the_interval(project: Context) -> None:
    """Those are compared by assert_levels_go_on."""
    more = {LEVELS: [level("DATE '2026-02-28'", 3, 4, closing=4), level(D1, 3, 5, closing=5)]}
    case = ("gold.fct_inventory_daily", "movements_are_levels")
    assert offenders(project, case, CASES[case][0], more, **MARCH) == set()


@pytest.mark.parametrize(
    ("name", "column", "audit"),
    [
        ("gold.fct_marketing_daily", "spend_amount_reporting", "not_null"),
        ("gold.rpt_stock_risk", "level", "not_null"),
    ],
)
def test_what_is_unknown_is_refused(project: Context, name: str, column: str, audit: str) -> None:
    model = project.get_model(name, raise_if_missing=True)
    columns = {str(item.name) for given, arguments in model.audits if given == audit for item in arguments["columns"]}
    assert column in columns


def test_spend_of_an_unknown_channel_is_refused(project: Context) -> None:
    model = project.get_model("gold.fct_marketing_daily", raise_if_missing=True)
    arguments = next(arguments for given, arguments in model.audits if given == "referential_integrity")
    query = model.render_audit_query(
        project._audits["referential_integrity"], start="2026-03-01", end="2026-03-03", **arguments
    )
    good = {SPEND: [f"{D1}, 'email'"], CHANNELS: ["'email'"]}
    assert found(query, good, {}) == []
    assert found(query, good, {SPEND: [f"{D2}, 'tv'"]}) == [("tv",)]


def test_every_own_audit_of_these_models_is_tested_and_blocks(project: Context) -> None:
    names = ("gold.fct_inventory_daily", "gold.rpt_stock_risk", "gold.rpt_top_products")
    carried = {
        (name, audit)
        for name in names
        for audit, _ in project.get_model(name, raise_if_missing=True).audits
        if audit in project._audits
    }
    assert carried == set(CASES)
    assert [audit for _, audit in carried if not project._audits[audit].blocking] == []
