"""Log lines: text for people, or one JSON object a line for programs (LAKE_LOG=json), without secrets.

A JSON line has `ts`, `level`, `logger` and `message` or `event`, the fields of the event, and where it happened: `run`,
`stage`, `feed`. Lines of libraries and whatever is written to stderr have the same form.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from pipeline.process.redact import RedactingFormatter, redact, redact_logs
from pipeline.process.terminal import escaped_json

LOG = logging.getLogger(__name__)
OWN = ("ingest", "pipeline")
"""Loggers whose steps are logged with LAKE_LOG=json without -v too."""
_where: dict[str, str] = {}
"""Where the process is. Not a context variable: SQLMesh computes in threads of its own, whose lines belong here too."""
_PLACE = re.compile(r"(?:(\w+)=)?%[sdrg]")
_PAIR = re.compile(r"(\w+)=([^\s%]+)")
_LEVEL = re.compile(r"(error|warning|note)(?: \([^)]*\))?: ")


@contextmanager
def located(**names: str) -> Iterator[None]:
    """Name the place of all log lines of the process while the body runs: `run`, `stage`, `feed`."""
    before = dict(_where)
    _where.update(names)
    try:
        yield
    finally:
        _where.clear()
        _where.update(before)


def note_event(name: str, **values: object) -> None:
    """Log an event with its fields at level INFO."""
    fields = {re.sub(r"\W+", "_", key): value for key, value in values.items()}
    LOG.info(" ".join(["event=%s", *(f"{key}=%s" for key in fields)]), name, *fields.values())


def set_up(verbose: bool, as_json: bool) -> None:
    """Log to stderr; with JSON, whatever else the process writes there becomes JSON too."""
    level = logging.INFO if verbose else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    form = "ts=%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"
    handler.setFormatter(JsonFormatter() if as_json else RedactingFormatter(form))
    logging.basicConfig(level=level, handlers=[handler], force=as_json)
    for name in OWN:
        logging.getLogger(name).setLevel(logging.INFO if as_json else logging.NOTSET)
    if as_json:
        sys.stderr = JsonLines(sys.stderr)


def redact_handlers(as_json: bool) -> None:
    """Redact what handlers write that another program has set up, as `sqlmesh` does for its files below logs/."""
    if not as_json:
        redact_logs()
        return
    for handler in logging.getLogger().handlers:
        if not isinstance(handler.formatter, JsonFormatter):
            handler.setFormatter(JsonFormatter())


class JsonFormatter(logging.Formatter):
    """Formats a log record as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        found: dict[str, Any] = {
            "ts": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
        }
        found |= _fields(record) | _where
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            found["traceback"] = record.exc_text
        return _line(found)


class JsonLines(io.TextIOBase):
    """A text stream whose lines become JSON objects, but for those that are JSON already.

    Args:
        stream: receives them.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream, self._begun = stream, ""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Write the lines that are complete."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(str.strip, lines):
            self._stream.write(_as_json(line) + "\n")
        return len(text)

    def flush(self) -> None:
        """Write through; a line that is not complete waits."""
        self._stream.flush()

    def finish(self) -> None:
        """Write a last line that nothing ended."""
        if self._begun.strip():
            self._stream.write(_as_json(self._begun) + "\n")
        self._begun = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # click asks for it
        """That of JSON."""
        return "utf-8"

    def fileno(self) -> int:
        """That of the stream."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """It is none: no progress bars."""
        return False


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a message such as `committed feed=%s load=%s`, or its text."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    head, _, rest = str(record.msg).partition("\n")
    names = _PLACE.findall(head)
    if not any(names) or len(names) + len(_PLACE.findall(rest)) != len(arguments):
        return {"message": record.getMessage()}
    found: dict[str, Any] = dict(_PAIR.findall(head))
    for name, value in zip(names, arguments, strict=False):
        found |= {name: _plain(value)} if name else dict(_PAIR.findall(str(value)))
    found.setdefault("event", head.split(" ", 1)[0])
    if rest:
        found["traceback"] = rest % arguments[len(names) :]
    return found


def _plain(value: object) -> Any:
    return value if isinstance(value, int | float | bool) or value is None else str(value)


def _as_json(line: str) -> str:
    if line.startswith("{"):
        try:
            json.loads(line)
        except ValueError:
            pass
        else:
            return line
    level = found[1] if (found := _LEVEL.match(line)) else "info"
    at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    level = {"error": "ERROR", "warning": "WARNING"}.get(level, "INFO")
    return _line({"ts": at, "level": level, "logger": "lake"} | _where | {"message": line})


def _line(values: dict[str, Any]) -> str:
    """One line of JSON. Each value is redacted with its name, as `password=…`, before it is quoted."""
    shown = {
        key: redact(f"{key}={value}").removeprefix(f"{key}=") if isinstance(value, str) else value
        for key, value in values.items()
    }
    return escaped_json(json.dumps(shown, ensure_ascii=False, default=str))
