"""Random businesses are reproducible, contain every kind of trouble, and their numbers satisfy the identities."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.contracts.contract import contracts
from ingest.ledger.ledger import Ledger
from ingest.storage.store import Store
from pipeline.warehouse.bronze import bronze_query
from tests.home import Home
from tests.random_business import CURRENCIES, LAST, RandomBusiness, random_business, random_rates
from tests.revenue import MrrDay, Rates, cohorts, monthly, movements, mrr_daily, subscription_changes

SEEDS = range(20)
DIGITS = [{"currency": name, "digits": "0" if name == "JPY" else "2"} for name in CURRENCIES]


@pytest.fixture(scope="module", params=SEEDS)
def landed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, Path, RandomBusiness]:
    landing = tmp_path_factory.mktemp("landing")
    business = random_business(request.param)
    business.write(landing)
    return request.param, landing, business


def test_a_seed_is_always_the_same_business() -> None:
    assert random_business(3) == random_business(3)
    assert random_business(3) != random_business(4)
    assert random_rates(3) == random_rates(3)


def test_mrr_is_that_of_the_periods_as_defined(landed: Any) -> None:
    """Each period begins when its change starts to count and ends when any later one does."""
    _, landing, business = landed
    digits = {row["currency"]: int(row["digits"]) for row in DIGITS}
    expected = set()
    for name, changes in subscription_changes(landing).items():
        for place, change in enumerate(changes):
            begin = change.counts_from
            until = min((later.counts_from for later in changes[place + 1 :]), default=dt.datetime(2100, 1, 1))
            served = min(until, change.ends or until)
            day = begin.date()
            while day <= business.last_day and begin < until:
                midnight = dt.datetime.combine(day + dt.timedelta(1), dt.time())
                if begin < midnight <= until and midnight <= served and (mrr := change.mrr(midnight, digits)):
                    expected.add(MrrDay(day, name, change.account_id, change.currency, mrr))
                day += dt.timedelta(1)
                if midnight > until:
                    break
    found = mrr_daily(landing, DIGITS, business.last_day)
    assert len(found) == len(set(found)) > 500
    assert set(found) == expected


def test_numbers_satisfy_the_identities(landed: Any) -> None:
    seed, landing, business = landed
    daily, rates = mrr_daily(landing, DIGITS, business.last_day), Rates(random_rates(seed), "EUR")
    moves, report, shares = (compute(daily, rates, business.last_day) for compute in (movements, monthly, cohorts))
    assert moves
    closing = Decimal(0)
    for month in report:
        assert month.opening == closing
        assert month.closing == month.opening + sum(month[2:8])
        closing = month.closing
        retained = [row for row in shares if _later(row.cohort_month, row.months_since) == month.month_date]
        assert sum(row.retained_mrr for row in retained) == month.closing
        assert sum(row.retained_accounts for row in retained) == month.accounts
    assert Counter(row.account_id for row in moves if row.movement == "new").most_common(1)[0][1] == 1
    by_account: dict[str, Decimal] = defaultdict(Decimal)
    for row in moves:
        assert row.amount != 0
        by_account[row.account_id] += row.amount
    assert sum(by_account.values()) == closing
    assert min(by_account.values()) >= 0


def _later(month: dt.date, count: int) -> dt.date:
    year, number = divmod(month.year * 12 + month.month - 1 + count, 12)
    return dt.date(year, number + 1, 1)


def test_together_they_contain_every_trouble(tmp_path: Path) -> None:
    kinds: Counter[str] = Counter()
    for seed in SEEDS[:6]:
        landing = tmp_path / str(seed)
        business = random_business(seed)
        assert business.last_day <= LAST
        kinds.update(item.bucket for item in business.objects)
        kinds["compressed"] += any(item.key.endswith(".gz") for item in business.objects)
        business.write(landing)
        daily, rates = mrr_daily(landing, DIGITS, business.last_day), Rates(random_rates(seed), "EUR")
        kinds.update(row.movement for row in movements(daily, rates, business.last_day))
        for changes in subscription_changes(landing).values():
            kinds["equal times"] += len({change.updated_at for change in changes}) < len(changes)
            kinds["falling versions"] += changes != sorted(changes, key=lambda change: change.version)
            kinds["other currency"] += len({change.currency for change in changes}) > 1
            kinds["other account"] += len({change.account_id for change in changes}) > 1
            kinds["told late"] += any(change.counts_from < change.updated_at for change in changes)
            kinds["never was"] += any(
                later.counts_from <= change.counts_from
                for place, change in enumerate(changes)
                for later in changes[place + 1 :]
            )
            kinds["served though canceled"] += any(
                change.status == "canceled" and change.ends is not None and change.ends > change.updated_at
                for change in changes
            )
    expected = {"fx", "new", "reactivation", "expansion", "contraction", "churn", "equal times", "falling versions"}
    expected |= {"raw-accounts", "raw-subscriptions", "raw-invoices", "compressed", "other currency", "other account"}
    expected |= {"told late", "never was", "served though canceled"}
    assert expected <= {name for name, count in kinds.items() if count}


@pytest.mark.parametrize("seed", [0, 1])
def test_the_ingester_accepts_the_same_records(home: Home, seed: int) -> None:
    """Both reject the same records, and agree on the texts, numbers and moments of the rest."""
    business = random_business(seed)
    landing = home.options_home / "landing"
    business.write(landing)
    home.ingest("subscriptions")
    lake = Store(home.options.lake_uri, home.options)
    query = bronze_query(contracts()["subscriptions"], lake.uri, Ledger(lake, "subscriptions").state().bronze_files())
    rows = duckdb.sql(
        f"""
        SELECT DISTINCT ON (subscription_id, version)
          subscription_id, version, account_id, status, interval, quantity, unit_amount, currency,
          COALESCE(discount_percent, 0), trial_end_at, cancel_at, ended_at, updated_at
        FROM ({query})
        ORDER BY subscription_id, version, updated_at DESC, _source_modified_at DESC, _source_file DESC,
          _source_line DESC
        """
    ).fetchall()
    found = {row[:2]: row for row in rows}
    expected = {
        (change.subscription_id, change.version): tuple(getattr(change, name) for name in change.__slots__)
        for changes in subscription_changes(landing).values()
        for change in changes
    }
    assert found == expected
