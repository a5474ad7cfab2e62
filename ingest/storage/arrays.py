"""Conversion of Arrow columns to single arrays and to numpy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Indices = npt.NDArray[np.int64]


def single_array(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column as one contiguous array."""
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def as_numpy(values: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return a column as a numpy array; for a chunked column pyarrow itself would need pandas."""
    return single_array(values).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]  # pyarrow has no types
