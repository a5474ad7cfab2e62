"""A listing of an S3 bucket as columns, exactly as the store has the keys; a large one is listed by many threads.

obstore takes the slashes at both ends of a key away, and its listing ends at a key with `//`, `.`, `..` or a control
character: so the landing, where others choose the names, is not listed by it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from ingest.storage.bucket import Bucket, Page
from ingest.storage.names import LISTED, key_problem
from ingest.text import printable

PAGE = 1000
"""Keys that a store gives in one answer."""
THREADS = 16
MIN_KEYS = 64
"""With fewer keys in a folder, an answer for each folder costs more than the threads gain."""


def list_columns(bucket: Bucket, prefix: str = "") -> pa.Table:
    """Every object below a prefix as columns LISTED, in no order; a million in some 150 MB.

    What fits in one answer takes one request. Of more, the folders below the prefix are listed at the same time.
    The result rests on the prefixes alone, not on the order in which a store names its keys.

    Args:
        prefix: whole path segments, without a slash at its end.

    Raises:
        ConfigError: no such bucket, or no right to list it.
        RetriableError: the store cannot be reached.
    """
    start = f"{prefix}/" if prefix else ""
    pages = bucket.pages(start, size=PAGE)
    first = next(pages)
    if first.token is None or not _pays(first, start):
        return _table([_columns(first), *map(_columns, pages)])
    folders, tables = _folders(bucket, start)
    with ThreadPoolExecutor(THREADS) as pool:
        return _table([*tables, *pool.map(lambda folder: _sequential(bucket, folder), folders)])


def _pays(first: Page, start: str) -> bool:
    """Whether there are folders in the first answer, and large ones."""
    below = (key[len(start) :] for key in first.keys)
    folders = {key.split("/", 1)[0] for key in below if "/" in key}
    return 0 < len(folders) <= PAGE // MIN_KEYS


def _folders(bucket: Bucket, start: str) -> tuple[list[str], list[pa.Table]]:
    """The folders below a prefix, as deep down as there is only one, and the objects passed on the way."""
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
    except pa.ArrowInvalid:  # more digits of the second than Arrow takes
        return pa.array([dt.datetime.fromisoformat(text).astimezone(dt.UTC) for text in texts], kind)


def _table(tables: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables([LISTED.empty_table(), *tables])
