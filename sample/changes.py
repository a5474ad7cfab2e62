"""The objects of accounts, subscriptions and invoices: which changes, copies and bad lines arrive on a date.

Those who sign up in a year are told together, in objects of their own: a date has some for each year, and what they
hold does not depend on how far back the sample goes.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sample.customers import Customer, draw_customers, linked_record
from sample.days import DAY_MS, date_of, folder, stamp
from sample.draw import Bools, Ints, Stream, generator
from sample.invoices import Change
from sample.lives import live
from sample.objects import ACCOUNTS, REVENUE, SUBSCRIPTIONS, SampleObject, Tally, encode, object_key
from sample.options import SampleOptions
from sample.trouble import CHANGE_FORMS, broken_change, chosen, delays_ms
from sample.users import HORIZON_DAYS

PER_FILE = 500
TOLD_YEARS = 2
"""Customers are told to the end of the year after the one of their sign-up; what they have then, they keep."""
_AMENDED = 0.5  # of the copies on the next date
_AMENDED_MS = 500
_EXTENSION: dict[str, object] = {"experiment": {"name": "new_price", "arm": 2}, "source_system": "billing-2"}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A line that arrives: a change, or a copy of one, or what is left of one."""

    line: str
    tally: Tally


Arrivals = dict[tuple[int, str], list[Arrival]]
"""What arrives, by date and bucket."""


def change_years(options: SampleOptions) -> range:
    """The years of sign-up: the one of the first date, the one before, and those after."""
    first, last = (dt.date.fromordinal(day).year for day in (options.first_day, options.last_day))
    return range(first - 1, last + 1) if options.accounts else range(0)


def change_days(options: SampleOptions, year: int) -> range:
    """The dates on which those of a year are told."""
    first, end = dt.date(year, 1, 1).toordinal(), dt.date(year + TOLD_YEARS, 1, 1).toordinal()
    return range(first, min(end, options.last_day + 1))


def change_keys(options: SampleOptions, year: int, day: int, bucket: str) -> list[str]:
    """The keys of one date's objects of a feed."""
    files = -(-len(_arrivals(options, year).get((day, bucket), ())) // PER_FILE)
    place = f"{folder(day)}/{bucket.removeprefix('raw-')}-of-{year}"
    keys = [object_key(options, place, number, 3) for number in range(files)]
    return keys + [object_key(options, f"{place}-linked", 0, 3)] * bool(_linked(options, year, day, bucket))


def change_objects(options: SampleOptions, year: int, day: int, bucket: str) -> Iterator[SampleObject]:
    """The objects of one date, their lines in no order, and those accounts that are linked with users on it."""
    keys, arrivals = change_keys(options, year, day, bucket), _arrivals(options, year).get((day, bucket), [])
    order = generator(options.seed, day, Stream.CHANGE_FILES, year, REVENUE.index(bucket) + 1)
    places = order.permutation(len(arrivals)).tolist()
    for number in range(-(-len(places) // PER_FILE)):
        part = [arrivals[place] for place in places[number * PER_FILE : (number + 1) * PER_FILE]]
        tally = sum((arrival.tally for arrival in part), Tally())
        yield SampleObject(bucket, keys[number], encode(options, [item.line for item in part]), tally=tally)
    if lines := _linked(options, year, day, bucket):
        yield SampleObject(bucket, keys[-1], encode(options, lines), tally=Tally(accounts=len(lines)))


def changes(options: SampleOptions, year: int) -> list[Change]:
    """Every change of those who sign up in a year, by moment, without the links with users."""
    told = [change for customer in draw_customers(options, year) for change in live(options, customer, year)]
    return sorted(told, key=lambda change: change.moment)


def _linked(options: SampleOptions, year: int, day: int, bucket: str) -> list[str]:
    """The accounts that are linked on a date, as far as the sample holds its users."""
    if bucket != ACCOUNTS or day <= options.first_day - HORIZON_DAYS:
        return []
    linked = _links(options, year).get(day, ())
    return [json.dumps(linked_record(options, customer), ensure_ascii=False) for customer in linked]


@lru_cache(maxsize=4)
def _links(options: SampleOptions, year: int) -> dict[int, list[Customer]]:
    """Who is linked, by date."""
    found: dict[int, list[Customer]] = defaultdict(list)
    for customer in draw_customers(options, year):
        if customer.linked_at >= 0:
            found[date_of(customer.linked_at)].append(customer)
    return dict(found)


@lru_cache(maxsize=4)
def _arrivals(options: SampleOptions, year: int) -> Arrivals:
    told = changes(options, year)
    rng = generator(options.seed, year, Stream.CHANGES)
    everything = np.arange(len(told))
    count = {name: round(getattr(options, name) * len(told)) for name in ("late", "unknown_fields", "malformed")}
    late = _mask(len(told), chosen(rng, everything, count["late"]))
    extended = _mask(len(told), chosen(rng, np.flatnonzero(~late), count["unknown_fields"]))
    delays = delays_ms(rng, np.full(len(told), HORIZON_DAYS - 1)) // DAY_MS
    found: Arrivals = defaultdict(list)

    def arrive(change: Change, days: int, line: str, **tally: int) -> None:
        found[date_of(change.moment) + days, change.bucket].append(Arrival(line, Tally(**tally)))

    for number, change in enumerate(told):
        extension = _EXTENSION if extended[number] else {}
        line = json.dumps(change.record | extension, ensure_ascii=False)
        days = int(delays[number]) if late[number] else 0
        feed = {change.bucket.removeprefix("raw-"): 1}
        arrive(change, days, line, delayed=int(days > 0), extended=int(bool(extension)), **feed)
    plain = np.flatnonzero(~late & ~extended)
    for days, share in ((1, _AMENDED), (0, 0.0)):
        for number in chosen(rng, plain, round(options.duplicates / 2 * len(told))).tolist():
            change, is_amended = told[number], float(rng.random()) < share
            record = _amended(change) if is_amended else change.record
            line = json.dumps(record, ensure_ascii=False)
            arrive(change, days, line, repeated=1, amended=int(is_amended))
    for number in chosen(rng, everything, count["malformed"]).tolist():
        line = json.dumps(told[number].record, ensure_ascii=False)
        arrive(told[number], 0, broken_change(line, int(rng.integers(0, CHANGE_FORMS))), broken=1)
    return dict(found)


def _mask(count: int, places: Ints) -> Bools:
    mask = np.zeros(count, dtype=bool)
    mask[places] = True
    return mask


def _amended(change: Change) -> dict[str, object]:
    """The same version with other content, half a second later."""
    if change.bucket == ACCOUNTS:
        amended: dict[str, object] = {"acquisition_channel": "support"}
    elif change.bucket == SUBSCRIPTIONS:
        quantity = change.record["quantity"]
        assert isinstance(quantity, int)
        amended = {"quantity": quantity + 1}
    else:
        amended = {"due_at": stamp(change.moment + 30 * DAY_MS)}
    return change.record | amended | {"updated_at": stamp(change.moment + _AMENDED_MS)}
