"""Lines with change events as lines with rows: each becomes one JSON object of columns, or none, at its old place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest.contracts.contract import Contract
from ingest.contracts.schema import CHANGES
from ingest.formats.debezium.messages import MESSAGE, decoder, not_an_envelope
from ingest.formats.debezium.numbers import is_base64
from ingest.formats.debezium.origin import Origins
from ingest.formats.debezium.rows import Rows
from ingest.formats.fields import JSON_ERRORS, TOO_DEEP, Refused, Verdict
from ingest.storage.arrays import Indices, as_numpy

_OPERATIONS = {"r": "read", "c": "create", "u": "update", "d": "delete", "t": "truncate"}
_AS_TEXT = "decimal.handling.mode=string in the connector"
_NAMES = tuple(CHANGES)
_SCHEMA = pa.schema([(name, kind) for name, (kind, _, _) in CHANGES.items()])
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
_Change = tuple[object, ...]
"""The values of CHANGES, in their order."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Lines out of their envelopes.

    Attributes:
        texts: for each line the JSON object of its row; empty for a line without one.
        refused: why a line is no change that can be read, by its index.
        skipped: the kind of each message that is no change of a row, by the index of its line.
    """

    texts: Sequence[bytes]
    refused: dict[int, Verdict]
    skipped: dict[int, str]
    _changes: pa.Table
    _place: Indices
    _key: frozenset[str]

    def changes(self, lines: Indices) -> pa.Table:
        """Return the columns of CHANGES of the given lines, each of which has a row."""
        return self._changes.take(pa.array(self._place[lines]))

    def has_values(self, lines: Indices) -> npt.NDArray[np.bool_]:
        """Return for each of the given lines whether its row has values of its own: not a deletion or a truncation."""
        operations = as_numpy(self.changes(lines).column("_operation"))
        has: npt.NDArray[np.bool_] = ~np.isin(operations, ("delete", "truncate"))
        return has

    def excused(self, lines: Indices, path: str) -> npt.NDArray[np.bool_]:
        """Return for each of the given lines whether its row may lack a value at a dotted path.

        A truncation has no values, a deletion may have its key alone, and a value that the source left out is listed.
        """
        found = self.changes(lines)
        operations = as_numpy(found.column("_operation"))
        name = path.split(".")[0]
        excused: npt.NDArray[np.bool_] = np.equal(operations, "truncate")
        if path not in self._key:
            excused |= np.equal(operations, "delete")
            lacking = found.column("_unavailable").to_pylist()
            excused |= np.array([name in (names or ()) for names in lacking], dtype=bool)
        return excused


class Envelopes:
    """Opens the envelopes of one feed.

    Args:
        contract: of a change feed.
    """

    def __init__(self, contract: Contract) -> None:
        self._origins = Origins(contract.source.order)
        self._decode = decoder(self._origins.fields)
        self._rows = Rows(contract.columns, contract.key)
        self._key = frozenset(contract.key)
        self._decimals = {path for path, column in contract.walk() if column.type.startswith("decimal")}

    def explained(self, verdict: Verdict, row: bytes) -> Verdict:
        """Return the verdict on a row, with the setting of the connector that is at fault if it shows.

        Args:
            row: JSON text of the row.
        """
        reason, path, detail = verdict
        if reason == "wrong_type" and path in self._decimals and is_base64(bytes(_fields(row).get(path, b"null"))):
            return (
                reason,
                path,
                f"{detail}; bytes of a decimal have a scale in a schema part: expected one, or {_AS_TEXT}",
            )
        return verdict

    def open(self, lines: Iterable[tuple[int, bytes]], count: int, *, may_lack: bool = True) -> Opened:
        """Open lines.

        Args:
            lines: (index, text) of those that are not blank.
            count: number of all lines.
            may_lack: whether values may be left out in any of them.
        """
        texts = [b""] * count
        refused: dict[int, Verdict] = {}
        skipped: dict[int, str] = {}
        places: list[int] = []
        found: list[_Change] = []
        for index, text in lines:
            try:
                change = self._open(text, may_lack)
            except Refused as error:
                refused[index] = error.verdict
                continue
            except RecursionError:
                refused[index] = TOO_DEEP
                continue
            except JSON_ERRORS as error:
                refused[index] = not_an_envelope(f"the key is not JSON: {error}; expected an object of columns").verdict
                continue
            if isinstance(change, str):
                skipped[index] = change
            else:
                row, values = change
                # JSON within text may span lines; valid JSON has line breaks only between tokens
                texts[index] = row.translate(_ONE_LINE) if b"\n" in row or b"\r" in row else row
                places.append(index)
                found.append(values)
        place = np.full(count, -1, dtype=np.int64)
        place[places] = np.arange(len(places))
        return Opened(texts, refused, skipped, _table(found), place, self._key)

    def _open(self, text: bytes, may_lack: bool) -> tuple[bytes, _Change] | str:
        """The row of a line and its change, or the kind of a message without one.

        Raises:
            Refused: it is neither.
        """
        message = self._decode(text)
        if isinstance(message, str):
            return message
        envelope, key, schema = message
        try:
            operation = _OPERATIONS[envelope.op]
        except (KeyError, TypeError):
            if envelope.op == "m":
                return MESSAGE
            raise not_an_envelope("op is unknown; expected one of c, u, d, r, t, m") from None
        row, lacking = self._rows.of(envelope, key, schema, may_lack=may_lack)
        position, order, previous, transaction, snapshot, at = self._origins.of(envelope.source, envelope.transaction)
        return row, (operation, position, order, previous, transaction, snapshot, at, lacking or None)


def _table(found: Sequence[_Change]) -> pa.Table:
    """The columns of CHANGES."""
    columns = zip(*found, strict=True) if found else ((),) * len(_NAMES)
    return pa.table(
        [pa.array(values, kind) for values, kind in zip(columns, _SCHEMA.types, strict=True)], schema=_SCHEMA
    )
