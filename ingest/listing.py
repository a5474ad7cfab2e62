"""A listing as columns; a large bucket is listed by many threads, one folder each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import obstore
import pyarrow as pa
import pyarrow.compute as pc
from obstore.store import LocalStore, S3Store

if TYPE_CHECKING:
    from obstore import ObjectMeta

LISTING = pa.schema(
    [("key", pa.string()), ("etag", pa.string()), ("size", pa.int64()), ("modified_at", pa.timestamp("us", "UTC"))]
)
PAGE = 1000
"""Keys that a store gives in one answer."""
THREADS = 16
CHUNK = 5 * PAGE
MIN_KEYS = 64
"""With fewer keys in a folder, an answer for each folder costs more than the threads gain."""


def list_columns(store: LocalStore | S3Store, prefix: str = "") -> pa.Table:
    """Every object below a prefix as columns key, etag, size, modified_at, in no order; a million in some 150 MB.

    What fits in one answer takes one request. Of more, the folders below the prefix are listed at the same time.
    The result rests on the prefixes alone, not on the order in which a store names its keys.

    Args:
        prefix: whole path segments, without a slash at its end.
    """
    if isinstance(store, LocalStore):
        return _table(map(_columns, obstore.list(store, prefix=prefix or None, chunk_size=CHUNK)))
    first, rest = _begin(store, prefix)
    if first is None or not _pays(first, prefix):
        return _table([*([] if first is None else [_columns(first)]), *map(_columns, rest)])
    folders, tables = _folders(store, prefix)
    with ThreadPoolExecutor(THREADS) as pool:
        return _table([*tables, *pool.map(lambda folder: _sequential(store, folder), folders)])


def _begin(store: S3Store, prefix: str) -> tuple[Sequence[ObjectMeta] | None, Iterator[Sequence[ObjectMeta]]]:
    """The first answer, None when it is empty, and what follows it."""
    batches = iter(obstore.list(store, prefix=prefix or None, chunk_size=PAGE))
    return next(batches, None), batches


def _pays(first: Sequence[ObjectMeta], prefix: str) -> bool:
    """Whether there is more than one answer, and folders that are large enough."""
    start = len(prefix) + 1 if prefix else 0
    folders = {key.split("/", 1)[0] for meta in first if "/" in (key := meta["path"][start:])}
    return len(first) >= PAGE and 0 < len(folders) <= PAGE // MIN_KEYS


def _folders(store: S3Store, prefix: str) -> tuple[Sequence[str], list[pa.Table]]:
    """The folders below a prefix, as deep down as there is only one, and the objects passed on the way."""
    tables = []
    while True:
        level: Any = obstore.list_with_delimiter(store, prefix=prefix or None)
        tables.append(_columns(level["objects"]))
        if len(level["common_prefixes"]) != 1:
            return level["common_prefixes"], tables
        (prefix,) = level["common_prefixes"]


def _sequential(store: S3Store, prefix: str) -> pa.Table:
    return _table(map(_columns, obstore.list(store, prefix=prefix, chunk_size=CHUNK)))


def _columns(batch: Sequence[ObjectMeta]) -> pa.Table:
    etags = pa.array([meta["e_tag"] or "" for meta in batch], pa.string())
    kinds = {"path": pa.string(), "size": pa.int64(), "last_modified": pa.timestamp("us", "UTC")}
    columns = [pa.array([meta[name] for meta in batch], kind) for name, kind in kinds.items()]  # type: ignore[literal-required]  # keys of ObjectMeta
    columns.insert(1, pc.utf8_trim(etags, '"'))
    return pa.table(columns, schema=LISTING)


def _table(tables: Any) -> pa.Table:
    return pa.concat_tables([LISTING.empty_table(), *tables])
