"""Values of a person, and every way in which one may be stored."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import html
import io
import json
import lzma
import quopri
import zipfile
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pyarrow as pa

from pipeline.checks.traces.matcher import Matcher
from pipeline.checks.traces.value import Value

USER = Value("user_id", "user-0001234", frozenset({"user_id", "account_user"}), group="person")
EMAIL = Value("email", "Anna.Schmidt@example.com", ignores_case=True)
NAME = Value("name", "Zoë Größenwahn")
CUSTOMER = Value("customer_id", "17", frozenset({"customer_id", "buyer_id"}), group="person")
LONG = Value("visitor_id", "0b9d6a52-7c0e-4a3b-9d0f-2f6f3c1e8a55", frozenset({"visitor_id"}))
VALUES = (USER, EMAIL, NAME, CUSTOMER, LONG)
MATCHER = Matcher(VALUES)
NEIGHBOURS = (
    *("user-00012345", "xuser-0001234", "user-0001235", "user_0001234"),
    *("joanna.schmidt@example.com", "jo.anna.schmidt@example.com", "anna.schmidt@example.com.br"),
    *("Zoë Größenwahnsinn", "Zoe Groessenwahn", "anna.schmidt@example-com"),
    *("0b9d6a52-7c0e-4a3b-9d0f-2f6f3c1e8a5", "17", "2026-01-17", "117", "17.5"),
)
"""Values of other persons, and others that look like a part of one."""


def found(data: bytes) -> set[str]:
    """Labels of the values that are found in bytes."""
    return {VALUES[one.value].label for one in MATCHER.search(data)}


def escaped(text: str) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each encoding of a text."""
    data = text.encode()
    every = "".join(f"\\u{unit:04x}" for unit in memoryview(text.encode("utf-16-le")).cast("H"))
    yield "UTF-8", data
    yield "UTF-16 LE", text.encode("utf-16-le")
    yield "UTF-16 BE", text.encode("utf-16-be")
    yield "UTF-16 with its mark", text.encode("utf-16")
    yield "Latin-1", text.encode("latin-1")
    yield "JSON", json.dumps(text).encode()
    yield "JSON, everything escaped", f'"{every}"'.encode()
    yield "JSON in JSON", json.dumps({"raw": json.dumps({"a": text})}).encode()
    yield "JSON in JSON, everything escaped", json.dumps(f'{{"a": "{every}"}}').encode()
    yield "after an escaped line break", json.dumps(f"Dear\n{text}\n").encode()
    yield "percent", quote(text, safe="").encode()
    yield "percent, everything", "".join(f"%{byte:02x}" for byte in data).encode()
    yield "percent twice", quote(quote(text, safe=""), safe="").encode()
    yield "a parameter, percent", f"q%3D{quote(text, safe='')}%26x".encode()
    yield "HTML", html.escape(text).encode("ascii", "xmlcharrefreplace")
    yield "HTML, everything", "".join(f"&#{ord(letter)};" for letter in text).encode()
    yield "HTML, hexadecimal", "".join(f"&#x{ord(letter):X};" for letter in text).encode()
    yield "quoted-printable", quopri.encodestring(data)
    yield "quoted-printable, broken", quopri.encodestring(b"-" * 68 + b" " + data)
    yield "bytes of C", "".join(f"\\x{byte:02x}" for byte in data).encode()
    yield "hexadecimal", data.hex().encode()
    yield "hexadecimal, upper", data.hex().upper().encode()
    for before in range(4):
        plain = b"{ab "[-before:] if before else b""
        yield f"base64 after {before}", base64.b64encode(plain + data + b" ~~~")
        yield f"base64 at the end after {before}", base64.b64encode(plain + data)
        yield f"base64 of URLs after {before}", base64.urlsafe_b64encode(plain + data + b"?>?")


def hashed(text: str) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each hash of a text."""
    for function in (hashlib.md5, hashlib.sha1, hashlib.sha256):
        digest = function(text.encode()).digest()
        yield function.__name__, digest.hex().encode()
        yield f"{function.__name__}, upper", digest.hex().upper().encode()
        yield f"{function.__name__}, bytes", digest
        yield f"{function.__name__}, base64", base64.b64encode(digest)


def _zipped(data: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("other.txt", b"nothing")
        archive.writestr("inner/data.bin", data)
    return target.getvalue()


def _zstd(data: bytes) -> bytes:
    target = pa.BufferOutputStream()
    with pa.CompressedOutputStream(target, "zstd") as packed:
        packed.write(data)
    return bytes(target.getvalue())


CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "two gzip members": lambda data: gzip.compress(b"nothing\n") + gzip.compress(data),
    "zstd": _zstd,
    "zip": _zipped,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "gzip in zip": lambda data: _zipped(gzip.compress(data)),
    "zip in zstd in gzip": lambda data: gzip.compress(_zstd(_zipped(data))),
}
