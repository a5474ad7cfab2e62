"""All objects of a sample, date by date."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from sample.catalog import activity_objects
from sample.days import event_count, folder
from sample.draw import Ints, Stream, generator
from sample.events import Events, draw_events, event_lines
from sample.objects import EVENTS, SampleObject, Tally, encode, object_key
from sample.options import SampleOptions
from sample.trouble import BAD_FORMS, CORRECTED, chosen, malformed_line
from sample.users import HORIZON_DAYS, user_objects


def entity_objects(options: SampleOptions) -> Iterator[SampleObject]:
    """The catalogue, and the accounts in order of their dates; who still plays on the first date comes before it."""
    yield from activity_objects(options)
    for day in range(options.first_day - HORIZON_DAYS + 1, options.last_day + 1):
        yield from user_objects(options, day)


@dataclass(slots=True)
class _Draft:
    """An event object in the making.

    Attributes:
        good: lines of the events, then of the copies.
        bad: malformed lines with the place that they are put at.
        plain: places of the events without trouble.
    """

    good: list[str]
    plain: list[int]
    tally: Tally
    bad: list[tuple[int, str]] = field(default_factory=list)

    def lines(self) -> list[str]:
        return self._with_bad(self.good)

    def revised(self) -> list[str] | None:
        """One plain event fewer and another one changed; None when there are no two."""
        if len(self.plain) < 2:
            return None
        lacking, changed = self.plain[:2]
        good = list(self.good)
        good[changed] = good[changed].replace('"collection_id": "', '"collection_id": "revised_')
        del good[lacking]
        return self._with_bad(good)

    def _with_bad(self, good: list[str]) -> list[str]:
        lines = list(good)
        for place, line in self.bad:
            lines.insert(min(place, len(lines)), line)
        return lines


def event_keys(options: SampleOptions, day: int) -> list[str]:
    """The keys of one date's event objects, without drawing them."""
    files = -(-event_count(options, day) // options.events_per_file) or 1
    return [object_key(options, f"{folder(day)}/events", number, 5) for number in range(files)]


def objects_of_day(options: SampleOptions, day: int) -> Iterator[SampleObject]:
    """The event objects of one date; they hold no more than that date and copies from the one before."""
    keys, events = event_keys(options, day), draw_events(options, day)
    order = generator(options.seed, day, Stream.FILES).permutation(len(events))
    drafts = [_draft(events, np.sort(group)) for group in np.array_split(order, len(keys))]
    _add_copies(options, day, drafts)
    _add_malformed(options, day, drafts)
    rng = generator(options.seed, day, Stream.OVERWRITES)
    overwritten = set(chosen(rng, options.overwrites, len(keys)).tolist())
    for number, (key, draft) in enumerate(zip(keys, drafts, strict=True)):
        revised = draft.revised() if number in overwritten else None
        yield SampleObject(
            EVENTS,
            key,
            encode(options, draft.lines()),
            encode(options, revised) if revised is not None else None,
            draft.tally,
        )


def _draft(events: Events, places: Ints) -> _Draft:
    inside = {name: np.isin(places, troubled) for name, troubled in events.trouble.items()}
    plain = np.flatnonzero(~np.any(list(inside.values()), axis=0))
    tally = Tally(events=len(places), **{name: int(mask.sum()) for name, mask in inside.items()})
    return _Draft(event_lines(events, places), plain.tolist(), tally)


def _add_copies(options: SampleOptions, day: int, drafts: list[_Draft]) -> None:
    """Sends events again: of this date in its last object, of the date before anywhere."""
    if not options.duplicates:
        return
    rng = generator(options.seed, day, Stream.DUPLICATES)
    for origin in (day - 1, day):
        events = draw_events(options, origin)
        places = chosen(rng, options.duplicates / 2, len(events))
        places = np.setdiff1d(places, events.trouble["future"])
        wrong = rng.random(len(places)) < CORRECTED
        homes = rng.integers(0, len(drafts), len(places)) if origin != day else np.full(len(places), len(drafts) - 1)
        for corrected in (False, True):
            mine = wrong == corrected
            for home, line in zip(homes[mine].tolist(), event_lines(events, places[mine], corrected), strict=True):
                drafts[home].good.append(line)
                drafts[home].tally += Tally(duplicates=1, corrected=int(corrected))


def _add_malformed(options: SampleOptions, day: int, drafts: list[_Draft]) -> None:
    """Puts bad lines between the good ones."""
    rng = generator(options.seed, day, Stream.MALFORMED)
    count = round(options.malformed * event_count(options, day))
    for home, kind in zip(
        rng.integers(0, len(drafts), count).tolist(), rng.integers(0, BAD_FORMS, count).tolist(), strict=True
    ):
        draft = drafts[home]
        if draft.good:
            draft.bad.append((int(rng.integers(0, len(draft.good) + 1)), malformed_line(draft.good[0], kind)))
            draft.tally += Tally(malformed=1)
