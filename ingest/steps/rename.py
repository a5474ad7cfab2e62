"""Hiding of the names of source objects that have an identifier of a person who is forgotten, in what the lake records.

An erasure alone overwrites entries of the log, with the same number and counts. Bronze and quarantine have the hidden
names before, in the commit of the erasure; until the log has them too, a mark keeps from its records whoever would look
them up by name.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

import pyarrow as pa

from ingest.errors import RetriableError
from ingest.ledger.dropped import hide_dropped
from ingest.ledger.entry import Entry
from ingest.ledger.landed import hide_landed
from ingest.ledger.ledger import Ledger
from ingest.ledger.retired import hide_retired
from ingest.ledger.state import LedgerState
from ingest.steps.hidden import HiddenNames
from ingest.storage.store import Store

_COLUMN = "_source_file"
PREFIX, RELEASE, REWRITTEN = "erasure/names", "erasure/release", "erasure/rewritten"


def names_to_hide(state: LedgerState, names: HiddenNames) -> dict[str, str]:
    """Return what stands for each name in the ledger that has an identifier of such a person."""
    return dict(_found(state, names))


def _found(state: LedgerState, names: HiddenNames) -> Iterator[tuple[str, str]]:
    for table in state.objects.tables(["source_file"]):
        for name in names.candidates(table.column(0)):
            if (hidden := names.of(name)) != name:
                yield name, hidden


def with_names_hidden(table: pa.Table, hidden: Mapping[str, str]) -> pa.Table:
    """Return records with what stands for names of objects in place of these, in a dictionary without them."""
    if not hidden:
        return table
    kind, names = table.field(_COLUMN), table.column(_COLUMN).cast(pa.string()).to_pylist()
    new = pa.array([hidden.get(name, name) for name in names], pa.string())
    return table.set_column(table.column_names.index(_COLUMN), kind, new.cast(kind.type))


def mark_names(lake: Store, feed: str) -> None:
    """Mark that names of a feed are about to be hidden, before its files have the hidden ones."""
    lake.put(f"{PREFIX}/{feed}", b"")


def has_names_to_hide(lake: Store, feed: str) -> bool:
    """Whether the files of a feed may have names that its log does not have yet."""
    return lake.find(f"{PREFIX}/{feed}") is not None


def require_names(lake: Store, feed: str) -> None:
    """Check that a feed's records can be looked up by name.

    Raises:
        RetriableError: an erasure has to finish first.
    """
    if has_names_to_hide(lake, feed):
        raise RetriableError(f"{feed}: an erasure is hiding names of its objects; finish it with `lake erase --resume`")


def hide_names(lake: Store, ledger: Ledger, hidden: Mapping[str, str]) -> None:
    """Put what stands for names in place of them: in records about objects, in the log and its checkpoints.

    Safe to repeat and to interrupt: the log, by which the names are known, goes last, and then the mark.
    """
    if hidden:
        hide_dropped(lake, ledger.feed, hidden)
        hide_retired(lake, ledger.feed, hidden)
        hide_landed(lake, ledger.feed, hidden)
        lake.put(RELEASE, b"")
        _mark_rewritten(lake)
        ledger.rewrite(lambda entry: _renamed(entry, hidden))
        _mark_rewritten(lake)  # again: what was read of the log meanwhile has names of before
    lake.delete([f"{PREFIX}/{ledger.feed}"])


def rewriting(lake: Store) -> str:
    """Return a value that is another one after names were hidden in a log: what was read of entries before has them."""
    with suppress(FileNotFoundError):
        return lake.get(REWRITTEN).decode()
    return ""


def _mark_rewritten(lake: Store) -> None:
    lake.put(REWRITTEN, uuid.uuid4().hex.encode())


def is_release_due(lake: Store) -> bool:
    """Whether names were hidden that the newest release may have, in what it has of operations."""
    return lake.find(RELEASE) is not None


def released(lake: Store) -> None:
    """Note that a release without these names exists."""
    lake.delete([RELEASE])


def _renamed(entry: Entry, hidden: Mapping[str, str]) -> Entry:
    if not any(item.source_file in hidden for item in entry.objects):
        return entry
    objects = (replace(item, source_file=hidden.get(item.source_file, item.source_file)) for item in entry.objects)
    return replace(entry, objects=tuple(objects))
