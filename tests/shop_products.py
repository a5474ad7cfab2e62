"""Products of a shop by month in plain Python, from the sales of tests/shop_sales.py and docs/metrics.md."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from typing import NamedTuple

from sample.database import Database
from tests.shop_sales import UNKNOWN, Sale, Sales, periods

UNKNOWN_PRODUCT = -1


class ProductMonth(NamedTuple):
    """A row of gold.rpt_top_products."""

    month_date: dt.date
    product_id: int
    product_name: str | None
    category: str | None
    subcategory: str | None
    revenue_rank: int
    events: int
    sold_quantity: int
    returned_quantity: int
    orders: int
    net: Decimal
    costed_net: Decimal
    profit: Decimal


def product_months(sales: Sales, database: Database) -> list[ProductMonth]:
    """What was sold of each product in each month, and its place among the products of the month."""
    found: dict[dt.date, dict[int, list[Sale]]] = defaultdict(lambda: defaultdict(list))
    for sale in sales.sales:
        number = UNKNOWN_PRODUCT if sale.product_key == UNKNOWN else sales.member(sale.product_key)["product_id"]
        found[sale.business_date.replace(day=1)][number].append(sale)
    rows = []
    for month, products in found.items():
        ranked = sorted(products, key=lambda number: (-sum(sale.net_reporting for sale in products[number]), number))
        for rank, number in enumerate(ranked, 1):
            versions = periods(database, "products", (number,), "created_at")
            newest = versions[-1].row if versions else {}
            events = products[number]
            sold = [sale for sale in events if sale.event_type == "sale"]
            costed = [sale for sale in events if sale.cost_reporting is not None]
            rows.append(
                ProductMonth(
                    *(month, number, newest.get("name"), newest.get("category"), newest.get("subcategory"), rank),
                    len(events),
                    sum(sale.quantity for sale in sold),
                    -sum(sale.quantity for sale in events if sale.event_type != "sale"),
                    len({sale.order_id for sale in sold}),
                    sum((sale.net_reporting for sale in events), Decimal(0)),
                    sum((sale.net_reporting for sale in costed), Decimal(0)),
                    sum((sale.profit_reporting for sale in costed if sale.profit_reporting is not None), Decimal(0)),
                )
            )
    return rows
