"""Acquisition, cohorts and value of a shop's customers in plain Python, by the definitions in docs/metrics.md.

Nothing is shared with the models: from the true rows of the database, raw clicks and exports of spend.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sample.database import Database, Row
from tests.revenue import Rates
from tests.shop_sales import Sale, Sales, converted, utc
from tests.shop_sessions import Record, Session, sessions

WINDOW = dt.timedelta(hours=30 * 24)


class Acquisition(NamedTuple):
    """A row of gold.fct_acquisitions."""

    customer_id: int
    order_id: int
    session_key: str | None
    channel: str
    business_date: dt.date
    cohort_month_date: dt.date
    ordered_at: dt.datetime


def month_of(day: dt.date) -> dt.date:
    """The first day of a month."""
    return day.replace(day=1)


def after(month: dt.date, months: int) -> dt.date:
    """The first day of the month so many months later."""
    years, place = divmod(month.month - 1 + months, 12)
    return dt.date(month.year + years, place + 1, 1)


def complete_months(first: dt.date, last: dt.date) -> list[dt.date]:
    """The months whose last business date ends on a computed UTC date, east of Greenwich."""
    found, month = [], month_of(first)
    while after(month, 1) - dt.timedelta(days=1) <= last:
        found.append(month)
        month = after(month, 1)
    return found


class Growth:
    """What docs/metrics.md says of acquired customers.

    Attributes:
        sales: the shop's sales.
        months: complete months.
        sessions: those of the computed dates.
        acquisitions: by customer.
    """

    def __init__(
        self,
        database: Database,
        rates: Rates,
        digits: Mapping[str, int],
        zone: str,
        clicks: Iterable[Record],
        spend: Sequence[Row],
        computed: tuple[dt.date, dt.date],
    ) -> None:
        """
        Args:
            spend: the exported rows in the order in which they landed.
            computed: first and last UTC date that the lake has.
        """
        self.database, self._rates = database, rates
        self.sales = Sales(database, rates, digits, zone)
        self.months = complete_months(*computed)
        self.sessions = [row for row in sessions(clicks, zone) if computed[0] <= row.date <= computed[1]]
        self.acquisitions = self._acquired()
        self.spend = self._spent(spend)

    def business_date(self, moment: dt.datetime) -> dt.date:
        return self.sales.business_time(moment).date()

    def placed(self, number: int) -> dt.datetime:
        """When an order was placed."""
        return utc(self.database.rows["orders"][number,]["ordered_at"])

    def counts(self, number: int, end: dt.date) -> bool:
        """Whether an order counts at the end of a business date."""
        cancelled = self.sales.cancelled_at(number)
        if self.business_date(self.placed(number)) > end:
            return False
        return cancelled is None or self.business_date(cancelled) > end

    def _acquired(self) -> dict[int, Acquisition]:
        paid = {
            row["order_id"]
            for row in self.database.rows["payments"].values()
            if row["status"] == "captured" and row["captured_at"] is not None
        }
        firsts: dict[int, tuple[dt.datetime, int]] = {}
        for (number,), row in self.database.rows["orders"].items():
            customer = row["customer_id"]
            if customer is not None and number in paid:
                place = (self.placed(number), number)
                firsts[customer] = min(place, firsts.get(customer, place))
        found = {}
        for customer, (at, number) in firsts.items():
            session, day = self._session(customer, at), self.business_date(at)
            way = (session.session_key, session.channel) if session else (None, "direct")
            found[customer] = Acquisition(customer, number, *way, day, month_of(day), at)
        return found

    def _session(self, customer: int, at: dt.datetime) -> Session | None:
        """The last session of a customer that is not direct, at a moment or in the thirty days before."""
        found = [
            session
            for session in self.sessions
            if session.customer_id == customer
            and session.channel != "direct"
            and dt.timedelta(0) <= at - session.started_at <= WINDOW
        ]
        last = max((session.started_at for session in found), default=None)
        found = [session for session in found if session.started_at == last]
        return min(found, key=lambda session: session.session_key) if found else None

    def _spent(self, rows: Sequence[Row]) -> dict[tuple[dt.date, str], Decimal]:
        """The spend of the newest exports by month and channel, reporting currency."""
        newest: dict[Any, Row] = {}
        for row in rows:
            key = (row["spend_date"], row["channel"], row["campaign"])
            if key not in newest or newest[key]["exported_at"] <= row["exported_at"]:
                newest[key] = row
        found: dict[tuple[dt.date, str], Decimal] = defaultdict(Decimal)
        for row in newest.values():
            month = month_of(row["spend_date"])
            found[month, row["channel"]] += converted(row["amount"], self._rates.rate(row["currency"], month))
        return dict(found)

    def _events(self, customers: Iterable[int]) -> list[tuple[int, Sale]]:
        """Events of customers' orders with the number of the month since that of the acquisition."""
        wanted, orders = set(customers), self.database.rows["orders"]
        found = []
        for sale in self.sales.sales:
            customer = orders[sale.order_id,]["customer_id"]
            if customer in wanted:
                cohort, day = self.acquisitions[customer].cohort_month_date, sale.business_date
                found.append(((day.year - cohort.year) * 12 + day.month - cohort.month, sale))
        return found

    def groups(self, *columns: str) -> dict[tuple[Any, ...], list[int]]:
        """The acquired customers by columns of their acquisition."""
        found: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for customer, row in self.acquisitions.items():
            found[tuple(getattr(row, name) for name in columns)].append(customer)
        return found

    def cohorts(self) -> list[tuple[Any, ...]]:
        """Rows of gold.rpt_customer_cohorts."""
        found: list[tuple[Any, ...]] = []
        for (cohort,), customers in self.groups("cohort_month_date").items():
            events = self._events(customers)
            for number, month in enumerate(after(cohort, place) for place in range(40)):
                if month not in self.months:
                    continue
                end = after(month, 1) - dt.timedelta(days=1)
                orders = [
                    order
                    for (order,), row in self.database.rows["orders"].items()
                    if row["customer_id"] in customers
                    and month_of(self.business_date(self.placed(order))) == month
                    and self.counts(order, end)
                ]
                active = {self.database.rows["orders"][order,]["customer_id"] for order in orders}
                sold = [sale for place, sale in events if place == number]
                costed = [sale for sale in sold if sale.profit_reporting is not None]
                found.append(
                    (
                        *(
                            cohort,
                            number,
                            month,
                            len(customers),
                            len(active),
                            len(active) / len(customers),
                            len(orders),
                        ),
                        sum((sale.net_reporting for sale in sold), Decimal(0)),
                        sum((sale.net_reporting for sale in costed), Decimal(0)),
                        margin(costed),
                    )
                )
        return found

    def values(self) -> list[tuple[Any, ...]]:
        """Rows of gold.rpt_customer_value."""
        found: list[tuple[Any, ...]] = []
        for (cohort, channel), customers in self.groups("cohort_month_date", "channel").items():
            if cohort in self.months:
                is_valued = after(cohort, 11) in self.months
                year = self._first_year(customers)
                amounts = (year, float(year) / len(customers)) if is_valued else (None, None)
                found.append((cohort, channel, len(customers), is_valued, *amounts))
        return found

    def _first_year(self, customers: list[int]) -> Decimal:
        return margin(sale for place, sale in self._events(customers) if 0 <= place <= 11)

    def acquired_monthly(self) -> list[tuple[Any, ...]]:
        """Rows of gold.rpt_acquisition_monthly."""
        groups = self.groups("cohort_month_date", "channel")
        found: list[tuple[Any, ...]] = []
        for month, channel in {*groups, *self.spend}:
            if month not in self.months:
                continue
            customers, spend = groups.get((month, channel), []), self.spend.get((month, channel), Decimal(0))
            everybody = sum(len(others) for (other, _), others in groups.items() if other == month)
            spent = sum((amount for (other, _), amount in self.spend.items() if other == month), Decimal(0))
            found.append(
                (
                    *(month, channel, len(customers), spend),
                    float(spend) / len(customers) if customers else None,
                    float(spent) / everybody if everybody else None,
                    after(month, 11) in self.months,
                    self._first_year(customers) if after(month, 11) in self.months else None,
                    self._payback(month, customers, spend),
                )
            )
        return found

    def _payback(self, month: dt.date, customers: list[int], spend: Decimal) -> int | None:
        events = self._events(customers)
        for number in range(self.months.index(self.months[-1]) - self.months.index(month) + 1):
            if spend and margin(sale for place, sale in events if 0 <= place <= number) >= spend:
                return number + 1
        return None


def margin(sales: Iterable[Sale]) -> Decimal:
    """The contribution margin: profit of the events whose cost is known."""
    return sum((sale.profit_reporting for sale in sales if sale.profit_reporting is not None), Decimal(0))
