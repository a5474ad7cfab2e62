"""What closed live windows showed, as files of the lake: their place, their columns, and how SQL reads them.

<lake>/live/shown/<date>/<date>T<HHMM>.parquet   what closed at once, by the first of its minutes; never changed
       live/shown/<UTC date>.parquet          those of a date that is over, joined; they are deleted a day later
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

import pyarrow as pa

from ingest import sql
from ingest.storage.store import Store

FOLDER = "live/shown"
WINDOW, LATE, CLOSED_DAY = "window", "late", "day"
"""Kinds of rows: what a window showed, what came for it after it had closed, a business date's sessions."""
MEASURES = ("clicks", "views", "carts", "visitors", "orders")
SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("size_seconds", pa.int32()),
        ("started_at", pa.timestamp("us")),
        ("business_date", pa.date32()),
        ("dimension", pa.string()),
        ("member", pa.string()),
        *((name, pa.int64()) for name in MEASURES),
        ("net_amount", pa.decimal128(18, 6)),
        ("sessions", pa.int64()),
        ("purchase_sessions", pa.int64()),
        ("definition", pa.string()),
        ("closed_at", pa.timestamp("us")),
    ]
)
COLUMNS = {
    "kind": "TEXT",
    "size_seconds": "BIGINT",
    "started_at": "TIMESTAMP",
    "business_date": "DATE",
    **dict.fromkeys(MEASURES, "BIGINT"),
    "net_amount": "DECIMAL(18, 6)",
    "sessions": "BIGINT",
    "purchase_sessions": "BIGINT",
    "definition": "TEXT",
    "closed_at": "TIMESTAMP",
}
"""The columns of `operations.live_windows`."""


def piece_key(first: dt.datetime) -> str:
    """Key of what closed at once.

    Args:
        first: start of the first minute, UTC.
    """
    return f"{FOLDER}/{first:%Y-%m-%d}/{first:%Y-%m-%dT%H%M}.parquet"


def joined_key(day: dt.date) -> str:
    """Key of the joined pieces of a date."""
    return f"{FOLDER}/{day}.parquet"


def day_of(key: str) -> dt.date:
    """The date of a piece, or of joined ones."""
    path = PurePosixPath(key)
    return dt.date.fromisoformat(path.stem if path.parent == PurePosixPath(FOLDER) else path.parent.name)


def current(keys: Iterable[str]) -> list[str]:
    """The files to read, oldest first: a piece of a date whose pieces are joined is not read twice."""
    found = sorted(key for key in keys if key.endswith(".parquet"))
    joined = {day_of(key) for key in found if is_joined(key)}
    return sorted(
        (key for key in found if is_joined(key) or day_of(key) not in joined),
        key=lambda key: (day_of(key), key),
    )


def is_joined(key: str) -> bool:
    """Whether a file has the joined pieces of a date."""
    return PurePosixPath(key).parent == PurePosixPath(FOLDER)


def shown_files(lake: Store, days: Collection[dt.date] | None = None) -> list[str]:
    """Keys of the files to read, oldest first.

    Args:
        days: the dates whose files are wanted; by default all.
    """
    keys = (item.key for item in lake.list(FOLDER))
    return [key for key in current(keys) if days is None or day_of(key) in days]


def windows_query(lake: Store) -> str:
    """Query of minutes, hours and dates without their members; empty if nothing was shown yet."""
    files = shown_files(lake)
    if not files:
        return f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {name}' for name, kind in COLUMNS.items())} WHERE FALSE"
    read = f"READ_PARQUET([{sql.files(lake.uri, files)}], hive_partitioning = FALSE)"
    return f"SELECT {typed()} FROM {read} AS shown WHERE {WITHOUT_MEMBERS}"


WITHOUT_MEMBERS = "shown.dimension = '' AND shown.size_seconds >= 60"
"""SQL of whether a row of a file, with the alias `shown`, is one of `operations.live_windows`."""


def typed() -> str:
    """SQL of the columns of `operations.live_windows` over a file with the alias `shown`."""
    return ", ".join(f"CAST(shown.{name} AS {kind}) AS {name}" for name, kind in COLUMNS.items())
