"""The objects of the shop's change feeds: what its connector wrote on a date, as a sink lands it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from sample.database import as_json
from sample.days import DAY_MS, folder
from sample.draw import Ints, Stream, generator
from sample.money import cents
from sample.movements import Movement, Movements
from sample.objects import SHOP, SampleObject, Tally, encode, object_key
from sample.options import SampleOptions
from sample.orders import Placed
from sample.shop import Shop, Written
from sample.trouble import delays_ms
from sample.users import HORIZON_DAYS

PER_FILE = 500
PARTITIONS = 3
"""Of each topic; the records of a key are in one of them, in order."""
_BREAKS = (
    lambda line: line[: len(line) // 2],
    lambda line: "<html>502 Bad Gateway</html>",
    lambda line: line.replace('"op":', '"operation":'),
    lambda line: line.replace('"lsn":', '"LSN":'),
)
Arrivals = dict[tuple[int, str], list[tuple[str, Tally]]]
"""Arriving lines by date and bucket."""


@dataclass(frozen=True, slots=True)
class Market:
    """What visitors of the shop find on a date, and who they may be.

    Attributes:
        placed: the orders of the date.
        customers: who has registered and not left.
        products: numbers, and `prices` their list prices in cents.
    """

    placed: list[Placed]
    customers: Ints
    products: Ints
    prices: Ints


@dataclass(frozen=True, slots=True)
class _Story:
    arrivals: Arrivals
    markets: dict[int, Market]
    movements: dict[int, list[Movement]]


def market(options: SampleOptions, day: int) -> Market | None:
    """The market of a date; None before the shop opened, and long before the sample's first date."""
    return _story(options).markets.get(day) if options.orders else None


def moved(options: SampleOptions, day: int) -> list[Movement]:
    """The movements of the shop's stocks on a date, in order."""
    return _story(options).movements.get(day, []) if options.orders else []


def shop_days(options: SampleOptions) -> range:
    """The dates on which the shop's connector writes."""
    return range(Shop(options).first_day, options.last_day + 1) if options.orders else range(0)


def shop_keys(options: SampleOptions, day: int, bucket: str) -> list[str]:
    """The keys of a feed's objects of one date."""
    files = -(-len(_story(options).arrivals.get((day, bucket), ())) // PER_FILE)
    place = f"{folder(day)}/{bucket.removeprefix('raw-shop-')}"
    return [object_key(options, place, number, 3) for number in range(files)]


def shop_objects(options: SampleOptions, day: int, bucket: str) -> Iterator[SampleObject]:
    """The objects of one date."""
    lines = _story(options).arrivals.get((day, bucket), [])
    for number, key in enumerate(shop_keys(options, day, bucket)):
        part = lines[number * PER_FILE : (number + 1) * PER_FILE]
        tally = sum((counts for _, counts in part), Tally())
        yield SampleObject(bucket, key, encode(options, [line for line, _ in part]), tally=tally)


@lru_cache(maxsize=2)
def _story(options: SampleOptions) -> _Story:
    arrivals: Arrivals = defaultdict(list)
    markets, moves = {}, {}
    shop, movements, seen = Shop(options), Movements(options.seed), 0
    for day, written in enumerate(shop.days(), shop.first_day):
        by_partition = sorted(written, key=_partition)  # stable: in order within a partition
        if by_partition:
            _arrive(options, by_partition, arrivals)
        moves[day] = movements.of_day(day, shop.database.committed[seen:])
        seen = len(shop.database.committed)
        placed, rows = shop.placed(day), shop.database.rows
        if day > options.first_day - HORIZON_DAYS:
            customers, products = (np.array([key for (key,) in rows[name]]) for name in ("customers", "products"))
            prices = np.array([cents(row["price"]) for row in rows["products"].values()])
            markets[day] = Market(placed, *(column.astype(np.int64) for column in (customers, products, prices)))
    return _Story(dict(arrivals), markets, moves)


def _partition(written: Written) -> int:
    return hash(tuple((written.record["key"] or {}).values())) % PARTITIONS  # of integers, so equal in every process


def _arrive(options: SampleOptions, written: list[Written], found: Arrivals) -> None:
    """Add what the connector wrote on a date, with its trouble, to the lines that arrive."""
    day = written[0].day
    rng = generator(options.seed, day, Stream.SHOP_FILES)
    is_late, is_extended, is_repeated, is_broken = (
        rng.random(len(written)) < share
        for share in (options.late, options.unknown_fields, options.duplicates, options.malformed)
    )
    delays = delays_ms(rng, np.full(len(written), HORIZON_DAYS - 1)) // DAY_MS
    next_day = rng.random(len(written)) < 0.5
    forms = rng.integers(0, len(_BREAKS), len(written))
    for number, item in enumerate(written):
        bucket = f"raw-shop-{item.table.replace('_', '-')}"
        assert bucket in SHOP
        record: dict[str, Any] = item.record
        value = record["value"]
        is_row = value is not None and value["after"] is not None
        if is_extended[number] and is_row:
            record = record | {"value": value | {"after": value["after"] | {"loyalty_tier": "gold"}}}
        line = as_json(record)
        days = int(delays[number]) if is_late[number] else 0
        kind = {"tombstones": 1} if value is None else {"changes": 1}
        tally = Tally(**kind, delayed=int(days > 0), extended=int(is_extended[number] and is_row))
        found[day + days, bucket].append((line, tally))
        if is_repeated[number]:
            found[day + days + int(next_day[number]), bucket].append((line, Tally(repeated=1)))
        if is_broken[number] and value is not None:
            broken = _BREAKS[int(forms[number])](json.dumps(json.loads(line), separators=(",", ":")))
            found[day, bucket].append((broken, Tally(broken=1)))
