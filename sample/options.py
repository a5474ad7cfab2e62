"""The validated options of a sample."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

RATES = ("late", "duplicates", "malformed", "unknown_fields", "future", "unknown_users", "overwrites")
SHARES = ("trials", "annual", "plan_changes", "pauses", "failed_payments", "refunds", "churn", "comebacks")
SHOP_SHARES = ("resnapshots", "reloads")
_EARLIEST, _LATEST = dt.date(2015, 2, 1), dt.date(2100, 12, 31)  # late events must not precede the contract's epoch


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """Options of the generator.

    The objects of a date depend on `seed`, `events / days`, `events_per_file`, `compress` and the rates; those of
    accounts, subscriptions and invoices also on `accounts` and the shares, those of the shop, its stock and its
    marketing spend on `orders / days`, its shares, the year of the first date and, for the addresses that customers
    share with accounts, `accounts`, its clicks also on `sessions_per_order`; never on `end`. Object names depend only
    on `seed` and `compress`: to add data of another size to a lake, use another seed.

    Args:
        end: the last date, UTC. Events of dates in the future are future-dated when they are ingested.
        events: approximate number of events over all days.
        days: number of dates, the last being `end`.
        seed: each seed gives another population, under other keys.
        events_per_file: maximum number of events per object; the events of a date are spread evenly. The clicks of a
            date are spread over as many objects as its expected clicks need.
        compress: gzip every object.
        late: share of events that arrive 1 to 28 days after they occurred.
        duplicates: copies per event, half of them on the next date; half of those correct the duration.
        malformed: invalid lines per event, mixed with the valid ones.
        unknown_fields: share of events with fields that no contract names.
        future: share of events whose clock is a century ahead.
        unknown_users: share of events whose user has no record, or not yet.
        overwrites: share of event objects that a second run replaces.
        accounts: customers who sign up per calendar year, starting the year before the first date; 0 for none.
        trials: share of customers who start with a trial.
        annual: share of subscriptions that start with yearly billing.
        plan_changes: share of subscriptions that change plan, per month.
        pauses: share of subscriptions that pause, per month.
        failed_payments: share of period invoices whose first payment fails.
        refunds: share of the other period invoices that are refunded in part or in full.
        churn: share of subscriptions whose cancellation is requested, per month.
        comebacks: share of churned customers who return.
        orders: approximate number of orders in the shop, over all days; 0 for no shop. It is open from 1 January of
            the year of the first date; its clicks begin on the first date.
        sessions_per_order: sessions of the shop's visitors, those of bots included, on average of four clicks.
        resnapshots: share of days on which the shop's connector loses its place: the changes of three hours are never
            streamed, then it reads all rows again.
        reloads: share of days on which the shop's catalogue is truncated and reloaded.

    For accounts, subscriptions, invoices and the shop's changes, clicks and movements, `late` is the share that arrives
    1 to 28 days later, and `duplicates` the share that is sent again, half of it on the next date; half of these are
    amended, but none of the shop's. `malformed` and `unknown_fields` are as for events; the other rates apply only to
    events. For marketing spend, whole exports are late, sent again or have an unknown field.

    An event has at most one of late, unknown_fields, future and unknown_users, and only events with none of them are
    copied or overwritten. Rates that exceed the number of events together are met as far as possible.

    Raises:
        ValueError: an option is out of range.
    """

    end: dt.date
    events: int = 20_000
    days: int = 30
    seed: int = 1
    events_per_file: int = 100
    compress: bool = False
    late: float = 0.0
    duplicates: float = 0.0
    malformed: float = 0.0
    unknown_fields: float = 0.0
    future: float = 0.0
    unknown_users: float = 0.0
    overwrites: float = 0.0
    accounts: int = 200
    trials: float = 0.6
    annual: float = 0.25
    plan_changes: float = 0.03
    pauses: float = 0.012
    failed_payments: float = 0.06
    refunds: float = 0.02
    churn: float = 0.05
    comebacks: float = 0.3
    orders: int = 0
    sessions_per_order: float = 12.0
    resnapshots: float = 0.0
    reloads: float = 0.0

    def __post_init__(self) -> None:
        for name, lowest, highest in (
            ("events", 1, 10**12),
            ("days", 1, 10_000),
            ("seed", 0, 2**63),
            ("events_per_file", 1, 10**9),
            ("accounts", 0, 10**6),
            ("orders", 0, 10**9),
        ):
            value = getattr(self, name)
            if not lowest <= value <= highest:
                raise ValueError(f"{name} is {value}; expected a whole number from {lowest} to {highest}")
        if not _EARLIEST.toordinal() <= self.first_day <= self.last_day <= _LATEST.toordinal():
            raise ValueError(f"{self.days} days up to {self.end}; expected all of them from {_EARLIEST} to {_LATEST}")
        if not 1 <= self.sessions_per_order <= 10**6:
            raise ValueError(f"sessions_per_order is {self.sessions_per_order}; expected a number from 1 to {10**6}")
        for name in (*RATES, *SHARES, *SHOP_SHARES):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; expected a share from 0 to 1")

    @property
    def events_per_day(self) -> float:
        """Number of events on an average date."""
        return self.events / self.days

    @property
    def sessions_per_day(self) -> float:
        """Number of sessions in the shop on an average date."""
        return self.sessions_per_order * self.orders / self.days

    @property
    def first_day(self) -> int:
        """The first date as a proleptic ordinal, the representation of all dates within the package."""
        return self.last_day - self.days + 1

    @property
    def last_day(self) -> int:
        """`end` as a proleptic ordinal."""
        return self.end.toordinal()
