"""The dates that a changed customer or subscription makes stale; recomputed revenue equals rebuilt revenue."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.settings import settings
from tests.engagement import cycle, play
from tests.home import Home, copy_home, template
from tests.revenue_records import account, change, invoice

pytestmark = pytest.mark.usefixtures("revenue_models")

MRR = "gold.fct_mrr_daily"
TABLES = (
    *("silver.accounts", "silver.subscriptions", "silver.invoices", "gold.dim_account", MRR, "gold.rpt_mrr_daily"),
    *("gold.fct_mrr_monthly", "gold.fct_mrr_movements", "gold.rpt_mrr_monthly", "gold.rpt_cohort_retention"),
    *("gold.fct_subscription_lifecycle", "gold.rpt_customer_lifetime", "gold.fct_revenue_recognition"),
    *("gold.rpt_revenue_recognised_monthly", "gold.rpt_engagement_by_subscription"),
)


@pytest.fixture(scope="module")
def planned(revenue_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two customers since January, one of whom left in March; planned and up to date."""
    with pytest.MonkeyPatch.context() as patch, template(tmp_path_factory.mktemp("business"), revenue_project) as home:
        patch.setenv("LAKE_START", "2026-01-01")
        settings.cache_clear()
        home.put("accounts", "1.json", account("a1", "2026-01-01T00:00:00Z"), account("a2", "2026-01-01T00:00:00Z"))
        home.put(
            "subscriptions",
            "1.json",
            change("s1", 1, "2026-01-05T00:00:00Z"),
            change("s1", 3, "2026-03-05T00:00:00Z", quantity=3),
            change("s2", 1, "2026-01-09T00:00:00Z", account_id="a2", currency="USD"),
            change("s2", 2, "2026-03-09T00:00:00Z", account_id="a2", currency="USD", status="canceled"),
        )
        home.put("invoices", "1.json", invoice("i1", "2026-01-31T00:00:00Z"))
        home.ingest()
        home.plan()
        assert home.missing() == {}
    return home


@pytest.fixture
def business(planned: Home, home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of that business."""
    monkeypatch.setenv("LAKE_START", "2026-01-01")
    settings.cache_clear()
    return copy_home(planned, home)


def rebuilt(home: Home, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[Any, ...]]]:
    """The tables of a new lake over the same landing."""
    monkeypatch.setenv("LANDING_URI", home.options.landing_uri)
    monkeypatch.setenv("LAKE_HOME", f"{home.options.lake_home}-rebuilt")
    settings.cache_clear()
    fresh = Home()
    fresh.ingest()
    fresh.plan()
    return tables(fresh)


def rows(home: Home, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query on the warehouse, without loading the project."""
    with duckdb.connect(home.options.warehouse_path, read_only=True) as warehouse:
        return warehouse.execute(query).fetchall()


def tables(home: Home) -> dict[str, list[tuple[Any, ...]]]:
    return {name: rows(home, f"SELECT * FROM {name} ORDER BY ALL") for name in TABLES}


def last_day() -> dt.date:
    """The last computed day: yesterday in UTC."""
    return dt.datetime.now(dt.UTC).date() - dt.timedelta(1)


def movements(home: Home) -> list[tuple[Any, ...]]:
    """Movements of the first customer."""
    return rows(
        home,
        "SELECT movement_type, month_date::TEXT, amount::DOUBLE FROM gold.fct_mrr_movements "
        "WHERE account_id = 'a1' ORDER BY month_date",
    )


def test_late_changes_recompute_all_later_dates(business: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN
    assert movements(business) == [("new", "2026-01-01", 10.0), ("expansion", "2026-03-01", 20.0)]

    # WHEN the second version arrives after the third
    business.put("subscriptions", "late.json", change("s1", 2, "2026-02-10T00:00:00Z", quantity=2))
    business.ingest()

    # THEN of everything that carries over time, all dates from its own onward are stale, and no earlier one
    missing = business.missing()
    assert missing[MRR] == missing["gold.rpt_mrr_daily"] == [f"2026-02-10 - {last_day()}"]
    assert "silver.activity_events" not in missing
    assert business.run() == "SUCCESS"
    assert movements(business) == [
        ("new", "2026-01-01", 10.0),
        ("expansion", "2026-02-01", 10.0),
        ("expansion", "2026-03-01", 10.0),
    ]

    # AND an end that is reported late counts from the end itself
    ended = change("s1", 4, "2026-04-02T00:00:00Z", status="canceled", ended_at="2026-03-31T10:00:00Z")
    business.put("subscriptions", "end.json", ended)
    business.ingest()
    assert business.missing()[MRR] == [f"2026-03-31 - {last_day()}"]
    business.put("invoices", "paid-back.json", invoice("i1", "2026-04-03T00:00:00Z", amount_refunded=595))
    business.ingest()
    assert business.run() == "SUCCESS"
    assert movements(business)[-1] == ("churn", "2026-03-01", -20.0)
    found = tables(business)
    assert found == rebuilt(business, monkeypatch)
    assert [name for name, rows in found.items() if not rows] == []


def test_address_of_a_customer_makes_no_date_of_mrr_stale(business: Home) -> None:
    business.put("accounts", "moved.json", account("a1", "2026-02-01T00:00:00Z", country_code="fr"))
    business.ingest()
    missing = business.missing()
    assert {MRR, "gold.rpt_mrr_daily"}.isdisjoint(missing)
    assert {"silver.accounts", "gold.dim_account", "gold.rpt_customer_lifetime"} <= set(missing)
    assert business.run() == "SUCCESS"
    countries = rows(business, "SELECT country_code FROM gold.dim_account WHERE account_id = 'a1' ORDER BY valid_from")
    assert countries == [(None,), ("fr",)]


def test_audit_over_all_dates_runs_when_what_it_reads_was_computed(business: Home) -> None:
    """Otherwise a release would be published unaudited, until the next audit over everything."""
    mrr = ("assert_mrr_report_reconciles_with_days", "all dates")
    assert mrr in {(audit.name, audit.scope) for audit in cycle(business).audits}

    business.put("events", "late.json", play("late", "2026-01-20"))
    done = cycle(business)
    assert done.outcome == "published"
    assert {audit.scope for audit in done.audits} == {"changed dates"}

    business.put("subscriptions", "2.json", change("s1", 2, "2026-02-05T00:00:00Z", quantity=2))
    done = cycle(business)
    assert done.outcome == "published"
    assert mrr in {(audit.name, audit.scope) for audit in done.audits}
    assert "assert_revenue_references_are_known" not in {audit.name for audit in done.audits}, "a warning can wait"
