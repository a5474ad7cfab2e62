"""Files of a table that is computed by key, in buckets of keys: only those with changed keys are written.

A bucket is all rows of the keys with one remainder of a hash. Names of files and the manifest so have no keys in them,
which may be personal, and no bounds that grow out of shape with new keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
from sqlglot import exp

from ingest.sql import identifier
from pipeline.releases.changes import Change
from pipeline.releases.release import Buckets, ReleaseFile, ReleaseTable
from pipeline.warehouse.by_key.definition import by_key
from pipeline.warehouse.by_key.log import Log, UnknownChangesError
from pipeline.warehouse.engine import DIALECT, Engine

ROWS, MOST = 100_000, 4
"""Rows of a file, and the most files of a table. Readers open all of them; and where every bucket has a changed key,
each costs another search of the table."""


@dataclass(frozen=True, slots=True)
class Division:
    """What a release must write of a table that is computed by key.

    Attributes:
        key: the column that it is computed by.
        buckets: how its rows are divided, as of its last change.
        numbers: of the buckets to be written.
        kept: files of the release before that are reused.
    """

    key: str
    buckets: Buckets
    numbers: Sequence[int]
    kept: tuple[ReleaseFile, ...]

    def where(self, number: int) -> str:
        """SQL condition of the rows of a bucket."""
        return "TRUE" if self.buckets.count == 1 else f"{_bucket(self.key, self.buckets.count)} = {number}"

    def part(self, number: int) -> str:
        """The part that a file of the bucket is, see `ReleaseFile`."""
        return _part(number, self.buckets.count)


def division(engine: Engine, change: Change, old: ReleaseTable | None) -> Division | None:
    """What a release must write of a table; None if that does not follow from keys, so that it is written as a whole.

    Every bucket is written where the keys that changed since the release before are not known, or where the table has
    become too large or too small for its number of buckets.

    Args:
        old: the table in the release before, whose files are reused.
    """
    declared = by_key(change.snapshot.model)
    table = exp.to_table(change.snapshot.table_name(), dialect=DIALECT)
    log = engine.log(table) if declared else None
    state = log.read() if log else None
    if declared is None or log is None or state is None:
        return None
    before = old.buckets if old and change.recomputed.dates is not None else None
    if old and before and _fits(before.count, old.rows):
        now = Buckets(state.identity, state.sequence, before.count, duckdb.__version__)
        numbers = _changed(engine, log, declared.key, before, now)
        if numbers is not None:
            written = {_part(number, now.count) for number in numbers}
            return Division(declared.key, now, numbers, tuple(file for file in old.files if file.part not in written))
    _, ((rows,),) = engine.select(exp.select(exp.Count(this=exp.Star())).from_(table))
    now = Buckets(state.identity, state.sequence, _count(rows), duckdb.__version__)
    return Division(declared.key, now, range(now.count), ())


def _changed(engine: Engine, log: Log, key: str, before: Buckets, now: Buckets) -> list[int] | None:
    """Numbers of the buckets with keys that changed since a release; None if any may have."""
    if (before.identity, before.engine) != (now.identity, now.engine) or before.sequence > now.sequence:
        return None
    try:
        changed = log.changed(key)(["table", before.identity, before.sequence])
    except UnknownChangesError:
        return None
    query = f"SELECT DISTINCT {_bucket('key', now.count)} AS bucket FROM ({changed}) AS changed"
    _, rows = engine.select(exp.maybe_parse(query, dialect=DIALECT))
    return sorted(int(number) for (number,) in rows)


def _fits(count: int, rows: int) -> bool:
    """Whether a number of buckets is near that of a table of so many rows."""
    return count < 2 * _count(rows) < 4 * count


def _count(rows: int) -> int:
    return min(max(1, rows // ROWS), MOST)


def _bucket(key: str, count: int) -> str:
    return f"HASH({identifier(key)}) % {count}"


def _part(number: int, count: int) -> str:
    return f"{number + 1}-of-{count}" if count > 1 else ""
