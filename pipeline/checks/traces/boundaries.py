"""Whether found bytes are a value as a whole, or part of a longer one: `u123456` is no trace in `u1234567`."""

from __future__ import annotations

import re

from pipeline.checks.traces.encodings import Form, Needle, decoded_base64

_TOKEN = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_ESCAPED = frozenset(b"nrtbf")
_JOINS_LEFT, _JOINS_RIGHT = frozenset(b".+-"), frozenset(b".-")
_HEX = re.compile(rb"[0-9A-Fa-f]{2}")
_BASE64_BEFORE, _BASE64_AFTER = re.compile(rb"[A-Za-z0-9+/_-]*\Z"), re.compile(rb"[A-Za-z0-9+/_-]*")
_AROUND = 8
"""Characters of base64 that are decoded before and after a value."""


def is_whole(data: bytes, start: int, end: int, needle: Needle, is_address: bool) -> bool:
    """Whether the needle at this place of the data is the value, and not a part of a longer one."""
    form = needle.form
    if form in (Form.TEXT, Form.LATIN1):
        after = data[end : end + 4]
        # the length of the next text, in plain pages of Parquet
        is_length = len(after) == 4 and after[1:] == b"\0\0\0"
        return _stands_alone(data[max(0, start - 2) : start], b"" if is_length else after, is_address)
    if form is Form.UTF16:
        return _stands_alone(_wide_before(data, start), _wide_after(data, end), is_address)
    if form is Form.HEX:
        return _stands_alone(_hex_before(data, start), _hex_after(data, end), is_address)
    if form is Form.BASE64:
        return _is_in_base64(data, start, end, needle, is_address)
    if needle.text:  # the hexadecimal digits of a hash
        return not (_HEX.fullmatch(b"0" + data[max(0, start - 1) : start]) or _HEX.match(b"0" + data[end : end + 1]))
    return True


def is_cell(data: bytes, start: int, length: int) -> bool:
    """Whether a text of Postgres begins at this place and has this length, by the byte before it."""
    return length < 127 and start > 0 and data[start - 1] == (length + 1) << 1 | 1


def _stands_alone(before: bytes, after: bytes, is_address: bool) -> bool:
    if before and before[-1] in _TOKEN and not (before[-1] in _ESCAPED and before[-2:-1] == b"\\"):
        return False
    if after and after[0] in _TOKEN:
        return False
    if not is_address:
        return True
    if len(before) > 1 and before[-1] in _JOINS_LEFT and before[-2] in _TOKEN:
        return False
    return not (len(after) > 1 and after[0] in _JOINS_RIGHT and after[1] in _TOKEN)


def _wide_before(data: bytes, start: int) -> bytes:
    found = bytearray()
    for place in (start - 4, start - 2):
        if place >= 0 and data[place + 1] == 0:
            found.append(data[place])
    return bytes(found)


def _wide_after(data: bytes, end: int) -> bytes:
    found = bytearray()
    for place in (end, end + 2):
        if place + 1 >= len(data) or data[place]:
            break
        found.append(data[place + 1])
    return bytes(found)


def _hex_before(data: bytes, start: int) -> bytes:
    last = data[max(0, start - 2) : start]
    if not _HEX.fullmatch(last):
        return b""
    first = data[max(0, start - 4) : max(0, start - 2)]
    return bytes.fromhex(((first if _HEX.fullmatch(first) else b"") + last).decode())


def _hex_after(data: bytes, end: int) -> bytes:
    found = b""
    for place in (end, end + 2):
        if not (digits := _HEX.fullmatch(data[place : place + 2])):
            break
        found += bytes.fromhex(digits[0].decode())
    return found


def _is_in_base64(data: bytes, start: int, end: int, needle: Needle, is_address: bool) -> bool:
    """Decode the characters around the needle and compare what is there."""
    group = start - -(-needle.before * 8 // 6)
    if group < 0:
        return False
    match = _BASE64_BEFORE.search(data, max(0, group - _AROUND), group)
    left = match[0] if match else b""
    left = left[len(left) % 4 :]
    tail = _BASE64_AFTER.match(data, end, end + _AROUND)
    right = data[group:end] + (tail[0] if tail else b"")
    if not _BASE64_AFTER.fullmatch(right):
        return False
    plain = decoded_base64(left + right)
    place = len(left) // 4 * 3 + needle.before
    found = plain[place : place + len(needle.text)]
    if found != needle.text:
        return False
    return _stands_alone(plain[max(0, place - 2) : place], plain[place + len(needle.text) :][:2], is_address)
