"""Each audit of acquisition, cohorts and recommendations finds violated identities, and passes intact ones."""

from __future__ import annotations

import pytest
from sqlmesh import Context

from tests.audits.test_own_audits import found, offenders

MONTHS = "gold.dim_business_month(month_date)"
ACQUISITIONS = "gold.fct_acquisitions(customer_id, business_date)"
SPEND = "gold.fct_marketing_daily(date, channel, spend_amount_reporting)"
SALES = "gold.fct_sales(order_id, business_date, net_amount_reporting, profit_amount_reporting)"
ORDERS = "silver.current_orders(order_id, customer_id)"
REPORT = "gold.rpt_acquisition_monthly(month_date, channel, customers, spend_amount)"
COHORTS = "gold.rpt_customer_cohorts(month_number, month_date, customers, net_amount, profit_amount)"
RECOMMENDATIONS = "gold.rpt_product_recommendations(month_date, product_id, rank)"
JAN, FEB, MAR, APR = (f"DATE '2026-0{month}-01'" for month in range(1, 5))
ACQUIRED = {
    MONTHS: [JAN, FEB, MAR],
    ACQUISITIONS: ["1, DATE '2026-01-01'", "2, DATE '2026-01-31'", "3, DATE '2026-03-31'", "4, DATE '2026-04-01'"],
}
SOLD = ACQUIRED | {
    ORDERS: ["1, 1", "2, 2", "3, 3", "9, 9", "10, NULL"],
    SALES: [
        "1, DATE '2026-01-01', 10, 4",
        "1, DATE '2026-03-31', -3, NULL",
        "2, DATE '2025-12-31', 50, 9",
        "2, DATE '2026-01-02', 5, 1",
        "3, DATE '2026-03-01', 7, 2",
        "3, DATE '2026-04-01', 7, 2",
        "9, DATE '2026-03-01', 7, 2",
        "10, DATE '2026-03-01', 7, 2",
    ],
    COHORTS: [f"0, {JAN}, 2, 15, 5", f"1, {FEB}, 2, 0, 0", f"2, {MAR}, 2, -3, 0", f"0, {MAR}, 1, 7, 2"],
}
SPENT = ACQUIRED | {
    SPEND: ["DATE '2026-01-01', 'email', 5", "DATE '2026-01-31', 'display', 6", "DATE '2026-04-01', 'email', 7"],
    REPORT: [f"{JAN}, 'email', 1, 5", f"{JAN}, 'display', 1, 6", f"{MAR}, 'direct', 1, 0"],
}
Rows = dict[str, list[str]]
# (model, audit): (tables with good rows, [(rows that make them bad, the months that the audit must find)])
CASES: dict[tuple[str, str], tuple[Rows, list[tuple[Rows, set[object]]]]] = {
    ("gold.rpt_acquisition_monthly", "channels_are_all_acquisitions"): (
        SPENT,
        [
            ({ACQUISITIONS: ["5, DATE '2026-01-31'"]}, {"2026-01-01"}),
            ({ACQUISITIONS: ["5, DATE '2026-02-28'"]}, {"2026-02-01"}),
            ({REPORT: [f"{MAR}, 'email', 1, 0"]}, {"2026-03-01"}),
            ({REPORT: [f"{FEB}, 'email', 1, 0"]}, {"2026-02-01"}),
        ],
    ),
    ("gold.rpt_acquisition_monthly", "channels_are_all_spend"): (
        SPENT,
        [
            ({SPEND: ["DATE '2026-01-31', 'email', 0.01"]}, {"2026-01-01"}),
            ({SPEND: ["DATE '2026-02-28', 'email', 0.01"]}, {"2026-02-01"}),
            ({REPORT: [f"{MAR}, 'email', 0, 1"]}, {"2026-03-01"}),
        ],
    ),
    ("gold.rpt_customer_cohorts", "cohorts_begin_with_acquisitions"): (
        SOLD,
        [
            ({ACQUISITIONS: ["5, DATE '2026-01-31'"]}, {"2026-01-01"}),
            ({ACQUISITIONS: ["5, DATE '2026-02-28'"]}, {"2026-02-01"}),
            ({COHORTS: [f"0, {FEB}, 1, 0, 0"]}, {"2026-02-01"}),
        ],
    ),
    ("gold.rpt_customer_cohorts", "cohorts_are_all_sales_of_acquired"): (
        SOLD,
        [
            ({SALES: ["1, DATE '2026-01-31', 1, NULL"]}, {"2026-01-01"}),
            ({SALES: ["1, DATE '2026-02-28', 0, 1"]}, {"2026-02-01"}),
            ({COHORTS: [f"1, {MAR}, 1, 1, 0"]}, {"2026-03-01"}),
            ({COHORTS: [f"1, {MAR}, 1, 0, 1"]}, {"2026-03-01"}),
        ],
    ),
    ("gold.rpt_product_recommendations", "ranks_have_no_gaps"): (
        {RECOMMENDATIONS: [f"{JAN}, 1, 1", f"{JAN}, 1, 2", f"{JAN}, 2, 1", f"{FEB}, 1, 1"]},
        [
            ({RECOMMENDATIONS: [f"{FEB}, 1, 3"]}, {"2026-02-01"}),
            ({RECOMMENDATIONS: [f"{FEB}, 1, 1"]}, {"2026-02-01"}),
            ({RECOMMENDATIONS: [f"{MAR}, 1, 2", f"{MAR}, 1, 2"]}, {"2026-03-01"}),
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


@pytest.mark.parametrize(
    ("bad", "is_found"),
    [
        ("DATE '2026-01-01', 1, 1, 2, 'lift', 1.5, 2", False),
        ("DATE '2026-01-01', 1, 1, 2, 'popularity', NULL, NULL", False),
        ("DATE '2026-01-01', 1, 1, 1, 'lift', 1.5, 2", True),
        ("DATE '2026-01-01', 1, 6, 2, 'lift', 1.5, 2", True),
        ("DATE '2026-01-01', 1, 1, 2, 'lift', 1.0, 2", True),
        ("DATE '2026-01-01', 1, 1, 2, 'lift', 1.5, 1", True),
        ("DATE '2026-01-01', 1, 1, 2, 'popularity', 1.5, NULL", True),
        ("DATE '2026-01-01', 2, 1, 4, 'popularity', NULL, NULL", True),  # recommended twice
    ],
)
def test_recommendations_are_others_once(project: Context, bad: str, is_found: bool) -> None:
    model = project.get_model("gold.rpt_product_recommendations", raise_if_missing=True)
    signature = f"{model.name}(month_date, product_id, rank, recommended_product_id, basis, lift, support)"
    rows = [bad, "DATE '2026-01-01', 2, 2, 4, 'lift', 1.5, 2"]
    results = [
        found(model.render_audit_query(audit, **args), {signature: rows}, {})
        for audit, args in model.audits_with_args
        if audit.name in ("forall", "unique_combination_of_columns")
    ]
    assert any(results) is is_found


def test_every_own_audit_is_tested_and_blocks(project: Context) -> None:
    names = {name for name, _ in CASES}
    carried = {
        (name, audit)
        for name in names
        for audit, _ in project.get_model(name, raise_if_missing=True).audits
        if audit in project._audits
    }
    assert carried == set(CASES)
    assert [audit for _, audit in carried if not project._audits[audit].blocking] == []
