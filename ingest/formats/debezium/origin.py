"""Where a change comes from: its place in the source's log, its transaction, and when it was committed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ingest.formats.debezium.messages import not_an_envelope, type_of
from ingest.formats.fields import JSON_ERRORS, Refused

DIGITS = 20
"""Digits of the greatest unsigned 64-bit number, to which the parts of a position are padded."""
_DEFAULT = {"postgresql": ("lsn",)}
_HEXADECIMAL = re.compile(r"[0-9a-f]{8}:[0-9a-f]{8}:[0-9a-f]{4}")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_EARLIEST, _LATEST = -62_135_596_800_000_000, 253_402_300_800_000_000
"""The years 1 to 9999, in microseconds from 1970."""
_list = msgspec.json.Decoder(list[Any]).decode

Origin = tuple[str, int, str | None, str | None, str | None, int | None]
"""Position, order in the transaction, commit before, transaction, place in a snapshot, time of commit (µs)."""


class Origins:
    """Reads the origin of changes.

    Args:
        order: paths below `source` that order the changes; if there is none, those of the connector.

    Attributes:
        fields: the type to decode an envelope's `source` as.
    """

    def __init__(self, order: Sequence[str]) -> None:
        self._order = tuple(order)
        paths = order or [path for known in _DEFAULT.values() for path in known]
        names = ["connector", "snapshot", "sequence", "txId", "gtid", "ts_us", "ts_ns", "ts_ms"]
        names = list(dict.fromkeys([*names, *(path.split(".")[0] for path in paths)]))
        fields: list[Any] = [(f"f{number}", Any, None) for number in range(len(names))]
        rename = {f"f{number}": name for number, name in enumerate(names)}
        self.fields = msgspec.defstruct("Source", fields, rename=rename, gc=False)
        places = {name: f"f{number}" for number, name in enumerate(names)}
        self._parts = {path: _reader(places, path) for path in paths}
        self._lsn = places.get("lsn", "") if not order else ""

    def of(self, source: Any, transaction: Any) -> Origin:
        """Return the origin of a change.

        Args:
            source: decoded as `fields`.
            transaction: decoded, with `id` and `total_order`; None without metadata.

        Raises:
            Refused: the position cannot be known, or a field has no value that it can have.
        """
        connector, snapshot, sequence, number, gtid, micros, nanos, millis = (
            source.f0, source.f1, source.f2, source.f3, source.f4, source.f5, source.f6, source.f7,
        )  # fmt: skip
        lsn = getattr(source, self._lsn) if self._lsn and connector == "postgresql" else None
        if type(lsn) is int and 0 <= lsn < 1 << 64:
            position = str(lsn).zfill(DIGITS)
        else:
            position = self._position(source, connector)
        previous = position if connector != "postgresql" else None if sequence is None else _previous(sequence)
        if snapshot == "false" or snapshot is None or snapshot is False:
            snapshot = None
        elif snapshot is True:
            snapshot = "true"
        elif type(snapshot) is not str:
            raise not_an_envelope(f"source.snapshot is {type_of(snapshot)}; expected text or a boolean")
        order = 0
        if transaction is not None:
            order = transaction.total_order
            if type(order) is not int or not 0 <= order < 1 << 63:
                order = _no_order(order)
        if number is None:
            number = gtid if gtid is not None or transaction is None else transaction.id
        if type(micros) is not int:
            micros = _micros(micros, nanos, millis)
        if micros is not None and not _EARLIEST <= micros < _LATEST:
            raise not_an_envelope("the time in source is out of range; expected one in the years 1 to 9999")
        return position, order, previous, None if number is None else str(number), snapshot, micros

    def _position(self, source: Any, connector: Any) -> str:
        order = self._order or _DEFAULT.get(connector, ())
        if not order:
            known = ", ".join(_DEFAULT)
            named = connector if isinstance(connector, str) and _NAME.fullmatch(connector) else type_of(connector)
            raise _unknown_position(
                f"source.connector is {named}, whose order is not known; expected {known}, or source.order in the "
                "contract, as [file, pos, row] for MySQL"
            )
        return "/".join([_part(path, self._parts[path](source)) for path in order])


def _reader(places: dict[str, str], path: str) -> Callable[[Any], Any]:
    first, *below = path.split(".")
    place = places[first]

    def read(source: Any) -> Any:
        value = getattr(source, place)
        for name in below:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    return read


def _part(path: str, value: Any) -> str:
    """One part of a position, sortable as text.

    >>> _part("pos", 4), _part("file", "mysql-bin.000003")
    ('00000000000000000004', 'mysql-bin.00000000000000000003')
    """
    if type(value) is int and 0 <= value < 1 << 64:
        return f"{value:020d}"
    if isinstance(value, str) and value:
        if _HEXADECIMAL.fullmatch(value):  # SQL Server's: of one length, and in order as it is
            return value
        head = value.rstrip("0123456789")
        tail = value[len(head) :]
        if value.isascii() and len(tail) <= DIGITS:
            return head + tail.zfill(DIGITS) if tail else head
    raise _unknown_position(
        f"source.{path} is {type_of(value)}; expected a whole number of up to {DIGITS} digits, or ASCII text that may "
        "end with one"
    )


def _previous(sequence: Any) -> str | None:
    """The commit before a change of PostgreSQL, from the JSON text [last commit, change]."""
    if isinstance(sequence, str) and sequence[:2] == '["':
        known = sequence[2 : sequence.find('"', 2)]
        if known.isdecimal() and known.isascii() and len(known) <= DIGITS:
            return known.zfill(DIGITS)
    try:
        first = _list(sequence)[0]
    except (*JSON_ERRORS, TypeError, IndexError):
        raise _unknown_position(
            f"source.sequence is {type_of(sequence)}; expected text with a JSON list, the last commit first"
        ) from None
    return None if first is None else _part("sequence", first)


def _micros(micros: Any, nanos: Any, millis: Any) -> int | None:
    """The time of commit in microseconds from 1970, from the finest that the source has besides `ts_us`."""
    for value, name in ((micros, "ts_us"), (nanos, "ts_ns"), (millis, "ts_ms")):
        if value is not None and type(value) is not int:
            raise not_an_envelope(f"source.{name} is {type_of(value)}; expected a whole number")
    if nanos is not None:
        return int(nanos // 1000)
    return None if millis is None else int(millis * 1000)


def _no_order(order: Any) -> int:
    if order is None:
        return 0
    raise not_an_envelope(f"transaction.total_order is {type_of(order)}; expected a whole number")


def _unknown_position(what: str) -> Refused:
    return Refused(("unknown_position", None, what))
