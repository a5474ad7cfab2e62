"""Tombstones of persons who are forgotten: `<lake>/tombstones/<request>.<digest>.json`.

A tombstone is a keyed hash of an identifier. The key is a secret outside the lake: without it a tombstone says nothing
of the person, and with it every load recognizes the person's records. Tombstones are no part of any log, so that they
outlive a rebuilt one.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ingest.errors import ConfigError
from ingest.storage.store import Store

PREFIX, FORMAT, LEAST_KEY = "tombstones", 1, 16
HIDDEN = "erased-"
"""Beginning of what stands for the key of an object."""
_THREADS = 8
_PSEUDONYM = re.compile(r"erased-[0-9a-f]{32}|-\d{12,19}")
_PERIOD = 1 << 62

Identifiers = Mapping[str, Collection[str]]
"""Values of a person by the name of the identifier; an integer as its decimal digits."""


@dataclass(frozen=True, slots=True)
class Tombstones:
    """The tombstones of a lake.

    Attributes:
        key: the secret of their hashes.
        names: names of the files that were read: which erasures they know.
        hashes: by name of the identifier.
    """

    key: bytes = field(default=b"", repr=False)
    names: frozenset[str] = frozenset()
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def has(self, name: str, value: str) -> bool:
        """Whether a value of an identifier is of a person who is forgotten."""
        return digest(self.key, name, value) in self.hashes.get(name, ())

    def __bool__(self) -> bool:
        return bool(self.names)


@dataclass(frozen=True, slots=True)
class Request:
    """A request to forget a person.

    Attributes:
        name: its id.
        because: the reason, without personal values.
        deadline: the day until which it is to be fulfilled, if there is one.
    """

    name: str
    at: dt.datetime
    because: str
    deadline: dt.date | None = None


def digest(key: bytes, name: str, value: str) -> str:
    """Return the tombstone of a value of an identifier: 32 hexadecimal digits."""
    return _hash(key, b"tombstone", name, value)[:32]


def pseudonym(key: bytes, name: str, value: str) -> str:
    """Return what stands for a value of an identifier in records that stay."""
    return f"erased-{_hash(key, b'pseudonym', name, value)[:32]}"


def hidden_name(key: bytes, name: str) -> str:
    """Return what stands for the key of a source object whose name has an identifier."""
    return f"{HIDDEN}{_hash(key, b'object', '', name)[:32]}"


def integer_pseudonym(key: bytes, name: str, value: str) -> int:
    """Return what stands for an integer: a negative one, which no source gives to a person."""
    return -1 - int(_hash(key, b"pseudonym", name, value)[:16], 16) % _PERIOD


def is_pseudonym(value: str) -> bool:
    """Whether a value stands for a person who is forgotten."""
    return _PSEUDONYM.fullmatch(value) is not None


def checked_key(key: str) -> bytes:
    """Return the key of tombstones.

    Raises:
        ConfigError: it is missing or too short to be a secret.
    """
    if len(key) < LEAST_KEY:
        raise ConfigError(
            f"LAKE_ERASURE_KEY has {len(key)} characters; expected a secret of at least {LEAST_KEY}, kept outside the "
            "lake and its back-ups and never changed"
        )
    return key.encode()


def read_tombstones(lake: Store, key: str) -> Tombstones:
    """Return all tombstones of a lake.

    Raises:
        ConfigError: there are some and the key is missing or another one, or a file is damaged.
        RetriableError: the store cannot be reached.
    """
    names = sorted(item.key for item in lake.list(PREFIX) if item.key.endswith(".json"))
    if not names:
        return Tombstones(key.encode())
    secret = checked_key(key)
    hashes: dict[str, set[str]] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for name, data in zip(names, pool.map(lake.get, names), strict=True):
            where = f"{lake.uri}/{name}"
            content = _content(data, where)
            if content["key"] != key_check(secret):
                raise ConfigError(
                    f"{where} was written with another LAKE_ERASURE_KEY; expected the same one, or forgotten persons "
                    "would return"
                )
            for identifier, found in content["identifiers"].items():
                hashes.setdefault(identifier, set()).update(found)
    known = {identifier: frozenset(found) for identifier, found in hashes.items()}
    return Tombstones(secret, frozenset(_file(name) for name in names), known)


def write_tombstones(lake: Store, key: str, request: Request, identifiers: Identifiers) -> str:
    """Write the tombstones of a person, durable on return; the same ones again change nothing.

    Returns:
        The name of their file.
    """
    secret = checked_key(key)
    hashes = {name: sorted(digest(secret, name, value) for value in values) for name, values in identifiers.items()}
    content = {
        "format": FORMAT,
        "request": request.name,
        "at": request.at.isoformat(),
        "because": request.because,
        "deadline": request.deadline.isoformat() if request.deadline else None,
        "key": key_check(secret),
        "identifiers": dict(sorted(hashes.items())),
    }
    same = hashlib.sha256(json.dumps(content["identifiers"]).encode()).hexdigest()[:16]
    name = f"{request.name}.{same}"
    lake.put_new(f"{PREFIX}/{name}.json", json.dumps(content, indent=1).encode())
    return name


class TombstoneStore:
    """The tombstones of a lake, read once for all feeds of an ingest, and again when a load has to be planned again.

    Args:
        key: the secret of their hashes; needed once there are any.
    """

    def __init__(self, lake: Store, key: str) -> None:
        self._lake, self._key = lake, key
        self._read: Tombstones | None = None

    def read(self, again: bool = False) -> Tombstones:
        """Return all tombstones.

        Raises:
            ConfigError, RetriableError: see `read_tombstones`.
        """
        if self._read is None or again:
            self._read = read_tombstones(self._lake, self._key)
        return self._read

    def knowing(self, forgets: frozenset[str], again: bool = False) -> Tombstones:
        """Return all tombstones, read again if those that were read before lack some that a log has carried out.

        Raises:
            ConfigError, RetriableError: see `read_tombstones`; or tombstones of the log are missing.
        """
        found = self.read(again)
        if not forgets <= found.names:
            found = self.read(again=True)
        if lost := sorted(forgets - found.names):
            raise ConfigError(
                f"{self._lake.uri}/{PREFIX} lacks {', '.join(lost[:3])}, which the ledger has carried out; restore it "
                "from its back-up, or forgotten persons would return"
            )
        return found

    def extend(self, found: Identifiers, at: dt.datetime) -> str:
        """Write tombstones of further identifiers, which a load found beside those of a person who is forgotten.

        Returns:
            The name of their file. What was loaded of them before is erased in the same or the next cycle.
        """
        request = Request("found-by-load", at, "found beside an identifier of a person who is forgotten")
        return write_tombstones(self._lake, self._key, request, found)


def read_requests(lake: Store) -> dict[str, Request]:
    """Return the requests of a lake by the name of their tombstones' file, oldest first."""
    found = {}
    for item in lake.list(PREFIX):
        if item.key.endswith(".json"):
            content = _content(lake.get(item.key), f"{lake.uri}/{item.key}")
            deadline = dt.date.fromisoformat(content["deadline"]) if content["deadline"] else None
            at = dt.datetime.fromisoformat(content["at"])
            found[_file(item.key)] = Request(content["request"], at, content["because"], deadline)
    return dict(sorted(found.items(), key=lambda pair: (pair[1].at, pair[0])))


def tombstone_names(lake: Store) -> frozenset[str]:
    """Return the names of the files with tombstones."""
    return frozenset(_file(item.key) for item in lake.list(PREFIX) if item.key.endswith(".json"))


def _content(data: bytes, where: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(data)
        version = content["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{where} is damaged ({error}); restore it from its back-up, or persons may return") from None
    if version != FORMAT:
        raise ConfigError(f"{where} has format {version}, this version reads {FORMAT}; install a newer Lakemesh")
    return content


def _file(key: str) -> str:
    return key.removeprefix(f"{PREFIX}/").removesuffix(".json")


@lru_cache(maxsize=4)
def key_check(key: bytes) -> str:
    """A digest by which a wrong key is recognized."""
    return _hash(key, b"key", "", "")[:16]


def _hash(key: bytes, kind: bytes, name: str, value: str) -> str:
    message = b"\0".join((kind, name.encode(), value.encode(errors="surrogatepass")))
    return hmac.digest(key, message, "sha256").hex()
