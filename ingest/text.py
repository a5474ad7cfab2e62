"""Escaping of object names and content, so that they are safe to print on a terminal, in a log or in JSON."""

from __future__ import annotations

import unicodedata

_ESCAPED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
"""Format characters that Persian, Indic scripts and emoji need; they do not reorder text."""


def printable(text: str | bytes) -> str:
    r"""Escape what a terminal or a log viewer would interpret instead of display; everything else is unchanged.

    Escaped are control characters (including newline and tab), format characters such as the bidirectional overrides,
    line and paragraph separators, surrogates, and bytes that are not UTF-8. A byte or a code point below 256 becomes
    `\x..`, a code point up to U+FFFF `\u....`, a higher one `\U........`. The result is one line of valid Unicode.
    Backslashes are not doubled, so an escape looks like the same characters in the data: the text is for people.

    Args:
        text: bytes are decoded as UTF-8. In a string, a surrogate from U+DC80 to U+DCFF stands for the original byte,
            as Python's file system functions return it (`surrogateescape`).

    >>> print(printable("plain [bold] caf\u00e9 \u65e5\u672c"))
    plain [bold] café 日本
    >>> print(printable("a\x1b]0;title\x07b\n"), printable("\u202egnp.exe"))
    a\x1b]0;title\x07b\x0a \u202egnp.exe
    >>> print(printable(b"caf\xe9 \xc3\xa9"), printable("caf\udce9"), printable("\ud800"))
    caf\xe9 é caf\xe9 \ud800
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() or character in _JOINERS or unicodedata.category(character) not in _ESCAPED:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
