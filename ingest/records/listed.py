"""The objects of a feed in the landing, each with what the ledger knows of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingest.storage.names import NotLoaded
from ingest.storage.objects import StoredObject


@dataclass(frozen=True, slots=True)
class Listed:
    """The feed's objects in the landing with their status in the ledger, as columns of equal length.

    Attributes:
        table: key, etag, size, modified_at.
        status: NEW, SAME or CHANGED.
        ignored: objects that a rule ignores, by rule; not in the table.
        unloadable: objects that cannot be loaded, by reason; not in the table.
        left_out: keys of the ignored and unloadable objects.
    """

    bucket: str
    table: pa.Table
    status: npt.NDArray[np.int8]
    ignored: tuple[NotLoaded, ...] = ()
    unloadable: tuple[NotLoaded, ...] = ()
    left_out: pa.Array | None = None

    @property
    def names(self) -> pa.Array:
        """bucket/key of each object in the table."""
        return self._named(self.table.column("key").combine_chunks())

    @property
    def all_names(self) -> pa.Array:
        """bucket/key of every object, including those that are not loaded."""
        left_out = self._named(self.left_out) if self.left_out is not None else pa.array([], pa.string())
        return pa.concat_arrays([self.names, left_out])

    def _named(self, keys: pa.Array) -> pa.Array:
        return pc.binary_join_element_wise(self.bucket, keys, "/")

    def versions(self, *status: int) -> list[StoredObject]:
        """The objects of the given status, in key order."""
        places = pa.array(np.flatnonzero(np.isin(self.status, status)))
        return [StoredObject(**row) for row in self.table.take(places).sort_by("key").to_pylist()]
