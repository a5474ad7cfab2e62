"""Listing of an S3 bucket as columns, with the store's exact keys; large buckets are listed by many threads.

obstore strips leading and trailing slashes from keys, and its listing stops at a key with `//`, `.`, `..` or a control
character. So it cannot list the landing, where producers choose the names.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from ingest.storage.bucket import Bucket
from ingest.storage.names import LISTED, key_problem
from ingest.storage.page import Page
from ingest.text import printable

PAGE = 1000
"""Keys in one page of a listing."""
THREADS = 16
MIN_KEYS = 64
"""With fewer keys per folder, a request for each folder costs more than parallel listing saves."""


def list_columns(bucket: Bucket, prefix: str = "") -> pa.Table:
    """Return every object below a prefix as columns LISTED, unordered; a million take about 150 MB.

    A listing that fits in one page takes one request. For a larger one, the folders below the prefix are listed in
    parallel. The result depends only on the prefixes, not on the order in which the store lists its keys.

    Args:
        prefix: whole path segments, without a trailing slash.

    Raises:
        ConfigError: no such bucket, or no permission to list it.
        RetriableError: the store cannot be reached.
    """
    start = f"{prefix}/" if prefix else ""
    pages = bucket.pages(start, size=PAGE)
    first = next(pages)
    if first.token is None or not _is_worthwhile(first, start):
        return _table([_columns(first), *map(_columns, pages)])
    folders, tables = _folders(bucket, start)
    with ThreadPoolExecutor(THREADS) as pool:
        return _table([*tables, *pool.map(lambda folder: _sequential(bucket, folder), folders)])


def _is_worthwhile(first: Page, start: str) -> bool:
    """Whether the first page has folders, and large ones."""
    below = (key[len(start) :] for key in first.keys)
    folders = {key.split("/", 1)[0] for key in below if "/" in key}
    return 0 < len(folders) <= PAGE // MIN_KEYS


def _folders(bucket: Bucket, start: str) -> tuple[list[str], list[pa.Table]]:
    """Return the folders below a prefix, descending while there is only one, and the objects next to them."""
    tables: list[pa.Table] = []
    while True:
        level = list(bucket.pages(start, by_folder=True, size=PAGE))
        tables += map(_columns, level)
        folders = [folder for page in level for folder in page.folders]
        if len(folders) != 1:
            return folders, tables
        (start,) = folders


def _sequential(bucket: Bucket, start: str) -> pa.Table:
    return _table(map(_columns, bucket.pages(start, size=PAGE)))


def _columns(page: Page) -> pa.Table:
    problems = [key_problem(key) for key in page.keys]
    keys = page.keys
    if any(problems):
        pairs = zip(page.keys, problems, strict=True)
        keys = [key if problem is None else printable(key) for key, problem in pairs]
    columns = [keys, page.etags, page.sizes, _times(page.modified_at), problems]
    pairs = zip(columns, LISTED.types, strict=True)
    return pa.table([pa.array(column, kind) for column, kind in pairs], schema=LISTED)


def _times(texts: list[str]) -> pa.Array:
    kind = LISTED.field("modified_at").type
    try:
        return pa.array(texts, pa.string()).cast(kind)
    except pa.ArrowInvalid:  # more fractional digits than Arrow accepts
        return pa.array([dt.datetime.fromisoformat(text).astimezone(dt.UTC) for text in texts], kind)


def _table(tables: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables([LISTED.empty_table(), *tables])
