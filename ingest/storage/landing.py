"""A landing bucket: raw objects that producers write and name, in whatever kind of storage."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pyarrow as pa

from ingest.settings import Settings
from ingest.storage.names import LISTED
from ingest.storage.objects import StoredObject
from ingest.storage.store import Store


class Landings:
    """The buckets that producers write to, each opened once."""

    def __init__(self, options: Settings) -> None:
        self._options = options
        self._open: dict[str, Landing] = {}

    def bucket(self, name: str) -> Landing:
        """The bucket of that name, as in a contract's source; without objects for a feed that reads none."""
        if name not in self._open:
            uri = self._options.landing(name or "none")
            self._open[name] = Landing(uri, self._options) if name else NoLanding(uri, self._options)
        return self._open[name]


class Landing(Store):
    """A folder or a bucket (with optional prefix) in which nothing is trusted: no name, no link, no file type.

    Keys are exactly those of the store, including leading and trailing slashes.
    """

    def is_there(self) -> bool:
        """Whether the folder exists; where there are no folders, whether a key exists below the address's prefix.

        Raises:
            ConfigError: it is not a folder, there is no such bucket, or no permission to list it.
            RetriableError: the store cannot be reached.
        """
        return self.kind.is_there()

    def listing(self, prefix: str = "") -> pa.Table:
        """Return all objects whose key starts with `prefix` (whole path segments), as columns names.LISTED, unordered.

        Raises:
            ConfigError: no such bucket, not a folder, or no permission to list it.
            RetriableError: the store cannot be reached.
        """
        return self.kind.listing(prefix)

    def inspect(self, key: str) -> tuple[StoredObject, str | None] | None:
        """Return an object's current version and why it cannot be loaded (None if it can); None if it does not exist.

        Raises:
            ConfigError, RetriableError: as in `listing`.
        """
        return self.kind.inspect(key)

    def find(self, key: str) -> StoredObject | None:
        """Return the current version of an object; None when there is none that can be loaded."""
        seen = self.inspect(key)
        return seen[0] if seen and seen[1] is None else None

    def listed_at(self, key: str) -> dt.datetime | None:
        """Return an object's modification time from a listing (`find` may have whole seconds only); None if absent."""
        return self.kind.listed_at(key)

    def read(self, version: StoredObject) -> Iterator[bytes]:
        """Yield the bytes of exactly this version, in blocks.

        Raises:
            ObjectChanged: it was overwritten or deleted since it was listed.
            ObjectRefused: the store or the file system lists it, but does not return it.
            ConfigError, RetriableError: the store fails.
        """
        return self.kind.read(version)

    def reading_in_turn(self) -> AbstractContextManager[None]:
        """Make `read` cheaper for objects that lie next to each other, while one thread alone reads."""
        return self.kind.reading_in_turn()

    def remove(self, version: StoredObject) -> bool:
        """Delete an object if it still has this version; False if it has another one or is absent.

        Of a link, the link is deleted. A file may change within microseconds between its check and its deletion; on S3
        the delete itself is conditional where the store honours that.

        Raises:
            ConfigError, RetriableError: the store fails, or there is no permission to delete.
        """
        found = self.find(version.key)
        if found is None or (found.etag, found.size) != (version.etag, version.size):
            return False
        return self.kind.remove(version)

    def copy(self, version: StoredObject, target: Landing, key: str) -> None:
        """Copy exactly this version to another landing of the same kind.

        Raises:
            ObjectChanged: this version no longer exists.
            ConfigError, RetriableError: a store fails, or there is no permission to write.
        """
        self.kind.copy(version, target.kind, key)

    def tag(self, version: StoredObject, name: str, value: str) -> bool:
        """Add a tag to an object if it still has this version; False if it has another one or is absent.

        Raises:
            ConfigError, RetriableError: the store fails or has no tags, or there is no permission to tag.
        """
        return self.kind.tag(version, name, value)


class NoLanding(Landing):
    """The landing of a feed that reads a topic alone: there, and always empty."""

    def is_there(self) -> bool:
        """True: nothing is missing."""
        return True

    def listing(self, prefix: str = "") -> pa.Table:
        """No objects."""
        return LISTED.empty_table()

    def inspect(self, key: str) -> tuple[StoredObject, str | None] | None:
        """None: there is no object."""
        return None
