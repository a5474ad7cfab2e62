"""Redaction of secrets from everything that is displayed, sent, logged or stored; no other module does this.

The secrets are the values of the secret settings (`ingest.settings.secrets`). Passwords in URLs and connection strings
are always redacted, whether or not they come from a setting, and so are values that errors of engines quote.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from ingest.settings import secrets
from pipeline.process.quoted import without_quoted
from pipeline.process.terminal import PlainFormatter

HIDDEN = "***"
SHORTEST = 5
"""Characters. Shorter secrets occur within ordinary words, so they are redacted only after `password=` and in URLs."""
_BOUNDED, _HEAD = 8, 12
"""Secrets below _BOUNDED match whole words only; of much longer ones the first _HEAD match, as text may be cut."""
_URL_PASSWORD = re.compile(r"(\w://[^\s/@:'\"]*:)[^\s/'\"]+(?=@)")
_PARAMETER = re.compile(
    r"(?i)(\w*(?:password|passwd|secret|secret_access_key|session_token|security-token|signature)"
    r"(?:\s*=\s*|['\"]\s*:\s*))('(?:[^'\\]|\\.)+'|\"(?:[^\"\\]|\\.)+\"|[^\s'\"&,;)]+)"
)
_NAMES = re.compile(r"(?i)token|key|sig|secret|code|auth|pass")
_LOOKS_RANDOM = re.compile(r"(?=.*\d).{6,}|.{16,}")
Value = TypeVar("Value")


def redact(text: str) -> str:
    """Replace every secret in a text by `***`, and every value that an engine's error quotes."""
    text = without_quoted(text)
    text = _PARAMETER.sub(rf"\1{HIDDEN}", _URL_PASSWORD.sub(rf"\1{HIDDEN}", text))
    forms = _forms(tuple(sorted(secrets().items())))
    if not forms:
        return text
    heads = re.compile("|".join(map(_head_pattern, forms)))
    kept, at = [], 0
    while found := heads.search(text, at):
        kept += [text[at : found.start()], HIDDEN]
        at = found.start() + max(_length_in(form, text, found.start()) for form in forms)
    return "".join([*kept, text[at:]])


def redacted(value: Value) -> Value:
    """Redact the texts within a value: dataclasses, mappings, lists and tuples are searched recursively."""
    found: Any = value
    if isinstance(value, str):
        found = redact(value)
    elif is_dataclass(value) and not isinstance(value, type):
        found = replace(
            value, **{item.name: redacted(getattr(value, item.name)) for item in fields(value) if item.init}
        )
    elif isinstance(value, dict):
        found = {key: redacted(item) for key, item in value.items()}
    elif isinstance(value, list):
        found = [redacted(item) for item in value]
    elif isinstance(value, tuple):
        found = tuple(redacted(item) for item in value)
    return cast(Value, found)


class RedactingFormatter(PlainFormatter):
    """Formats log records, tracebacks included, without secrets and control sequences."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        return redact(super().format(record))


class _Redacted(logging.Formatter):
    """Formats as another formatter does, without secrets."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        return redact(self._inner.format(record))


def redact_logs() -> None:
    """Redact what handlers write that another program has set up, as `sqlmesh` does for its files below logs/."""
    for handler in logging.getLogger().handlers:
        if not isinstance(handler.formatter, _Redacted | RedactingFormatter):
            handler.setFormatter(_Redacted(handler.formatter or logging.Formatter()))


def _head(form: str) -> str:
    """The beginning of a form that is enough to reveal it."""
    return form[:_HEAD] if len(form) >= _HEAD + 4 else form


def _head_pattern(form: str) -> str:
    pattern = re.escape(_head(form))
    return pattern if len(form) >= _BOUNDED else rf"(?<!\w){pattern}(?!\w)"


def _length_in(form: str, text: str, start: int) -> int:
    """Characters of a form found in a text at a position; 0 if fewer than its head."""
    if not text.startswith(_head(form), start):
        return 0
    length = len(_head(form))
    while length < len(form) and text.startswith(form[length], start + length):
        length += 1
    return length


@lru_cache(maxsize=8)
def _forms(settings: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """All texts that reveal a secret, longest first."""
    found: set[str] = set()
    for name, value in settings:
        for secret in {item for part in _parts(name, value) for item in (part, unquote(part))}:
            encoded = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
            found |= encoded | {re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), item) for item in encoded}
            found |= {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], secret.replace("'", "''")}
    return tuple(sorted((form for form in found if len(form) >= SHORTEST), key=lambda form: (-len(form), form)))


def _parts(name: str, value: str) -> Iterable[str]:
    """The secrets in one setting: the whole value; of a URL the part after the host; of a DSN the password."""
    if name.endswith("_URL"):
        yield from _of_url(value)
    elif name.endswith("_DSN"):
        yield from _of_dsn(value)
    else:
        yield value


def _of_url(value: str) -> Iterator[str]:
    found = urlsplit(value)
    where = f"{found.path}?{found.query}" if found.query else found.path
    if len(where.strip("/")) >= SHORTEST:
        yield where.strip("/")
    named = [("", item) for item in found.path.split("/")] + parse_qsl(found.query)
    yield from (item for name, item in named if _NAMES.search(name) or _LOOKS_RANDOM.fullmatch(item))
    yield from filter(None, (found.password, found.username if not found.password else None))


def _of_dsn(value: str) -> Iterator[str]:
    if "://" in value:
        found = urlsplit(value)
        yield from filter(None, (found.password, dict(parse_qsl(found.query)).get("password")))
        return
    for quoted, plain in re.findall(r"password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s']+))", value):
        yield re.sub(r"\\(.)", r"\1", quoted) or plain
