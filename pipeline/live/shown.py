"""Keeps what closed windows showed: small files of the lake that never change, joined by date once it is over."""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.errors import ConfigError
from ingest.storage.store import Store
from pipeline.live.board import Closed, ClosedDay, Restored
from pipeline.live.business import microseconds, moment
from pipeline.live.event import DAY, HOUR, MINUTE, SECOND
from pipeline.live.window import Counts, Shown
from pipeline.warehouse.live_windows import (
    CLOSED_DAY,
    FOLDER,
    LATE,
    MEASURES,
    SCHEMA,
    WINDOW,
    current,
    day_of,
    is_joined,
    joined_key,
    piece_key,
)

LOG = logging.getLogger(__name__)
_MILLION = 1_000_000
_CHAIN = b"lakemesh.live"
"""Metadata of a file: {first, until, positions}."""


class ShownStore:
    """The files of what closed windows showed.

    Args:
        definition: digest of the definitions that they go by.
    """

    def __init__(self, lake: Store, definition: str, now: Callable[[], dt.datetime]) -> None:
        self._lake, self._definition, self._now = lake, definition, now

    def restore(self, today: dt.date) -> Restored:
        """What was shown on a UTC date and the one before. Windows of earlier dates that did not close are not shown.

        Args:
            today: the current UTC date: what ended before it was not shown, whoever closes it now.
        """
        start = microseconds(dt.datetime.combine(today, dt.time(), dt.UTC))
        days = {today, today - dt.timedelta(days=1)}
        files = [key for key in current(item.key for item in self._lake.list(FOLDER)) if day_of(key) in days]
        windows: list[Shown] = []
        closed: list[dt.date] = []
        until, positions = 0, {}
        for key in files:
            table = self._read(key)
            chain = json.loads(table.schema.metadata[_CHAIN])
            windows += _windows(table)
            closed += [row["business_date"] for row in table.to_pylist() if row["kind"] == CLOSED_DAY]
            if chain["until"] > until:
                until, positions = chain["until"], chain["positions"]
        if not until:
            return Restored(0, tuple(windows), tuple(closed))
        return Restored(max(until, start), tuple(windows), tuple(closed), positions)

    def keep(self, closed: Closed) -> None:
        """Keep what closed at once.

        Raises:
            ConfigError: another process has kept the same minutes.
            RetriableError: the lake cannot be reached.
        """
        key = piece_key(moment(closed.first))
        if not self._lake.put_new(key, _parquet(_table(closed, self._definition, self._now()))):
            raise ConfigError(
                f"{self._lake.uri}/{key} exists: another `lake live` shows this lake, and each window is kept once; "
                "stop one of them"
            )

    def join(self, today: dt.date) -> int:
        """Join the files of each date that is over; returns how many dates were joined.

        Single files go a day after they were joined, so that whoever lists them can still read them.
        """
        keys = [item.key for item in self._lake.list(FOLDER)]
        joined = {day_of(key) for key in keys if is_joined(key)}
        pieces: dict[dt.date, list[str]] = {}
        for key in sorted(keys):
            if not is_joined(key):
                pieces.setdefault(day_of(key), []).append(key)
        done = 0
        for day, names in pieces.items():
            if day in joined and day < today - dt.timedelta(days=1):
                self._lake.delete(names)
            elif day not in joined and day < today:
                tables = [self._read(name) for name in names]
                whole = pa.concat_tables([table.replace_schema_metadata() for table in tables])
                self._lake.put_new(joined_key(day), _parquet(whole.replace_schema_metadata(tables[-1].schema.metadata)))
                done += 1
        return done

    def _read(self, key: str) -> pa.Table:
        return pq.read_table(io.BytesIO(self._lake.get(key)))


def _parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def _table(closed: Closed, definition: str, now: dt.datetime) -> pa.Table:
    own = {"definition": definition, "closed_at": now.astimezone(dt.UTC).replace(tzinfo=None)}
    rows = [row | own for row in _rows(closed)]
    chain = {"first": closed.first, "until": closed.until, "positions": dict(closed.positions)}
    return pa.Table.from_pylist(rows, SCHEMA.with_metadata({_CHAIN: json.dumps(chain).encode()}))


def _rows(closed: Closed) -> Iterator[dict[str, Any]]:
    found = {(shown.size, shown.start): shown for shown in closed.windows}
    for size in (MINUTE, HOUR):  # an empty window was shown too
        first = closed.first // size * size
        for start in range(first, closed.until // size * size, size):
            found.setdefault((size, start), Shown(start, size, Counts()))
    for _, shown in sorted(found.items()):
        yield from _window(shown)
    for (size, start), counts in sorted(closed.late.items()):
        yield _row(LATE, size, start, counts)
    for day in closed.days:
        yield _day(day)


def _window(shown: Shown) -> Iterator[dict[str, Any]]:
    yield _row(WINDOW, shown.size, shown.start, shown.counts)
    for dimension, members in shown.members.items():
        for member, count in members.items():
            what = "views" if dimension == "product" else "clicks"
            empty = dict.fromkeys((*MEASURES, "net_amount"))
            yield (
                _row(WINDOW, shown.size, shown.start, Counts())
                | empty
                | {
                    "dimension": dimension,
                    "member": member,
                    what: count,
                }
            )


def _row(kind: str, size: int, start: int, counts: Counts) -> dict[str, Any]:
    return {
        "kind": kind,
        "size_seconds": size // SECOND,
        "started_at": moment(start).replace(tzinfo=None),
        "dimension": "",
        "member": "",
        **{name: getattr(counts, name) for name in MEASURES},
        "net_amount": Decimal(counts.net_amount) / _MILLION,
    }


def _day(closed: ClosedDay) -> dict[str, Any]:
    found = closed.sessions
    return {
        "kind": CLOSED_DAY,
        "size_seconds": DAY // SECOND,
        "started_at": moment(closed.start).replace(tzinfo=None),
        "business_date": closed.day,
        "dimension": "",
        "member": "",
        "clicks": found.clicks,
        "visitors": found.visitors,
        "sessions": found.sessions,
        "purchase_sessions": found.purchase_sessions,
    }


def _windows(table: pa.Table) -> Iterable[Shown]:
    """The windows of a file, as they were shown."""
    found: dict[tuple[int, int], Shown] = {}
    for row in table.to_pylist():
        if row["kind"] != WINDOW:
            continue
        key = row["size_seconds"] * SECOND, microseconds(row["started_at"].replace(tzinfo=dt.UTC))
        if row["dimension"]:
            count = row["views"] if row["dimension"] == "product" else row["clicks"]
            found[key].members.setdefault(row["dimension"], {})[row["member"]] = count
        else:
            counts = Counts(**{name: row[name] for name in MEASURES}, net_amount=int(row["net_amount"] * _MILLION))
            found[key] = Shown(key[1], key[0], counts, {})
    return found.values()
