"""A JSON array becomes lines, one per element; it is read in pieces, so that it may be larger than memory."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import IO

import msgspec
import numpy as np

from ingest.errors import CorruptObject
from ingest.formats.bounded import most_lines, too_many_lines
from ingest.formats.tokens import BLANK

SPOOLED_BYTES = 16 << 20
"""A longer body waits in a temporary file until it is known whether it is an array."""
WINDOW_BYTES, LEAST_WINDOW_BYTES = 1 << 20, 4 << 10
"""So much text is decoded at a time, less where elements are bad."""
ATTEMPTS = 6
_COMMA, _QUOTE = b',"'
_HEAD = re.compile(rb'[ \t\r\n]*+\{?[ \t\r\n]*+(?:"[^"\\]{0,64}"|[^ \t\r\n])')
_STRING = re.compile(rb'("[^"\\]*+(?:\\.[^"\\]*+)*+"?)|\\', re.DOTALL)
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_PLACE = re.compile(r"\(byte (\d+)\)")
_FLAT = bytes.maketrans(b"\r\n\0", b"  \n")
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1
_decode_all = msgspec.json.Decoder(list[msgspec.Raw]).decode
_check = msgspec.json.Decoder(msgspec.Raw).decode
_ODD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def from_array(
    blocks: Iterable[bytes], blank_lines: int, max_bytes: int, stored: int, source_file: str
) -> Iterator[bytes]:
    """One element per line, good or bad: the parser judges each.

    A body is an array only as a whole: it ends with the bracket that closes its first one. Where more follows that
    bracket, the lines of the body are given as they are. They are too, where the array is never closed or has elements
    that are no JSON, if more of them are objects by themselves than are objects followed by a comma. Otherwise an
    array that is never closed was cut off.

    Args:
        blocks: the body, which begins with a bracket.
        blank_lines: how many lines there were before it.
        max_bytes: a longer element is too long for a record, and is not held.
        stored: bytes of the object.

    Raises:
        CorruptObject: the array was cut off, or has too many elements.
    """
    coming = iter(blocks)
    begin = [next(coming, b""), next(coming, b"")]
    if not begin[1] and len(begin[0]) <= WINDOW_BYTES and (lines := _at_once(begin[0])):
        yield lines
        return
    coming = chain(begin, coming)
    with SpooledTemporaryFile(SPOOLED_BYTES) as body:
        splitter = _Splitter(max_bytes, most_lines(stored), gives=False)
        try:
            for _ in splitter.split(_kept(coming, body)):
                pass
            is_array = not splitter.is_doubtful or not _is_lines(body, max_bytes, last=1)
        except _TooMany:
            raise too_many_lines(stored, source_file) from None
        except _NotAnArray as why:
            if not why.is_closed and not _is_lines(body, max_bytes, last=0):
                raise CorruptObject(source_file, "the JSON array is not closed") from None
            is_array = False
        if is_array:
            yield from _Splitter(max_bytes, most_lines(stored), gives=True).split(_blocks(body))
        else:
            yield from blank(blank_lines)
            yield from _blocks(body)
            yield from coming


def blank(lines: int) -> Iterator[bytes]:
    """So many blank lines, so that what follows keeps its line numbers."""
    while lines > 0:
        yield b"\n" * min(lines, _MANY)
        lines -= _MANY


_MANY = 50_000


def _kept(blocks: Iterable[bytes], body: IO[bytes]) -> Iterator[bytes]:
    for block in blocks:
        body.write(block)
        yield block


def _blocks(body: IO[bytes]) -> Iterator[bytes]:
    body.seek(0)
    while block := body.read(4 * WINDOW_BYTES):
        yield block


def _at_once(text: bytes) -> bytes | None:
    """The lines of a short array that is JSON; None if it is not."""
    try:
        return _as_lines(_decode_all(text))
    except _ODD:
        return None


def _as_lines(elements: list[msgspec.Raw]) -> bytes:
    """Valid JSON has line breaks between tokens only, where a blank does as well, and no zero bytes at all."""
    return b"\0".join([*elements, b""]).translate(_FLAT)


def _is_lines(body: IO[bytes], max_bytes: int, last: int) -> bool:
    """Whether what begins with a bracket rather is lines, of which the first is odd.

    Args:
        last: how many of the last lines of an array may be objects without a comma.
    """
    alone = listed = 0
    body.seek(0)
    while line := body.readline(max_bytes + 2):
        text = line.strip()
        if text[:1] == b"{":
            alone += text[-1:] == b"}" and _is_json(text)
            listed += text[-2:] == b"}," and _is_json(text[:-1])
    return alone > listed + last


def _is_json(text: bytes) -> bool:
    try:
        _check(text)
    except _ODD:
        return False
    return True


class _NotAnArray(Exception):  # noqa: N818  the body is lines then, or cut off
    """The text is no array as a whole.

    Attributes:
        is_closed: it begins with an array, and more follows; otherwise it ends too early.
    """

    def __init__(self, is_closed: bool) -> None:
        super().__init__(is_closed)
        self.is_closed = is_closed


class _TooMany(Exception):  # noqa: N818  the object is quarantined
    """The array has too many elements."""


class _Splitter:
    """Finds the elements of an array in one pass: windows of valid ones at once, what is odd by its brackets.

    Args:
        max_bytes: so much of an element is held at most.
        most: so many elements that are odd are too many.
        gives: whether the elements are wanted, or only the verdict.

    Attributes:
        is_doubtful: some element may be no JSON.
    """

    def __init__(self, max_bytes: int, most: int, gives: bool) -> None:
        self._max_bytes, self._left, self._gives = max_bytes, most, gives
        self._depth, self._in_string, self._escapes = 1, False, False
        self._is_open = self._is_between = self._is_closed = False
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._is_empty, self._is_long = True, False
        self._separator = self._short = b""
        self._comma = 0
        self._window = LEAST_WINDOW_BYTES
        self.is_doubtful = False

    def split(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The elements as lines, in blocks; one that is too long in several.

        Raises:
            _NotAnArray: at the end at the latest.
        """
        rest = b""
        for block in blocks:
            rest = yield from self._split(rest + block, is_last=False)
        yield from self._split(rest, is_last=True)
        if not self._is_closed:
            raise _NotAnArray(is_closed=False)

    def _split(self, text: bytes, is_last: bool) -> Generator[bytes, None, bytes]:
        """The elements that end in this text; what it returns belongs before the next text."""
        place = 0
        if not self._is_open and text:
            place, self._is_open = text.index(b"[") + 1, True
        while place < len(text):
            if self._is_closed:
                if text[place:].strip(BLANK):
                    raise _NotAnArray(is_closed=True)
                break
            least = place
            if self._is_between:
                if len(text) - place < WINDOW_BYTES and not is_last:
                    return text[place:]
                end, least = self._valid(text, place)
                if end:
                    if self._gives:
                        yield _as_lines(_decode_all(b"".join((b"[", text[place : end - 1], b"]"))))
                    place = end
                    continue
            place = yield from self._odd(text, place, least)
        return b""

    def _valid(self, text: bytes, place: int) -> tuple[int, int]:
        """Where the last of some valid elements ends, its comma included, 0 for none; and what was looked at in vain.

        They end where the text looks like the place after an earlier element; that it parses is the proof.
        """
        end = place + self._window
        while (cut := text.rfind(self._separator, place, end)) < 0 and end < min(len(text), place + WINDOW_BYTES):
            self._window *= 2
            end = place + self._window
        if cut < 0:
            self._separator = self._short
            cut = text.rfind(self._separator, place, end)
        looked_at = min(end, len(text))
        for attempt in range(ATTEMPTS):
            if cut < 0:
                break
            end = cut + self._comma
            try:
                _check(b"".join((b"[", text[place:end], b"]")))
            except _ODD as error:
                found = _PLACE.search(str(error))
                end = min(end, place + int(found[1])) if found else end
                looked_at = looked_at if attempt else end
                cut = text.rfind(self._separator, place, end)
            else:
                self._window = min(2 * self._window, WINDOW_BYTES)
                return end + 1, end + 1
        self._window = LEAST_WINDOW_BYTES
        self.is_doubtful = True
        return 0, looked_at

    def _odd(self, text: bytes, place: int, least: int) -> Generator[bytes, None, int]:
        """Takes the next window, to `least` at least, apart by its brackets; returns the place where it stopped."""
        window = text[place : max(least, place + self._window)]
        commas, close = self._structure(window)
        self._left -= len(commas)
        if self._left < 0:
            raise _TooMany
        start = 0
        for comma in commas if self._gives else commas[-1:]:
            yield from self._ended(window[start:comma])
            self._is_empty, start = False, comma + 1
        if close is not None:
            if not self._is_empty or self._held or self._is_long or window[start:close].strip(BLANK):
                yield from self._ended(window[start:close])
            self._is_closed = True
            return place + close + 1
        if start:
            self._depth, self._in_string, self._escapes = 1, False, False
            self._window = LEAST_WINDOW_BYTES
            self._learn(text, place + start)
            self._is_between = True
            return place + start
        yield from self._goes_on(window)
        self._is_between, self.is_doubtful = False, True
        self._window = min(2 * self._window, WINDOW_BYTES)
        return place + len(window)

    def _structure(self, text: bytes) -> tuple[list[int], int | None]:
        """Places of the commas between elements, and of the bracket that closes the array, if it does."""
        plain = b"_" + text[1:] if self._escapes else text
        self._escapes = False
        if b"\\" in plain:
            self._escapes = (len(plain) - len(plain.rstrip(b"\\"))) % 2 == 1
            before = b'"' if self._in_string else b""
            plain = _STRING.sub(lambda found: found[1] or b"_", before + plain)[len(before) :]
            plain = _ESCAPED.sub(b"__", plain)
        data = np.frombuffer(plain, np.uint8)
        is_text = np.bitwise_xor.accumulate(np.equal(data, _QUOTE, dtype=bool).view(np.uint8))
        is_text = is_text.view(bool) ^ self._in_string
        steps = _STEPS[data]
        steps[is_text] = 0
        depths = np.cumsum(steps, dtype=np.int32)
        depths += self._depth
        closed = np.flatnonzero((depths == 0) & (steps < 0))
        commas = np.flatnonzero((data == _COMMA) & (depths == 1) & ~is_text)
        self._depth, self._in_string = int(depths[-1]), bool(is_text[-1])
        self._escapes &= self._in_string
        if len(closed):
            return commas[commas < closed[0]].tolist(), int(closed[0])
        return commas.tolist(), None

    def _learn(self, text: bytes, start: int) -> None:
        """Notes how elements are separated: last byte, comma and what the next one begins with."""
        before = text[max(0, start - 65) : start - 1].rstrip(BLANK)
        head = _HEAD.match(text, start)
        if before and head:
            self._comma = min(65, start) - len(before)
            self._separator = text[start - 1 - self._comma : head.end()]
            self._short = self._separator[: self._comma + 1]
        else:
            self._separator = self._short = b"},"
            self._comma = 1

    def _goes_on(self, part: bytes) -> Iterator[bytes]:
        """The element at hand has more text than this."""
        part = part if self._held or self._is_long else part.lstrip(BLANK)
        if part and (self._gives or not self._held):
            self._held.append(part if self._gives else b"")
            self._held_bytes += len(part)
            if self._is_long or (self._gives and self._held_bytes > self._max_bytes):
                self._is_long = True
                yield b"".join(self._held).translate(_BLANKS)
                self._held = []

    def _ended(self, part: bytes) -> Iterator[bytes]:
        """The element at hand ends with this text."""
        if self._gives:
            element = b"".join((*self._held, part))
            if self._is_long or len(element) > self._max_bytes:
                yield element.translate(_BLANKS) + b"\n"
            else:
                yield _one_line(element) + b"\n"
        self._held, self._held_bytes, self._is_long = [], 0, False


_BLANKS = bytes.maketrans(b"\r\n", b"  ")


def _one_line(element: bytes) -> bytes:
    """The element without line breaks. JSON allows them between tokens only, where a blank does as well."""
    text = element.strip(BLANK)
    if not text:
        return b"null"  # nothing between two commas is a record too, a bad one
    flat = text.translate(_BLANKS)
    if text != text.strip() or (flat != text and _is_json(flat) and not _is_json(text)):
        # what is no JSON, but would pass for it as a line: a form feed around it, a line break within a text
        return msgspec.json.encode(text.decode("utf-8", "backslashreplace"))
    return flat
