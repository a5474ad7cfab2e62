"""What was done to data and to the rules about it: an append-only log, each entry with the hash of the one before.

    <LAKE_URI>/audit_log/<number>.json

An entry cannot be changed or taken out without changing the hash of every later one, and the manifest of each release
has the hash of the newest entry of its time. So who rewrites the log has to rewrite every release since, too.
"""

from __future__ import annotations

import datetime as dt
import getpass
import hashlib
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ingest.errors import ConfigError
from ingest.storage.store import Store

FOLDER, FORMAT = "audit_log", 1
NOTHING = ""
"""The head of an empty log."""


@dataclass(frozen=True, slots=True)
class Event:
    """An entry.

    Attributes:
        at: when, UTC.
        by: who, as user@host of the process.
        what: such as `records_discarded`.
        about: the details, of JSON's types; no value of a person.
        before: hash of the entry before; empty for the first.
        hash: of this entry, SHA-256 of its bytes.
    """

    number: int
    at: dt.datetime
    by: str
    what: str
    about: Mapping[str, Any]
    before: str
    hash: str

    @property
    def head(self) -> str:
        """Number and hash, as manifests have them."""
        return f"{self.number}:{self.hash}"


class AuditLog:
    """The log of a lake.

    Args:
        lake: bronze and ledger.
    """

    def __init__(self, lake: Store) -> None:
        self._lake = lake

    def append(self, what: str, about: Mapping[str, Any], now: dt.datetime | None = None) -> Event:
        """Add an entry; of two processes that add one at once the second comes after the first.

        Raises:
            ConfigError: the newest entry is damaged, or the lake cannot be written.
            RetriableError: the lake cannot be reached.
        """
        at = now or dt.datetime.now(dt.UTC)
        while True:
            newest = self.newest()
            number = newest.number + 1 if newest else 1
            entry = {
                "format": FORMAT,
                "number": number,
                "at": at.isoformat(),
                "by": f"{_user()}@{socket.gethostname()}",
                "what": what,
                "about": about,
                "before": newest.hash if newest else NOTHING,
            }
            data = json.dumps(entry, sort_keys=True, indent=1).encode()
            if self._lake.put_new(_key(number), data):
                return _event(data)

    def events(self) -> Iterator[Event]:
        """All entries, oldest first."""
        for number in self._numbers():
            yield self._read(number)

    def newest(self) -> Event | None:
        """The newest entry."""
        numbers = self._numbers()
        return self._read(numbers[-1]) if numbers else None

    def last(self, what: str) -> Event | None:
        """The newest entry of a kind."""
        return next((event for event in self.recent() if event.what == what), None)

    def recent(self) -> Iterator[Event]:
        """All entries, newest first."""
        return (self._read(number) for number in reversed(self._numbers()))

    @property
    def head(self) -> str:
        """Number and hash of the newest entry; empty for an empty log."""
        newest = self.newest()
        return newest.head if newest else NOTHING

    def faults(self, heads: Mapping[str, str]) -> list[str]:
        """What contradicts that nothing was changed or taken out; empty if nothing does.

        Args:
            heads: of the log at some time, by where it is recorded, as `release 7`.
        """
        found: list[str] = []
        known = {NOTHING}
        before, expected = NOTHING, 1
        for number in self._numbers():
            try:
                event = self._read(number)
            except ConfigError as error:
                found.append(str(error))
                continue
            if event.number != expected:
                found.append(f"entry {expected} is missing")
            elif event.before != before:
                found.append(f"entry {event.number} follows another entry {event.number - 1} than that in the log")
            before, expected = event.hash, event.number + 1
            known.add(event.head)
        unknown = [(place, head) for place, head in heads.items() if head not in known]
        return found + [f"{place} knows entry {head}, which is not in the log" for place, head in unknown]

    def _read(self, number: int) -> Event:
        """An entry.

        Raises:
            ConfigError: it is damaged.
        """
        try:
            return _event(self._lake.get(_key(number)))
        except (ValueError, KeyError):
            raise ConfigError(
                f"{self._lake.uri}/{_key(number)} is damaged; restore it from the backup, see `lake access --log`"
            ) from None

    def _numbers(self) -> list[int]:
        return sorted(int(item.key.rsplit("/", 1)[1].removesuffix(".json")) for item in self._lake.list(FOLDER))


def note_definitions(log: AuditLog, digests: Mapping[str, str], now: dt.datetime) -> list[str]:
    """Add an entry if definitions are others than at the last one of this kind.

    Args:
        digests: by what is defined, as `contract events` and `roles`.

    Returns:
        What is new, has changed or is gone.
    """
    last = log.last("definitions_changed")
    before = dict(last.about["digests"]) if last else {}
    changed = sorted(name for name in before.keys() | digests.keys() if before.get(name) != digests.get(name))
    if changed:
        log.append("definitions_changed", {"changed": changed, "digests": dict(sorted(digests.items()))}, now)
    return changed


def digest_of(text: str | bytes) -> str:
    """What tells definitions apart."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]


def _key(number: int) -> str:
    return f"{FOLDER}/{number:020d}.json"


def _event(data: bytes) -> Event:
    raw = json.loads(data)
    at = dt.datetime.fromisoformat(raw["at"])
    return Event(
        raw["number"], at, raw["by"], raw["what"], raw["about"], raw["before"], hashlib.sha256(data).hexdigest()
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "unknown"
