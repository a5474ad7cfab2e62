"""Stock and marketing spend of the shop as docs/metrics.md defines them, from raw records in plain Python.

Nothing here is shared with the models but the rates. `random_movements` and `random_exports` make records on and around
the boundaries of the definitions: midnights in UTC and in the shop, one moment, levels that contradict each other.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tests.revenue import Rates
from tests.shop_sales import converted
from tests.shop_sessions import DAY, business_date, moment

DEMAND_DAYS, LEAD_DAYS = 28, 14
KINDS = ("receipt", "sale", "return", "transfer", "adjustment")
Record = dict[str, Any]


class Level(NamedTuple):
    """A row of gold.fct_inventory_daily."""

    business_date: dt.date
    product_id: int
    location: str
    opening: int
    received: int
    sold: int
    returned: int
    transferred: int
    adjusted: int
    unexplained: int
    closing: int
    is_stock_out: bool


class Risk(NamedTuple):
    """A row of gold.rpt_stock_risk."""

    business_date: dt.date
    product_id: int
    location: str
    product_name: str
    category: str | None
    risk: str
    level: int
    sold: int
    sale_days: int
    demand: float
    days_of_cover: float | None


class Spend(NamedTuple):
    """A row of gold.fct_marketing_daily."""

    date: dt.date
    channel: str
    campaign: str
    currency: str
    amount: Decimal
    amount_reporting: Decimal
    impressions: int | None
    clicks: int | None


def newest_movements(lines: Iterable[Record]) -> list[Record]:
    """One version of each movement and UTC date, the last of the lines, which are in the order in which they landed."""
    return list({(line["movement_id"], moment(line["moved_at"]).date()): line for line in lines}.values())


def levels(lines: Iterable[Record], first: dt.date, last: dt.date) -> list[Level]:
    """The rows of gold.fct_inventory_daily once the UTC dates from `first` to `last` are computed."""
    stocks: dict[tuple[int, str], list[Record]] = defaultdict(list)
    for line in newest_movements(lines):
        if first <= moment(line["moved_at"]).date() <= last:
            stocks[line["product_id"], line["location"]].append(line)
    found = []
    for (product, location), moved in stocks.items():
        moved.sort(key=lambda line: (moment(line["moved_at"]), line["movement_id"]))
        closing = moved[0]["level"] - moved[0]["quantity"]
        day = business_date(moment(moved[0]["moved_at"]))
        while day <= last:
            opening, sums = closing, dict.fromkeys(KINDS, 0)
            for line in moved:
                if business_date(moment(line["moved_at"])) == day:
                    sums[line["movement_type"]] += line["quantity"]
                    closing = line["level"]
            unexplained = closing - opening - sum(sums.values())
            found.append(Level(day, product, location, opening, *sums.values(), unexplained, closing, closing <= 0))
            day += DAY
    return found


def risks(rows: Sequence[Level], products: Mapping[int, Record]) -> list[Risk]:
    """The rows of gold.rpt_stock_risk.

    Args:
        rows: of gold.fct_inventory_daily.
        products: the products that exist.
    """
    stocks: dict[tuple[int, str], list[Level]] = defaultdict(list)
    last = max((row.business_date for row in rows), default=dt.date.min)
    for row in rows:
        if (last - row.business_date).days < DEMAND_DAYS:
            stocks[row.product_id, row.location].append(row)
    found = []
    for (number, location), dates in stocks.items():
        if number not in products:
            continue
        level = max(dates).closing
        sold = -sum(row.sold for row in dates)
        days = sum(not row.is_stock_out or row.sold < 0 for row in dates)
        demand = sold / days if days else 0.0
        cover = level * days / sold if sold > 0 else None
        if level <= 0:
            risk = "out"
        elif cover is None:
            risk = "idle"
        else:
            risk = "low" if cover < LEAD_DAYS else "ok"
        product = products[number]
        found.append(
            Risk(
                *(last, number, location, product["name"], product["category"]),
                *(risk, level, sold, days, demand, cover),
            )
        )
    return found


def spends(lines: Iterable[Record], first: dt.date, last: dt.date, rates: Rates) -> list[Spend]:
    """The rows of gold.fct_marketing_daily once the dates from `first` to `last` are computed."""
    newest: dict[tuple[Any, ...], Record] = {}
    for line in lines:  # in the order in which they landed
        key = (line["spend_date"], line["channel"], line["campaign"])
        if key not in newest or moment(line["exported_at"]) >= moment(newest[key]["exported_at"]):
            newest[key] = line
    found = []
    for line in newest.values():
        date, amount = dt.date.fromisoformat(line["spend_date"]), Decimal(line["amount"])
        if first <= date <= last:
            value = converted(amount, rates.rate(line["currency"], date.replace(day=1)))
            numbers = (int(line[name]) if line[name] else None for name in ("impressions", "clicks"))
            found.append(Spend(date, line["channel"], line["campaign"], line["currency"], amount, value, *numbers))
    return found


def random_movements(seed: int, first: dt.date, days: int) -> list[Record]:
    """Movements of some products at two locations; some are missing, sent again, corrected, or contradict others."""
    dice = random.Random(f"movements {seed}")
    start = dt.datetime.combine(first, dt.time())
    stocks = [(product, location) for product in range(1, 7) for location in ("shop", "warehouse")]
    times = sorted(_moment(dice, start, days) for _ in range(6 * days))
    records: list[Record] = []
    held = dict.fromkeys(stocks, 0)
    for at in times:
        stock = dice.choice(stocks[: 2 + len(records) // 12])
        for _ in range(dice.choice((1, 1, 1, 2, 3))):  # several in one moment
            kind = dice.choice(KINDS[:1] if held[stock] < -3 else ("sale", "sale", "sale", *KINDS[2:]))
            pieces = dice.randrange(1, 5)
            sign = {"receipt": 2, "sale": -1, "return": 1}.get(kind, dice.choice((-1, 1)))
            held[stock] += sign * pieces
            records.append(
                {
                    "movement_id": len(records) + 1,
                    "product_id": stock[0],
                    "location": stock[1],
                    "movement_type": kind,
                    "quantity": sign * pieces,
                    "level": held[stock] + dice.choice((0,) * 30 + (1, -2)),
                    "moved_at": _written(dice, at),
                }
            )
    records = [record for record in records if dice.random() < 0.97]  # the rest never arrives
    for record in dice.sample(records, len(records) // 10):
        change: Record = dice.choice(({}, {"level": record["level"] + 1}, {"quantity": -1}, {"location": "shop"}))
        if dice.random() < 0.2:  # on another date it is another movement
            change = {"moved_at": _written(dice, moment(record["moved_at"]) + dice.choice((-DAY, DAY)))}
        records.append(record | change)
    return records


def _moment(dice: random.Random, start: dt.datetime, days: int) -> dt.datetime:
    midnight = start + dice.randrange(days) * DAY
    gaps = (dt.timedelta(0), dt.timedelta(hours=22), dt.timedelta(hours=23), DAY - dt.timedelta(microseconds=1))
    return midnight + (dice.choice(gaps) if dice.random() < 0.5 else dice.randrange(86_400) * dt.timedelta(seconds=1))


def _written(dice: random.Random, at: dt.datetime) -> str:
    """A time as producers write it, some with an offset."""
    hours = dice.choice((0, 0, 0, 2, -5))
    return at.replace(tzinfo=dt.UTC).astimezone(dt.timezone(dt.timedelta(hours=hours))).isoformat()


def random_exports(seed: int, first: dt.date, days: int) -> list[list[Record]]:
    """Exports of marketing spend, each of several dates; some restate a date at the same time with other figures."""
    dice = random.Random(f"exports {seed}")
    campaigns = [("paid_search", "brand", "EUR"), ("email", "weekly", "USD"), ("email", "weekly", "EUR")]
    campaigns += [("display", "summer", "GBP"), ("display", "brand", "JPY")]
    found = []
    for number in range(days):
        exported = dt.datetime.combine(first + (number + 1) * DAY, dt.time(4, dice.choice((0, 0, 30))))
        rows = []
        for age in range(1, dice.randrange(1, 4) + 1):
            for channel, campaign, currency in dice.sample(campaigns, 3):
                rows.append(
                    {
                        "spend_date": str(exported.date() - age * DAY),
                        "channel": channel,
                        "campaign": campaign,
                        "amount": f"{dice.randrange(100_000) / 100:.2f}",
                        "currency": currency,
                        "impressions": str(dice.randrange(5000)),
                        "clicks": dice.choice(("", str(dice.randrange(90)))),
                        "exported_at": f"{exported.isoformat()}Z",
                    }
                )
        found.append(rows)
        if dice.random() < 0.3:  # the same export again, some of its figures others
            found.append([row | ({"amount": "7.77"} if dice.random() < 0.5 else {}) for row in rows])
    return found
