"""Texts with escapes, as they are without: JSON, percent-encoding, HTML entities, quoted-printable, also nested."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import numpy as np

NESTED = 3
"""How many escapes within one another are undone."""
_ESCAPE = re.compile(
    rb"%(?P<percent>[0-9A-Fa-f]{2})|(?P<json>(?:\\+u[0-9A-Fa-f]{4})+)|\\+x(?P<x>[0-9A-Fa-f]{2})"
    rb"|(?P<html>&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8}[0-9]{0,2});)|=(?P<quoted>[0-9A-F]{2})"
    rb"|(?P<soft>=\r?\n)|\\+(?P<control>[nrtbf\"/])"
)
_UNIT = re.compile(rb"u([0-9A-Fa-f]{4})")
_CONTROL = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_CUT = b"x"
"""Stands where a window is cut from longer text, so that nothing is taken for a whole token there."""


def _beginnings() -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which pairs of bytes begin an escape that may stand for a character of a value."""
    table = np.zeros(1 << 16, np.bool_)
    letters = bytes(range(ord("a"), ord("z") + 1)) + bytes(range(ord("A"), ord("Z") + 1))
    digits = b"0123456789abcdefABCDEF"
    for first, seconds in {b"%": digits, b"=": b"0123456789ABCDEF\r\n", b"&": letters + b"#", b"\\": b"ux"}.items():
        for second in seconds:
            table[int.from_bytes(first + bytes([second]), "little")] = True
    return table


_FIRST = (b"\\", b"%", b"&", b"=")
_BEGINNINGS = _beginnings()


def unescaped(data: bytes, around: int) -> Iterator[bytes]:
    """Yield the surroundings of all escapes without them, once for each level of nesting.

    Args:
        around: bytes before and after an escape that are kept.
    """
    places = _places(data)
    if not len(places):
        return
    windows: list[tuple[int, int]] = []
    for place in places:
        start, end = max(0, place - around), min(len(data), place + around)
        if windows and start <= windows[-1][1]:
            windows[-1] = windows[-1][0], end
        else:
            windows.append((start, end))
    text = b"\0".join(
        (_CUT if start else b"") + data[start:end] + (_CUT if end < len(data) else b"") for start, end in windows
    )
    for _ in range(NESTED):
        plain = _ESCAPE.sub(_character, text)
        if plain == text:
            return
        yield plain
        text = plain


def _places(data: bytes) -> list[int]:
    found: list[np.ndarray] = []
    if not any(one in data for one in _FIRST):
        return []
    for offset in (0, 1):
        pairs = np.frombuffer(data, np.uint16, (len(data) - offset) // 2, offset) if len(data) > offset else ()
        if len(pairs):
            found.append(np.flatnonzero(_BEGINNINGS[pairs]) * 2 + offset)
    if not found:
        return []
    places = np.sort(np.concatenate(found)).tolist()
    return [place for place in places if _ESCAPE.match(data, place)]


def _character(match: re.Match[bytes]) -> bytes:
    kind, text = match.lastgroup, match[match.lastgroup or 0]
    if kind in ("percent", "x", "quoted"):
        return bytes.fromhex(text.decode())
    if kind == "json":
        units = b"".join(bytes.fromhex(unit.decode()) for unit in _UNIT.findall(text))
        return units.decode("utf-16-be", "replace").encode("utf-8", "replace")
    if kind == "html":
        return html.unescape(text.decode()).encode("utf-8", "replace")
    if kind == "soft":
        return b""
    return _CONTROL.get(text, text)
