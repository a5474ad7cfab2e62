"""Nesting depth of JSON text, found without decoding it."""

from __future__ import annotations

import re

# A string is one token, an unclosed one extends to the end of the text. Possessive quantifiers prevent backtracking:
# linear time, constant memory.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_OPENING, _CLOSING = b"[{", b"]}"
BLANK = b" \t\r\n"
"""JSON white space."""


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
