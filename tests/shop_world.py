"""Random histories of the shop's feeds; see tests/world.py."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from sample.database import as_json
from sample.shop import TABLES
from tests.home import Home
from tests.random_customers import LongShop
from tests.revenue import Rates
from tests.shop_sessions import ZONE, moment, random_clicks, seed
from tests.shop_stock import random_exports, random_movements
from tests.world import DAY, World

Record = dict[str, Any]
OPENED = dt.datetime(2026, 3, 28, 0, 5, tzinfo=dt.UTC)
"""When histories begin: the clocks change on the next night, a month ends within a few days."""
HOUR = dt.timedelta(hours=1)


class OpenShop(LongShop):
    """A shop that closes for some hours after each time of trade."""

    first, last = dt.datetime(2026, 2, 10, tzinfo=dt.UTC), dt.datetime(2026, 3, 26, 20, tzinfo=dt.UTC)
    dense = (dt.datetime(2026, 2, 28, 22, 30, tzinfo=dt.UTC), dt.datetime(2026, 3, 20, 22, 30, tzinfo=dt.UTC))

    def __init__(self) -> None:
        digits = {row["currency"]: int(row["digits"]) for row in seed("currencies")}
        super().__init__(0, Rates(seed("exchange_rates"), "EUR"), digits, ZONE, 60)

    def trade(self, hours: int, actions: int) -> None:
        """Trade for some hours, half of it within the hour around a midnight or a change of clocks, if there is one."""
        self.first = self.last + 2 * HOUR
        self.last = self.first + hours * HOUR
        nights = (self.first.replace(hour=22, minute=30) + number * DAY for number in range(3))
        self.dense = tuple(at for at in nights if self.first <= at <= self.last - HOUR) or (self.first,)
        self._trade([], actions)


class Event(NamedTuple):
    """What a source other than the shop's database tells, to land in one object.

    Attributes:
        at: when it happened.
    """

    at: dt.datetime
    feed: str
    records: Sequence[Record]


class Shop(World):
    """Changes of the shop's database, clicks, movements of stock, and exports of marketing spend.

    Attributes:
        landed: feed and key of each object, with its records.
    """

    MODELS = (
        *("orders", "customers", "clickstream", "sessions", "business_dates", "inventory_levels", "current_orders"),
        *("fct_sales", "fct_orders", "fct_sessions", "fct_inventory_daily", "fct_customer_monthly", "dim_product"),
        *("rpt_sales_hourly", "rpt_funnel_daily", "fct_acquisitions", "dim_customer_360"),
        *("fct_customer_features", "fct_customer_features_known"),
    )

    def __init__(self, home: Home, seed: int) -> None:
        """A shop that has traded before: in all histories the same, so that they can begin with one lake."""
        super().__init__(home, seed)
        self.now = OPENED
        self.landed: dict[tuple[str, str], list[Record]] = {}
        self._shop = OpenShop()
        self._waiting = self._shop.database.records
        self._events = sorted(events(seed), key=lambda event: event.at)

    def open(self) -> None:
        """Land what was before the histories."""
        self.catch_up()
        for event in self._past():
            if self.dice.random() < 0.7:
                self._land(event.feed, event.records)

    def resume(self) -> None:
        """Go on with a lake in which that has landed."""
        self._waiting.clear()
        self._shop.dice = self.dice

    def trade(self) -> None:
        """The shop trades; nothing of it lands yet."""
        self._shop.trade(self.dice.randrange(3, 30), self.dice.randrange(4, 20))

    def read_again(self) -> None:
        """The connector lost its place and reads all tables again."""
        self._shop.database.connect(self._shop.last + HOUR + dt.timedelta(seconds=self.dice.randrange(1, 3600)))

    def changes(self) -> None:
        """Some of the changes that wait land, in any order, some of them not for the last time."""
        self.dice.shuffle(self._waiting)
        part = [self._waiting.pop() for _ in range(min(len(self._waiting), self.dice.randrange(1, 40)))]
        self._waiting += self.dice.sample(part, len(part) // 5)
        self._land_changes(part)

    def catch_up(self) -> None:
        """All changes that wait land."""
        part = list(self._waiting)
        self._waiting.clear()
        self._land_changes(part)

    def observations(self) -> None:
        """Some clicks, movements and exports land: of the last days, or late."""
        past = self._past()
        recent = [event for event in past if self.now.replace(tzinfo=None) - event.at < 2 * DAY]
        for _ in range(self.dice.randrange(1, 4)):
            if found := self.dice.choice((past, recent)):
                event = self.dice.choice(found)
                same = [other for other in found if other.feed == event.feed]
                chosen = self.dice.sample(same, min(len(same), self.dice.randrange(1, 12)))
                self._land(event.feed, [record for item in chosen for record in item.records])

    def repeat(self) -> None:
        """An object lands again under another name."""
        if self.landed:
            (feed, _), records = self.dice.choice(list(self.landed.items()))
            self._land(feed, records)

    def rewrite(self) -> None:
        """An object is overwritten: some of its records are gone; changes land in another object then."""
        if self.landed:
            feed, key = self.dice.choice(list(self.landed))
            records = self.landed[feed, key]
            kept = self.dice.sample(records, self.dice.randrange(len(records) + 1))
            self._lose(feed, [record for record in records if record not in kept])
            self._write(feed, key, kept)

    def withdraw(self) -> None:
        """`lake drop` of a loaded object; changes land in another one then."""
        if dropped := self.drop_any(self.landed):
            self._lose(dropped[0], self.landed.pop(dropped))

    def _past(self) -> list[Event]:
        return [event for event in self._events if event.at <= self.now.replace(tzinfo=None)]

    def _lose(self, feed: str, records: Sequence[Record]) -> None:
        if feed in TABLES_OF_SHOP:
            self._waiting += records

    def _land_changes(self, records: Sequence[Record]) -> None:
        for table in TABLES_OF_SHOP:
            found = [record for record in records if record["topic"].endswith(f".{table}")]
            size = self.dice.choice((3, 10, 40))
            for start in range(0, len(found), size):
                self._land(table, found[start : start + size])

    def _land(self, feed: str, records: Sequence[Record]) -> None:
        self._write(feed, self.key("csv" if feed == "marketing_spend" else "json"), records)

    def _write(self, feed: str, key: str, records: Sequence[Record]) -> None:
        self.landed[feed, key] = list(records)
        if feed == "marketing_spend":
            self.home.landing(feed).put(key, as_csv(records))
        else:
            self.home.put(feed, key, *(as_json(record).encode() for record in records))


TABLES_OF_SHOP = [table.name for table in TABLES]


def events(number: int) -> list[Event]:
    """Clicks, movements and exports from two weeks before histories begin to two weeks after."""
    first, days = (OPENED - 14 * DAY).date(), 28
    found = [Event(moment(row["occurred_at"]), "clickstream", [row]) for row in random_clicks(number, first, days)]
    found += [Event(moment(row["moved_at"]), "inventory", [row]) for row in random_movements(number, first, days)]
    exports = random_exports(number, first, days)
    return found + [Event(moment(rows[0]["exported_at"]), "marketing_spend", rows) for rows in exports]


def as_csv(rows: Sequence[Record]) -> bytes:
    """Rows as a file with a header."""
    text = io.StringIO()
    names = ["spend_date", "channel", "campaign", "amount", "currency", "impressions", "clicks", "exported_at"]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
