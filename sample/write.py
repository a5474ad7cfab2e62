"""Writing a sample: what is there already stays, so a second run changes nothing but what it is asked to overwrite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain

from sample.generate import entity_objects, event_keys, objects_of_day
from sample.objects import EVENTS, SampleObject, Tally
from sample.options import SampleOptions

_WRITERS = 4
_IN_FLIGHT = 64
Put = Callable[[str, str, bytes], None]
Sizes = Mapping[tuple[str, str], int]
"""Size in bytes of the objects that exist, by (bucket, key)."""


@dataclass(frozen=True, slots=True)
class SampleSummary:
    """What a run wrote.

    Attributes:
        objects: new ones.
        overwritten: existing ones that got their second version.
        existing: those that were there already.
        bytes: written.
        tally: records in what was written.
    """

    objects: int = 0
    overwritten: int = 0
    existing: int = 0
    bytes: int = 0
    tally: Tally = field(default_factory=Tally)


def write_objects(
    options: SampleOptions, put: Put, sizes: Sizes, advance: Callable[[int, int], None] = lambda objects, size: None
) -> SampleSummary:
    """Writes what is missing: accounts and catalogue first, in order, then the events.

    Args:
        put: stores (bucket, key, body); called by several threads at once for events.
        sizes: the objects that exist. One that has a second version gets it, if it is still in its first.
        advance: called with (objects, bytes) after each event object; first with the negative number of them.

    Raises:
        Exception: whatever `put` raises; what was written stays and the next run goes on from there.
    """
    dates = range(options.first_day, options.last_day + 1)
    keys = {day: event_keys(options, day) for day in dates}
    advance(-sum(map(len, keys.values())), 0)
    entities = _write(entity_objects(options), put, sizes, lambda objects, size: None, 1)
    # a date needs no drawing when all is there and nothing is to be overwritten
    drawn = [day for day in dates if options.overwrites or any((EVENTS, key) not in sizes for key in keys[day])]
    events = _write(chain.from_iterable(objects_of_day(options, day) for day in drawn), put, sizes, advance, _WRITERS)
    skipped = sum(len(keys[day]) for day in dates) - sum(len(keys[day]) for day in drawn)
    return SampleSummary(
        entities.objects + events.objects,
        entities.overwritten + events.overwritten,
        entities.existing + events.existing + skipped,
        entities.bytes + events.bytes,
        entities.tally + events.tally,
    )


def _write(
    objects: Iterable[SampleObject], put: Put, sizes: Sizes, advance: Callable[[int, int], None], workers: int
) -> SampleSummary:
    new = overwritten = existing = size = 0
    tally = Tally()
    running: list[Future[None]] = []
    with ThreadPoolExecutor(workers) as pool:
        for item in objects:
            there = sizes.get((item.bucket, item.key))
            if there is not None and (item.revised is None or there != len(item.body)):
                existing += 1
                advance(1, 0)
                continue
            if there is None:
                body, new = item.body, new + 1
                tally += item.tally
            else:
                assert item.revised is not None
                body, overwritten = item.revised, overwritten + 1
                tally += item.revised_tally
            size += len(body)
            running.append(pool.submit(put, item.bucket, item.key, body))
            if len(running) >= _IN_FLIGHT:
                running.pop(0).result()
            advance(1, len(body))
        for future in running:
            future.result()
    return SampleSummary(new, overwritten, existing, size, tally)
