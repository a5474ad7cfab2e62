"""The formats of answers, and which of them a client accepts."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.ipc as pa_ipc
import pyarrow.parquet as pq

from pipeline.api.problems import Kind, Problem


class Format(Enum):
    """A format: its name in `format=`, and its media type."""

    JSON = ("json", "application/json")
    CSV = ("csv", "text/csv")
    ARROW = ("arrow", "application/vnd.apache.arrow.stream")
    PARQUET = ("parquet", "application/vnd.apache.parquet")

    @property
    def media_type(self) -> str:
        """As in the header Content-Type."""
        return f"{self.value[1]}; charset=utf-8" if self is Format.CSV else self.value[1]


BY_NAME: Mapping[str, Format] = {item.value[0]: item for item in Format}


def chosen(name: str | None, accept: str | None, offered: Sequence[Format] = tuple(Format)) -> Format:
    """The format of an answer: that of `format=`, else the best that the header Accept names, else JSON.

    Raises:
        Problem: there is no such format.
    """
    names = ", ".join(item.value[0] for item in offered)
    if name:
        found = BY_NAME.get(name.lower())
        if found is None or found not in offered:
            raise Problem(Kind.NOT_ACCEPTABLE, f"format= is none of {names}")
        return found
    wanted: list[tuple[float, int, Format]] = []
    for place, part in enumerate((accept or "*/*").split(",")):
        kind, *parameters = [item.strip().lower() for item in part.split(";")]
        quality = next((_quality(item[2:]) for item in parameters if item.startswith("q=")), 1.0)
        matching = [item for item in offered if kind in (item.value[1], "*/*", f"{item.value[1].split('/')[0]}/*")]
        if matching and quality > 0:
            wanted.append((-quality, place, matching[0]))
    if not wanted:
        types = ", ".join(item.value[1] for item in offered)
        raise Problem(Kind.NOT_ACCEPTABLE, f"Accept names none of {types}; name one, or use format={names}")
    return min(wanted, key=lambda item: item[:2])[2]


def _quality(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        return 0.0
    return found if 0 <= found <= 1 else 0.0


def encode(format: Format, table: pa.Table, envelope: Mapping[str, Any]) -> bytes:
    """Write rows in a format.

    Args:
        envelope: what JSON says beside `rows`; other formats say it in headers, Arrow and Parquet in their schema too.
    """
    if format is Format.JSON:
        return as_json({**envelope, "rows": table.to_pylist()})
    if format is Format.CSV:
        return _csv(table)
    about = {f"lake_{name}": str(envelope[name]) for name in ("release", "complete_to") if envelope.get(name)}
    table = table.replace_schema_metadata(about)
    sink = io.BytesIO()
    if format is Format.ARROW:
        with pa_ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(table, sink)
    return sink.getvalue()


def as_json(value: Any) -> bytes:
    """Write JSON: decimals as exact text, dates and times in ISO 8601, what JSON has no type for as text."""
    return msgspec.json.encode(value, enc_hook=str)


def _csv(table: pa.Table) -> bytes:
    """Write CSV with a header; nested values as JSON, unknown ones empty."""
    columns = []
    for column in table.columns:
        if pa.types.is_nested(column.type) or pa.types.is_dictionary(column.type) or _is_unknown(column.type):
            values = [None if item is None else as_json(item).decode() for item in column.to_pylist()]
            columns.append(pa.chunked_array([pa.array(values, pa.string())]))
        else:
            columns.append(column)
    sink = io.BytesIO()
    pa_csv.write_csv(pa.table(dict(zip(table.column_names, columns, strict=True))), sink)
    return sink.getvalue()


def _is_unknown(kind: pa.DataType) -> bool:
    """Whether Arrow's CSV writer lacks the type."""
    return bool(pa.types.is_interval(kind) or pa.types.is_binary(kind) or isinstance(kind, pa.ExtensionType))
