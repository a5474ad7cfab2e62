"""The objects of all entries of the logs, kept in the warehouse: a registration reads the entries that are new to it.

A log only grows, by an entry for each load: after a year of hourly loads it has thousands, and several models read the
objects of all of them in each cycle. What was read of a log stays valid for as long as the last entry that was read is
the same one and no names were hidden in logs since; otherwise the log is read again as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest import sql
from ingest.errors import LostLedger
from ingest.ledger.ledger import Ledger
from ingest.ledger.sources import SINCE_2
from ingest.ledger.state import LedgerState
from ingest.sql import literal
from ingest.steps.rename import rewriting
from ingest.storage.store import Store

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

OBJECTS = {
    "feed": "TEXT",
    "position": "BIGINT",
    "load_id": "TEXT",
    "source_file": "TEXT",
    "etag": "TEXT",
    "size": "BIGINT",
    "modified_at": "TIMESTAMP",
    "records": "BIGINT",
    "rows": "BIGINT",
    "quarantined": "BIGINT",
    "dropped": "BIGINT",
    "erased": "BIGINT",
    "skipped": "BIGINT",
    "event_dates": "STRUCT(event_date DATE, rows BIGINT)[]",
}
TABLE, READ = "operations.logged_objects", "operations.logs_read"
ENTRIES_AT_ONCE = 1_000
"""Entries that one statement reads: DuckDB keeps the metadata of all of them while it runs."""


@dataclass(frozen=True, slots=True)
class Read:
    """What the warehouse has of a log.

    Attributes:
        position: the last entry that was read.
        load_id: the load that this entry committed; another log has another one there.
        rewriting: see ingest/steps/rename.py.
    """

    position: int
    load_id: str
    rewriting: str


def registration(warehouse: EngineAdapter, lake: Store, states: Mapping[str, LedgerState]) -> Iterator[str]:
    """Yield the statements after which the warehouse has the objects up to these states, for one transaction.

    Args:
        states: by feed; what was read of other feeds stays.

    Raises:
        LostLedger: entries of a log are missing.
        ConfigError, RetriableError: the lake cannot be read.
    """
    yield f"CREATE TABLE IF NOT EXISTS {TABLE} ({', '.join(f'{name} {kind}' for name, kind in OBJECTS.items())})"
    yield f"CREATE TABLE IF NOT EXISTS {READ} (feed TEXT, position BIGINT, load_id TEXT, rewriting TEXT)"
    known, mark = _known(warehouse), rewriting(lake)
    for feed, state in states.items():
        ledger, before, after = Ledger(lake, feed), known.get(feed), 0
        if before and before.rewriting == mark and _has(ledger, before):
            after = before.position
        else:
            yield f"DELETE FROM {TABLE} WHERE feed = {literal(feed)}"
            yield f"DELETE FROM {READ} WHERE feed = {literal(feed)}"
        if state.position > after:
            yield from _insertions(ledger, ledger.entries_with_objects(state, after))
            yield f"DELETE FROM {READ} WHERE feed = {literal(feed)}"
            load = ledger.load_at(state.position)
            yield f"INSERT INTO {READ} VALUES ({literal(feed)}, {state.position}, {literal(load)}, {literal(mark)})"


def query(states: Mapping[str, LedgerState]) -> str:
    """Query of the objects up to these states; what was read may be newer, by a plan that a stream preceded."""
    conditions = [
        f"(objects.feed = {literal(feed)} AND objects.position <= {state.position})" for feed, state in states.items()
    ]
    return f"SELECT {', '.join(OBJECTS)} FROM {TABLE} AS objects WHERE {' OR '.join(conditions) or 'FALSE'}"


def _known(warehouse: EngineAdapter) -> dict[str, Read]:
    if not warehouse.table_exists(READ):
        return {}
    rows = warehouse.fetchall(f"SELECT feed, position, load_id, rewriting FROM {READ}")
    return {feed: Read(*rest) for feed, *rest in rows}


def _has(ledger: Ledger, before: Read) -> bool:
    """Whether a log has the entry up to which it was read."""
    with suppress(LostLedger):
        return ledger.load_at(before.position) == before.load_id
    return False


def _insertions(ledger: Ledger, numbers: Sequence[int]) -> Iterator[str]:
    since_2 = ledger.first_of_format(2, numbers)
    for part, counts in ((numbers[:since_2], ()), (numbers[since_2:], SINCE_2)):
        for first in range(0, len(part), ENTRIES_AT_ONCE):
            yield f"INSERT INTO {TABLE} {_versions(ledger, part[first : first + ENTRIES_AT_ONCE], counts)}"


def _versions(ledger: Ledger, numbers: Collection[int], counts: Collection[str]) -> str:
    """Query of the objects in entries of one format.

    Args:
        counts: the columns of SINCE_2 that the format has.
    """
    entries = sql.files(ledger.store.uri, (f"{ledger.prefix}/{number:020d}.parquet" for number in numbers))
    since_2 = ", ".join(name if name in counts else f"0::BIGINT AS {name}" for name in SINCE_2)
    return (
        f"SELECT {literal(ledger.feed)} AS feed, LEFT(PARSE_FILENAME(filename), 20)::BIGINT AS position, load_id, "
        "source_file, etag, size, modified_at AT TIME ZONE 'UTC' AS modified_at, records, rows, quarantined, "
        f"{since_2}, event_dates FROM READ_PARQUET([{entries}], filename = TRUE) AS entries WHERE action = 'object'"
    )
