"""A version of an object in a store."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obstore import ObjectMeta

BLOCK_BYTES = 8 << 20
"""A larger object is read in blocks of this size."""


class ObjectChanged(Exception):  # noqa: N818  not an error: the next run reads the newer version
    """The object was overwritten or deleted after it was listed."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One version of an object in a listing.

    Attributes:
        key: name below the store's root.
        etag: the store's id of the version, without quotes.
        size: bytes.
        modified_at: when this version was written, aware, UTC.
    """

    key: str
    etag: str
    size: int
    modified_at: dt.datetime


def version_of(meta: ObjectMeta) -> StoredObject:
    """Return an object's version from what obstore reports of it."""
    return StoredObject(meta["path"], (meta["e_tag"] or "").strip('"'), meta["size"], meta["last_modified"])
