"""The structure of JSON text without decoding it: what is nested how deep, and where the elements of an array end."""

from __future__ import annotations

import re
from collections.abc import Iterator

# A string is passed over as one token, an unclosed one to the end of the text. Possessive, so no backtracking: linear
# in time, and without memory for what was passed.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{},]', re.DOTALL)
_OPENING, _CLOSING = b"[{", b"]}"


def is_deeper_than(text: bytes, levels: int) -> bool:
    """Whether objects and arrays are nested more than `levels` deep.

    >>> is_deeper_than(b'{"a": [1, "[[["]}', 1), is_deeper_than(b'{"a": [1, "[[["]}', 2)
    (True, False)
    """
    if text.count(b"[") + text.count(b"{") <= levels:
        return False
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[0] in _OPENING:
            depth += 1
            if depth > levels:
                return True
        elif token[0] in _CLOSING:
            depth -= 1
    return False


def array_elements(text: bytes) -> Iterator[bytes] | None:
    """The text of each element of the JSON array that `text` holds, good or bad; None when it holds no closed array.

    >>> list(array_elements(b'[{"a": "],"}, {"b" 2}]'))
    [b'{"a": "],"}', b' {"b" 2}']
    """
    start, end = text.find(b"[") + 1, text.rfind(b"]")
    edges = [start - 1]
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[0] in _OPENING:
            depth += 1
        elif token[0] in _CLOSING:
            depth -= 1
            if depth == 0 and token.start() != end:
                return None  # more follows: lines, of which the first is an array
        elif depth == 1 and token[0] == b",":
            edges.append(token.start())
    if depth or end < start or text[end + 1 :].strip():
        return None
    if not text[start:end].strip():
        return iter(())
    return (text[left + 1 : right] for left, right in zip(edges, [*edges[1:], end], strict=True))
