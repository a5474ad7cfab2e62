"""Conversion of a JSON array to lines, one per element; it is streamed, so it may be larger than memory."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import IO

import msgspec
import numpy as np

from ingest.errors import CorruptObject
from ingest.formats.bounded import max_lines, too_many_lines
from ingest.formats.tokens import BLANK

SPOOLED_BYTES = 16 << 20
"""A longer body is spooled to a temporary file until it is known whether it is an array."""
WINDOW_BYTES, LEAST_WINDOW_BYTES = 1 << 20, 4 << 10
"""Text decoded at a time; less where elements are malformed."""
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
_JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def from_array(
    blocks: Iterable[bytes], blank_lines: int, max_bytes: int, stored: int, source_file: str
) -> Iterator[bytes]:
    """Yield one element per line, valid or not; the parser judges each.

    A body is an array only if it ends with the bracket that closes its first one. If more text follows that bracket,
    the lines of the body are passed on unchanged. So are those of an array that is never closed or has elements that
    are not JSON, if more of its lines are objects than are objects followed by a comma. Any other array that is never
    closed is truncated.

    Args:
        blocks: the body, which begins with a bracket.
        blank_lines: number of lines before it.
        max_bytes: a longer element is too long for a record, and is not buffered.
        stored: stored bytes of the object.

    Raises:
        CorruptObject: the array is truncated, or has too many elements.
    """
    rest = iter(blocks)
    head = [next(rest, b""), next(rest, b"")]
    if not head[1] and len(head[0]) <= WINDOW_BYTES and (lines := _decode_whole(head[0])):
        yield lines
        return
    rest = chain(head, rest)
    with SpooledTemporaryFile(SPOOLED_BYTES) as body:
        splitter = _Splitter(max_bytes, max_lines(stored), emits=False)
        try:
            for _ in splitter.split(_copied(rest, body)):
                pass
            is_array = not splitter.may_be_malformed or not _is_lines(body, max_bytes, last=1)
        except _TooMany:
            raise too_many_lines(stored, source_file) from None
        except _NotAnArray as error:
            if not error.is_closed and not _is_lines(body, max_bytes, last=0):
                raise CorruptObject(source_file, "the JSON array is not closed") from None
            is_array = False
        if is_array:
            yield from _Splitter(max_bytes, max_lines(stored), emits=True).split(_blocks(body))
        else:
            yield from blank(blank_lines)
            yield from _blocks(body)
            yield from rest


def blank(lines: int) -> Iterator[bytes]:
    """Yield blank lines, so that what follows keeps its line numbers."""
    while lines > 0:
        yield b"\n" * min(lines, _BLANK_LINES)
        lines -= _BLANK_LINES


_BLANK_LINES = 50_000


def _copied(blocks: Iterable[bytes], body: IO[bytes]) -> Iterator[bytes]:
    for block in blocks:
        body.write(block)
        yield block


def _blocks(body: IO[bytes]) -> Iterator[bytes]:
    body.seek(0)
    while block := body.read(4 * WINDOW_BYTES):
        yield block


def _decode_whole(text: bytes) -> bytes | None:
    """Return the lines of a short array; None if it is not valid JSON."""
    try:
        return _as_lines(_decode_all(text))
    except _JSON_ERRORS:
        return None


def _as_lines(elements: list[msgspec.Raw]) -> bytes:
    """Join elements as lines. Valid JSON has no NUL, and line breaks only between tokens, where a space also works."""
    return b"\0".join([*elements, b""]).translate(_FLAT)


def _is_lines(body: IO[bytes], max_bytes: int, last: int) -> bool:
    """Whether a body that begins with a bracket is actually lines of JSON, the first of them malformed.

    Args:
        last: number of lines of an array that may be objects without a trailing comma: its last ones.
    """
    alone = listed = 0
    body.seek(0)
    while line := body.readline(max_bytes + 2):
        text = line.strip(BLANK)
        if text[:1] == b"{":
            alone += text[-1:] == b"}" and _is_json(text)
            listed += text[-2:] == b"}," and _is_json(text[:-1])
    return alone > listed + last


def _is_json(text: bytes) -> bool:
    try:
        _check(text)
    except _JSON_ERRORS:
        return False
    return True


class _NotAnArray(Exception):  # noqa: N818  the body is lines, or truncated
    """The text as a whole is not an array.

    Attributes:
        is_closed: whether text follows a closed array; otherwise the text ends too early.
    """

    def __init__(self, is_closed: bool) -> None:
        super().__init__(is_closed)
        self.is_closed = is_closed


class _TooMany(Exception):  # noqa: N818  the object is quarantined
    """The array has too many elements."""


class _Splitter:
    """Finds the elements of an array in one pass: valid ones a window at a time, malformed ones by their brackets.

    Args:
        max_bytes: maximum bytes of an element that are buffered.
        max_malformed: limit on elements that are found by their brackets.
        emits: whether to return the elements, or only to check the array.

    Attributes:
        may_be_malformed: whether some element may not be valid JSON.
    """

    def __init__(self, max_bytes: int, max_malformed: int, emits: bool) -> None:
        self._max_bytes, self._left, self._emits = max_bytes, max_malformed, emits
        self._depth, self._in_string, self._escapes = 1, False, False
        self._is_open = self._is_between = self._is_closed = False
        self._buffer: list[bytes] = []
        self._buffered_bytes = 0
        self._is_empty, self._is_long = True, False
        self._separator = self._short = b""
        self._comma = 0
        self._window = LEAST_WINDOW_BYTES
        self.may_be_malformed = False

    def split(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the elements as lines, in blocks; an element that is too long spans several.

        Raises:
            _NotAnArray: the text is not an array; raised at its end at the latest.
        """
        rest = b""
        for block in blocks:
            rest = yield from self._split(rest + block, is_last=False)
        yield from self._split(rest, is_last=True)
        if not self._is_closed:
            raise _NotAnArray(is_closed=False)

    def _split(self, text: bytes, is_last: bool) -> Generator[bytes, None, bytes]:
        """Yield the elements that end in this text; return the text to prepend to the next one."""
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
                    if self._emits:
                        yield _as_lines(_decode_all(b"".join((b"[", text[place : end - 1], b"]"))))
                    place = end
                    continue
            place = yield from self._scan(text, place, least)
        return b""

    def _valid(self, text: bytes, place: int) -> tuple[int, int]:
        """Return the end of a run of valid elements, its comma included (0 for none), and the end of the text tried.

        The run is cut where the text matches the separator after an earlier element; parsing it proves the cut right.
        """
        end = place + self._window
        while (cut := text.rfind(self._separator, place, end)) < 0 and end < min(len(text), place + WINDOW_BYTES):
            self._window *= 2
            end = place + self._window
        if cut < 0:
            self._separator = self._short
            cut = text.rfind(self._separator, place, end)
        tried = min(end, len(text))
        for attempt in range(ATTEMPTS):
            if cut < 0:
                break
            end = cut + self._comma
            try:
                _check(b"".join((b"[", text[place:end], b"]")))
            except _JSON_ERRORS as error:
                found = _PLACE.search(str(error))
                end = min(end, place + int(found[1])) if found else end
                tried = tried if attempt else end
                cut = text.rfind(self._separator, place, end)
            else:
                self._window = min(2 * self._window, WINDOW_BYTES)
                return end + 1, end + 1
        self._window = LEAST_WINDOW_BYTES
        self.may_be_malformed = True
        return 0, tried

    def _scan(self, text: bytes, place: int, least: int) -> Generator[bytes, None, int]:
        """Split the next window, up to `least` or beyond, by its brackets; return the place where it stopped."""
        window = text[place : max(least, place + self._window)]
        commas, close = self._structure(window)
        self._left -= len(commas)
        if self._left < 0:
            raise _TooMany
        start = 0
        for comma in commas if self._emits else commas[-1:]:
            yield from self._end_element(window[start:comma])
            self._is_empty, start = False, comma + 1
        if close is not None:
            if not self._is_empty or self._buffer or self._is_long or window[start:close].strip(BLANK):
                yield from self._end_element(window[start:close])
            self._is_closed = True
            return place + close + 1
        if start:
            self._depth, self._in_string, self._escapes = 1, False, False
            self._window = LEAST_WINDOW_BYTES
            self._learn_separator(text, place + start)
            self._is_between = True
            return place + start
        yield from self._extend_element(window)
        self._is_between, self.may_be_malformed = False, True
        self._window = min(2 * self._window, WINDOW_BYTES)
        return place + len(window)

    def _structure(self, text: bytes) -> tuple[list[int], int | None]:
        """Return the places of the commas between elements, and of the bracket that closes the array, if any."""
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

    def _learn_separator(self, text: bytes, start: int) -> None:
        """Record how elements are separated: last byte, comma and the beginning of the next element."""
        before = text[max(0, start - 65) : start - 1].rstrip(BLANK)
        head = _HEAD.match(text, start)
        if before and head:
            self._comma = min(65, start) - len(before)
            self._separator = text[start - 1 - self._comma : head.end()]
            self._short = self._separator[: self._comma + 1]
        else:
            self._separator = self._short = b"},"
            self._comma = 1

    def _extend_element(self, part: bytes) -> Iterator[bytes]:
        """Add text to the current element, which continues after it."""
        part = part if self._buffer or self._is_long else part.lstrip(BLANK)
        if part and (self._emits or not self._buffer):
            self._buffer.append(part if self._emits else b"")
            self._buffered_bytes += len(part)
            if self._is_long or (self._emits and self._buffered_bytes > self._max_bytes):
                self._is_long = True
                yield b"".join(self._buffer).translate(_BLANKS)
                self._buffer = []

    def _end_element(self, part: bytes) -> Iterator[bytes]:
        """End the current element with this text."""
        if self._emits:
            element = b"".join((*self._buffer, part))
            if self._is_long or len(element) > self._max_bytes:
                yield element.translate(_BLANKS) + b"\n"
            else:
                yield _one_line(element) + b"\n"
        self._buffer, self._buffered_bytes, self._is_long = [], 0, False


_BLANKS = bytes.maketrans(b"\r\n", b"  ")


def _one_line(element: bytes) -> bytes:
    """Return the element without line breaks. JSON allows them only between tokens, where a space is equivalent."""
    text = element.strip(BLANK)
    if not text:
        return b"null"  # an empty element between two commas is a bad record
    flat = text.translate(_BLANKS)
    if text != text.strip() or (flat != text and _is_json(flat) and not _is_json(text)):
        # invalid JSON that would become valid as one line: a form feed around it, a line break within a string
        return msgspec.json.encode(text.decode("utf-8", "backslashreplace"))
    return flat
