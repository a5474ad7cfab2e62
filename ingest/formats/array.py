"""A JSON array becomes lines, one per element."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ingest.errors import CorruptObject
from ingest.tokens import array_elements

MAX_ARRAY_BYTES = 256 << 20
"""An array is read as a whole; a longer one is refused."""


def from_array(blocks: Iterable[bytes], source_file: str) -> Iterator[bytes]:
    """One element per line, good or bad: the parser judges each. What only begins like an array is taken for lines.

    Raises:
        CorruptObject: the array is too long, or is never closed.
    """
    held = bytearray()
    for block in blocks:
        held += block
        if len(held) > MAX_ARRAY_BYTES:
            raise CorruptObject(source_file, f"a JSON array of more than {MAX_ARRAY_BYTES} bytes; write JSON lines")
    whole = bytes(held)
    del held
    elements: Iterable[bytes] | None
    try:
        elements = [bytes(element) for element in msgspec.json.decode(whole, type=list[msgspec.Raw])]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        elements = array_elements(whole)
    if elements is None:
        if _is_cut_off(whole):
            raise CorruptObject(source_file, "the JSON array is not closed")
        yield whole
        return
    for element in elements:
        yield _one_line(element) + b"\n"


def _one_line(element: bytes) -> bytes:
    """The element without line breaks. JSON allows them between tokens only, where a blank does as well."""
    flat = element.translate(_BLANKS).strip()
    if not flat:
        return b"null"  # nothing between two commas is a record too, a bad one
    if b"\n" in element.strip() and not _is_json(element) and _is_json(flat):  # a line break within a text
        return msgspec.json.encode(element.decode("utf-8", "backslashreplace"))
    return flat


_BLANKS = bytes.maketrans(b"\r\n", b"  ")


def _is_cut_off(text: bytes) -> bool:
    """Whether it is the beginning of an array, rather than lines of which the first is odd."""
    lines = (line.strip() for line in text.split(b"\n"))
    nonblank = (line for line in lines if line)
    if _is_json(next(nonblank, b"")):  # an array that is closed in its line, and more lines
        return False
    second = next(nonblank, b"")
    return not (second.startswith(b"{") and second.endswith(b"}") and _is_json(second))


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
