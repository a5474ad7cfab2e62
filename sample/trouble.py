"""What goes wrong: bad lines, wrong clocks, accounts that nobody knows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sample.days import DAY_MS, event_count
from sample.draw import Bytes, Ints, Stream, generator, uuid_texts, uuids
from sample.options import SampleOptions

FUTURE_DAYS = 36_525
"""A wrong clock is a century ahead, so that it lies in the future whenever the sample is written."""
_FUTURE_SPREAD = 400
_LATE_MEAN_DAYS = 4.0
_KNOWN_AFTER_DAYS = 2
_KNOWN_LATER = 0.5
CORRECTED = 0.3
"""Share of the copies that correct the duration."""


def chosen(rng: np.random.Generator, rate: float, count: int) -> Ints:
    """A random `rate` of the numbers below `count`, in order."""
    return np.sort(rng.choice(count, size=min(count, round(rate * count)), replace=False)).astype(np.int64)


def delay_days(rng: np.random.Generator, ages: Ints) -> Ints:
    """How late events arrive: at least a day, mostly few, and never before their account registered."""
    days = 1 + rng.exponential(_LATE_MEAN_DAYS, len(ages)).astype(np.int64)
    return np.minimum(days, ages)


def ahead_ms(rng: np.random.Generator, count: int) -> Ints:
    """By how much wrong clocks are ahead, in milliseconds."""
    return (FUTURE_DAYS + rng.integers(0, _FUTURE_SPREAD, count)) * DAY_MS


def strangers(options: SampleOptions, day: int) -> Bytes:
    """Ids of the accounts, without a record, that play on a date."""
    rng = generator(options.seed, day, Stream.UNKNOWN_USERS)
    return uuids(rng, round(options.unknown_users * event_count(options, day)))


def late_accounts(options: SampleOptions, day: int) -> list[str]:
    """Those of the strangers of two days ago whose record arrives on this date."""
    found = strangers(options, day - _KNOWN_AFTER_DAYS)
    return uuid_texts(found[: round(_KNOWN_LATER * len(found))])


def malformed_line(line: str, form: int) -> str:
    """A good line, broken in one of BAD_FORMS ways. A lone surrogate stands for an invalid byte."""
    return _BREAKS[form](line)


_BREAKS: tuple[Callable[[str], str], ...] = (
    lambda line: line[: len(line) // 2],
    lambda line: line + "}",
    lambda line: "<html>502 Bad Gateway</html>",
    lambda line: f"[{line}]",
    lambda line: line.replace('"duration": ', '"duration": "long", "was": '),
    lambda line: line.replace('"event_id"', '"id"'),
    lambda line: line.replace('"occurred_at": "', '"occurred_at": "on '),
    lambda line: line.replace('"activity_exit"', "null"),
    lambda line: line.replace("activity_exit", "activity_\udcff_exit"),
    lambda line: line.replace('"user_id"', '"user_id": "somebody", "user_id"'),
)
BAD_FORMS = len(_BREAKS)
