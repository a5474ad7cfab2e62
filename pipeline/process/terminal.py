"""Safe text for terminals, logs and messages, without control sequences."""

from __future__ import annotations

import logging
import re

from ingest.text import printable

_SUSPECT = re.compile(r"[^\n -~]")


def plain(text: str) -> str:
    r"""Escape unprintable characters, except line breaks: those are Lakemesh's own, data is escaped before.

    >>> print(plain("a\x1b[31m\nb"))
    a\x1b[31m
    b
    """
    return "\n".join(map(printable, text.split("\n")))


def escaped_json(text: str) -> str:
    r"""Escape, as JSON does, what a JSON text may contain unescaped: C1, bidirectional overrides, surrogates.

    >>> print(escaped_json('["caf\u00e9", "\x9b", "\u202e", "\ud800"]'))
    ["café", "\u009b", "\u202e", "\ud800"]
    """
    return _SUSPECT.sub(lambda found: _in_json(found[0]), text)


def _in_json(character: str) -> str:
    if printable(character) == character:
        return character
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


class PlainFormatter(logging.Formatter):
    """Formats log records as text without control sequences; a traceback keeps its lines."""

    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record))
