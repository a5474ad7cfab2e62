"""Random subscription businesses: models and plain Python over the raw lines agree, however the lines arrive."""

from __future__ import annotations

import csv
import datetime as dt
import os
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from ingest.settings import PROJECT
from tests import revenue
from tests.home import Home, copy_home, template
from tests.random_business import RandomBusiness, random_business

pytestmark = pytest.mark.usefixtures("revenue_models")

MOVEMENTS = "SELECT account_id, month_date, movement_type, amount FROM gold.fct_mrr_movements"
MONTHS = """
SELECT month_date, opening_mrr, fx_mrr, new_mrr, reactivation_mrr, expansion_mrr, contraction_mrr, churn_mrr,
  closing_mrr, opening_accounts, accounts, churned_accounts, arpa, logo_churn_rate, gross_retention, net_retention,
  quick_ratio
FROM gold.rpt_mrr_monthly
"""
COHORTS = """
SELECT cohort_month_date, month_number, accounts, retained_accounts, retained_share, opening_mrr, retained_mrr,
  revenue_retained
FROM gold.rpt_cohort_retention
"""
TRAILING = """
SELECT month_date, base_accounts, retained_accounts, base_mrr, retained_mrr, capped_mrr, net_retention, gross_retention
FROM gold.rpt_mrr_trailing
"""


def seed(name: str) -> list[dict[str, str]]:
    with (PROJECT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def planned(revenue_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake without customers, with production planned on it."""
    with template(tmp_path_factory.mktemp("planned"), revenue_project) as home:
        home.plan()
    return home


@pytest.fixture
def home(planned: Home, clean_settings: Path) -> Iterator[Home]:
    """A copy of that lake."""
    yield copy_home(planned, Home())
    shutil.rmtree(clean_settings)


def arrive(home: Home, business: RandomBusiness, batches: int) -> None:
    """Load all of a business in the given number of batches, each followed by a run."""
    landing = Path(home.options.lake_home) / "landing"
    size = -(-len(business.objects) // batches)
    for start in range(0, len(business.objects), size):
        RandomBusiness(business.objects[start : start + size], business.last_day).write(landing)
        home.ingest()
        assert home.run() == "SUCCESS"


def comparable(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows in order; ratios, exact in Python and doubles in SQL, as floats of twelve digits."""

    def value(item: Any) -> Any:
        return float(f"{float(item):.12g}") if isinstance(item, float | Fraction) else item

    return sorted(tuple(map(value, row)) for row in rows)


def must_agree(home: Home) -> int:
    """Assert that movements, months, cohorts and yearly retention agree; return the number of movements."""
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    daily = revenue.mrr_daily(
        Path(home.options.lake_home) / "landing", seed("currencies"), yesterday, home.options.lake_start
    )
    rates = revenue.Rates(seed("exchange_rates"), "EUR")
    movements = comparable([tuple(row) for row in revenue.movements(daily, rates, yesterday)])
    assert comparable(home.rows(MOVEMENTS)) == movements
    assert comparable(home.rows(MONTHS)) == comparable([tuple(row) for row in revenue.monthly(daily, rates, yesterday)])
    assert comparable(home.rows(COHORTS)) == comparable(
        [tuple(row) for row in revenue.cohorts(daily, rates, yesterday)]
    )
    assert comparable(home.rows(TRAILING)) == comparable(revenue.trailing(daily, rates, yesterday))
    return len(movements)


@pytest.mark.parametrize("number", range(int(os.environ.get("BUSINESSES", "1"))))
def test_models_and_plain_python_agree(number: int, home: Home, record_property: Callable[[str, object], None]) -> None:
    arrive(home, random_business(number), batches=1 + number % 3)

    movements = must_agree(home)

    record_property("movements", movements)
    assert movements > 20
