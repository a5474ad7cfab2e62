"""Days, instants and decimals in the forms that connectors write, as the text that a reader of the contract expects."""

from __future__ import annotations

import datetime as dt
import re
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import msgspec

MICROS = {"seconds": (1_000_000, 1), "milliseconds": (1000, 1), "microseconds": (1, 1), "nanoseconds": (1, 1000)}
"""Microseconds of a unit, as a fraction."""
MAX_DIGITS = 4000
"""Digits of the longest decimal that is read; Python refuses a little more."""
_BASE64 = re.compile(rb'"[A-Za-z0-9+/]+={0,2}"')
_QUOTE, _N = b'"n'
_ISO_DATE = len('"2026-01-31"')
FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""The years 1 to 9999, in days from 1970."""
_DAY_ZERO = dt.date(1970, 1, 1).toordinal()
_EPOCH = dt.datetime(1970, 1, 1)
_EARLIEST, _LATEST = FIRST_DAY * 86_400_000_000, (LAST_DAY + 1) * 86_400_000_000
_YEARS = "outside the years 1 to 9999; the databases' infinite dates have such values"


class _Scaled(msgspec.Struct, gc=False):
    """A decimal with a scale of its own."""

    scale: int
    value: str


_encode = msgspec.json.Encoder().encode
_scaled = msgspec.json.Decoder(_Scaled).decode
_text = msgspec.json.Decoder(str).decode


def date(text: bytes) -> bytes:
    """Return a date as JSON text, from days since 1970-01-01, also as text; other text is returned as it is.

    Raises:
        ValueError: it is outside the years 1 to 9999.
    """
    if text[0] == _N or (text[0] == _QUOTE and len(text) == _ISO_DATE):
        return text
    if text[-2:] == b'Z"' and len(text) == _ISO_DATE + 1:
        return text[:-2] + b'"'
    try:
        count = int(text.strip(b'"'))
    except ValueError:  # no integer, which the contract's reader says
        return text
    if not FIRST_DAY <= count <= LAST_DAY:
        raise ValueError(f"{count} days from 1970 are {_YEARS}")
    return _encode(dt.date.fromordinal(_DAY_ZERO + count))


def times(unit: str) -> Callable[[bytes], bytes]:
    """Return a function that returns a time as JSON text, from a number of units since 1970 in UTC, rounded down to µs.

    Text is returned as it is.

    Args:
        unit: one of MICROS.

    The function raises ValueError: the time is outside the years 1 to 9999.
    """
    factor, divisor = MICROS[unit]

    def time(text: bytes) -> bytes:
        if text[0] == _QUOTE or text[0] == _N:
            return text
        try:
            count = int(text)
        except ValueError:
            return text
        micros = count * factor // divisor
        if not _EARLIEST <= micros < _LATEST:
            raise ValueError(f"{count} {unit} from 1970 are {_YEARS}")
        # a timedelta of microseconds alone takes four times as long
        return _encode(_EPOCH + dt.timedelta(0, micros // 1_000_000, micros % 1_000_000))

    return time


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


def is_base64(text: bytes) -> bool:
    """Whether a JSON text is that of bytes in base64."""
    return len(text) % 4 == 2 and _BASE64.fullmatch(text) is not None


def shown(text: bytes) -> str:
    """Return the beginning of a JSON text for a message."""
    return text[:40].decode("utf-8", "replace")
