"""Legal holds: persons whose records must not be erased or expire yet: `<lake>/holds/<name>.json`, keyed hashes too."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass

from ingest.errors import ConfigError
from ingest.ledger.tombstones import Identifiers, checked_key, digest, key_check
from ingest.storage.store import Store

PREFIX, FORMAT = "holds", 1


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold.

    Attributes:
        because: the reason, without personal values.
        hashes: by name of the identifier.
        key: what the key of the hashes is checked by.
    """

    name: str
    at: dt.datetime
    because: str
    hashes: Mapping[str, frozenset[str]]
    key: str

    def require_key(self, key: bytes) -> None:
        """Check a key.

        Raises:
            ConfigError: it is another one than the hold was written with, so that whom it is about is not known.
        """
        if key_check(key) != self.key:
            raise ConfigError(
                f"legal hold {self.name} was written with another LAKE_ERASURE_KEY; expected the same one, or it would "
                "keep nobody"
            )

    def covers(self, key: bytes, identifiers: Identifiers) -> bool:
        """Whether one of a person's identifiers is under it.

        Raises:
            ConfigError: the key is another one.
        """
        self.require_key(key)
        return any(
            digest(key, name, value) in self.hashes.get(name, ())
            for name, found in identifiers.items()
            for value in found
        )


def read_holds(lake: Store) -> list[Hold]:
    """Return all holds of a lake, by name.

    Raises:
        ConfigError: one is damaged.
    """
    found = []
    for key in sorted(item.key for item in lake.list(PREFIX)):
        try:
            content = json.loads(lake.get(key))
            hashes = {name: frozenset(values) for name, values in content["identifiers"].items()}
            at = dt.datetime.fromisoformat(content["at"])
            name = key.removeprefix(f"{PREFIX}/").removesuffix(".json")
            found.append(Hold(name, at, content["because"], hashes, content["key"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{lake.uri}/{key} is damaged ({error}); restore it from its back-up") from None
    return found


def hold(lake: Store, key: str, name: str, because: str, identifiers: Identifiers, at: dt.datetime) -> None:
    """Put a person under a hold.

    Raises:
        ConfigError: there is a hold of that name.
    """
    secret = checked_key(key)
    content = {
        "format": FORMAT,
        "at": at.isoformat(),
        "because": because,
        "key": key_check(secret),
        "identifiers": {
            one: sorted(digest(secret, one, value) for value in found) for one, found in identifiers.items()
        },
    }
    if not lake.put_new(f"{PREFIX}/{name}.json", json.dumps(content, indent=1).encode()):
        raise ConfigError(f"there is a hold {name} already; expected another name, or release it first")


def release(lake: Store, name: str) -> None:
    """End a hold.

    Raises:
        ConfigError: there is none of that name.
    """
    names = [item.name for item in read_holds(lake)]
    if name not in names:
        raise ConfigError(f"no hold {name}; expected one of {', '.join(names) or 'none: there are no holds'}")
    lake.delete([f"{PREFIX}/{name}.json"])
