"""The reference computation of the revenue models, on examples made by hand from docs/metrics.md."""

from __future__ import annotations

import datetime as dt
import json
import os
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.revenue import Movement, Rates, cohorts, monthly, movements, mrr_daily, rounded

CURRENCIES = [{"currency": name, "digits": digits} for name, digits in (("EUR", "2"), ("USD", "2"), ("JPY", "0"))]
RATES = [
    {"month_date": month, "currency": currency, "rate": rate}
    for month, currency, rate in (
        ("2025-12-01", "USD", "0.9"),
        ("2026-02-01", "USD", "0.8"),
        ("2025-01-01", "JPY", "0.0061"),
    )
]
END = dt.date(2026, 6, 30)


class Business:
    """A landing of subscription changes."""

    def __init__(self, landing: Path) -> None:
        self.landing = landing
        self._objects = 0

    def put(self, *records: dict[str, Any] | bytes, name: str | None = None, modified: float = 1.8e9) -> None:
        self._objects += 1
        path = self.landing / "raw-subscriptions" / (name or f"{self._objects:03d}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in records]
        path.write_bytes(b"\n".join(lines) + b"\n")
        os.utime(path, (modified, modified))

    def tell(self, at: str, version: int, name: str = "s", **changed: Any) -> None:
        self.put(record(at, version, name, **changed))

    def days(self, last_day: dt.date = END) -> dict[tuple[str, str], Decimal]:
        """MRR by (date, subscription)."""
        return {(str(row[0]), row[1]): row.mrr for row in mrr_daily(self.landing, CURRENCIES, last_day)}

    def span(self, name: str = "s") -> list[tuple[str, str, Decimal]]:
        """The days of a subscription as runs of one amount: (first, last, amount)."""
        found: list[tuple[str, str, Decimal]] = []
        for (day, _), mrr in sorted(item for item in self.days().items() if item[0][1] == name):
            before = str(dt.date.fromisoformat(day) - dt.timedelta(1))
            if found and found[-1][1:] == (before, mrr):
                found[-1] = (found[-1][0], day, mrr)
            else:
                found.append((day, day, mrr))
        return found

    def moves(self, last_day: dt.date = END) -> list[tuple[str, str, Decimal]]:
        daily = mrr_daily(self.landing, CURRENCIES, last_day)
        return [(str(row.month_date)[:7], row.movement, row.amount) for row in self._movements(daily, last_day)]

    @staticmethod
    def _movements(daily: Any, last_day: dt.date) -> list[Movement]:
        return movements(daily, Rates(RATES, "EUR"), last_day)


def record(at: str, version: int, name: str = "s", **changed: Any) -> dict[str, Any]:
    """A subscription of 10 EUR a month, whose account has the same name."""
    return {
        "subscription_id": name,
        "version": version,
        "account_id": f"a-{name}",
        "plan_id": "plus",
        "status": "active",
        "interval": "month",
        "quantity": 1,
        "unit_amount": 1000,
        "currency": "EUR",
        "started_at": "2026-01-01 00:00:00",
        "updated_at": at if len(at) > 10 else f"{at} 12:00:00",
    } | changed


@pytest.fixture
def business(tmp_path: Path) -> Business:
    return Business(tmp_path)


def test_half_is_rounded_up_at_the_sixth_digit() -> None:
    assert rounded(Fraction(5, 10_000_000)) == Decimal("0.000001")
    assert rounded(Fraction(49, 100_000_000)) == 0
    assert rounded(Fraction(10, 3)) == Decimal("3.333333")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "10"),
        ({"quantity": 3}, "30"),
        ({"quantity": 0}, None),
        ({"interval": "year", "unit_amount": 10_000}, "8.333333"),
        ({"interval": "year", "unit_amount": 10_100, "quantity": 7, "discount_percent": 33.33}, "39.279742"),
        ({"discount_percent": 12.5}, "8.75"),
        ({"discount_percent": "12.50"}, "8.75"),
        ({"discount_percent": 100}, None),
        ({"currency": "JPY", "unit_amount": 600}, "600"),
        ({"status": "past_due"}, "10"),
        ({"status": "trialing"}, None),
        ({"status": "paused"}, None),
        ({"status": "unpaid"}, None),
        ({"status": "canceled"}, None),
    ],
)
def test_mrr_of_a_state(business: Business, changed: dict[str, Any], expected: str | None) -> None:
    business.tell("2026-06-29", 1, **changed)
    amount = Decimal(expected or 0)
    assert business.days() == ({("2026-06-29", "s"): amount, ("2026-06-30", "s"): amount} if expected else {})


def test_a_change_counts_for_the_day_whose_midnight_it_precedes(business: Business) -> None:
    business.tell("2026-03-31 23:59:59", 1)
    business.tell("2026-04-01 00:00:00", 1, "t")
    assert business.span()[0][0] == "2026-03-31"
    assert business.span("t")[0][0] == "2026-04-01"


def test_an_offset_is_taken_to_utc(business: Business) -> None:
    business.tell("2026-03-31T23:30:00-05:00", 1)
    assert business.span()[0][0] == "2026-04-01"


def test_only_the_last_of_a_days_changes_counts(business: Business) -> None:
    business.tell("2026-03-01 08:00:00", 1)
    business.tell("2026-03-05 08:00:00", 2, quantity=5)
    business.tell("2026-03-05 09:00:00", 3, quantity=2)
    assert business.span() == [("2026-03-01", "2026-03-04", 10), ("2026-03-05", "2026-06-30", 20)]


def test_service_that_ends_at_midnight_counts_for_the_day_before(business: Business) -> None:
    business.tell("2026-03-01", 1)
    business.tell("2026-03-10", 2, cancel_at="2026-04-01 00:00:00")
    assert business.span() == [("2026-03-01", "2026-03-31", 10)]


@pytest.mark.parametrize("status", ["active", "past_due", "canceled"])
@pytest.mark.parametrize("field", ["cancel_at", "ended_at"])
def test_a_service_counts_until_it_ends(business: Business, status: str, field: str) -> None:
    business.tell("2026-03-01", 1)
    business.tell("2026-03-10", 2, status=status, **{field: "2026-04-15 10:00:00"})
    assert business.span() == [("2026-03-01", "2026-04-14", 10)]


def test_ended_at_takes_precedence_over_the_requested_end(business: Business) -> None:
    business.tell("2026-03-01", 1, cancel_at="2026-05-01 00:00:00", ended_at="2026-04-01 00:00:00")
    assert business.span() == [("2026-03-01", "2026-03-31", 10)]


def test_a_future_end_does_not_make_a_trial_count(business: Business) -> None:
    for status in ("trialing", "paused", "unpaid"):
        business.tell("2026-03-01", 1, status, status=status, cancel_at="2026-05-01 00:00:00")
    assert business.days() == {}


def test_a_withdrawn_request_continues_the_service(business: Business) -> None:
    business.tell("2026-03-01", 1)
    business.tell("2026-03-10", 2, cancel_at="2026-04-01 00:00:00")
    business.tell("2026-03-20", 3)
    assert business.span() == [("2026-03-01", "2026-06-30", 10)]


def test_churn_reported_late_falls_on_the_day_of_the_end(business: Business) -> None:
    business.tell("2026-03-01", 1)
    business.tell("2026-04-06", 2, status="canceled", ended_at="2026-04-02 10:00:00")
    assert business.span() == [("2026-03-01", "2026-04-01", 10)]


def test_a_renewal_after_an_end_reported_later_is_void(business: Business) -> None:
    business.tell("2026-03-01", 1)
    business.tell("2026-04-01", 2, quantity=9)
    business.tell("2026-04-06", 3, status="canceled", ended_at="2026-04-01 00:00:00")
    assert business.span() == [("2026-03-01", "2026-03-31", 10)]


def test_a_return_after_an_end_reported_late_counts_from_the_return(business: Business) -> None:
    business.tell("2026-03-01", 1)
    business.tell("2026-04-06", 2, status="canceled", ended_at="2026-04-02 10:00:00")
    business.tell("2026-04-20", 3)
    assert business.span() == [("2026-03-01", "2026-04-01", 10), ("2026-04-20", "2026-06-30", 10)]


def test_equal_times_are_ordered_by_version_and_times_before_versions(business: Business) -> None:
    business.tell("2026-03-01", 2, quantity=2)
    business.tell("2026-03-01", 10, quantity=10)
    business.tell("2026-05-01", 1, quantity=1)
    assert business.span() == [("2026-03-01", "2026-04-30", 100), ("2026-05-01", "2026-06-30", 10)]


def test_of_one_version_the_latest_by_time_object_name_and_line_counts(business: Business) -> None:
    def version_of(name: str, version: int, quantity: int, at: str = "2026-06-30 10:00:00") -> dict[str, Any]:
        return record(at, version, name, quantity=quantity)

    business.put(version_of("time", 1, 2, "2026-06-30 10:00:01"), name="a.json", modified=1.7e9)
    business.put(version_of("time", 1, 3), version_of("object", 1, 4), name="b.json", modified=1.8e9)
    business.put(version_of("object", 1, 5), version_of("name", 1, 6), name="c.json", modified=1.7e9)
    business.put(
        version_of("name", 1, 7), version_of("line", 1, 8), version_of("line", 1, 9), name="d.json", modified=1.7e9
    )
    amounts = {name: int(amount) // 10 for (_, name), amount in business.days().items()}
    assert amounts == {"time": 2, "object": 4, "name": 7, "line": 9}


def test_a_correction_moves_the_day_of_its_version(business: Business) -> None:
    business.tell("2026-03-01", 1)
    business.tell("2026-03-03", 1)
    assert business.span()[0][0] == "2026-03-03"


def test_records_that_violate_the_contract_are_omitted(business: Business) -> None:
    good = json.dumps(record("2026-06-30", 1)).encode()
    business.put(
        good[: len(good) // 2],
        good + b"}",
        b"[" + good + b"]",
        good.replace(b'"s"', b"7", 1),
        good.replace(b'"version": 1', b'"version": "1"'),
        good.replace(b'"version": 1', b'"version": true'),
        good.replace(b'"version": 1', b'"version": NaN'),
        good.replace(b'"version": 1', b'"version": 1, "version": 2'),
        good.replace(b'"updated_at": "2026', b'"updated_at": "on 2026'),
        good.replace(b'"updated_at": "2026-06-30', b'"updated_at": "2026-06-31'),
        good.replace(b'"active"', b"null"),
        good.replace(b'"active"', b'"\xff"'),
        good.replace(b'"account_id"', b'"account"'),
        good.replace(b'"quantity"', b'"discount_percent": 1.234, "quantity"'),
        b"",
    )
    assert business.days() == {}
    business.put(b'{"unknown": {"field": [1.5]}, ' + good[1:])
    assert business.days() == {("2026-06-30", "s"): Decimal(10)}


def test_movements_of_one_account(business: Business) -> None:
    business.tell("2026-01-10", 1)
    business.tell("2026-02-10", 2, quantity=3)
    business.tell("2026-03-10", 3, quantity=2)
    business.tell("2026-04-10", 4, status="paused")
    business.tell("2026-05-10", 5)
    assert business.moves() == [
        ("2026-01", "new", 10),
        ("2026-02", "expansion", 20),
        ("2026-03", "contraction", -10),
        ("2026-04", "churn", -20),
        ("2026-05", "reactivation", 10),
    ]


def test_changes_within_a_month_are_netted(business: Business) -> None:
    business.tell("2026-01-10", 1)
    business.tell("2026-02-10", 2, status="canceled", ended_at="2026-02-10 12:00:00")
    business.tell("2026-02-20", 1, "back", account_id="a-s")
    business.tell("2026-03-02", 1, "short")
    business.tell("2026-03-20", 2, "short", status="canceled")
    assert business.moves() == [("2026-01", "new", 10)]


def test_an_account_that_came_and_left_within_a_month_is_new_on_return(business: Business) -> None:
    business.tell("2026-03-02", 1)
    business.tell("2026-03-20", 2, status="canceled")
    business.tell("2026-05-20", 3)
    assert business.moves() == [("2026-05", "new", 10)]


def test_only_months_whose_last_day_has_been_computed_are_reported(business: Business) -> None:
    business.tell("2026-04-10", 1)
    business.tell("2026-05-10", 2, quantity=2)
    assert business.moves(dt.date(2026, 5, 30)) == [("2026-04", "new", 10)]
    assert business.moves(dt.date(2026, 5, 31)) == [("2026-04", "new", 10), ("2026-05", "expansion", 10)]
    daily = mrr_daily(business.landing, CURRENCIES, dt.date(2026, 4, 29))
    assert monthly(daily, Rates(RATES, "EUR"), dt.date(2026, 4, 29)) == []


def test_a_change_of_the_rate_alone_is_never_an_expansion(business: Business) -> None:
    business.tell("2026-01-10", 1, currency="USD")
    assert business.moves() == [("2026-01", "new", 9), ("2026-02", "fx", -1)]


def test_changes_are_measured_at_this_months_rate(business: Business) -> None:
    business.tell("2026-01-10", 1, currency="USD")
    business.tell("2026-01-10", 1, "gone", currency="USD")
    business.tell("2026-02-10", 2, currency="USD", quantity=2)
    business.tell("2026-02-10", 2, "gone", currency="USD", status="canceled")
    assert business.moves() == [
        ("2026-01", "new", 9),
        ("2026-02", "fx", -1),
        ("2026-02", "churn", -8),
        ("2026-01", "new", 9),
        ("2026-02", "fx", -1),
        ("2026-02", "expansion", 8),
    ]


def test_change_of_currency_is_measured_against_the_old_one_at_this_months_rate(business: Business) -> None:
    business.tell("2026-01-10", 1, currency="USD")
    business.tell("2026-02-10", 2, currency="JPY", unit_amount=1500)
    moved = [("2026-01", "new", Decimal(9)), ("2026-02", "fx", Decimal(-1))]
    assert business.moves() == [*moved, ("2026-02", "expansion", Decimal("1.15"))]


def test_each_currency_of_an_account_is_rounded_by_itself(business: Business) -> None:
    rates = Rates([{"month_date": "2026-01-01", "currency": name, "rate": "0.00000005"} for name in ("USD", "JPY")], "")
    assert rates.value({"USD": Decimal(10), "JPY": Decimal(10)}, dt.date(2026, 1, 1)) == Decimal("0.000002")


def test_rate_is_the_latest_at_or_before_the_month() -> None:
    rates = Rates(RATES, "EUR")
    found = [rates.rate("USD", dt.date(2026, month, 1)) for month in (1, 2, 3)]
    assert found == [Fraction("0.9"), Fraction("0.8"), Fraction("0.8")]
    assert rates.rate("EUR", dt.date(1999, 1, 1)) == 1
    with pytest.raises(LookupError, match="no rate of USD at or before 2025-11-01"):
        rates.rate("USD", dt.date(2025, 11, 1))


def team(business: Business) -> None:
    """Three accounts from January, one from February; one churns in February, another returns in April."""
    business.tell("2026-01-10", 1, "one", quantity=2)
    business.tell("2026-01-11", 1, "two")
    business.tell("2026-01-12", 1, "three")
    business.tell("2026-02-10", 1, "four")
    business.tell("2026-02-11", 2, "one", quantity=5)
    business.tell("2026-02-12", 2, "two", status="canceled", ended_at="2026-02-12 12:00:00")
    business.tell("2026-02-13", 2, "three", discount_percent=50)
    business.tell("2026-04-13", 3, "two")


def test_monthly_report(business: Business) -> None:
    team(business)
    last = dt.date(2026, 4, 30)
    january, february, march, april = monthly(mrr_daily(business.landing, CURRENCIES, last), Rates(RATES, "EUR"), last)
    assert january[:12] == (dt.date(2026, 1, 1), 0, 0, 40, 0, 0, 0, 0, 40, 0, 3, 0)
    assert january[12:] == (Fraction(40, 3), None, None, None, None)
    assert february[:12] == (dt.date(2026, 2, 1), 40, 0, 10, 0, 30, -5, -10, 65, 3, 3, 1)
    assert february[12:] == (
        Fraction(65, 3),
        Fraction(1, 3),
        Fraction(25, 40),
        Fraction(55, 40),
        Fraction(40, 15),
    )
    assert march[:12] == (dt.date(2026, 3, 1), 65, 0, 0, 0, 0, 0, 0, 65, 3, 3, 0)
    assert march[12:] == (Fraction(65, 3), 0, 1, 1, None)
    assert april[:12] == (dt.date(2026, 4, 1), 65, 0, 0, 10, 0, 0, 0, 75, 3, 4, 0)


def test_retention_is_measured_against_the_opening_at_this_months_rate(business: Business) -> None:
    business.tell("2026-01-10", 1, "stays", currency="USD")
    business.tell("2026-01-10", 1, "leaves", currency="USD")
    business.tell("2026-02-10", 2, "leaves", currency="USD", status="canceled")
    last = dt.date(2026, 2, 28)
    february = monthly(mrr_daily(business.landing, CURRENCIES, last), Rates(RATES, "EUR"), last)[-1]
    assert (february.opening, february.fx, february.churn, february.closing) == (18, -2, -8, 8)
    assert (february.gross_retention, february.quick_ratio) == (Fraction(1, 2), 0)


def test_cohorts(business: Business) -> None:
    team(business)
    last = dt.date(2026, 4, 30)
    rows = cohorts(mrr_daily(business.landing, CURRENCIES, last), Rates(RATES, "EUR"), last)
    january, february = dt.date(2026, 1, 1), dt.date(2026, 2, 1)
    assert rows == [
        (january, 0, 3, 3, 1, 40, 40, 1),
        (january, 1, 3, 2, Fraction(2, 3), 40, 55, Fraction(55, 40)),
        (january, 2, 3, 2, Fraction(2, 3), 40, 55, Fraction(55, 40)),
        (january, 3, 3, 3, 1, 40, 65, Fraction(65, 40)),
        (february, 0, 1, 1, 1, 10, 10, 1),
        (february, 1, 1, 1, 1, 10, 10, 1),
        (february, 2, 1, 1, 1, 10, 10, 1),
    ]


def test_a_cohort_that_is_gone_is_reported_as_zero(business: Business) -> None:
    business.tell("2026-04-10", 1)
    business.tell("2026-05-10", 2, status="canceled")
    rows = cohorts(mrr_daily(business.landing, CURRENCIES, END), Rates(RATES, "EUR"), END)
    assert [(row.months_since, row.retained_accounts, row.retained_mrr) for row in rows] == [
        (0, 1, 10),
        (1, 0, 0),
        (2, 0, 0),
    ]


def test_subscriptions_of_an_account_add_up_by_currency(business: Business) -> None:
    business.tell("2026-02-10", 1, "one", account_id="a")
    business.tell("2026-02-10", 1, "two", account_id="a", currency="USD")
    business.tell("2026-02-10", 1, "three", account_id="a", currency="JPY", unit_amount=1000)
    assert business.moves() == [("2026-02", "new", Decimal("24.1"))]


def test_days_begin_where_computing_begins(business: Business) -> None:
    business.tell("2026-01-10", 1)
    first = dt.date(2026, 6, 29)
    rows = mrr_daily(business.landing, CURRENCIES, END, first)
    assert [row.mrr_date for row in rows] == [first, END]


def test_changes_after_the_last_day_are_not_reported(business: Business) -> None:
    business.tell("2026-07-01", 1)
    assert business.days() == {}


def test_no_records_yield_no_rows(business: Business) -> None:
    daily = mrr_daily(business.landing, CURRENCIES, END)
    rates = Rates(RATES, "EUR")
    assert (daily, movements(daily, rates, END), cohorts(daily, rates, END)) == ([], [], [])
    assert monthly(daily, rates, END) == []
