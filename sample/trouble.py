"""What goes wrong: bad lines, wrong clocks, accounts that nobody knows."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from sample.days import DAY_MS, event_count
from sample.draw import Bools, Bytes, Ints, Stream, generator, uuid_texts, uuids
from sample.options import SampleOptions

# A wrong clock is a century ahead, so that it lies in the future whenever the sample is written.
_FUTURE_DAYS, _FUTURE_SPREAD = 36_525, 400
# Late events: at least a day, exponential beyond.
_LATE_MEAN_DAYS = 4.0
# So many of the unknown accounts get their record after all, that many days later.
_KNOWN_LATER, _KNOWN_AFTER_DAYS = 0.5, 2


def chosen(rng: np.random.Generator, among: Ints, wanted: int) -> Ints:
    """`wanted` of the given numbers, or all when there are fewer; in order."""
    return np.sort(rng.choice(among, size=min(len(among), wanted), replace=False))


def draw_trouble(options: SampleOptions, day: int, ages: Ints) -> dict[str, Bools]:
    """Which of a date's events have which kind of trouble; none has two.

    Args:
        ages: days since the account of each event registered; before it did, nothing can have happened.
    """
    count = len(ages)
    free = np.ones(count, dtype=bool)
    everybody = np.ones(count, dtype=bool)
    trouble = {}
    for name, stream, able in (
        ("future", Stream.FUTURE, everybody),
        ("unknown_users", Stream.UNKNOWN_USERS, everybody),
        ("late", Stream.LATE, ages > 1),
        ("unknown_fields", Stream.UNKNOWN_FIELDS, everybody),
    ):
        wanted = round(getattr(options, name) * count)
        trouble[name] = np.zeros(count, dtype=bool)
        if wanted:
            trouble[name][chosen(generator(options.seed, day, stream), np.flatnonzero(free & able), wanted)] = True
        free &= ~trouble[name]
    return trouble


def delays_ms(rng: np.random.Generator, ages: Ints) -> Ints:
    """How late events arrive, in milliseconds; never so late that their account was not registered."""
    days = 1 + rng.exponential(_LATE_MEAN_DAYS, len(ages)).astype(np.int64)
    return np.minimum(days, ages - 1) * DAY_MS


def ahead_ms(rng: np.random.Generator, count: int) -> Ints:
    """By how much wrong clocks are ahead, in milliseconds."""
    return (_FUTURE_DAYS + rng.integers(0, _FUTURE_SPREAD, count)) * DAY_MS


def strangers(options: SampleOptions, day: int) -> Bytes:
    """Ids of accounts without a record that play on a date, one for each of their events."""
    rng = generator(options.seed, day, Stream.STRANGERS)
    return uuids(rng, round(options.unknown_users * event_count(options, day)))


def late_accounts(options: SampleOptions, day: int) -> list[str]:
    """Those of the strangers of some days ago whose record arrives on this date."""
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


def broken_change(line: str, form: int) -> str:
    """A good line of accounts, subscriptions or invoices, broken in one of CHANGE_FORMS ways."""
    return _CHANGE_BREAKS[form](line)


_CHANGE_BREAKS: tuple[Callable[[str], str], ...] = (
    *_BREAKS[:4],
    lambda line: line.replace('"account_id": ', '"account_id": 7, "was": '),
    lambda line: line.replace('"account_id"', '"customer"'),
    lambda line: line.replace('"updated_at": "', '"updated_at": "on '),
    lambda line: re.sub('"updated_at": "[^"]*"', '"updated_at": null', line),
    lambda line: line.replace('"account_id": "', '"account_id": "\udcff'),
    lambda line: line.replace('"account_id"', '"account_id": "somebody", "account_id"'),
)
CHANGE_FORMS = len(_CHANGE_BREAKS)
