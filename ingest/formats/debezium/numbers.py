"""Days, instants and decimals in the forms that connectors write, as the text that a reader of the contract expects."""

from __future__ import annotations

import datetime as dt
from base64 import b64decode
from typing import Any

import msgspec

MICROS = {"seconds": (1_000_000, 1), "milliseconds": (1000, 1), "microseconds": (1, 1), "nanoseconds": (1, 1000)}
"""Microseconds of a unit, as a fraction."""
MAX_DIGITS = 4000
"""Digits of the longest decimal that is read; Python refuses a little more."""
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_DAY_ZERO = dt.date(1970, 1, 1).toordinal()
_EPOCH = dt.datetime(1970, 1, 1)
_EARLIEST, _LATEST = _FIRST_DAY * 86_400_000_000, (_LAST_DAY + 1) * 86_400_000_000
_YEARS = "outside the years 1 to 9999; the databases' infinite dates have such values"


class _Scaled(msgspec.Struct, gc=False):
    """A decimal with a scale of its own."""

    scale: int
    value: str


_encode = msgspec.json.Encoder().encode
_scaled = msgspec.json.Decoder(_Scaled).decode
_text = msgspec.json.Decoder(str).decode


def day(count: int) -> bytes:
    """Return the date, as JSON text, that is a number of days after 1970-01-01.

    Raises:
        ValueError: it is outside the years 1 to 9999.
    """
    if not _FIRST_DAY <= count <= _LAST_DAY:
        raise ValueError(f"{count} days from 1970 are {_YEARS}")
    return _encode(dt.date.fromordinal(_DAY_ZERO + count))


def instant(count: int, unit: str) -> bytes:
    """Return the time, as JSON text, that is a number of units of MICROS after 1970, rounded down to microseconds.

    Raises:
        ValueError: it is outside the years 1 to 9999.
    """
    times, parts = MICROS[unit]
    micros = count * times // parts
    if not _EARLIEST <= micros < _LATEST:
        raise ValueError(f"{count} {unit} from 1970 are {_YEARS}")
    seconds, rest = divmod(micros, 1_000_000)  # whole microseconds alone would take four times as long
    return _encode(_EPOCH + dt.timedelta(0, seconds, rest))


def unscaled(text: bytes, scale: int) -> bytes:
    """Return the digits of a decimal that is the JSON text of base64 of its unscaled big-endian bytes.

    >>> unscaled(b'"AfI="', 1), unscaled(b'"/w=="', 2)
    (b'49.8', b'-0.01')

    Raises:
        ValueError: it is no such text, or has too many digits.
    """
    try:
        data = b64decode(_text(text), validate=True)
    except (ValueError, msgspec.MsgspecError):
        data = b""
    if not data:
        raise ValueError(f"expected the bytes of a decimal in base64, got `{shown(text)}`")
    if max(len(data) * 2.41, len(data) * 2.41 - scale, abs(scale)) > MAX_DIGITS:
        raise ValueError(f"expected a decimal of at most {MAX_DIGITS:,} digits")
    number = int.from_bytes(data, "big", signed=True)
    digits = str(abs(number))
    if scale > 0:
        digits = digits.zfill(scale + 1)
        digits = f"{digits[:-scale]}.{digits[-scale:]}"
    elif number:
        digits += "0" * -scale
    return f"{'-' * (number < 0)}{digits}".encode()


def self_scaled(text: bytes) -> bytes:
    """Return the digits of a decimal that is an object of scale and value, as for a NUMERIC without a scale.

    Raises:
        ValueError: it is no such object.
    """
    try:
        found = _scaled(text)
    except (ValueError, msgspec.MsgspecError) as error:
        raise ValueError(f"expected a decimal as an object of scale and value: {error}") from None
    return unscaled(msgspec.json.encode(found.value), found.scale)


def scale_of(parameters: dict[str, Any] | None) -> int:
    """Return the scale in the parameters of a decimal's schema.

    Raises:
        ValueError: there is none.
    """
    scale = (parameters or {}).get("scale")
    try:
        return int(scale)  # type: ignore[arg-type]  # whatever it is, the error says so
    except (TypeError, ValueError):
        raise ValueError(f"the schema's scale is {scale!r}; expected a number") from None


def shown(text: bytes) -> str:
    """Return the beginning of a JSON text for a message."""
    return text[:40].decode("utf-8", "replace")
