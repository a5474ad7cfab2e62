"""The bytes in which a value may be stored: texts, binary encodings, and hashes without a key."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import permutations

from pipeline.checks.traces.value import Value

KEY_SEPARATOR = "|"
"""Between the parts of a surrogate key, see macros/keys.py."""
_BASE64_URL = bytes.maketrans(b"-_", b"+/")


class Form(StrEnum):
    """How a value is encoded; determines how its boundaries are checked."""

    TEXT = "text"
    UTF16 = "UTF-16"
    LATIN1 = "Latin-1"
    BASE64 = "base64"
    HEX = "hex"
    UUID = "UUID, 16 bytes"
    MD5 = "MD5"
    SHA1 = "SHA-1"
    SHA256 = "SHA-256"
    NUMBER = "number"
    NAMED = "text after its name"


HASHES = {Form.MD5: hashlib.md5, Form.SHA1: hashlib.sha1, Form.SHA256: hashlib.sha256}


@dataclass(frozen=True, slots=True)
class Needle:
    """Bytes to look for.

    Attributes:
        value: number of the value.
        form: its encoding.
        data: the bytes.
        text: of base64, the bytes that are encoded; the needle has the characters that follow from them alone.
        before: of base64, the number of bytes before the text in the same group of three.
        is_exact: whether other letter case is another value.
    """

    value: int
    form: Form
    data: bytes
    text: bytes = b""
    before: int = 0
    is_exact: bool = True


def needles(values: Iterable[Value]) -> Iterator[Needle]:
    """Yield all bytes to look for; of values that are not distinctive, only the hashes."""
    groups: dict[str, list[tuple[int, Value]]] = {}
    for number, value in enumerate(values):
        if value.is_distinctive:
            yield from _texts(number, value)
        for text in _spellings(value):
            yield from _hashes(number, text)
        if value.group and value.columns:
            groups.setdefault(value.group, []).append((number, value))
    for members in groups.values():
        for (number, value), (_, other) in permutations(members, 2):
            yield from _hashes(number, f"{value.text}{KEY_SEPARATOR}{other.text}")


def _spellings(value: Value) -> list[str]:
    """The value in the normal forms of Unicode and, if they do not matter, in the usual letter cases."""
    text = value.text.strip()
    cases = [text, text.lower(), text.upper(), text.title()] if value.ignores_case else [text]
    return list(dict.fromkeys(unicodedata.normalize(form, one) for one in cases for form in ("NFC", "NFD")))


def _texts(number: int, value: Value) -> Iterator[Needle]:
    is_exact = not value.ignores_case
    for text in _spellings(value):
        data = text.encode()
        yield Needle(number, Form.TEXT, data, is_exact=is_exact)
        for encoding in ("utf-16-le", "utf-16-be"):
            yield Needle(number, Form.UTF16, text.encode(encoding).strip(b"\0"), is_exact=is_exact)
        if not text.isascii():
            with suppress(UnicodeEncodeError):
                yield Needle(number, Form.LATIN1, text.encode("cp1252"), is_exact=is_exact)
        yield Needle(number, Form.HEX, data.hex().encode(), is_exact=False)
        for before in range(3):
            yield from _base64(number, data, before)
    try:
        found = uuid.UUID(value.text.strip())
    except ValueError:
        return
    yield Needle(number, Form.UUID, found.bytes)
    yield Needle(number, Form.HEX, found.hex.encode(), is_exact=False)
    yield Needle(number, Form.TEXT, str(found).encode(), is_exact=False)


def _base64(number: int, data: bytes, before: int) -> Iterator[Needle]:
    """The characters that follow from the data alone, in both alphabets."""
    encoded = base64.b64encode(bytes(before) + data)
    stable = encoded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
    for alphabet in {stable, stable.translate(bytes.maketrans(b"+/", b"-_"))}:
        yield Needle(number, Form.BASE64, alphabet, data, before)


def _hashes(number: int, text: str) -> Iterator[Needle]:
    for form, function in HASHES.items():
        digest = function(text.encode(), usedforsecurity=False).digest()
        yield Needle(number, form, digest.hex().encode(), text=digest, is_exact=False)
        yield Needle(number, form, digest)
        plain = base64.b64encode(digest).rstrip(b"=")
        for alphabet in {plain, plain.translate(bytes.maketrans(b"+/", b"-_"))}:
            yield Needle(number, form, alphabet)


def decoded_base64(data: bytes) -> bytes:
    """Decode whole groups of base64 in either alphabet; what is left of the last group as far as it goes."""
    data = data[: len(data) - 1] if len(data) % 4 == 1 else data
    return base64.b64decode(data.translate(_BASE64_URL) + b"=" * (-len(data) % 4))
