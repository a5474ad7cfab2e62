"""What the generator yields: objects, and how many records of which kind they hold."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, fields, replace

from sample.options import SampleOptions

EVENTS, USERS, ACTIVITIES = "raw-events", "raw-users", "raw-activities"
ACCOUNTS, SUBSCRIPTIONS, INVOICES = REVENUE = "raw-accounts", "raw-subscriptions", "raw-invoices"
BUCKETS = (EVENTS, USERS, ACTIVITIES, *REVENUE)


@dataclass(frozen=True, slots=True)
class Tally:
    """Numbers of records.

    Attributes:
        events: event lines, each with an event_id of its own; the late, future and unknown ones are among them.
        duplicates: further lines with the event_id of one of them, the corrected ones included. On the first date of a
            sample, copies of the date before have no original and count as late events.
        corrected: duplicates with another duration than the first.
        malformed: further lines that cannot be read as an event.
        users: versions of users.
        accounts: versions of accounts that are told for the first time; of subscriptions and invoices likewise.
        delayed: of those three, how many arrive days after the change.
        extended: of those three, how many have fields that no contract names.
        repeated: further lines of those feeds that tell a version again, the amended ones included.
        amended: repeated with another content and half a second later.
        broken: further lines of those feeds that cannot be read.
    """

    events: int = 0
    late: int = 0
    duplicates: int = 0
    corrected: int = 0
    malformed: int = 0
    unknown_fields: int = 0
    future: int = 0
    unknown_users: int = 0
    users: int = 0
    activities: int = 0
    accounts: int = 0
    subscriptions: int = 0
    invoices: int = 0
    delayed: int = 0
    extended: int = 0
    repeated: int = 0
    amended: int = 0
    broken: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True, slots=True)
class SampleObject:
    """One object for the landing area.

    Attributes:
        revised: the second version of an object chosen for overwriting: one event fewer, and one changed.
        tally: what `body` holds.
    """

    bucket: str
    key: str
    body: bytes
    revised: bytes | None = None
    tally: Tally = Tally()

    @property
    def revised_tally(self) -> Tally:
        """What `revised` holds: the event that it lacks is one without trouble."""
        return replace(self.tally, events=self.tally.events - 1)


def object_key(options: SampleOptions, place: str, number: int, digits: int) -> str:
    """For instance `2026/11/19/events-s1-00012.json`, for the place `2026/11/19/events`."""
    return f"{place}-s{options.seed}-{number:0{digits}d}.json{'.gz' if options.compress else ''}"


def encode(options: SampleOptions, lines: list[str]) -> bytes:
    """The lines as a body; a lone surrogate becomes the invalid byte that it stands for."""
    body = ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape") if lines else b""
    # no time of compression, so that equal lines are equal bytes
    return gzip.compress(body, compresslevel=1, mtime=0) if options.compress else body
