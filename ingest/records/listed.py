"""The objects of a feed in the landing, each with what the ledger knows of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingest.storage.names import NotLoaded
from ingest.storage.objects import StoredObject


def in_bucket(bucket: str, keys: pa.Array) -> pa.Array:
    """Return bucket/key of each key."""
    return pc.binary_join_element_wise(bucket, keys, "/")


@dataclass(frozen=True, slots=True)
class Listed:
    """The feed's objects in the landing with their status in the ledger, as columns of equal length.

    Attributes:
        table: key, etag, size, modified_at.
        names: what the lake knows each by: bucket/key, unless the name has an identifier of a forgotten person.
        status: NEW, SAME or CHANGED.
        ignored: objects that a rule ignores, by rule; not in the table.
        unloadable: objects that cannot be loaded, by reason; not in the table.
        left_out: keys of the ignored and unloadable objects.
    """

    bucket: str
    table: pa.Table
    names: pa.Array
    status: npt.NDArray[np.int8]
    ignored: tuple[NotLoaded, ...] = ()
    unloadable: tuple[NotLoaded, ...] = ()
    left_out: pa.Array | None = None

    @property
    def all_names(self) -> pa.Array:
        """The same of every object, including those that are not loaded."""
        left_out = in_bucket(self.bucket, self.left_out) if self.left_out is not None else pa.array([], pa.string())
        return pa.concat_arrays([self.names, left_out])

    def versions(self, *status: int) -> list[StoredObject]:
        """The objects of the given status, in key order."""
        places = pa.array(np.flatnonzero(np.isin(self.status, status)))
        return [StoredObject(**row) for row in self.table.take(places).sort_by("key").to_pylist()]
