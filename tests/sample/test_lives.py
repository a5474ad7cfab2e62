"""Records of customers satisfy the identities of a subscription business, whatever the options."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

import pytest

from sample.changes import changes
from sample.options import SHARES, SampleOptions
from sample.prices import PLANS, TAX_OF, whole

Records = list[dict[str, Any]]


class Lives:
    """The changes of the customers who sign up in a year, by feed."""

    def __init__(self, **changed: Any) -> None:
        options = SampleOptions(**{"end": dt.date(2026, 11, 20), "accounts": 300} | changed)
        self.changes = changes(options, 2025)
        feeds: dict[str, Records] = defaultdict(list)
        for change in self.changes:
            feeds[change.bucket].append(change.record)
        self.accounts, self.versions, self.bills = (
            _grouped(feeds[f"raw-{name}s"], f"{name}_id") for name in ("account", "subscription", "invoice")
        )

    @property
    def statuses(self) -> set[tuple[str, str]]:
        """The transitions of subscriptions from one status to another."""
        return {
            (before["status"], after["status"])
            for versions in self.versions.values()
            for before, after in itertools.pairwise(versions)
        }


def _grouped(records: Records, key: str) -> dict[str, Records]:
    found: dict[str, Records] = defaultdict(list)
    for record in records:
        found[record[key]].append(record)
    return found


EXTREMES: list[dict[str, float]] = [
    {},
    dict.fromkeys(SHARES, 0.0),
    dict.fromkeys(SHARES, 1.0),
    dict.fromkeys(SHARES, 0.5),
    {"plan_changes": 1.0, "churn": 0.0, "annual": 0.5, "pauses": 0.0, "failed_payments": 0.0},
    {"failed_payments": 0.5, "comebacks": 1.0, "trials": 0.0},
]


@pytest.fixture(scope="module", params=EXTREMES, ids=["usual", "none", "all", "half", "restless", "failing"])
def lives(request: pytest.FixtureRequest) -> Lives:
    return Lives(accounts=300 if not request.param else 60, **request.param)


@pytest.fixture(scope="module")
def usual() -> Lives:
    return Lives()


def test_versions_of_a_subscription_increase_with_the_time_of_change(lives: Lives) -> None:
    for versions in lives.versions.values():
        assert [record["version"] for record in versions] == list(range(1, len(versions) + 1))
        times = [record["updated_at"] for record in versions]
        assert times == sorted(set(times))


def test_versions_of_the_others_differ_in_their_time_of_change(lives: Lives) -> None:
    for records in (*lives.accounts.values(), *lives.bills.values()):
        assert len({record["updated_at"] for record in records}) == len(records)


def test_amount_due_is_the_sum_of_lines_and_taxes(lives: Lives) -> None:
    for versions in lives.bills.values():
        for bill in versions:
            assert bill["amount_due"] == sum(line["amount"] + line["tax"] for line in bill["lines"]) >= 0


def test_invoices_are_paid_in_full_or_not_at_all_and_refunded_at_most_what_was_paid(lives: Lives) -> None:
    for versions in lives.bills.values():
        for bill in versions:
            is_paid = bill["status"] == "paid"
            assert bill["amount_paid"] == (bill["amount_due"] if is_paid else 0)
            assert 0 <= bill["amount_refunded"] <= bill["amount_paid"]
            assert ("paid_at" in bill) == is_paid


def test_states_of_an_invoice_follow_each_other(lives: Lives) -> None:
    follows = {
        "draft": {"open"},
        "open": {"paid", "void", "uncollectible"},
        "paid": {"paid"},
        "void": set(),
        "uncollectible": set(),
    }
    for versions in lives.bills.values():
        assert versions[0]["status"] in ("draft", "open")
        for before, after in itertools.pairwise(versions):
            assert after["status"] in follows[before["status"]]
        assert all(("number" in bill) == ("issued_at" in bill) == (bill["status"] != "draft") for bill in versions)
    numbers = Counter(versions[-1].get("number") for versions in lives.bills.values())
    assert {count for number, count in numbers.items() if number} == {1}


def test_every_reference_exists(lives: Lives) -> None:
    for versions in lives.versions.values():
        assert {record["account_id"] for record in versions} <= lives.accounts.keys()
        assert versions[0]["started_at"] >= lives.accounts[versions[0]["account_id"]][0]["created_at"]
    for versions in lives.bills.values():
        assert versions[0]["account_id"] in lives.accounts
        assert versions[0].get("subscription_id", next(iter(lives.versions))) in lives.versions
        assert {line.get("plan_id", "plus") for line in versions[0]["lines"]} <= set(PLANS)


def test_periods_are_billed_at_the_price_of_the_subscription(lives: Lives) -> None:
    billed: dict[tuple[str, str], int] = {}
    for versions in lives.bills.values():
        for line in versions[0]["lines"]:
            if "plan_id" in line and not line["proration"]:
                billed[versions[0]["subscription_id"], line["period_start"]] = line["amount"]
    count = 0
    for name, versions in lives.versions.items():
        for record in versions:
            is_begin = record["current_period_start"] == record["updated_at"] and record["status"] == "active"
            if is_begin:
                share = (100 - Decimal(str(record.get("discount_percent", 0)))) / 100
                assert billed[name, record["updated_at"]] == whole(record["unit_amount"] * record["quantity"] * share)
                count += 1
    assert count > len(lives.versions) / 4


def test_service_ends_after_it_began_and_before_the_end_is_reported(lives: Lives) -> None:
    for versions in lives.versions.values():
        for record in versions:
            ended = record.get("ended_at")
            assert ended is None or (record["status"] == "canceled" and record["started_at"] <= ended)
            assert record["current_period_start"] < record["current_period_end"]
            assert record["quantity"] >= 0
            assert record["unit_amount"] > 0


def test_statuses_follow_each_other(lives: Lives) -> None:
    follows = {
        "trialing": {"trialing", "active", "canceled"},
        "active": {"active", "past_due", "paused", "canceled"},
        "past_due": {"active", "unpaid", "canceled"},
        "unpaid": {"active"},
        "paused": {"active", "canceled"},
        "canceled": {"active"},
    }
    assert [pair for pair in lives.statuses if pair[1] not in follows[pair[0]]] == []


def test_every_kind_of_change_occurs(usual: Lives) -> None:
    expected = {
        ("trialing", "active"),
        ("trialing", "canceled"),
        ("active", "active"),
        ("active", "past_due"),
        ("past_due", "active"),
        ("past_due", "canceled"),
        ("past_due", "unpaid"),
        ("unpaid", "active"),
        ("active", "paused"),
        ("paused", "active"),
        ("active", "canceled"),
        ("canceled", "active"),
    }
    assert expected <= usual.statuses
    pairs = [pair for versions in usual.versions.values() for pair in itertools.pairwise(versions)]
    prices = [(PLANS.index(a["plan_id"]), PLANS.index(b["plan_id"])) for a, b in pairs]
    assert any(a < b for a, b in prices)
    assert any(a > b for a, b in prices)
    intervals = {(a["interval"], b["interval"]) for a, b in pairs}
    assert {("month", "year"), ("year", "month")} <= intervals
    assert any(a["quantity"] != b["quantity"] for a, b in pairs)
    assert any("discount_percent" in a and "discount_percent" not in b for a, b in pairs)
    assert any("cancel_at" in a and "cancel_at" not in b and b["status"] == "active" for a, b in pairs)
    versions = [record for records in usual.versions.values() for record in records]
    assert {record["plan_id"] for record in versions} == set(PLANS)
    assert {record["currency"] for record in versions} == {"EUR", "USD", "GBP", "JPY"}
    assert any(record["quantity"] == 0 for record in versions)
    assert any(record["current_period_end"].endswith("-01 00:00:00.000") for record in versions)
    ends = [(record["ended_at"], record["updated_at"]) for record in versions if "ended_at" in record]
    assert any(ended < reported for ended, reported in ends)
    assert any(ended > reported for ended, reported in ends)
    bills = [versions[-1] for versions in usual.bills.values()]
    assert {"paid", "void", "uncollectible"} <= {bill["status"] for bill in bills}
    assert any(0 < bill["amount_refunded"] < bill["amount_paid"] for bill in bills)
    assert any(bill["amount_refunded"] == bill["amount_paid"] > 0 for bill in bills)
    assert any("subscription_id" not in bill for bill in bills)
    assert any(line["amount"] < 0 and line["proration"] for bill in bills for line in bill["lines"])
    assert any(line["tax"] for bill in bills for line in bill["lines"])
    returned = Counter(versions[0]["account_id"] for versions in usual.versions.values())
    assert max(returned.values()) > 1


def test_shares_are_close_to_the_options(usual: Lives) -> None:
    firsts = [versions[0] for name, versions in usual.versions.items() if name.endswith("_1")]
    assert sum(record["status"] == "trialing" for record in firsts) / len(firsts) == pytest.approx(0.6, abs=0.1)
    everybody = [versions[0] for versions in usual.versions.values()]
    yearly = sum(record["interval"] == "year" for record in everybody)
    assert yearly / len(everybody) == pytest.approx(0.25, abs=0.08)


@pytest.mark.parametrize(
    ("share", "status"), [("failed_payments", "past_due"), ("pauses", "paused"), ("trials", "trialing")]
)
def test_a_share_of_zero_is_none(share: str, status: str) -> None:
    lives = Lives(accounts=40, **{share: 0.0})
    assert status not in {record["status"] for versions in lives.versions.values() for record in versions}


def test_without_churn_only_unpaid_subscriptions_and_failed_payments_end() -> None:
    lives = Lives(accounts=60, churn=0.0, failed_payments=0.0, trials=0.0, pauses=0.0)
    ended = [versions for versions in lives.versions.values() if versions[-1]["status"] == "canceled"]
    assert len(ended) < 0.1 * len(lives.versions)  # the rest are reverted renewals


def test_more_customers_keep_the_existing_ones() -> None:
    few, many = (Lives(accounts=count) for count in (10, 20))
    assert len(few.accounts) == 10
    assert [record for record in many.changes if record.record["account_id"] in few.accounts] == few.changes


def test_tax_is_that_of_the_country(usual: Lives) -> None:
    for versions in usual.bills.values():
        bill = versions[0]
        country = usual.accounts[bill["account_id"]][0]["country_code"]
        for line in bill["lines"]:
            assert abs(line["tax"] - whole(line["amount"] * TAX_OF[country])) <= 1
