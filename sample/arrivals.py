"""The event objects of one date, with their events, copies and malformed lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sample.days import event_count, folder
from sample.draw import Ints, Stream, generator
from sample.events import Events, draw_events, event_lines
from sample.objects import EVENTS, SampleObject, Tally, encode, object_key
from sample.options import SampleOptions
from sample.trouble import BAD_FORMS, chosen, draw_bad_lines, malformed_line

# Share of the copies on the next date that correct the duration. A copy on the same date is exact, because which of the
# two is newer would be random.
_CORRECTED = 0.5


@dataclass(frozen=True, slots=True)
class _Copies:
    """Events that are sent again, as columns.

    Attributes:
        places: indices into `events`.
        objects: number of the object that has the copy.
        corrected: 1 for another duration, 0 for an exact copy.
        is_first: whether the originals precede the sample.
    """

    events: Events
    places: Ints
    objects: Ints
    corrected: Ints
    is_first: bool

    def add_to(self, number: int, lines: list[str]) -> Tally:
        """Append the lines of one object; return their counts."""
        tally = Tally()
        for corrected in (0, 1):
            places = self.places[(self.objects == number) & (self.corrected == corrected)]
            if len(places):
                lines += event_lines(self.events, places, corrected=bool(corrected))
                count = len(places)
                sent = Tally(duplicates=count, corrected=corrected * count)
                tally += Tally(events=count, late=count) if self.is_first else sent
        return tally


def event_keys(options: SampleOptions, day: int) -> list[str]:
    """The keys of one date's event objects, without generating them."""
    files = -(-event_count(options, day) // options.events_per_file)
    return [object_key(options, f"{folder(day)}/events", number, 5) for number in range(files)]


def event_objects(options: SampleOptions, day: int) -> Iterator[SampleObject]:
    """The event objects of one date, with the events of that date and copies from the previous one."""
    keys, events = event_keys(options, day), draw_events(options, day)
    order = generator(options.seed, day, Stream.FILES).permutation(len(events))
    copies, wrong = _draw_copies(options, day, len(keys)), round(options.malformed * event_count(options, day))
    bad = draw_bad_lines(generator(options.seed, day, Stream.MALFORMED), wrong, len(keys), BAD_FORMS)
    rng = generator(options.seed, day, Stream.OVERWRITES)
    overwritten = set(chosen(rng, np.arange(len(keys)), round(options.overwrites * len(keys))).tolist())
    is_plain = events.is_plain
    for number, (key, group) in enumerate(zip(keys, np.array_split(order, len(keys)), strict=True)):
        places = np.sort(group)
        good = event_lines(events, places)
        counts = {name: int(mask[places].sum()) for name, mask in events.trouble.items()}
        tally = Tally(events=len(good), malformed=int((bad.objects == number).sum()), **counts)
        for part in copies:
            tally += part.add_to(number, good)
        revised = None
        plain = np.flatnonzero(is_plain[places]).tolist()
        if number in overwritten and len(plain) > 1:
            other = list(good)
            other[plain[1]] = event_lines(events, places[plain[1:2]], corrected=True)[0]
            del other[plain[0]]
            revised = encode(options, bad.mixed(number, other, malformed_line))
        yield SampleObject(EVENTS, key, encode(options, bad.mixed(number, good, malformed_line)), revised, tally)


def _draw_copies(options: SampleOptions, day: int, files: int) -> list[_Copies]:
    """Draw the copies: half arrive on the date of their originals, half on the next."""
    if not options.duplicates:
        return []
    rng = generator(options.seed, day, Stream.DUPLICATES)
    parts = []
    for origin, corrected in ((day - 1, _CORRECTED), (day, 0.0)):
        events = draw_events(options, origin)
        places = chosen(rng, np.flatnonzero(events.is_plain), round(options.duplicates / 2 * len(events)))
        objects = rng.integers(0, files, len(places))
        wrong = (rng.random(len(places)) < corrected).astype(np.int64)
        parts.append(_Copies(events, places, objects, wrong, origin < options.first_day))
    return parts
