"""Customers of a shop in plain Python, from the true versions of its rows and the definitions in docs/metrics.md.

Nothing is shared with the models: each month looks at every order and every event again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sample.database import Database
from tests.shop_sales import Sales, periods, utc

NONE, PROSPECT = "none", "prospect"
OUTCOME_DAYS, HISTORY_MONTHS, PRIOR = 90, 12, 10
Pair = tuple[int, int]


class Month(NamedTuple):
    """A row of gold.fct_customer_monthly."""

    month_date: dt.date
    customer_id: int
    segment: str
    recency_score: int | None
    frequency_score: int | None
    monetary_score: int | None
    last_order_date: dt.date | None
    recency_days: int | None
    order_count: int
    frequency: int
    net: Decimal
    margin: Decimal
    monetary: Decimal
    lifetime_value: Decimal


class Move(NamedTuple):
    """A row of gold.rpt_customer_segments."""

    month_date: dt.date
    previous_segment: str
    segment: str
    customers: int
    buyers: int
    moved: int
    new: int
    left: int
    monetary: Decimal


class Risk(NamedTuple):
    """A row of gold.rpt_churn_risk."""

    month_date: dt.date
    recency_score: int
    frequency_score: int
    segment: str
    customers: int
    history: int
    history_churned: int
    base_rate: float | None
    score: float | None
    scored: int
    expected: float | None
    known: int
    churned: int | None
    tested: int
    squared_error: float | None
    base_squared_error: float | None


class Member(NamedTuple):
    """A version of gold.dim_customer, as far as it follows from sales."""

    customer_key: str
    customer_id: int
    segment: str | None
    lifetime_value: Decimal | None


class Bought(NamedTuple):
    """An order of a customer: business dates on which it was placed, and cancelled if it was."""

    placed: dt.date
    cancelled: dt.date | None

    def counts(self, date: dt.date) -> bool:
        """Whether it counts at the end of a business date."""
        return self.placed <= date and not (self.cancelled and self.cancelled <= date)


class Seeds(NamedTuple):
    """The seeds rfm_cuts and rfm_segments, as texts."""

    cuts: Sequence[dict[str, str]]
    segments: Sequence[dict[str, str]]

    def score(self, measure: str, value: Decimal | int) -> int:
        """The score of a value."""
        (score,) = (
            int(cut["score"])
            for cut in self.cuts
            if cut["measure"] == measure
            and (not cut["from_value"] or value >= int(cut["from_value"]))
            and (not cut["to_value"] or value < int(cut["to_value"]))
        )
        return score

    def segment(self, recency: int, frequency: int) -> str:
        """The segment of two scores."""
        wanted = (str(recency), str(frequency))
        (name,) = (row["segment"] for row in self.segments if (row["recency_score"], row["frequency_score"]) == wanted)
        return name


def month_after(month: dt.date, count: int) -> dt.date:
    """The first day of the month so many after another."""
    years, number = divmod(month.month - 1 + count, 12)
    return dt.date(month.year + years, number + 1, 1)


class Customers:
    """The customers of a shop.

    Attributes:
        months, moves, risks, members: rows of the four tables.
    """

    def __init__(
        self, database: Database, sales: Sales, seeds: Seeds, zone: str, dates: tuple[dt.date, dt.date]
    ) -> None:
        """
        Args:
            dates: the first and the last business date that is computed.
        """
        self._database, self._sales, self._seeds, self._zone = database, sales, seeds, ZoneInfo(zone)
        self._first, self._last = dates
        self._orders: dict[int, list[Bought]] = defaultdict(list)
        for (number,), row in database.rows["orders"].items():
            if row["customer_id"] is not None:
                cancelled = sales.cancelled_at(number)
                placed = sales.business_time(utc(row["ordered_at"])).date()
                bought = Bought(placed, sales.business_time(cancelled).date() if cancelled else None)
                self._orders[row["customer_id"]].append(bought)
        self._customers = sorted({key[0] for table, key in database.history if table == "customers"})
        self._ends = self._months()
        self.months = [
            self._month(month, end, customer)
            for month, end in self._ends.items()
            for customer in self._customers
            if self._exists(customer, end)
        ]
        self.moves, self.risks = self._moves(), self._risks()
        self.members = self._members()

    def _months(self) -> dict[dt.date, dt.date]:
        """The last date of each complete month, by its first."""
        found, month = {}, self._first.replace(day=1)
        while (end := month_after(month, 1) - dt.timedelta(days=1)) <= self._last:
            found[month] = end
            month = month_after(month, 1)
        return found

    def _exists(self, customer: int, date: dt.date) -> bool:
        """Whether a customer exists when a business date ends."""
        midnight = dt.datetime.combine(date + dt.timedelta(days=1), dt.time(), self._zone)
        end = utc(midnight)
        return any(
            period.valid_from < end and (period.valid_to is None or period.valid_to >= end) and not period.is_deleted
            for period in periods(self._database, "customers", (customer,), "created_at")
        )

    def _month(self, month: dt.date, end: dt.date, customer: int) -> Month:
        since = month_after(month, -11)
        counting = [order.placed for order in self._orders[customer] if order.counts(end)]
        orders = self._database.rows["orders"]
        events = [sale for sale in self._sales.sales if orders[sale.order_id,]["customer_id"] == customer]
        events = [sale for sale in events if sale.business_date <= end]
        of_month = [sale for sale in events if sale.business_date >= month]
        frequency = sum(placed >= since for placed in counting)
        monetary = sum((sale.net_reporting for sale in events if sale.business_date >= since), Decimal(0))
        newest = max(counting, default=None)
        scores: tuple[int | None, ...] = (None, None, None)
        segment, recency = PROSPECT, None
        if newest is not None:
            recency = (end - newest).days
            recency_score, frequency_score = (
                self._seeds.score("recency", recency),
                self._seeds.score("frequency", frequency),
            )
            segment = self._seeds.segment(recency_score, frequency_score)
            scores = (recency_score, frequency_score, self._seeds.score("monetary", monetary))
        return Month(
            *(month, customer, segment, *scores, newest, recency, sum(placed >= month for placed in counting)),
            frequency,
            sum((sale.net_reporting for sale in of_month), Decimal(0)),
            sum((sale.profit_reporting for sale in of_month if sale.profit_reporting is not None), Decimal(0)),
            monetary,
            sum((sale.profit_reporting for sale in events if sale.profit_reporting is not None), Decimal(0)),
        )

    def _moves(self) -> list[Move]:
        found: dict[tuple[dt.date, str, str], list[Month | None]] = defaultdict(list)
        rows = {(row.month_date, row.customer_id): row for row in self.months}
        for month in self._ends:
            for customer in self._customers:
                before, now = rows.get((month_after(month, -1), customer)), rows.get((month, customer))
                if before or now:
                    found[month, before.segment if before else NONE, now.segment if now else NONE].append(now)
        return [
            Move(
                *(month, before, now),
                sum(row is not None for row in group),
                sum(row is not None and row.last_order_date is not None for row in group),
                len(group) if NONE not in (before, now) and before != now else 0,
                len(group) if before == NONE else 0,
                len(group) if now == NONE else 0,
                sum((row.monetary for row in group if row), Decimal(0)),
            )
            for (month, before, now), group in found.items()
        ]

    def _churned(self, customer: int, end: dt.date) -> bool:
        until = end + dt.timedelta(days=OUTCOME_DAYS)
        return not any(order.placed > end and order.counts(until) for order in self._orders[customer])

    def _risks(self) -> list[Risk]:
        buyers: dict[dt.date, dict[Pair, list[Month]]] = defaultdict(lambda: defaultdict(list))
        for row in self.months:
            if row.recency_score is not None and row.frequency_score is not None:
                buyers[row.month_date][row.recency_score, row.frequency_score].append(row)
        return [risk for month in buyers for risk in self._risks_of(month, buyers)]

    def _risks_of(self, month: dt.date, buyers: dict[dt.date, dict[Pair, list[Month]]]) -> list[Risk]:
        end, days = self._ends[month], dt.timedelta(days=OUTCOME_DAYS)
        all_of, churned_of = Counter[Pair](), Counter[Pair]()
        for number in range(1, HISTORY_MONTHS + 1):
            earlier = month_after(month, -number)
            if earlier in self._ends and self._ends[earlier] + days <= end:
                for pair, rows in buyers[earlier].items() if earlier in buyers else ():
                    all_of[pair] += len(rows)
                    churned_of[pair] += sum(self._churned(row.customer_id, self._ends[earlier]) for row in rows)
        base = Fraction(churned_of.total(), all_of.total()) if all_of.total() else None
        found = []
        for pair, rows in buyers[month].items():
            count, is_known = len(rows), end + days <= self._last
            score = None if base is None else (churned_of[pair] + PRIOR * base) / (all_of[pair] + PRIOR)
            churned = [self._churned(row.customer_id, end) for row in rows]

            def error(rate: Fraction | None, is_known: bool = is_known, churned: list[bool] = churned) -> float | None:
                return float(sum((rate - item) ** 2 for item in churned)) if is_known and rate is not None else None

            found.append(
                Risk(
                    *(month, *pair, self._seeds.segment(*pair), count, all_of[pair], churned_of[pair]),
                    None if base is None else float(base),
                    None if score is None else float(score),
                    0 if score is None else count,
                    None if score is None else float(score * count),
                    count if is_known else 0,
                    sum(churned) if is_known else None,
                    count if is_known and score is not None else 0,
                    error(score),
                    error(base),
                )
            )
        return found

    def _members(self) -> list[Member]:
        newest = max(self._ends, default=None)
        now = {row.customer_id: row for row in self.months if row.month_date == newest}
        found = [Member("-1", -1, None, None)]
        for customer in self._customers:
            row = now.get(customer)
            for period in periods(self._database, "customers", (customer,), "created_at"):
                key = hashlib.md5(f"{customer}|{period.valid_from}".encode(), usedforsecurity=False).hexdigest()
                found.append(Member(key, customer, row.segment if row else None, row.lifetime_value if row else None))
        return found
