"""Files of the lake, as the ledger names them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import pyarrow as pa

from ingest.ledger.format import METADATA

LAYERS = ("bronze", "quarantine", "discarded")
FILE = {
    "path": pa.string(),
    "rows": pa.int64(),
    "bytes": pa.int64(),
    "ingest_date": pa.date32(),
    "event_date": pa.date32(),
    "loads": pa.list_(pa.string()),
    "columns": pa.string(),
}
FILE_SCHEMA = pa.schema(list(FILE.items()), metadata=METADATA)


@dataclass(frozen=True, slots=True)
class LakeFile:
    """One Parquet file of bronze or quarantine.

    Attributes:
        path: key below the lake, starting with one of LAYERS.
        loads: ids of the loads whose rows it contains.
        columns: for bronze, a JSON object of column name to SQL type, in order (files of older contracts lack newer
            columns); for discarded records, the reason.
    """

    path: str
    rows: int
    bytes: int
    ingest_date: dt.date
    event_date: dt.date | None
    loads: tuple[str, ...]
    columns: str


def files_table(files: Sequence[LakeFile]) -> pa.Table:
    """Convert files to columns."""
    columns = zip(*map(astuple, files), strict=True) if files else ([] for _ in fields(LakeFile))
    return pa.table(
        [pa.array(list(values), kind) for values, kind in zip(columns, FILE.values(), strict=True)], schema=FILE_SCHEMA
    )


def files_of(table: pa.Table) -> Iterable[LakeFile]:
    """Convert columns to files."""
    columns: dict[str, list[Any]] = {name: table.column(name).to_pylist() for name in FILE}
    columns["loads"] = [tuple(loads) for loads in columns["loads"]]
    return map(LakeFile, *columns.values())
