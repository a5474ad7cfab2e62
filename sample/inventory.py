"""The objects of the shop's stock movements: what arrived on a date, most of it moved on it, with its trouble."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from sample.captured import moved, shop_days
from sample.days import DAY_MS, folder, stamp
from sample.draw import Stream, generator
from sample.movements import Movement
from sample.objects import INVENTORY, SampleObject, Tally, encode, object_key
from sample.options import SampleOptions
from sample.trouble import MOVEMENT_FORMS, broken_movement, delays_ms
from sample.users import HORIZON_DAYS

PER_FILE = 500
_EXTENSION: dict[str, object] = {"clerk": {"name": "J. Doe", "shift": 2}}
_Arrivals = dict[int, list[tuple[str, Tally]]]
"""Arriving lines by date."""


def inventory_keys(options: SampleOptions, day: int) -> list[str]:
    """The keys of the objects of one date."""
    files = -(-len(_arrivals(options).get(day, ())) // PER_FILE)
    return [object_key(options, f"{folder(day)}/inventory", number, 3) for number in range(files)]


def inventory_objects(options: SampleOptions, day: int) -> Iterator[SampleObject]:
    """The objects of one date."""
    lines = _arrivals(options).get(day, [])
    for number, key in enumerate(inventory_keys(options, day)):
        part = lines[number * PER_FILE : (number + 1) * PER_FILE]
        tally = sum((counts for _, counts in part), Tally())
        yield SampleObject(INVENTORY, key, encode(options, [line for line, _ in part]), tally=tally)


@lru_cache(maxsize=2)
def _arrivals(options: SampleOptions) -> _Arrivals:
    found: _Arrivals = defaultdict(list)
    for day in shop_days(options):
        _arrive(options, day, moved(options, day), found)
    return dict(found)


def _arrive(options: SampleOptions, day: int, movements: list[Movement], found: _Arrivals) -> None:
    """Add the movements of a date, with their trouble, to the lines that arrive."""
    rng, count = generator(options.seed, day, Stream.MOVEMENT_FILES), len(movements)
    is_late, is_extended, is_repeated, is_broken = (
        rng.random(count) < share
        for share in (options.late, options.unknown_fields, options.duplicates, options.malformed)
    )
    delays = delays_ms(rng, np.full(count, HORIZON_DAYS - 1)) // DAY_MS
    next_day, forms = rng.random(count) < 0.5, rng.integers(0, MOVEMENT_FORMS, count)
    for number, movement in enumerate(movements):
        line = json.dumps(_record(movement) | (_EXTENSION if is_extended[number] else {}))
        days = int(delays[number]) if is_late[number] else 0
        tally = Tally(movements=1, delayed=int(days > 0), extended=int(is_extended[number]))
        found[day + days].append((line, tally))
        if is_repeated[number]:
            found[day + days + int(next_day[number])].append((line, Tally(repeated=1)))
        if is_broken[number]:
            found[day].append((broken_movement(line, int(forms[number])), Tally(broken=1)))


def _record(movement: Movement) -> dict[str, object]:
    record: dict[str, object] = {
        "movement_id": movement.number,
        "product_id": movement.product,
        "location": movement.location,
        "movement_type": movement.kind,
        "quantity": movement.quantity,
        "level": movement.level,
        "order_id": movement.order,
        "moved_at": stamp(movement.moment),
    }
    return {name: value for name, value in record.items() if value is not None}
