"""Writing of a sample: existing objects stay, so a second run changes only the objects that it must overwrite."""

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
    """The result of a run.

    Attributes:
        objects: new objects.
        overwritten: existing objects that got their second version.
        existing: existing objects that stayed.
        bytes: bytes written.
        tally: counts of the records written.
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
    """Write the missing objects: catalogue and users first, then the events, date by date.

    A date is complete before the next one starts, so a later version of a record is never in an older object.

    Args:
        put: stores (bucket, key, body); several threads call it at once, except for the first object of a date, which
            may have to create a folder.
        sizes: the existing objects. One with a second version is overwritten if its size is that of the first version.
        advance: called with (objects, bytes) after each object; first with the negative number of all.

    Raises:
        Exception: whatever `put` raises; written objects stay and the next run continues from there.
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
        existing_size = sizes.get((item.bucket, item.key))
        if existing_size is None:
            body, step = item.body, SampleSummary(objects=1, bytes=len(item.body), tally=item.tally)
        elif item.revised is not None and existing_size == len(item.body):
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
