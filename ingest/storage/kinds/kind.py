"""What a kind of storage implements for the lake and for the landing."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from ingest.errors import ConfigError
from ingest.settings import Settings
from ingest.storage.objects import StoredObject


class Kind(ABC):
    """One folder, or bucket with a prefix.

    The first methods serve Lakemesh's own objects, whose names are plain; `Store` describes them. Those from `is_there`
    on serve the landing, where nothing is trusted and keys are exact; `Landing` describes them. All raise ConfigError
    and RetriableError as described there.

    Args:
        uri: the address, with the scheme under which the kind is registered.
        options: the settings; those of the process if None.
        folder_mode: permission bits of new folders; None for those of the settings. Ignored where there are no folders.

    Attributes:
        root: the folder on this machine; None if the objects are elsewhere. Remote objects are fetched ahead, readers
            get no file that is replaced in place, and a place is gone with its last object.
    """

    root: Path | None = None
    _uri: str

    @abstractmethod
    def __init__(self, uri: str, options: Settings | None, folder_mode: int | None) -> None:
        """Connect to nothing yet: a missing or unreachable place is reported by the first request."""

    @abstractmethod
    def list(self, prefix: str, after: str | None) -> Iterator[StoredObject]:
        """List objects, drafts included."""

    @abstractmethod
    def find(self, key: str) -> StoredObject | None:
        """Return an object's current version."""

    @abstractmethod
    def get(self, key: str) -> bytes:
        """Return an object's content."""

    @abstractmethod
    def open(self, key: str) -> AbstractContextManager[Any]:
        """Open an object for reading."""

    @abstractmethod
    def put(self, key: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Write an object, with the headers that a reader over HTTP gets."""

    @abstractmethod
    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object if its key is free: of several writers exactly one succeeds. The ledger rests on it."""

    @abstractmethod
    def stage(self, key: str) -> Path:
        """Return a local path for a future object."""

    @abstractmethod
    def publish(self, staged: dict[str, Path]) -> None:
        """Make staged files durable under their keys."""

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects."""

    @abstractmethod
    def honours_put_if_absent(self) -> bool:
        """Whether the store honours the condition of `put_new`."""

    @abstractmethod
    def honours_conditional_delete(self) -> bool:
        """Whether the store refuses to delete an object that has another version than expected."""

    @abstractmethod
    def close(self) -> None:
        """Remove what remains of staging."""

    @abstractmethod
    def is_there(self) -> bool:
        """Whether the place exists."""

    @abstractmethod
    def listing(self, prefix: str) -> pa.Table:
        """Return all objects with their exact keys, as columns names.LISTED."""

    @abstractmethod
    def inspect(self, key: str) -> tuple[StoredObject, str | None] | None:
        """Return an object's current version and why it cannot be loaded."""

    @abstractmethod
    def listed_at(self, key: str) -> dt.datetime | None:
        """Return an object's modification time from a listing."""

    @abstractmethod
    def read(self, version: StoredObject) -> Iterator[bytes]:
        """Yield the bytes of exactly this version, in blocks."""

    def reading_in_turn(self) -> AbstractContextManager[None]:
        """Make `read` cheaper for objects that lie next to each other, while one thread alone reads."""
        return nullcontext()

    @abstractmethod
    def remove(self, version: StoredObject) -> bool:
        """Delete an object that was just found to have this version."""

    @abstractmethod
    def copy(self, version: StoredObject, target: Self, key: str) -> None:
        """Copy exactly this version to another place of this kind.

        Raises:
            ObjectChanged: this version no longer exists.
        """

    def tag(self, version: StoredObject, name: str, value: str) -> bool:
        """Add a tag to exactly this version; False if it no longer exists.

        Raises:
            ConfigError: this kind has no tags.
        """
        raise ConfigError(f"{self._uri}: objects here have no tags; retire them by `delete` or `move`")
