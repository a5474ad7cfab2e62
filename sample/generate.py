"""All objects of a sample, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from sample.arrivals import event_keys, event_objects
from sample.captured import shop_days, shop_keys, shop_objects
from sample.catalog import activity_keys, activity_objects
from sample.changes import change_days, change_keys, change_objects, change_years
from sample.clicks import click_keys, click_objects
from sample.inventory import inventory_keys, inventory_objects
from sample.objects import ACTIVITIES, CLICKS, EVENTS, INVENTORY, REVENUE, SHOP, SPEND, USERS, SampleObject
from sample.options import SampleOptions
from sample.spend import spend_keys, spend_objects
from sample.users import HORIZON_DAYS, user_keys, user_objects


@dataclass(frozen=True, slots=True)
class Batch:
    """Objects of one bucket that can be written in any order, but before the next batch.

    Attributes:
        draw: generates the objects, one per key, in order.
        is_revised: whether any object may have a second version.
    """

    bucket: str
    keys: list[str]
    draw: Callable[[], Iterator[SampleObject]]
    is_revised: bool = False


def batches(options: SampleOptions) -> Iterator[Batch]:
    """Catalogue, users, events, accounts, subscriptions and invoices, the shop, its clicks, stock and spend, by date.

    Users start before the first date, with those who still play on it. Accounts start the year before it, ordered by
    year of sign-up and date.
    """
    yield Batch(ACTIVITIES, activity_keys(options), partial(activity_objects, options))
    for day in range(options.first_day - HORIZON_DAYS + 1, options.last_day + 1):
        yield Batch(USERS, user_keys(options, day), partial(user_objects, options, day))
    for day in range(options.first_day, options.last_day + 1):
        draw = partial(event_objects, options, day)
        yield Batch(EVENTS, event_keys(options, day), draw, options.overwrites > 0)
    for year in change_years(options):
        for day in change_days(options, year):
            for bucket in REVENUE:
                if keys := change_keys(options, year, day, bucket):
                    yield Batch(bucket, keys, partial(change_objects, options, year, day, bucket))
    for day in shop_days(options):
        for bucket in SHOP:
            if keys := shop_keys(options, day, bucket):
                yield Batch(bucket, keys, partial(shop_objects, options, day, bucket))
    for day in range(options.first_day, options.last_day + 1) if options.orders else ():
        yield Batch(CLICKS, click_keys(options, day), partial(click_objects, options, day))
    for day in shop_days(options):
        if keys := inventory_keys(options, day):
            yield Batch(INVENTORY, keys, partial(inventory_objects, options, day))
        if keys := spend_keys(options, day):
            yield Batch(SPEND, keys, partial(spend_objects, options, day))


def generate(options: SampleOptions) -> Iterator[SampleObject]:
    """Every object of the sample; one date is in memory at a time, two if events are copied."""
    for batch in batches(options):
        yield from batch.draw()
