"""Data faults: malformed lines, wrong clocks, unknown users."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sample.days import DAY_MS, event_count
from sample.draw import Bools, Bytes, Floats, Ints, Stream, generator, uuid_texts, uuids
from sample.options import SampleOptions

# A wrong clock is a century ahead, so that it is in the future whenever the sample is written.
_FUTURE_DAYS, _FUTURE_SPREAD = 36_525, 400
# Delay of late events: one day plus an exponential number of days.
_LATE_MEAN_DAYS = 4.0
# Share of the unknown users whose record arrives later, and the days until then.
_KNOWN_LATER, _KNOWN_AFTER_DAYS = 0.5, 2


def chosen(rng: np.random.Generator, among: Ints, wanted: int) -> Ints:
    """Draw `wanted` of the given numbers, or all if there are fewer; sorted."""
    return np.sort(rng.choice(among, size=min(len(among), wanted), replace=False))


def draw_trouble(options: SampleOptions, day: int, ages: Ints) -> dict[str, Bools]:
    """Draw the events of a date that have each kind of trouble; no event has two kinds.

    Args:
        ages: days since the user of each event registered; no event precedes the registration.
    """
    count = len(ages)
    untroubled = np.ones(count, dtype=bool)
    every_event = np.ones(count, dtype=bool)
    trouble = {}
    for name, stream, eligible in (
        ("future", Stream.FUTURE, every_event),
        ("unknown_users", Stream.UNKNOWN_USERS, every_event),
        ("late", Stream.LATE, ages > 1),
        ("unknown_fields", Stream.UNKNOWN_FIELDS, every_event),
    ):
        wanted = round(getattr(options, name) * count)
        trouble[name] = np.zeros(count, dtype=bool)
        if wanted:
            trouble[name][
                chosen(generator(options.seed, day, stream), np.flatnonzero(untroubled & eligible), wanted)
            ] = True
        untroubled &= ~trouble[name]
    return trouble


def delays_ms(rng: np.random.Generator, ages: Ints) -> Ints:
    """Draw the delays of late events in milliseconds, limited so that no event precedes its user's registration."""
    days = 1 + rng.exponential(_LATE_MEAN_DAYS, len(ages)).astype(np.int64)
    return np.minimum(days, ages - 1) * DAY_MS


def ahead_ms(rng: np.random.Generator, count: int) -> Ints:
    """Draw by how many milliseconds wrong clocks are ahead."""
    return (_FUTURE_DAYS + rng.integers(0, _FUTURE_SPREAD, count)) * DAY_MS


def unknown_user_ids(options: SampleOptions, day: int) -> Bytes:
    """Ids of users without a record, one for each event of an unknown user on a date."""
    rng = generator(options.seed, day, Stream.UNKNOWN_IDS)
    return uuids(rng, round(options.unknown_users * event_count(options, day)))


def late_accounts(options: SampleOptions, day: int) -> list[str]:
    """Ids of unknown users of an earlier date whose record arrives on this date."""
    found = unknown_user_ids(options, day - _KNOWN_AFTER_DAYS)
    return uuid_texts(found[: round(_KNOWN_LATER * len(found))])


@dataclass(frozen=True, slots=True)
class BadLines:
    """Lines that cannot be read, as columns: object number, form, and position as a share of the object."""

    objects: Ints
    forms: Ints
    levels: Floats

    def mixed(self, number: int, good: list[str], broken: Callable[[str, int], str]) -> list[str]:
        """Mix an object's bad lines into its valid lines, of which the first one is broken."""
        lines = list(good)
        for index in np.flatnonzero(self.objects == number).tolist():
            bad = broken(good[0], int(self.forms[index]))
            lines.insert(int(self.levels[index] * (len(lines) + 1)), bad)
        return lines


def draw_bad_lines(rng: np.random.Generator, count: int, files: int, forms: int) -> BadLines:
    """Draw `count` bad lines of a date's objects."""
    return BadLines(rng.integers(0, files, count), rng.integers(0, forms, count), rng.random(count))


def malformed_line(line: str, form: int) -> str:
    """Break a valid event line in one of BAD_FORMS ways. A lone surrogate represents an invalid byte."""
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


def broken_click(line: str, form: int) -> str:
    """Break a valid line of a click in one of CLICK_FORMS ways."""
    return _CLICK_BREAKS[form](line)


_CLICK_BREAKS: tuple[Callable[[str], str], ...] = (
    *_BREAKS[:4],
    *_BREAKS[5:7],
    lambda line: line.replace('"visitor_id"', '"visitor"'),
    lambda line: re.sub('"event_type": "[^"]*"', '"event_type": "teleport"', line),
    lambda line: line.replace('"quantity": ', '"quantity": "several", "was": '),
    lambda line: line.replace('"page": "', '"page": "\udcff'),
)
CLICK_FORMS = len(_CLICK_BREAKS)


def broken_movement(line: str, form: int) -> str:
    """Break a valid line of a stock movement in one of MOVEMENT_FORMS ways."""
    return _MOVEMENT_BREAKS[form](line)


_MOVEMENT_BREAKS: tuple[Callable[[str], str], ...] = (
    *_BREAKS[:4],
    lambda line: line.replace('"movement_id"', '"id"'),
    lambda line: line.replace('"level": ', '"level": "some", "was": '),
    lambda line: line.replace('"moved_at": "', '"moved_at": "on '),
    lambda line: re.sub('"movement_type": "[^"]*"', '"movement_type": "theft"', line),
    lambda line: line.replace('"location": "', '"location": "\udcff'),
)
MOVEMENT_FORMS = len(_MOVEMENT_BREAKS)


def broken_spend(line: str, form: int) -> str:
    """Break a valid line of an export of marketing spend in one of SPEND_FORMS ways."""
    return _SPEND_BREAKS[form](line)


_SPEND_BREAKS: tuple[Callable[[str], str], ...] = (
    lambda line: line.rsplit(",", 3)[0],
    lambda line: re.sub("^[^,]*", "yesterday", line),
    lambda line: re.sub("^([^,]*),[^,]*", r"\1,tv", line),
    lambda line: re.sub("^([^,]*,[^,]*,[^,]*,)", r"\1-", line.replace(",0.00,", ",1.00,")),
    lambda line: re.sub(",(EUR|USD),", ",euro,", line),
    lambda line: re.sub(",[^,]*$", ",", line),
)
SPEND_FORMS = len(_SPEND_BREAKS)


def broken_change(line: str, form: int) -> str:
    """Break a valid line of accounts, subscriptions or invoices in one of CHANGE_FORMS ways."""
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
