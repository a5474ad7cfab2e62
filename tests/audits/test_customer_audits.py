"""Each audit of the shop's customers finds violated identities, and passes intact ones, in SQLMesh's own query."""

from __future__ import annotations

import pytest
from sqlmesh import Context

from tests.audits.test_own_audits import offenders

MONTHS = (
    "gold.fct_customer_monthly(customer_id, month_date, segment, recency_score, frequency_score, monetary_score, "
    "last_order_date, recency_days, frequency, net_amount, margin_amount, monetary_amount, lifetime_value)"
)
COMPLETE = "gold.dim_business_month(month_date, last_date)"
CUSTOMERS = "silver.customers(customer_id, valid_from, valid_to, is_current, is_deleted)"
ORDERS = "silver.current_orders(order_id, customer_id)"
SALES = "gold.fct_sales(order_id, business_date, net_amount_reporting, profit_amount_reporting)"
MOVES = "gold.rpt_customer_segments(month_date, previous_segment, segment, customers, left_customers, monetary_amount)"
RISKS = (
    "gold.rpt_churn_risk(month_date, recency_score, frequency_score, customers, history_customers, base_rate, "
    "churn_score, scored_customers, expected_churned_customers, tested_customers, squared_error, base_squared_error)"
)
KNOWN = "gold.dim_customer_360(customer_id)"
M1, M2 = "DATE '2026-01-01'", "DATE '2026-02-01'"
NEVER = "NULL::TIMESTAMP"


def month(
    customer: int,
    month: str,
    scores: str = "5, 1, 2",
    order: str = M1,
    amounts: str = "0, 0, 9, 3",
    segment: str = "new",
) -> str:
    """A row of a buyer whose order is of the first month."""
    return f"{customer}, {month}, '{segment}', {scores}, {order}, 1, 1, {amounts}"


def risk(pair: str = "5, 1", score: str = "0.4, 0.5, 2, 1.0", errors: str = "2, 0.5, 0.6", history: int = 4) -> str:
    """A row of two customers."""
    return f"{M2}, {pair}, 2, {history}, {score}, {errors}"


PROSPECT = f"2, {M2}, 'prospect', NULL::INT, NULL::INT, NULL::INT, NULL::DATE, NULL::INT, 0, 0, 0, 0, 0"
LIVES = {
    COMPLETE: [f"{M1}, DATE '2026-01-31'", f"{M2}, DATE '2026-02-28'"],
    CUSTOMERS: [
        f"1, TIMESTAMP '2025-01-01', {NEVER}, TRUE, FALSE",
        "2, TIMESTAMP '2026-01-31 23:00:00', TIMESTAMP '2026-02-28 23:00:00', FALSE, FALSE",
        f"2, TIMESTAMP '2026-02-28 23:00:00', {NEVER}, TRUE, TRUE",
    ],
    MONTHS: [month(1, M1, amounts="9, 3, 9, 3"), month(1, M2), PROSPECT],
}
Rows = dict[str, list[str]]
# (model, audit): (tables with good rows, [(rows that make them bad, customers or months that the audit must find)])
CASES: dict[tuple[str, str], tuple[Rows, list[tuple[Rows, set[object]]]]] = {
    ("gold.fct_customer_monthly", "months_are_of_who_exists"): (
        LIVES,
        [
            ({MONTHS: [month(2, M1)]}, {2}),
            ({MONTHS: [month(3, M1)]}, {3}),
            ({CUSTOMERS: [f"3, TIMESTAMP '2026-01-31 22:59:59', {NEVER}, TRUE, FALSE"]}, {3}),
            ({CUSTOMERS: ["3, TIMESTAMP '2026-02-02', TIMESTAMP '2026-02-28 23:00:00', FALSE, FALSE"]}, {3}),
        ],
    ),
    ("gold.fct_customer_monthly", "months_have_all_sales"): (
        {
            ORDERS: ["1, 1", "2, NULL", "3, 4"],
            SALES: [
                f"1, {M1}, 9, 3",
                f"1, {M2}, 1, NULL",
                "1, DATE '2025-02-01', 5, 1",
                "1, DATE '2025-01-31', 7, 1",
                f"2, {M1}, 50, 50",
                f"3, {M1}, 50, 50",
                "1, DATE '2026-03-01', 90, 90",
            ],
            MONTHS: [month(1, M1, amounts="9, 3, 14, 5"), month(1, M2, amounts="1, 0, 10, 5"), PROSPECT],
        },
        [
            *(({MONTHS: [month(3, M1, amounts=odd)]}, {3}) for odd in ("1, 0, 0, 0", "0, 1, 0, 0")),
            *(({MONTHS: [month(3, M1, amounts=odd)]}, {3}) for odd in ("0, 0, 1, 0", "0, 0, 0, 1")),
            ({SALES: [f"1, {M1}, 1, NULL"]}, {1}),
            ({SALES: ["1, DATE '2025-01-31', 0, 1"]}, {1}),
        ],
    ),
    ("gold.fct_customer_monthly", "scores_are_of_buyers"): (
        LIVES,
        [
            *(({MONTHS: [month(3, M1, scores=odd)]}, {3}) for odd in ("0, 1, 1", "1, 6, 1", "1, 1, 0", "6, 1, 1")),
            *(({MONTHS: [month(3, M1, scores=odd)]}, {3}) for odd in ("NULL, 1, 1", "1, NULL, 1", "1, 1, NULL")),
            ({MONTHS: [month(3, M1, order="NULL")]}, {3}),
            ({MONTHS: [month(3, M1, segment="prospect")]}, {3}),
            *(
                ({MONTHS: [PROSPECT.replace("2,", "3,", 1).replace(was, now, 1)]}, {3})
                for was, now in (
                    ("NULL::INT, NULL::INT, NULL::INT", "1, NULL::INT, NULL::INT"),
                    ("NULL::INT, NULL::INT, NULL::INT", "NULL::INT, 1, NULL::INT"),
                    ("NULL::INT, NULL::INT, NULL::INT", "NULL::INT, NULL::INT, 1"),
                    ("NULL::DATE", M1),
                    ("NULL::INT, 0", "1, 0"),
                    ("NULL::INT, 0", "NULL::INT, 1"),
                )
            ),
        ],
    ),
    ("gold.rpt_customer_segments", "segments_cover_all_customers"): (
        LIVES
        | {
            MOVES: [
                f"{M1}, 'none', 'new', 1, 0, 9",
                f"{M2}, 'new', 'new', 1, 0, 9",
                f"{M2}, 'none', 'prospect', 1, 0, 0",
            ]
        },
        [
            ({MOVES: [f"{M1}, 'none', 'prospect', 1, 0, 0"]}, {"2026-01-01"}),
            ({MOVES: [f"{M2}, 'none', 'loyal', 0, 0, 1"]}, {"2026-02-01"}),
            ({MOVES: ["DATE '2026-03-01', 'none', 'new', 1, 0, 0"]}, {"2026-03-01"}),
            ({CUSTOMERS: [f"3, TIMESTAMP '2026-02-02', {NEVER}, TRUE, FALSE"]}, {"2026-02-01"}),
            ({COMPLETE: ["DATE '2026-03-01', DATE '2026-03-31'"]}, {"2026-03-01"}),
        ],
    ),
    ("gold.rpt_customer_segments", "moves_follow_the_month_before"): (
        {
            COMPLETE: LIVES[COMPLETE],
            MOVES: [
                *(f"{M1}, 'none', 'new', 2, 0, 9", f"{M1}, 'none', 'prospect', 1, 0, 9"),
                *(f"{M2}, 'new', 'new', 1, 0, 9", f"{M2}, 'new', 'none', 0, 1, 9", f"{M2}, 'none', 'new', 5, 0, 9"),
                f"{M2}, 'prospect', 'new', 1, 0, 9",
            ],
        },
        [
            ({MOVES: [f"{M2}, 'new', 'loyal', 1, 0, 0"]}, {"2026-02-01"}),
            ({MOVES: [f"{M2}, 'prospect', 'none', 0, 1, 0"]}, {"2026-02-01"}),
            ({MOVES: [f"{M1}, 'none', 'loyal', 1, 0, 0"]}, {"2026-02-01"}),
            ({MOVES: [f"{M1}, 'loyal', 'none', 0, 1, 0"]}, {"2026-01-01"}),
        ],
    ),
    ("gold.rpt_churn_risk", "risk_is_of_all_buyers"): (
        {MONTHS: [month(1, M2), month(2, M2), PROSPECT], RISKS: [risk()]},
        [
            ({MONTHS: [month(3, M2)]}, {"2026-02-01"}),
            ({MONTHS: [month(3, M1)]}, {"2026-01-01"}),
            ({RISKS: [risk("4, 1")]}, {"2026-02-01"}),
            ({RISKS: [risk("5, 2")], MONTHS: [month(3, M2, "5, 3, 1"), month(4, M2, "5, 3, 1")]}, {"2026-02-01"}),
        ],
    ),
    ("gold.rpt_churn_risk", "scores_are_probabilities"): (
        {RISKS: [risk(), risk(score="NULL, NULL, 0, NULL", errors="0, NULL, NULL", history=0)]},
        [
            ({RISKS: [row]}, {"2026-02-01"})
            for row in (
                *(
                    risk(score=odd)
                    for odd in ("1.1, 0.5, 2, 1", "-0.1, 0.5, 2, 1", "0.4, 1.1, 2, 1", "0.4, -0.1, 2, 1")
                ),
                *(risk(score=odd) for odd in ("0.4, 0.5, 2, 2.1", "0.4, 0.5, 2, -0.1", "NULL, 0.5, 2, 1")),
                *(risk(score=odd) for odd in ("0.4, NULL, 2, 1", "0.4, 0.5, 2, NULL")),
                *(risk(errors=odd) for odd in ("2, 2.1, 0.6", "2, 0.5, 2.1", "2, -0.1, 0.6", "2, 0.5, -0.1")),
                *(risk(errors=odd) for odd in ("2, NULL, 0.6", "2, 0.5, NULL", "0, 0.5, NULL", "0, NULL, 0.5")),
                *(
                    risk(score=odd, errors="0, NULL, NULL", history=0)
                    for odd in ("0.5, NULL, 0, NULL", "NULL, 0.5, 0, NULL", "NULL, NULL, 0, 1")
                ),
                risk(score="NULL, NULL, 0, NULL", errors="0, NULL, NULL", history=1),
            )
        ],
    ),
    ("gold.dim_customer_360", "customers_are_all_who_exist"): (
        {CUSTOMERS: LIVES[CUSTOMERS], KNOWN: ["1"]},
        [
            ({KNOWN: ["2"]}, {2}),
            ({KNOWN: ["3"]}, {3}),
            ({CUSTOMERS: [f"3, TIMESTAMP '2025-01-01', {NEVER}, TRUE, FALSE"]}, {3}),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_intact_identity_passes(project: Context, case: tuple[str, str]) -> None:
    assert offenders(project, case, CASES[case][0], {}) == set()


@pytest.mark.parametrize(
    ("case", "bad", "expected"), [(case, *fault) for case, (_, faults) in CASES.items() for fault in faults]
)
def test_violated_identity_is_found(project: Context, case: tuple[str, str], bad: Rows, expected: set[object]) -> None:
    assert offenders(project, case, CASES[case][0], bad) == expected


def test_every_own_audit_of_customers_is_tested_and_blocks(project: Context) -> None:
    models = [project.get_model(name, raise_if_missing=True) for name in {name for name, _ in CASES}]
    carried = {
        (model.name, audit)
        for model in models
        for audit, _ in model.audits
        if audit in project._audits and audit != "grain_is_unique"
    }
    assert carried == set(CASES)
    assert [audit for _, audit in carried if not project._audits[audit].blocking] == []
