"""Features of customers of the shop in pandas, from the raw records of its connector.

Nothing is shared with the models: as of a moment, the newest record of each row of the shop's database counts that was
committed by then, or that had landed by then, and everything is summed up again from these rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pandas as pd

from sample.database import Row
from tests.revenue import Rates
from tests.shop_sales import converted, utc

CHANGED, KNOWN = "committed_at", "known_at"
FEATURES = (
    *("country_code", "is_registered", "order_count", "cancelled_order_count", "refund_count", "gross_amount"),
    *("net_amount", "refunded_amount", "registered_at", "first_order_at", "last_order_at"),
)
_ZERO = Decimal(0)
_ORDER = ["lsn", "place"]


class Landed(NamedTuple):
    """A record of a table in an object.

    Attributes:
        known_at: when the object was written.
    """

    table: str
    known_at: dt.datetime
    record: Row


def changes_of(landed: Iterable[Landed]) -> pd.DataFrame:
    """A row per change: table, key, row (None once deleted), its place in the log, and when it was made and known."""
    found = []
    for table, known_at, record in landed:
        value = record["value"]
        source = value["source"]
        committed_at = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=source["ts_us"])
        place = (value["transaction"] or {"total_order": 0})["total_order"]
        key = tuple(record["key"].values())
        found.append((table, key, value["after"], source["lsn"], place, committed_at, known_at))
    return pd.DataFrame(found, columns=["table", "key", "row", *_ORDER, CHANGED, KNOWN])


class CustomerFeatures:
    """Features as of any moment.

    Args:
        changes: see `changes_of`.
        zone: by whose dates the month of an order's rate is found.
    """

    def __init__(self, changes: pd.DataFrame, rates: Rates, zone: str) -> None:
        self._changes, self._rates, self._zone = changes, rates, ZoneInfo(zone)

    def at(self, moment: dt.datetime, axis: str) -> dict[int, dict[str, Any]]:
        """The features of each customer of whom anything was there by a moment, by `committed_at` or `known_at`."""
        seen = self._changes[self._changes[axis] <= moment].sort_values(_ORDER)
        newest = seen.groupby(["table", "key"], sort=False).tail(1)
        kept = newest[newest["row"].notna()]
        orders, items, refunds = (
            kept.loc[kept["table"] == name, "row"] for name in ("orders", "order_items", "refunds")
        )
        placed = self._placed(seen[seen["table"] == "orders"], axis)
        customers = newest[newest["table"] == "customers"].set_index("key")["row"]
        goods = self._sums(items, lambda item: item["quantity"] * item["unit_price"])
        paid_back = self._sums(refunds, lambda refund: refund["amount"])
        refund_counts = self._sums(refunds, lambda _: 1)
        values = pd.DataFrame(
            [self._valued(order, goods, paid_back, refund_counts) for order in orders],
            columns=["customer_id", *FEATURES[2:8]],
        )
        totals = values.groupby("customer_id")[list(FEATURES[2:8])].sum()
        found = {}
        for number in {*(key[0] for key in customers.index), *placed}:
            row = customers.get((number,)) if (number,) in customers.index else None
            of_orders = totals.loc[number] if number in totals.index else dict.fromkeys(FEATURES[2:8], 0)
            times = placed.get(number, [])
            found[number] = {
                "country_code": row["country_code"] if row else None,
                "is_registered": row is not None,
                **{name: of_orders[name] for name in FEATURES[2:8]},
                "registered_at": utc(row["created_at"]) if row else None,
                "first_order_at": min(times, default=None),
                "last_order_at": max(times, default=None),
            }
        return found

    @staticmethod
    def _sums(rows: pd.Series, of: Any) -> Mapping[int, Any]:
        pairs = pd.DataFrame([(row["order_id"], of(row)) for row in rows], columns=["order_id", "value"])
        return dict(pairs.groupby("order_id")["value"].sum())

    @staticmethod
    def _placed(changes: pd.DataFrame, axis: str) -> dict[int, list[dt.datetime]]:
        """By customer, the times of orders in every version that was ever the newest there was."""
        ordered = changes.sort_values([axis, *_ORDER])
        last = ordered.groupby(["key", axis], sort=False).tail(1)
        newest = last[last["lsn"] >= last.groupby("key")["lsn"].cummax()]
        rows = newest.loc[newest["row"].notna(), "row"]
        pairs = [(row["customer_id"], utc(row["ordered_at"])) for row in rows if row["customer_id"] is not None]
        return dict(pd.DataFrame(pairs, columns=["customer_id", "at"]).groupby("customer_id")["at"].agg(list))

    def _valued(
        self, order: Row, goods: Mapping[int, Any], paid_back: Mapping[int, Any], refunds: Mapping[int, Any]
    ) -> Sequence[Any]:
        number = order["order_id"]
        month = utc(order["ordered_at"]).replace(tzinfo=dt.UTC).astimezone(self._zone).date().replace(day=1)
        rate = self._rates.rate(order["currency"], month)
        is_cancelled = order["status"] == "cancelled"
        counts = (order["customer_id"], 1, int(is_cancelled), refunds.get(number, 0))
        gross = goods.get(number)
        charged = order["tax_amount"] + order["shipping_amount"] - order["discount_amount"]
        if gross is None or gross + charged != order["total_amount"]:
            return (*counts, _ZERO, _ZERO, _ZERO)
        back = converted(Decimal(paid_back.get(number, 0)), Fraction(rate))
        net = _ZERO if is_cancelled else converted(gross - order["discount_amount"], rate) - back
        return (*counts, converted(gross, rate), net, back)
