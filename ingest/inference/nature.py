"""What a feed is, by its sampled records: facts or versions of a key, and by which columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ingest.inference.keys import Keys

MAX_SHOWN = 4
"""Alternatives that are named."""
MAX_CORRECTED = 0.05
"""Share of an event feed's records that may correct an earlier one with the same key."""
_EVENT_TIMES = (
    *("occurred_at", "event_time", "event_at", "event_timestamp", "timestamp", "ts", "time", "happened_at"),
    *("measured_at", "observed_at", "recorded_at", "logged_at", "sent_at", "received_at"),
)
_CHANGED = re.compile(
    r"(.*_)?(updated|modified|changed)(_at|_on|_time|_ts)?|last_(update|change|modification)|valid_from"
)
_CREATED = re.compile(r"(created|inserted|registered)(_at|_on|_time|_ts)|creation_(time|date)")
_VERSION = re.compile(r"(row_)?(version|revision|sequence|seq_no)")
_KEY = re.compile(r"(.*_)?(id|uuid|guid|key|number|no|code|hash)")


@dataclass(slots=True)
class Nature:
    """What a feed is.

    Attributes:
        kind: `event`, `entity` or `change`.
        key: the columns of its key.
        created_at: of a change feed, since when a key is there.
        times: further columns that may date its records.
        doubts: what to check, by field of the contract.
    """

    kind: str
    key: tuple[str, ...]
    event_time: str | None = None
    latest_by: tuple[str, ...] = ()
    created_at: str | None = None
    times: tuple[str, ...] = ()
    doubts: dict[str, list[str]] = field(default_factory=dict)

    def doubt(self, place: str, text: str) -> None:
        """Add what to check at a field of the contract."""
        self.doubts.setdefault(place, []).append(text)


def singular(feed: str) -> str:
    """Return what one record of a feed is called.

    >>> singular("activities"), singular("ratings"), singular("addresses"), singular("stock")
    ('activity', 'rating', 'address', 'stock')
    """
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("ss", "ss"), ("s", "")):
        if feed.endswith(ending):
            return feed.removesuffix(ending) + instead
    return feed


def nature_of(feed: str, types: dict[str, str], keys: Keys) -> Nature | None:
    """Tell what a feed is; None if no column can be a key.

    Args:
        types: type of each column that has one value per record, in order.
    """
    always = [name for name in types if keys.always(name)]
    one = singular(feed)
    own_names = [f"{one}_id", "id", f"{one}_uuid", f"{one}_key", "uuid", "guid", f"{one}_number", f"{one}_code"]
    names = [name for name in types if types[name] in ("string", "integer")]
    named = next((name for name in own_names if name in names and name in always), None)
    own = named or next((name for name in names[:1] if name in always and _KEY.fullmatch(name)), None)
    unique = sorted((name for name in names if keys.is_unique(name)), key=_rank(own_names))
    times = [name for name in always if types[name] == "timestamp"]
    clock = [name for name in _EVENT_TIMES if name in times]
    changed = [name for name in times if _CHANGED.fullmatch(name)]
    versions = [name for name in always if types[name] == "integer" and _VERSION.fullmatch(name)]
    corrected = keys.repeats(own) / keys.records if own else 0.0

    if not changed and clock and not named and corrected > MAX_CORRECTED:
        own, corrected = None, 0.0  # the key of a thing that events are about
    if not changed and clock and corrected <= MAX_CORRECTED:
        nature = Nature("event", (own,) if own else (), clock[0])
    elif changed or versions or (clock and corrected):
        latest = changed[:1] or clock[:1] or versions[:1]
        nature = Nature("entity", (own,) if own else (), latest_by=tuple(latest))
    elif own and corrected:
        nature = Nature("entity", (own,))
    elif times:
        first = next((name for name in times if name.endswith(("_at", "_time"))), times[0])
        nature = Nature("event", (own,) if own else (), (clock or [first])[0])
    else:
        nature = Nature("entity", (own,) if own else ())
    _explain_kind(nature, keys, own, corrected, [*clock, *(name for name in times if name not in clock)])
    return _with_key(nature, keys, unique, names, always, types, _rank(own_names))


def nature_of_changes(feed: str, types: dict[str, str], keys: Keys, key: tuple[str, ...]) -> Nature | None:
    """Tell the key of a change feed; None if no column can be one.

    Args:
        key: the columns of the records' key; empty if they have none.
    """
    known = [name for name in key if name in types]
    nature = Nature("change", tuple(known))
    if key and len(known) < len(key):
        nature.doubt("key", f"the records' key has columns that rows do not have: {', '.join(key)}")
    if not known:
        guessed = nature_of(feed, types, keys)
        if guessed is None:
            return None
        nature.key = guessed.key
        nature.doubt("key", "a guess: the events have no key; expected the table's primary key")
    created = [name for name in types if types[name] == "timestamp" and _CREATED.fullmatch(name)]
    nature.created_at = created[0] if created else None
    return nature


def _rank(own_names: Sequence[str]):  # type: ignore[no-untyped-def]  # a sort key
    def rank(name: str) -> tuple[int, bool]:
        return (own_names.index(name) if name in own_names else len(own_names), not _KEY.fullmatch(name))

    return rank


def _explain_kind(nature: Nature, keys: Keys, own: str | None, corrected: float, times: Sequence[str]) -> None:
    nature.times = tuple(name for name in times if name != nature.event_time)
    if nature.kind == "event":
        if nature.event_time not in _EVENT_TIMES:
            nature.doubt("kind", "event, because every record has a time and no key repeats; entity, if records change")
        if corrected:
            again = keys.repeats(own or "")
            nature.doubt("key", f"{again:,} of {keys.records:,} records have the key of another one with other content")
        return
    if own and corrected:
        nature.doubt("kind", f"entity, because {keys.repeats(own):,} of {keys.records:,} records repeat a key")
    elif nature.latest_by:
        nature.doubt("kind", f"entity by {nature.latest_by[0]}, though no key repeats in the samples")
    else:
        nature.doubt("kind", "entity, because no column dates every record")
    if not nature.latest_by:
        nature.doubt("kind", "without latest_by the version that was written last counts")


def _with_key(
    nature: Nature,
    keys: Keys,
    unique: Sequence[str],
    names: Sequence[str],
    always: Sequence[str],
    types: dict[str, str],
    rank: object,
) -> Nature | None:
    paired = sorted((name for name in names if name in always), key=rank)  # type: ignore[call-overload]
    paired += [name for name in always if types[name] in ("timestamp", "date")]
    likely = [name for name in paired if name in nature.key or _KEY.fullmatch(name) or _VERSION.fullmatch(name)]
    likely += [name for name in paired if types[name] in ("timestamp", "date")]
    pairs = keys.unique_pairs(likely) or keys.unique_pairs(paired) if keys.records > 1 else []
    if not nature.key:
        if unique and keys.records > 1:
            nature.key = (unique[0],)
        elif pairs:
            nature.key = pairs[0]
        elif paired or names:
            nature.key = ((paired or list(names))[0],)
            nature.doubt("key", "a guess: no column and no pair of columns is unique over the samples")
        else:
            return None
    others = [name for name in unique if (name,) != nature.key]
    shown = [*others, *(f"[{', '.join(pair)}]" for pair in pairs if pair != nature.key)]
    if shown and keys.records > 1:
        nature.doubt("key", f"also unique over the samples: {', '.join(shown[:MAX_SHOWN])}")
    if keys.records == 1:
        nature.doubt("key", "a single record cannot show what is unique")
    return nature
