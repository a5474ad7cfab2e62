"""Each audit of a revenue model finds violated identities, and passes intact ones, in SQLMesh's own query."""

from __future__ import annotations

import pytest
from sqlmesh import Context

from tests.audits.test_own_audits import found

PERIODS = "silver.subscriptions(subscription_id, valid_from, valid_to)"
BALANCES = "gold.fct_mrr_monthly(month_date, account_id, opening_mrr, closing_mrr)"
MOVEMENTS = "gold.fct_mrr_movements(month_date, account_id, movement_type, amount)"
DAYS = "gold.fct_mrr_daily(date, account_id, currency, mrr)"
RATES = "silver.exchange_rates(currency, rate, valid_from, valid_to)"
REPORT = (
    "gold.rpt_mrr_monthly(month_date, opening_mrr, fx_mrr, new_mrr, expansion_mrr, contraction_mrr, churn_mrr, "
    "reactivation_mrr, closing_mrr)"
)
COHORTS = (
    "gold.rpt_cohort_retention(cohort_month_date, month_number, accounts, retained_accounts, opening_mrr, retained_mrr)"
)
ENTRIES = "gold.fct_revenue_recognition(invoice_id, line_number, amount)"
LINES = "silver.invoice_lines(invoice_id, line_number, amount)"
INVOICES = "silver.invoices(invoice_id, currency, is_billed)"
CURRENCIES = "seeds.currencies(currency, digits)"
RECOGNISED = "gold.rpt_revenue_recognised_monthly(currency, recognised_amount, invoiced_amount)"
SUMS = "gold.fct_invoices(currency, net_amount, refunded_net_amount, is_billed)"
T1, T2, T3 = (f"TIMESTAMP '2026-0{month}-10 00:00:00'" for month in (1, 2, 3))
M1, M2, M3 = (f"DATE '2026-0{month}-01'" for month in (1, 2, 3))
EUR = f"'EUR', 1::DECIMAL(18, 8), {M1}, NULL::DATE"
USD = [f"'USD', 0.9::DECIMAL(18, 8), {M1}, {M2}", f"'USD', 0.8::DECIMAL(18, 8), {M2}, NULL::DATE"]

Rows = dict[str, list[str]]
# (model, audit): (tables with good rows, [(rows that make them bad, what the audit must find)])
CASES: dict[tuple[str, str], tuple[Rows, list[tuple[Rows, list[tuple[object, ...]]]]]] = {
    ("silver.subscriptions", "periods_join"): (
        {PERIODS: [f"'s1', {T1}, {T2}", f"'s1', {T2}, NULL", f"'s2', {T1}, {T3}", f"'s2', {T3}, NULL"]},
        [
            # a gap
            (
                {PERIODS: [f"'s3', {T1}, {T2}", f"'s3', {T3}, NULL"]},
                [("s3", "2026-01-10 00:00:00", "2026-02-10 00:00:00", "2026-03-10 00:00:00")],
            ),
            # an overlap
            (
                {PERIODS: [f"'s3', {T1}, {T3}", f"'s3', {T2}, NULL"]},
                [("s3", "2026-01-10 00:00:00", "2026-03-10 00:00:00", "2026-02-10 00:00:00")],
            ),
            # an empty period
            (
                {PERIODS: [f"'s3', {T1}, {T1}", f"'s3', {T1}, NULL"]},
                [("s3", "2026-01-10 00:00:00", "2026-01-10 00:00:00", "2026-01-10 00:00:00")],
            ),
            # an end of the last, and a second open one
            ({PERIODS: [f"'s3', {T1}, {T2}"]}, [("s3", "2026-01-10 00:00:00", "2026-02-10 00:00:00", None)]),
            (
                {PERIODS: [f"'s3', {T1}, NULL", f"'s3', {T2}, NULL"]},
                [("s3", "2026-01-10 00:00:00", None, "2026-02-10 00:00:00")],
            ),
        ],
    ),
    ("gold.fct_mrr_monthly", "closing_is_next_opening"): (
        {
            BALANCES: [
                *(
                    f"{month}, 'a', {opening}, {closing}"
                    for month, opening, closing in ((M1, 0, 9), (M2, 9, 5), (M3, 5, 7))
                ),
                f"{M2}, 'b', 0.0, 3.0",
                f"{M3}, 'b', 3.0, 0.0",
            ]
        },
        [
            ({BALANCES: [f"{M1}, 'c', 0, 4"]}, [("2026-01-01", "c", 4, None)]),
            ({BALANCES: [f"{M2}, 'c', 4, 0"]}, [("2026-01-01", "c", None, 4)]),
            ({BALANCES: [f"{M2}, 'c', 0, 4", f"{M3}, 'c', 5, 0"]}, [("2026-02-01", "c", 4, 5)]),
        ],
    ),
    ("gold.fct_mrr_monthly", "balances_are_those_of_the_days"): (
        {
            BALANCES: [
                f"{M1}, 'a', 0::DECIMAL(18, 6), 19.0::DECIMAL(18, 6)",
                f"{M2}, 'a', 19.0, 8.0",
                f"{M3}, 'a', 8.0, 0",
            ],
            DAYS: [
                "DATE '2026-01-31', 'a', 'EUR', 10.0::DECIMAL(18, 6)",
                "DATE '2026-01-31', 'a', 'USD', 10.0",
                "DATE '2026-02-27', 'a', 'EUR', 99.0",
                "DATE '2026-02-28', 'a', 'USD', 10.0",
                "DATE '2026-03-30', 'a', 'USD', 10.0",
            ],
            RATES: [EUR, *USD],
        },
        [
            ({BALANCES: [f"{M2}, 'b', 0, 1.5"]}, [("2026-02-01", "b", 1.5, None)]),
            ({DAYS: ["DATE '2026-02-28', 'b', 'EUR', 1.5"]}, [("2026-02-01", "b", None, 1.5)]),
            ({DAYS: ["DATE '2026-03-31', 'a', 'USD', 0.000001"]}, [("2026-03-01", "a", 0, 0.000001)]),
        ],
    ),
    ("gold.fct_mrr_movements", "movements_explain_balances"): (
        {
            BALANCES: [f"{M1}, 'a', 0, 9", f"{M2}, 'a', 9, 5", f"{M3}, 'a', 5, 5"],
            MOVEMENTS: [f"{M1}, 'a', 'new', 9", f"{M2}, 'a', 'fx', 1", f"{M2}, 'a', 'contraction', -5"],
        },
        [
            ({MOVEMENTS: [f"{M3}, 'a', 'fx', 1"]}, [("2026-03-01", "a", 5, 1, 5)]),
            ({MOVEMENTS: [f"{M3}, 'b', 'new', 1"]}, [("2026-03-01", "b", None, 1, None)]),
            ({BALANCES: [f"{M3}, 'b', 0, 2"]}, [("2026-03-01", "b", 0, None, 2)]),
        ],
    ),
    ("gold.rpt_mrr_monthly", "report_is_the_sum_of_its_customers"): (
        {
            BALANCES: [f"{M1}, 'a', 0, 9", f"{M1}, 'b', 0, 1", f"{M2}, 'a', 9, 5", f"{M2}, 'b', 1, 1"],
            MOVEMENTS: [f"{M1}, 'a', 'new', 9", f"{M1}, 'b', 'new', 1", f"{M2}, 'a', 'contraction', -4"],
            REPORT: [
                f"{M1}, 0, 0, 10, 0, 0, 0, 0, 10",
                f"{M2}, 10, 0, 0, 0, -4, 0, 0, 6",
                f"{M3}, 0, 0, 0, 0, 0, 0, 0, 0",
            ],
        },
        [
            ({BALANCES: [f"{M2}, 'c', 0, 1"]}, [("2026-02-01", 10, 10, -4, -4, 6, 7)]),
            ({BALANCES: [f"{M2}, 'c', 1, 0"]}, [("2026-02-01", 10, 11, -4, -4, 6, 6)]),
            ({MOVEMENTS: [f"{M2}, 'b', 'fx', 1"]}, [("2026-02-01", 10, 10, -4, -3, 6, 6)]),
            ({BALANCES: ["DATE '2026-04-01', 'c', 0, 0"]}, [("2026-04-01", None, 0, None, None, None, 0)]),
            (
                {REPORT: ["DATE '2026-04-01', 0, 0, 1, 0, 0, 0, 0, 1"]},
                [("2026-04-01", 0, None, 1, None, 1, None)],
            ),
        ],
    ),
    ("gold.rpt_cohort_retention", "cohort_starts_whole"): (
        {COHORTS: [f"{M1}, 0, 5, 5, 50, 50", f"{M1}, 1, 5, 3, 50, 70", f"{M2}, 0, 1, 1, 9, 9"]},
        [
            ({COHORTS: [f"{M3}, 0, 2, 1, 9, 9"]}, [("2026-03-01", 0, 1, 0)]),
            ({COHORTS: [f"{M3}, 0, 2, 2, 9, 8"]}, [("2026-03-01", 0, 0, 1)]),
            ({COHORTS: [f"{M3}, 1, 2, 2, 9, 9"]}, [("2026-03-01", 1, None, None)]),
        ],
    ),
    ("gold.fct_revenue_recognition", "lines_are_recognised_exactly"): (
        {
            INVOICES: ["'i1', 'EUR', TRUE", "'i2', 'JPY', TRUE", "'void', 'EUR', FALSE"],
            LINES: ["'i1', 1, 1000", "'i1', 2, -300", "'i2', 1, 101", "'void', 1, 5"],
            CURRENCIES: ["'EUR', 2", "'JPY', 0"],
            ENTRIES: ["'i1', 1, 3.34", "'i1', 1, 6.66", "'i1', 2, -3.00", "'i2', 1, 101", "'i1', 0, -9.99"],
        },
        [
            ({ENTRIES: ["'i1', 1, 0.01"]}, [("i1", 1, 10.0, 10.01)]),
            ({ENTRIES: ["'void', 1, 0.05"]}, [("void", 1, None, 0.05)]),
            ({LINES: ["'i2', 2, 7"]}, [("i2", 2, 7.0, None)]),
            ({LINES: ["'i2', 2, 0"]}, [("i2", 2, 0.0, None)]),
        ],
    ),
    ("gold.rpt_revenue_recognised_monthly", "recognised_is_what_was_invoiced"): (
        {
            RECOGNISED: ["'EUR', 9.5, 10.0", "'EUR', -1.0, 0.0", "'USD', 3.0, 3.0"],
            SUMS: ["'EUR', 10.0, 1.5, TRUE", "'EUR', 99.0, 0, FALSE", "'USD', 3.0, 0, TRUE"],
        },
        [
            ({RECOGNISED: ["'EUR', 0.01, 0"]}, [("EUR", 8.51, 10.0, 1.5)]),
            ({RECOGNISED: ["'EUR', 0, 0.01"]}, [("EUR", 8.5, 10.0, 1.5)]),
            ({SUMS: ["'JPY', 7, 0, TRUE"]}, [("JPY", None, 7.0, 0.0)]),
            ({SUMS: ["'USD', 0, 1, TRUE"]}, [("USD", 3.0, 3.0, 1.0)]),
        ],
    ),
}


def offenders(project: Context, case: tuple[str, str], more: Rows) -> list[tuple[object, ...]]:
    """The rows that the audit of a model finds, decimals as numbers."""
    name, audit_name = case
    model = project.get_model(name, raise_if_missing=True)
    arguments = next(arguments for given, arguments in model.audits if given == audit_name)
    query = model.render_audit_query(project._audits[audit_name], **arguments)
    rows = found(query, CASES[case][0], more)
    return sorted(tuple(float(cell) if hasattr(cell, "as_tuple") else cell for cell in row) for row in rows)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_intact_identity_passes(project: Context, case: tuple[str, str]) -> None:
    assert offenders(project, case, {}) == []


@pytest.mark.parametrize(
    ("case", "bad", "expected"), [(case, *fault) for case, (_, faults) in CASES.items() for fault in faults]
)
def test_violated_identity_is_found(
    project: Context, case: tuple[str, str], bad: Rows, expected: list[tuple[object, ...]]
) -> None:
    assert offenders(project, case, bad) == expected


def test_every_own_audit_of_a_revenue_model_is_tested_and_blocks(project: Context) -> None:
    models = [model for model in project.models.values() if "revenue" in model.tags]
    carried = {audit for model in models for audit, _ in model.audits if audit in project._audits}
    assert carried - {"grain_is_unique"} == {
        audit for _, audit in CASES
    }  # of which test_audits_by_what_changed.py has cases
    assert [audit for audit in carried if not project._audits[audit].blocking] == []
