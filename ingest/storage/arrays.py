"""Arrow columns as single arrays and as numpy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Indices = npt.NDArray[np.int64]


def one(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def as_numpy(values: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """A column for numpy; of one in pieces pyarrow itself would need pandas."""
    return one(values).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]  # pyarrow has no types
