"""Values that a change does not have, because the source left them out: unchanged ones that PostgreSQL stores apart."""

from __future__ import annotations

import uuid
from base64 import b64encode
from hashlib import md5

import msgspec

_TEXT = "__debezium_unavailable_value"
_BYTES = b64encode(_TEXT.encode()).decode()
_UUID = str(uuid.UUID(bytes=md5(_TEXT.encode(), usedforsecurity=False).digest(), version=3))
_STAND_INS = tuple(
    msgspec.json.encode(item)
    for item in (
        _TEXT,
        _BYTES,
        [_TEXT],
        [_BYTES],
        [_UUID],
        list(_TEXT.encode()),
        {_TEXT: _TEXT},
        msgspec.json.encode({_TEXT: _TEXT}).decode(),
    )
)
_MARKS = (_TEXT.encode(), _BYTES.encode(), _UUID.encode(), b"95,95,100", b"95, 95, 100")
_decoded = {msgspec.json.encode(msgspec.json.decode(item)) for item in _STAND_INS}
LONGEST = 4 * max(map(len, _STAND_INS))
"""Bytes of the longest text that can be a stand-in, white space included."""


def may_lack_values(text: bytes) -> bool:
    """Whether any value in a text may be a stand-in."""
    return any(mark in text for mark in _MARKS)


def is_unavailable(value: bytes) -> bool:
    """Whether the JSON text of a value is the stand-in for one that the source left out: text, bytes or an array."""
    if value in _decoded:
        return True
    if len(value) > LONGEST or not may_lack_values(value):
        return False
    return msgspec.json.encode(msgspec.json.decode(value)) in _decoded
