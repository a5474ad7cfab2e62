"""The objects of accounts, subscriptions and invoices: the changes, copies and broken lines that arrive on a date.

The customers of each year of sign-up have separate objects on a date, so the content of an object does not depend on
how far back the sample goes.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sample.customers import Customer, draw_customers, linked_record, links
from sample.days import DAY_MS, date_of, folder, midnight, stamp
from sample.draw import Bools, Ints, Stream, generator
from sample.invoices import Change
from sample.lives import simulate
from sample.objects import ACCOUNTS, REVENUE, SUBSCRIPTIONS, SampleObject, Tally, encode, object_key
from sample.options import SampleOptions
from sample.trouble import CHANGE_FORMS, broken_change, chosen, delays_ms
from sample.users import HORIZON_DAYS

PER_FILE = 500
HISTORY_YEARS = 2
"""Changes of customers end with the year after their sign-up; their state stays the same afterwards."""
_AMENDED = 0.5  # share of the copies on the next date
_AMENDED_MS = 500
_EXTENSION: dict[str, object] = {"experiment": {"name": "new_price", "arm": 2}, "source_system": "billing-2"}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A line that arrives: a change, a copy of one, or a broken one."""

    line: str
    tally: Tally


Arrivals = dict[tuple[int, str], list[Arrival]]
"""Arriving lines by date and bucket."""


def change_years(options: SampleOptions) -> range:
    """The years of sign-up: from the year before the first date to the year of the last."""
    first, last = (dt.date.fromordinal(day).year for day in (options.first_day, options.last_day))
    return range(first - 1, last + 1) if options.accounts else range(0)


def change_days(options: SampleOptions, year: int) -> range:
    """The dates on which customers of a sign-up year have changes."""
    first, end = dt.date(year, 1, 1).toordinal(), dt.date(year + HISTORY_YEARS, 1, 1).toordinal()
    return range(first, min(end, options.last_day + 1))


def change_keys(options: SampleOptions, year: int, day: int, bucket: str) -> list[str]:
    """The keys of a feed's objects of one date and sign-up year."""
    files = -(-len(_arrivals(options, year).get((day, bucket), ())) // PER_FILE)
    place = f"{folder(day)}/{bucket.removeprefix('raw-')}-of-{year}"
    keys = [object_key(options, place, number, 3) for number in range(files)]
    return keys + [object_key(options, f"{place}-linked", 0, 3)] * bool(_linked(options, year, day, bucket))


def change_objects(options: SampleOptions, year: int, day: int, bucket: str) -> Iterator[SampleObject]:
    """The objects of one date, with lines in random order, and the accounts that are linked with users on that date."""
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
    """Every change of the customers of a sign-up year, by moment, without the links with users."""
    found = [change for customer in draw_customers(options, year) for change in simulate(options, customer, year)]
    return sorted(found, key=lambda change: change.moment)


def _linked(options: SampleOptions, year: int, day: int, bucket: str) -> list[str]:
    """The accounts that are linked on a date for which the sample has users."""
    if bucket != ACCOUNTS or day <= options.first_day - HORIZON_DAYS:
        return []
    linked = _links(options, year).get(day, ())
    return [json.dumps(linked_record(options, customer, at), ensure_ascii=False) for customer, at in linked]


@lru_cache(maxsize=4)
def _links(options: SampleOptions, year: int) -> dict[int, list[tuple[Customer, int]]]:
    """The customers that are linked, with the moment, by date, up to the end of the year after sign-up."""
    found: dict[int, list[tuple[Customer, int]]] = defaultdict(list)
    until = midnight(dt.date(year + 2, 1, 1).toordinal())
    for customer in draw_customers(options, year):
        for moment in links(customer, until):
            found[date_of(moment)].append((customer, moment))
    return dict(found)


@lru_cache(maxsize=4)
def _arrivals(options: SampleOptions, year: int) -> Arrivals:
    sent = changes(options, year)
    rng = generator(options.seed, year, Stream.CHANGES)
    numbers = np.arange(len(sent))
    count = {name: round(getattr(options, name) * len(sent)) for name in ("late", "unknown_fields", "malformed")}
    late = _mask(len(sent), chosen(rng, numbers, count["late"]))
    extended = _mask(len(sent), chosen(rng, np.flatnonzero(~late), count["unknown_fields"]))
    delays = delays_ms(rng, np.full(len(sent), HORIZON_DAYS - 1)) // DAY_MS
    found: Arrivals = defaultdict(list)

    def arrive(change: Change, days: int, line: str, **tally: int) -> None:
        found[date_of(change.moment) + days, change.bucket].append(Arrival(line, Tally(**tally)))

    for number, change in enumerate(sent):
        extension = _EXTENSION if extended[number] else {}
        line = json.dumps(change.record | extension, ensure_ascii=False)
        days = int(delays[number]) if late[number] else 0
        feed = {change.bucket.removeprefix("raw-"): 1}
        arrive(change, days, line, delayed=int(days > 0), extended=int(bool(extension)), **feed)
    plain = np.flatnonzero(~late & ~extended)
    for days, share in ((1, _AMENDED), (0, 0.0)):
        for number in chosen(rng, plain, round(options.duplicates / 2 * len(sent))).tolist():
            change, is_amended = sent[number], float(rng.random()) < share
            record = _amended(change) if is_amended else change.record
            line = json.dumps(record, ensure_ascii=False)
            arrive(change, days, line, repeated=1, amended=int(is_amended))
    for number in chosen(rng, numbers, count["malformed"]).tolist():
        line = json.dumps(sent[number].record, ensure_ascii=False)
        arrive(sent[number], 0, broken_change(line, int(rng.integers(0, CHANGE_FORMS))), broken=1)
    return dict(found)


def _mask(count: int, places: Ints) -> Bools:
    mask = np.zeros(count, dtype=bool)
    mask[places] = True
    return mask


def _amended(change: Change) -> dict[str, object]:
    """The same version with other content and a time half a second later."""
    if change.bucket == ACCOUNTS:
        amended: dict[str, object] = {"acquisition_channel": "support"}
    elif change.bucket == SUBSCRIPTIONS:
        quantity = change.record["quantity"]
        assert isinstance(quantity, int)
        amended = {"quantity": quantity + 1}
    else:
        amended = {"due_at": stamp(change.moment + 30 * DAY_MS)}
    return change.record | amended | {"updated_at": stamp(change.moment + _AMENDED_MS)}
