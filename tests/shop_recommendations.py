"""Recommendations of a shop and their hit rate in plain Python, by the definitions in docs/metrics.md."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from fractions import Fraction
from itertools import permutations
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tests.shop_growth import Growth, after, month_of
from tests.shop_sales import UNKNOWN, periods, utc

COUNT, SUPPORT, MONTHS = 5, 2, 12


class Recommendation(NamedTuple):
    """A row of gold.rpt_product_recommendations."""

    month_date: dt.date
    product_id: int
    rank: int
    recommended_product_id: int
    basis: str
    lift: float | None
    support: int | None


class Recommendations:
    """What is recommended in the last twelve complete months.

    Attributes:
        rows: those of gold.rpt_product_recommendations.
        hits: those of gold.rpt_recommendation_hits.
    """

    def __init__(self, growth: Growth, zone: str) -> None:
        self._growth, self._zone = growth, ZoneInfo(zone)
        self._products: dict[int, set[int]] = {}
        items = growth.database.rows["order_items"]
        for sale in growth.sales.sales:
            if sale.event_type == "sale" and sale.product_key != UNKNOWN:
                product = items[sale.order_id, sale.line_number]["product_id"]
                self._products.setdefault(sale.order_id, set()).add(product)
        self.rows: list[Recommendation] = []
        self.hits: list[tuple[Any, ...]] = []
        for month in growth.months[-MONTHS:]:
            baskets = self.baskets(after(month, 1 - MONTHS), month)
            popular = self._popular(month, baskets)
            rows = [row for product in popular for row in self._of_product(month, product, baskets, popular)]
            self.rows += rows
            if rows and after(month, 1) in growth.months:
                self.hits.append(self._judged(month, rows, popular))

    def baskets(self, first: dt.date, last: dt.date) -> list[set[int]]:
        """The baskets placed from one month to another that count at the end of that."""
        end = after(last, 1) - dt.timedelta(days=1)
        found = []
        for order, products in self._products.items():
            month = month_of(self._growth.business_date(self._growth.placed(order)))
            if first <= month <= last and self._growth.counts(order, end):
                found.append(products)
        return found

    def exists(self, product: int, month: dt.date) -> bool:
        """Whether a product exists in the last moment of a month."""
        end = utc(dt.datetime.combine(after(month, 1), dt.time(), self._zone))
        return any(
            not period.is_deleted and period.valid_from < end and (period.valid_to is None or period.valid_to >= end)
            for period in periods(self._growth.database, "products", (product,), "created_at")
        )

    def _popular(self, month: dt.date, baskets: list[set[int]]) -> list[int]:
        """The products of baskets that exist, the most popular one first."""
        counts = Counter(product for basket in baskets for product in basket)
        found = [product for product in counts if self.exists(product, month)]
        return sorted(found, key=lambda product: (-counts[product], product))

    def _of_product(
        self, month: dt.date, product: int, baskets: list[set[int]], popular: list[int]
    ) -> list[Recommendation]:
        having = [basket for basket in baskets if product in basket]
        found = []
        for other in popular:
            support = sum(other in basket for basket in having)
            others = sum(other in basket for basket in baskets)
            lift = Fraction(support * len(baskets), len(having) * others)
            if other != product and support >= SUPPORT and lift > 1:
                found.append((-lift, -support, other))
        chosen = [(other, "lift", float(-lift), -support) for lift, support, other in sorted(found)[:COUNT]]
        taken = {product, *(row[0] for row in chosen)}
        rest = [(other, "popularity", None, None) for other in popular if other not in taken]
        rows = [*chosen, *rest][:COUNT]
        return [Recommendation(month, product, rank, *row) for rank, row in enumerate(rows, 1)]

    def _judged(self, month: dt.date, rows: list[Recommendation], popular: list[int]) -> tuple[Any, ...]:
        recommended = {(row.product_id, row.recommended_product_id) for row in rows}
        most_popular = {
            (product, other) for product in popular for other in [item for item in popular if item != product][:COUNT]
        }
        baskets = [basket for basket in self.baskets(after(month, 1), after(month, 1)) if len(basket) > 1]
        hits, popular_hits = (
            sum(any(pair in pairs for pair in permutations(basket, 2)) for basket in baskets)
            for pairs in (recommended, most_popular)
        )
        rates = (hits / len(baskets), popular_hits / len(baskets)) if baskets else (None, None)
        return (month, len(baskets), hits, popular_hits, *rates)
