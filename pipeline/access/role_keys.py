"""The keys of the hashes that roles see. Without a parser of SQL: each cycle compares keys before it loads one."""

from __future__ import annotations

import hashlib
import hmac

KEY_VARIABLES = ("role_inner", "role_outer")
"""Variables of the DuckDB session that hold the padded key of HMAC, so that it is in no query."""
_BLOCK = 64


def key_statements(key: str) -> list[str]:
    """Statements that give a DuckDB session the key of the hashes, which are HMAC-SHA256 (RFC 2104) of UTF-8."""
    secret = key.encode()
    padded = (hashlib.sha256(secret).digest() if len(secret) > _BLOCK else secret).ljust(_BLOCK, b"\0")
    pads = (bytes(byte ^ pad for byte in padded) for pad in (0x36, 0x5C))
    return [
        f"SET VARIABLE {variable} = unhex('{pad.hex()}')" for variable, pad in zip(KEY_VARIABLES, pads, strict=True)
    ]


def fingerprint(key: str) -> str:
    """What tells keys apart without giving them away."""
    return hmac.new(key.encode(), b"the key of a role", hashlib.sha256).hexdigest()[:16]
