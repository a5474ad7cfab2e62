"""Lines in, typed rows and rejected records out. Whether a line is good never depends on its neighbours.

The fast way reads a chunk of lines with one call of Arrow's JSON reader and checks what that reader is lenient about.
If anything is odd, the slow way looks at each line: msgspec finds the suspects, Arrow alone judges each of them, and
what Arrow still refuses among the rest is found by bisection.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from ingest.arrays import as_numpy, one
from ingest.contract import Column, Contract
from ingest.read import Piece
from ingest.schema import record_schema
from ingest.tokens import is_deeper_than

SOURCE, LINE, RESCUED = "_source", "_source_line", "_rescued_data"
_PATH = re.compile(r"`\$\.?([^`]*)`")
_NEWLINE, _RETURN, _OPEN, _CLOSE = b"\n\r{}"
Indices = npt.NDArray[np.int64]
MAX_NESTING = 64
# Arrow's reader overflows its stack at some ten thousand levels; lines that might hold a tenth are looked at first.
_LONG_LINE = 2048


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that goes to the quarantine.

    Attributes:
        source: index of the object in its load.
        reason: unparsable, invalid_utf8, wrong_type, duplicate_key, too_deep, line_too_long, missing_required,
            unknown_field, event_time_in_future, event_time_before_epoch or corrupt_object.
        column: dotted path of the column at fault, if one is.
        detail: what was found, for people.
    """

    source: int
    line: int
    reason: str
    column: str | None
    detail: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Parsed:
    """The outcome of one chunk: rows (contract columns, `_source`, `_source_line`, `_rescued_data`) and rejects."""

    rows: pa.Table
    rejects: list[Reject]


class Parser:
    """Parses chunks by one contract.

    Args:
        contract: the feed's contract.
        modified_at: for each object of the load when it was written; an event may not lie later than that plus the
            contract's clock skew.
    """

    def __init__(self, contract: Contract, modified_at: Sequence[dt.datetime]) -> None:
        self.contract = contract
        self.schema = record_schema(contract)
        self._json_schema = record_schema(contract, as_json=True)
        self._decode = msgspec.json.Decoder(_struct("record", contract.columns)).decode
        self._latest = np.array([int(at.timestamp() * 1e6) for at in modified_at], dtype=np.int64)
        self._latest += contract.clock_skew_seconds * 1_000_000
        epoch = dt.datetime.combine(contract.epoch, dt.time(), dt.UTC)
        self._earliest = int(epoch.timestamp() * 1e6)
        self._required = [path for path, column in contract.walk() if column.required]
        others = {column.name for _, column in contract.walk() if column.type == "string"}  # whose texts stay whole
        times = "|".join({column.name for _, column in contract.walk() if column.type == "timestamp"} - others)
        self._nanoseconds = re.compile(rf'("(?:{times})"\s*:\s*"[^"]*\.\d{{6}})\d+'.encode()) if times else None

    def empty(self) -> pa.Table:
        """No rows, in the shape of `parse`."""
        table = self.schema.empty_table()
        for name, kind in ((SOURCE, pa.int32()), (LINE, pa.int64()), (RESCUED, pa.string())):
            table = table.append_column(name, pa.array([], kind))
        return table

    def parse(self, pieces: Sequence[Piece]) -> Parsed:
        """Parses the lines of `pieces`. Blank lines are no records."""
        buffer = b"".join([piece.data for piece in pieces])
        data = np.frombuffer(buffer, np.uint8)
        newlines = np.flatnonzero(data == _NEWLINE)
        starts = np.concatenate(([0], newlines[:-1] + 1))
        ends = newlines - ((newlines > starts) & (data[newlines - 1] == _RETURN))
        per_piece = np.array([piece.data.count(b"\n") for piece in pieces])
        piece_of = np.repeat(np.arange(len(pieces)), per_piece)
        first = np.array([piece.first_line for piece in pieces]) - (np.cumsum(per_piece) - per_piece)
        numbers = np.arange(len(newlines)) + first[piece_of]
        sources = np.array([piece.source for piece in pieces], dtype=np.int32)[piece_of]
        kept: Indices = np.flatnonzero(ends > starts)
        rejected: dict[int, tuple[str, str | None, str]] = {}

        def line(index: int) -> bytes:
            return buffer[starts[index] : ends[index]].strip()

        found = None
        long = kept[(ends - starts)[kept] > _LONG_LINE].tolist()
        if _whole_objects(data, starts[kept], ends[kept]) and not any(
            is_deeper_than(line(index), MAX_NESTING) for index in long
        ):
            found = self._attempt(buffer, len(kept))
        if found and (found[1] is None or not any(is_deeper_than(line(index), MAX_NESTING) for index in kept.tolist())):
            rows, unknown = found
        else:
            rows, kept, unknown = self._sift(line, kept, rejected)
        rescued = self._rescue(line, kept, unknown) if unknown is not None else pa.nulls(len(kept), pa.string())
        keep = self._violations(rows, rescued, kept, sources, rejected)
        table = pa.table(
            [*rows.columns, sources[kept], numbers[kept], rescued], [*rows.column_names, SOURCE, LINE, RESCUED]
        )
        rejects = [Reject(int(sources[i]), int(numbers[i]), *rejected[i], line(i)) for i in sorted(rejected)]
        return Parsed(table if keep is None else table.filter(pa.array(keep)), rejects)

    def _attempt(self, buffer: bytes, count: int) -> tuple[pa.Table, set[bytes] | None] | None:
        """Reads `count` lines, each one object; None when any is odd."""
        try:
            return self._read(buffer, count)
        except (pa.ArrowInvalid, UnicodeDecodeError, ValueError):
            return None

    def _read(self, buffer: bytes, count: int) -> tuple[pa.Table, set[bytes] | None]:
        """(rows, names of unknown fields): None when there are none, an empty set when they could not be named.

        Raises:
            pa.ArrowInvalid, ValueError, UnicodeDecodeError: some line breaks the contract.
        """
        if count == 0:
            return self.schema.empty_table(), None
        if not buffer.isascii():
            buffer.decode("utf-8")  # Arrow would let invalid UTF-8 through
        if b"NaN" in buffer or b"Inf" in buffer:
            _refuse_non_finite(buffer)
        try:
            return self._typed(buffer, count)
        except pa.ArrowInvalid:  # perhaps times finer than microseconds, which are cut
            cut = self._nanoseconds.sub(rb"\1", buffer) if self._nanoseconds else buffer
            if cut == buffer:
                raise
            return self._typed(cut, count)

    def _typed(self, buffer: bytes, count: int) -> tuple[pa.Table, set[bytes] | None]:
        """The same, after what Arrow is lenient about."""
        unknown: set[bytes] | None = None
        try:
            table = self._arrow(buffer, "infer")
            unknown = {name.encode() for name in _unknown(table.schema, self._json_schema)} or None
        except pa.ArrowInvalid:  # perhaps only unknown fields contradict each other
            table = self._arrow(buffer, "ignore")
            unknown = set()
        if table.num_rows != count:
            raise ValueError(f"expected one object, found {table.num_rows}")
        if table.schema != self._json_schema:
            table = _project(table, self._json_schema)
        return table.cast(self.schema), unknown

    def _arrow(self, buffer: bytes, unexpected: str) -> pa.Table:
        return pj.read_json(
            pa.BufferReader(buffer),
            read_options=pj.ReadOptions(use_threads=False, block_size=max(len(buffer) + 1, 4096)),
            parse_options=pj.ParseOptions(
                explicit_schema=self._json_schema, unexpected_field_behavior=unexpected, newlines_in_values=False
            ),
        )

    def _sift(
        self, line: Any, kept: Indices, rejected: dict[int, tuple[str, str | None, str]]
    ) -> tuple[pa.Table, Indices, set[bytes] | None]:
        """Separates good lines from bad ones."""
        good: list[int] = []
        for index in kept.tolist():
            text = line(index)
            if not text:
                continue
            if is_deeper_than(text, MAX_NESTING):
                rejected[index] = "too_deep", None, f"expected at most {MAX_NESTING} levels of objects and arrays"
                continue
            try:
                self._decode(text)
                good.append(index)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                if verdict := self._judge(text):
                    rejected[index] = verdict
                else:
                    good.append(index)
        tables: list[pa.Table] = []
        passed: list[int] = []
        unknown: set[bytes] | None = None
        todo = [good]
        while todo:  # depth first, so the order of the lines is kept
            part = todo.pop()
            if not part:
                continue
            texts = [line(index) for index in part]
            found = None
            if all(text[:1] == b"{" and text[-1:] == b"}" for text in texts):
                found = self._attempt(b"\n".join(texts) + b"\n", len(part))
            if found:
                tables.append(found[0])
                passed += part
                if found[1] is not None:
                    unknown = set()
            elif len(part) == 1:
                rejected[part[0]] = self._judge(texts[0]) or ("unparsable", None, "cannot be read in one piece")
            else:
                half = len(part) // 2
                todo += [part[half:], part[:half]]
        rows = pa.concat_tables(tables) if tables else self.schema.empty_table()
        return rows, np.array(passed, dtype=np.int64), unknown

    def _judge(self, text: bytes) -> tuple[str, str | None, str] | None:
        """Why a line is bad: (reason, column, detail); None when Arrow takes it."""
        try:
            if text[:1] != b"{" or text[-1:] != b"}":
                return "unparsable", None, "expected one JSON object on the line"
            self._read(text + b"\n", 1)
            return None
        except UnicodeDecodeError as error:
            return "invalid_utf8", None, str(error)
        except (pa.ArrowInvalid, ValueError) as error:
            detail = str(error)
            if "specified twice" in detail:
                return "duplicate_key", None, detail
            try:
                self._decode(text)
            except msgspec.ValidationError as closer:
                path = _PATH.search(str(closer))
                return "wrong_type", path.group(1) if path else None, str(closer)
            except (msgspec.DecodeError, UnicodeDecodeError) as closer:
                return "unparsable", None, str(closer)
            kind = "wrong_type" if "Failed to convert" in detail else "unparsable"
            return kind, None, detail

    def _rescue(self, line: Any, kept: Indices, unknown: set[bytes]) -> pa.Array:
        """`_rescued_data` of each kept line; an empty `unknown` means that any line may hold unknown fields."""
        quoted = [b'"' + name + b'"' for name in unknown]
        found: list[str | None] = []
        for index in kept.tolist():
            text = line(index)
            fields: dict[str, msgspec.Raw] = {}
            if not quoted or any(name in text for name in quoted) or b"\\" in text:
                _collect(text, self.contract.columns, "", fields)
            found.append(msgspec.json.encode(fields).decode() if fields else None)
        return pa.array(found, pa.string())

    def _violations(
        self,
        rows: pa.Table,
        rescued: pa.Array,
        kept: Indices,
        sources: npt.NDArray[np.int32],
        rejected: dict[int, tuple[str, str | None, str]],
    ) -> npt.NDArray[np.bool_] | None:
        """Rejects rows that are well-formed but break a rule. Returns the mask of the others, None for all."""
        bad = np.zeros(len(kept), dtype=bool)

        def reject(where: Indices, reason: str, column: str, detail: Any) -> None:
            for position in where.tolist():
                if not bad[position]:
                    rejected[int(kept[position])] = (reason, column, detail(position))
            bad[where] = True

        if self.contract.unknown_fields == "freeze" and rescued.null_count < len(rescued):
            for place in np.flatnonzero(as_numpy(pc.is_valid(rescued))).tolist():
                names = list(msgspec.json.decode(rescued[place].as_py()))
                detail = f"the contract does not know {', '.join(names)}, and is frozen"
                rejected[int(kept[place])] = ("unknown_field", names[0], detail)
                bad[place] = True
        for path in self._required:
            missing, in_list = _lacking(rows, path)
            if len(missing):
                detail = "expected a value in each element" if in_list else "expected a value"
                reject(missing, "missing_required", path, lambda _, detail=detail: detail)
        if self.contract.event_time and len(kept):
            column = rows.column(self.contract.event_time)
            micros = as_numpy(pc.fill_null(column.cast(pa.int64()), self._earliest))
            latest = self._latest[sources[kept]]
            future, early = np.flatnonzero(micros > latest), np.flatnonzero(micros < self._earliest)
            name = self.contract.event_time
            reject(
                future, "event_time_in_future", name, lambda p: f"{column[p]} lies after the object's time plus skew"
            )
            reject(early, "event_time_before_epoch", name, lambda p: f"{column[p]} lies before {self.contract.epoch}")
        return ~bad if bad.any() else None


def _lacking(rows: pa.Table, path: str) -> tuple[Indices, bool]:
    """(rows without a value at a dotted path, whether it lies within a list).

    Within a list every element needs one; a list that is null or empty has no element that could lack it.
    """
    first, *members = path.split(".")
    values = rows.column(first)
    owners: Indices | None = None
    for member in members:
        if pa.types.is_list(values.type):
            whole = one(values)
            parents = as_numpy(pc.list_parent_indices(whole))
            owners = parents if owners is None else owners[parents]
            values = pc.list_flatten(whole)
        values = pc.struct_field(values, member)
    if not values.null_count:
        return np.empty(0, dtype=np.int64), owners is not None
    missing: Indices = np.flatnonzero(as_numpy(pc.is_null(values)))
    return (missing, False) if owners is None else (np.unique(owners[missing]), True)


def _whole_objects(data: npt.NDArray[np.uint8], starts: Indices, ends: Indices) -> bool:
    return bool((data[starts] == _OPEN).all() and (data[ends - 1] == _CLOSE).all())


def _refuse_non_finite(buffer: bytes) -> None:
    """Arrow accepts the literals NaN, Inf and Infinity, JSON does not; inside a string they are fine."""
    for text in buffer.split(b"\n"):
        if b"NaN" in text or b"Inf" in text:
            try:
                msgspec.json.decode(text)
            except msgspec.DecodeError as error:
                raise ValueError(f"NaN and Infinity are no JSON numbers: {error}") from None


def _struct(name: str, columns: tuple[Column, ...]) -> type[msgspec.Struct]:
    """A msgspec type of the columns; its field names are arbitrary, so that any JSON name will do."""
    plain: dict[str, Any] = {
        "string": str,
        "boolean": bool,
        "integer": int,
        "double": float,
        "date": dt.date,
        "timestamp": dt.datetime,
    }
    fields: list[tuple[str, Any, Any]] = []
    rename = {}
    for number, column in enumerate(columns):
        kind = _struct(column.name, column.fields) if column.fields else plain.get(column.type, Any)
        kind = list[kind | None] if column.repeated else kind  # type: ignore[valid-type]  # built from data
        fields.append((f"f{number}", kind | None if kind is not Any else Any, None))
        rename[f"f{number}"] = column.name
    return msgspec.defstruct(name, fields, rename=rename, gc=False)


def _unknown(found: pa.Schema | pa.StructType, declared: pa.Schema | pa.StructType) -> set[str]:
    """Names of fields, at any depth, that `found` has and `declared` lacks."""
    names: set[str] = set()
    known = {member.name: member.type for member in declared}
    for member in found:
        kind, expected = member.type, known.get(member.name)
        if expected is None:
            names.add(member.name)
            continue
        while pa.types.is_list(kind):
            kind, expected = kind.value_type, expected.value_type
        if pa.types.is_struct(kind):
            names |= _unknown(kind, expected)
    return names


def _project(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with only the columns and struct members of `schema`.

    Chunk by chunk: Arrow cannot join what it infers of a list of nulls, so the unknown members go first.
    """
    columns = [
        pa.chunked_array([_project_array(chunk, item.type) for chunk in table.column(item.name).chunks], item.type)
        for item in schema
    ]
    return pa.table(columns, schema=schema)


def _project_array(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if array.type == kind:
        return array
    if pa.types.is_list(kind):
        values = _project_array(array.values, kind.value_type)
        return pa.ListArray.from_arrays(array.offsets, values, type=kind, mask=pc.is_null(array))
    members = [_project_array(pc.struct_field(array, item.name), item.type) for item in kind]
    return pa.StructArray.from_arrays(members, fields=list(kind), mask=pc.is_null(array))


def _collect(text: bytes, columns: tuple[Column, ...], prefix: str, found: dict[str, msgspec.Raw]) -> None:
    r"""Puts the unknown fields of a JSON object into `found`, by dotted path, their JSON text untouched.

    A dot in a name is written `\.`: the field `a.b` is no member of `a`, and no later contract reads it as one.
    """
    known = {column.name: column for column in columns}
    for name, value in msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items():
        column = known.get(name)
        if column is None:
            found[prefix + name.replace(".", r"\.")] = msgspec.Raw(bytes(value))
        elif column.fields:
            raw = bytes(value).strip()
            if raw[:1] == b"{":
                _collect(raw, column.fields, f"{prefix}{name}.", found)
            elif raw[:1] == b"[":
                for number, item in enumerate(msgspec.json.decode(raw, type=list[msgspec.Raw])):
                    if bytes(item)[:1] == b"{":
                        _collect(bytes(item), column.fields, f"{prefix}{name}[{number}].", found)
