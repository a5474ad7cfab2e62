"""The values of a column at a dotted path, within structs and lists, each with the row that it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from ingest.storage.arrays import Indices, as_numpy, single_array


def leaf_type(schema: pa.Schema, parts: Sequence[str]) -> pa.DataType:
    """Return the type of the values at a path, with lists flattened."""
    kind: Any = pa.struct(list(schema))
    for name in parts:
        kind = _item(kind).field(name).type
    return _item(kind)


def leaf(rows: pa.Table, parts: Sequence[str], *, flat: bool = True) -> pa.ChunkedArray:
    """Return all values of the column at a path, with lists flattened.

    Args:
        flat: whether to flatten the column's own list too, if it is repeated.
    """
    values = rows.column(parts[0])
    for name in parts[1:]:
        values = pc.struct_field(_flat(values), name)
    return _flat(values) if flat else values


def leaves(rows: pa.Table, parts: Sequence[str], *, flat: bool = True) -> tuple[Indices, pa.Array]:
    """Return the values that `leaf` returns, each with the position of its row."""
    values, parents = nested(rows, parts, flat=flat)
    return above(parents, len(values)), values


def nested(rows: pa.Table, parts: Sequence[str], *, flat: bool = True) -> tuple[pa.Array, list[Indices]]:
    """Return the values that `leaf` returns, and for each list around them the position above of each of its elements.

    The outermost list is the first; positions of its elements are rows.
    """
    values = single_array(rows.column(parts[0]))
    parents: list[Indices] = []
    for name in (*parts[1:], None):
        if pt.is_list(values.type) and (flat or name is not None):
            parents.append(as_numpy(pc.list_parent_indices(values)))
            values = pc.list_flatten(values)
        if name is not None:
            values = pc.struct_field(values, name)
    return values, parents


def above(parents: Sequence[Indices], count: int) -> Indices:
    """Return, for each of `count` values within these lists, the position of what is around the outermost of them."""
    positions: Indices = np.arange(count)
    for of_list in reversed(parents):
        positions = of_list[positions]
    return positions


def _item(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pt.is_list(kind) else kind


def _flat(values: Any) -> Any:
    return pc.list_flatten(values) if pt.is_list(values.type) else values
