"""The events of one date as columns, and as lines of JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sample.catalog import catalog
from sample.days import event_count, stamps
from sample.devices import Devices, context_texts
from sample.draw import Bools, Bytes, Ints, Stream, generator, uuid_texts, uuids
from sample.options import SampleOptions
from sample.plays import COLLECTIONS, SOURCES, Plays, draw_plays
from sample.sessions import draw_sessions
from sample.trouble import ahead_ms, delays_ms, draw_trouble, unknown_user_ids
from sample.users import child_texts

_EXTENSION = ', "experiment": {"name": "new_home", "arm": 2}, "session_length": 12'


@dataclass(frozen=True, slots=True)
class Events:
    """The events that arrive on one date, as columns.

    Attributes:
        moments: when each event occurred by the device's clock, milliseconds since 1970 UTC.
        trouble: mask of the events that have each kind of trouble.
    """

    ids: Bytes
    users: Bytes
    children: Ints
    moments: Ints
    plays: Plays
    devices: Devices
    trouble: dict[str, Bools]

    def __len__(self) -> int:
        return len(self.moments)

    @property
    def is_plain(self) -> Bools:
        """Mask of the events without trouble."""
        plain: Bools = ~np.any(list(self.trouble.values()), axis=0)
        return plain


@lru_cache(maxsize=2)
def draw_events(options: SampleOptions, day: int) -> Events:
    """Draw the events of a date; the last two dates are cached for the copies."""
    count = event_count(options, day)
    sessions = draw_sessions(options, day, count)
    rng = generator(options.seed, day, Stream.PLAYS)
    plays, ids = draw_plays(rng, count), uuids(rng, count)
    children = np.where(plays.children < 0, 0, 1 + (plays.children * sessions.children).astype(np.int64))
    users, moments = sessions.users.copy(), sessions.moments.copy()

    trouble = draw_trouble(options, day, sessions.ages)
    unknown, late, future = (np.flatnonzero(trouble[name]) for name in ("unknown_users", "late", "future"))
    users[unknown] = unknown_user_ids(options, day)[: len(unknown)]
    rng = generator(options.seed, day, Stream.CLOCKS)
    moments[late] -= delays_ms(rng, sessions.ages[late])
    moments[future] += ahead_ms(rng, len(future))
    return Events(ids, users, children, moments, plays, sessions.devices, trouble)


def event_lines(events: Events, places: Ints, corrected: bool = False) -> list[str]:
    """Format the events at the given indices as JSON.

    Args:
        corrected: whether the duration differs from the first version.
    """
    plays, names = events.plays, catalog().ids
    seconds = plays.seconds[places]
    if corrected:
        seconds = np.round(seconds * 1.5 + 1, 3)
    numbers = events.children[places]
    texts = child_texts(events.users[places], numbers)
    children = [f'"{text}"' if number else "null" for text, number in zip(texts, numbers.tolist(), strict=True)]
    return [
        f'{{"event_id": "{event}", "name": "activity_exit", "occurred_at": "{moment}", "user_id": "{user}", '
        f'"child_id": {child}, "data": {{"activity_id": "{activity}", "source": {SOURCES[source]}, '
        f'"duration": {duration!r}, "completed": {done}, "collection_id": "{COLLECTIONS[origin]}", '
        f'"loading_time": {loading}}}, "context": {context}{extension}}}'
        for event, moment, user, child, activity, source, duration, done, origin, loading, context, extension in zip(
            uuid_texts(events.ids[places]),
            stamps(events.moments[places]),
            uuid_texts(events.users[places]),
            children,
            [names[number] for number in plays.activities[places].tolist()],
            plays.sources[places].tolist(),
            seconds.tolist(),
            ["true" if done else "false" for done in plays.completed[places].tolist()],
            plays.collections[places].tolist(),
            ["null" if math.isnan(value) else repr(value) for value in plays.loading[places].tolist()],
            context_texts(events.devices, places),
            [_EXTENSION if extended else "" for extended in events.trouble["unknown_fields"][places].tolist()],
            strict=True,
        )
    ]
