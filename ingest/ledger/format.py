"""The format of ledger files: its versions, their metadata, and what to do about a damaged file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa

from ingest.errors import ConfigError

FORMAT_VERSION = 2
ERASURE_FORMAT = 3
READABLE_VERSIONS = (1, 2, ERASURE_FORMAT)
"""Format 1 has no ranges, and none of its objects has dropped, erased or skipped records. Entries that forget
persons have format 3, so that a program that knows no tombstones never appends after one.

What readers of an older format would misunderstand takes a new number, so that they refuse the file. Checkpoints in
levels take none: older programs do not look for files of their names, and read the log instead."""
VERSION_KEY = b"lakemesh.ledger_format"
NEWEST_KEY = b"lakemesh.newest_object_at"
OFFSETS_KEY, RANGES_KEY, GAPS_KEY = b"lakemesh.next_offsets", b"lakemesh.ranges", b"lakemesh.gaps"
CONTRACT_KEY = b"lakemesh.contract"
LEVELS_KEY = b"lakemesh.levels"
FORGETS_KEY, KNOWS_KEY = b"lakemesh.forgets", b"lakemesh.knows"
LOG_REMEDY = "restore the ledger from its backup, or run `lake ledger rebuild`"
CHECKPOINT_REMEDY = "delete it: it is only a cache, the log itself has the same content"
METADATA = {VERSION_KEY: str(FORMAT_VERSION).encode()}


def stamp(newest_object_at: dt.datetime | None) -> dict[bytes, str]:
    """Return the file metadata that records when the newest object was written."""
    return {NEWEST_KEY: newest_object_at.isoformat()} if newest_object_at else {}


def stamped(metadata: Mapping[bytes, bytes]) -> dt.datetime | None:
    """Return the time that `stamp` recorded, if any."""
    found = metadata.get(NEWEST_KEY)
    return dt.datetime.fromisoformat(found.decode()) if found else None


@contextmanager
def readable(name: str, remedy: str = LOG_REMEDY) -> Iterator[None]:
    """Convert exceptions from reading a damaged ledger file into an error that names it.

    Args:
        remedy: the next step for the operator.

    Raises:
        ConfigError: the file is damaged.
    """
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, ValueError, AttributeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise ConfigError(f"{name} is damaged ({reason}); {remedy}") from error


def check_format(schema: pa.Schema, name: str) -> None:
    """Check the format version.

    Raises:
        ConfigError: the file was written by a newer version of Lakemesh.
    """
    version = format_of(schema)
    if version not in READABLE_VERSIONS:
        known = f"{READABLE_VERSIONS[0]} to {READABLE_VERSIONS[-1]}"
        raise ConfigError(f"{name} has ledger format {version}, this version reads {known}; install a newer Lakemesh")


def format_of(schema: pa.Schema) -> int:
    """Return the format version of a ledger file."""
    return int((schema.metadata or {}).get(VERSION_KEY, b"0"))
