"""Writing a sample: what is there already stays, so a second run changes nothing but what it is asked to overwrite."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from sample.generate import Batch, batches
from sample.objects import Tally
from sample.options import SampleOptions

_WRITERS = 4
_IN_FLIGHT = 32
Put = Callable[[str, str, bytes], None]
Sizes = Mapping[tuple[str, str], int]
"""Size in bytes of the objects that exist, by (bucket, key)."""


@dataclass(frozen=True, slots=True)
class SampleSummary:
    """What a run wrote.

    Attributes:
        objects: new ones.
        overwritten: existing ones that got their second version.
        existing: those that were there already and stayed.
        bytes: written.
        tally: records in what was written.
    """

    objects: int = 0
    overwritten: int = 0
    existing: int = 0
    bytes: int = 0
    tally: Tally = field(default_factory=Tally)

    def __add__(self, other: SampleSummary) -> SampleSummary:
        return SampleSummary(
            self.objects + other.objects,
            self.overwritten + other.overwritten,
            self.existing + other.existing,
            self.bytes + other.bytes,
            self.tally + other.tally,
        )


def write_objects(
    options: SampleOptions, put: Put, sizes: Sizes, advance: Callable[[int, int], None] = lambda objects, size: None
) -> SampleSummary:
    """Writes what is missing: catalogue and accounts first, then the events, date by date.

    A date is complete before the next one begins, so a later version of a record is never in an older object.

    Args:
        put: stores (bucket, key, body); several threads call it at once, except for the first object of a date, which
            may have to make a folder.
        sizes: the objects that exist. One that has a second version gets it, if its size is that of the first.
        advance: called with (objects, bytes) after each object; first with the negative number of all.

    Raises:
        Exception: whatever `put` raises; what was written stays and the next run goes on from there.
    """
    todo = list(batches(options))
    advance(-sum(len(batch.keys) for batch in todo), 0)
    summary = SampleSummary()
    with ThreadPoolExecutor(_WRITERS) as pool:
        for batch in todo:
            if batch.is_revised or any((batch.bucket, key) not in sizes for key in batch.keys):
                summary += _write(batch, pool, put, sizes, advance)
            else:
                summary += SampleSummary(existing=len(batch.keys))
                advance(len(batch.keys), 0)
    return summary


def _write(
    batch: Batch, pool: ThreadPoolExecutor, put: Put, sizes: Sizes, advance: Callable[[int, int], None]
) -> SampleSummary:
    summary = SampleSummary()
    running: deque[Future[None]] = deque()
    is_first = True
    for item in batch.draw():
        there = sizes.get((item.bucket, item.key))
        if there is None:
            body, step = item.body, SampleSummary(objects=1, bytes=len(item.body), tally=item.tally)
        elif item.revised is not None and there == len(item.body):
            body = item.revised
            step = SampleSummary(overwritten=1, bytes=len(body), tally=item.revised_tally)
        else:
            body, step = b"", SampleSummary(existing=1)
        summary += step
        if not step.existing:
            running.append(pool.submit(put, item.bucket, item.key, body))
            if is_first or len(running) == _IN_FLIGHT:
                running.popleft().result()
            is_first = False
        advance(1, step.bytes)
    for future in running:
        future.result()
    return summary
