"""Objects of the generator, and counts of their records by kind."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, fields, replace

from sample.options import SampleOptions

EVENTS, USERS, ACTIVITIES = "raw-events", "raw-users", "raw-activities"
ACCOUNTS, SUBSCRIPTIONS, INVOICES = REVENUE = "raw-accounts", "raw-subscriptions", "raw-invoices"
SHOP = tuple(
    f"raw-shop-{table}"
    for table in ("customers", "products", "orders", "order-items", "payments", "shipments", "refunds")
)
CLICKS, INVENTORY, SPEND = "raw-shop-clickstream", "raw-shop-inventory", "raw-shop-marketing-spend"
BUCKETS = (EVENTS, USERS, ACTIVITIES, *REVENUE, *SHOP, CLICKS, INVENTORY, SPEND)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of records.

    Attributes:
        events: event lines with distinct event_ids, including the late, future and unknown ones.
        duplicates: further lines with the event_id of one of them, including the corrected ones. On the first date of a
            sample, copies of the previous date have no original and count as late events.
        corrected: duplicates with another duration than the original.
        malformed: further lines that cannot be read as an event.
        users: versions of users.
        accounts: versions of accounts sent for the first time; likewise `subscriptions` and `invoices`.
        changes: changes of the shop's rows, and rows of its snapshots, sent for the first time.
        tombstones: records of the shop that follow a deletion, without a value.
        clicks: clicks of the shop's visitors, sent for the first time.
        movements: movements of the shop's stocks, sent for the first time.
        spend: lines of exports of marketing spend, sent for the first time; later ones restate dates of earlier ones.
        delayed: records in these feeds, from accounts on, that arrive days after they happened.
        extended: records in these feeds with fields that no contract names.
        repeated: further lines of these feeds that repeat a record, including the amended ones.
        amended: repeated versions with other content and a time half a second later.
        broken: further lines of these feeds that cannot be read.
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
    changes: int = 0
    tombstones: int = 0
    clicks: int = 0
    movements: int = 0
    spend: int = 0
    delayed: int = 0
    extended: int = 0
    repeated: int = 0
    amended: int = 0
    broken: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True, slots=True)
class SampleObject:
    """One object for the landing.

    Attributes:
        revised: the second version of an object that is overwritten: one event fewer, and one changed.
        tally: the counts of the records in `body`.
    """

    bucket: str
    key: str
    body: bytes
    revised: bytes | None = None
    tally: Tally = Tally()

    @property
    def revised_tally(self) -> Tally:
        """The counts of the records in `revised`: the event that it lacks is one without trouble."""
        return replace(self.tally, events=self.tally.events - 1)


def object_key(options: SampleOptions, place: str, number: int, digits: int, form: str = "json") -> str:
    """The key of an object, such as `2026/11/19/events-s1-00012.json` for the place `2026/11/19/events`."""
    return f"{place}-s{options.seed}-{number:0{digits}d}.{form}{'.gz' if options.compress else ''}"


def encode(options: SampleOptions, lines: list[str]) -> bytes:
    """Encode lines as a body; a lone surrogate becomes the invalid byte that it represents."""
    body = ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape") if lines else b""
    # no timestamp in the gzip header, so that equal lines give equal bytes
    return gzip.compress(body, compresslevel=1, mtime=0) if options.compress else body
