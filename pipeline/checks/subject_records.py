"""What a search finds of a person: rows, rejected records, where each comes from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """Where a record comes from.

    Attributes:
        object: bucket/key.
        line: counted from 1.
        modified_at: when that version of the object was written, UTC.
        load: id of the load that wrote the record into the lake.
        ingested_at: when that load began, UTC.
    """

    object: str
    line: int
    modified_at: dt.datetime
    load: str
    ingested_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Record:
    """A row of bronze.

    Attributes:
        values: of the contract's columns, and those that parsing adds to a change feed.
        rescued: fields that the contract does not know, as JSON; None without any.
        by: why it is the person's: paths of identifying columns; `_rescued_data`; or `feed.column` of a record that it
            refers to, as items do to their order.
        is_of_another: whether it is somebody else's and mentions the person in a rescued field.
    """

    feed: str
    source: Source
    values: Mapping[str, Any]
    rescued: str | None
    by: tuple[str, ...]
    is_of_another: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record of the quarantine.

    Attributes:
        discarded: the reason for which it was discarded; None while it is open.
        by: identifiers by which it is the person's.
        is_sure: whether it is; otherwise a value is in it that may mean something else, or that somebody else's record
            mentions.
    """

    feed: str
    source: Source
    reason: str
    column: str | None
    detail: str | None
    raw: bytes
    discarded: str | None
    by: tuple[str, ...]
    is_sure: bool


@dataclass(frozen=True, slots=True)
class Found:
    """How much of a feed's bronze is a person's.

    Attributes:
        files: live files with such rows.
    """

    rows: int
    files: tuple[str, ...]
