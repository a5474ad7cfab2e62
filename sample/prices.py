"""Plans, prices by currency, and countries with their currency and tax."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from sample.draw import cumulative

PLANS = ("starter", "plus", "family", "school")
"""From the cheapest to the most expensive; a school pays by the seat."""
SCHOOL = PLANS.index("school")
PLAN_SHARES = cumulative([40, 33, 20, 7])
CURRENCIES = ("EUR", "USD", "GBP", "JPY")
# Price per seat and month in minor units, by plan, in the order of CURRENCIES; the yen has no minor unit.
_PRICES = {
    "starter": (499, 549, 449, 750),
    "plus": (999, 1099, 899, 1480),
    "family": (1499, 1649, 1299, 2200),
    "school": (329, 349, 299, 480),
}
MONTHS_OF_A_YEAR = 10
"""A year costs this many monthly prices."""
# Country, weight of its customers, currency, tax.
_COUNTRIES = (
    ("us", 30, "USD", "0"),
    ("de", 18, "EUR", "0.19"),
    ("gb", 14, "GBP", "0.20"),
    ("fr", 11, "EUR", "0.20"),
    ("jp", 9, "JPY", "0.10"),
    ("es", 8, "EUR", "0.21"),
    ("nl", 5, "EUR", "0.21"),
    ("mx", 5, "USD", "0.16"),
)
COUNTRIES = tuple(name for name, _, _, _ in _COUNTRIES)
COUNTRY_SHARES = cumulative([count for _, count, _, _ in _COUNTRIES])
CURRENCY_OF = {name: currency for name, _, currency, _ in _COUNTRIES}
TAX_OF = {name: Decimal(tax) for name, _, _, tax in _COUNTRIES}


def price(plan: str, interval: str, currency: str) -> int:
    """Price per seat and interval (month or year) in minor units."""
    monthly = _PRICES[plan][CURRENCIES.index(currency)]
    return monthly if interval == "month" else monthly * MONTHS_OF_A_YEAR


def whole(amount: Decimal) -> int:
    """Round to minor units, halves away from zero."""
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))
