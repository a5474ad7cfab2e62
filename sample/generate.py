"""All objects of a sample, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from sample.arrivals import event_keys, event_objects
from sample.catalog import activity_keys, activity_objects
from sample.objects import ACTIVITIES, EVENTS, USERS, SampleObject
from sample.options import SampleOptions
from sample.users import HORIZON_DAYS, user_keys, user_objects


@dataclass(frozen=True, slots=True)
class Batch:
    """Objects of one bucket that may be written in any order, but all of them before the next batch.

    Attributes:
        draw: makes the objects, one for each key, in order.
        is_revised: whether any of them may have a second version.
    """

    bucket: str
    keys: list[str]
    draw: Callable[[], Iterator[SampleObject]]
    is_revised: bool = False


def batches(options: SampleOptions) -> Iterator[Batch]:
    """The catalogue, the accounts by date, then the events by date.

    Accounts begin before the first date: with those who still play on it.
    """
    yield Batch(ACTIVITIES, activity_keys(options), partial(activity_objects, options))
    for day in range(options.first_day - HORIZON_DAYS + 1, options.last_day + 1):
        yield Batch(USERS, user_keys(options, day), partial(user_objects, options, day))
    for day in range(options.first_day, options.last_day + 1):
        draw = partial(event_objects, options, day)
        yield Batch(EVENTS, event_keys(options, day), draw, options.overwrites > 0)


def generate(options: SampleOptions) -> Iterator[SampleObject]:
    """Every object of the sample; one date is in memory at a time, two when events are copied."""
    for batch in batches(options):
        yield from batch.draw()
