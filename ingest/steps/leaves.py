"""The values of a column at a dotted path, within structs and lists, each with the row that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from ingest.storage.arrays import Indices, as_numpy, single_array

Mask = npt.NDArray[np.bool_]


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


def with_leaf(
    table: pa.Table, parts: Sequence[str], where: Mask, change: Callable[[pa.Array, Mask], pa.Array]
) -> pa.Table:
    """Return the table with other values of a column, or of a field within structs and lists of structs, in some rows.

    Args:
        where: the rows; of values within lists, those of all their elements.
        change: makes the new values of the old ones and of where they are to change.
    """
    if parts[0] not in table.column_names:
        return table
    values = _with_values(single_array(table.column(parts[0])), parts[1:], where, change)
    return table.set_column(table.column_names.index(parts[0]), table.field(parts[0]), values)


def _with_values(
    values: pa.Array, parts: Sequence[str], where: Mask, change: Callable[[pa.Array, Mask], pa.Array]
) -> pa.Array:
    if not parts:
        return change(values, where)
    if pt.is_list(values.type):
        inner = where[as_numpy(pc.list_parent_indices(values))]
        items = _with_values(pc.list_flatten(values), parts, inner, change)
        sizes = as_numpy(pc.fill_null(pc.list_value_length(values), 0))
        offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
        return pa.ListArray.from_arrays(offsets, items, type=values.type, mask=pc.is_null(values))
    fields = []
    for number in range(values.type.num_fields):
        field = pc.struct_field(values, [number])
        if values.type.field(number).name == parts[0]:
            field = _with_values(field, parts[1:], where, change)
        fields.append(field)
    kinds = [values.type.field(number) for number in range(values.type.num_fields)]
    return pa.StructArray.from_arrays(fields, fields=kinds, mask=pc.is_null(values))
