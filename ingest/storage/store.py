"""One interface to list, get and put objects, whatever kind of storage the address names.

Raw objects from producers are listed and read by landing.py instead.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from ingest.errors import ConfigError
from ingest.schemes import KINDS, remote_schemes, scheme_of
from ingest.settings import Settings
from ingest.storage.errors import local_error
from ingest.storage.kinds.kind import Kind
from ingest.storage.names import is_draft
from ingest.storage.objects import StoredObject


class Store:
    """A folder, or a bucket with an optional prefix.

    Args:
        uri: its address; the scheme names the kind of storage.
        folder_mode: permission bits of new folders in it; by default those of LAKE_FOLDER_MODE.

    Attributes:
        kind: what the kind of storage does for it.

    Raises:
        ConfigError: no kind of storage has the address's scheme.
    """

    def __init__(self, uri: str, options: Settings | None = None, folder_mode: int | None = None) -> None:
        self.uri = uri
        self.kind = _kind(uri)(uri, options, folder_mode)

    def __repr__(self) -> str:
        return f"Store({self.uri})"

    @property
    def root(self) -> Path | None:
        """The folder on this machine; None if the objects are elsewhere."""
        return self.kind.root

    def list(self, prefix: str = "", after: str | None = None) -> Iterator[StoredObject]:
        """Yield all objects whose key starts with `prefix` (whole path segments); remote ones in key order.

        Args:
            prefix: folder below the root, without a trailing slash.
            after: of remote objects, only those with a greater key are listed.

        Raises:
            ConfigError: no such bucket, or no permission to list it.
            RetriableError: the store cannot be reached.
        """
        return (item for item in self.kind.list(prefix, after) if not is_draft(item.key))

    def find(self, key: str) -> StoredObject | None:
        """Return the current version of an object, None when it does not exist."""
        return self.kind.find(key)

    def get(self, key: str) -> bytes:
        """Return the content of a small object.

        Raises:
            FileNotFoundError: it does not exist.
        """
        return self.kind.get(key)

    def open(self, key: str) -> AbstractContextManager[Any]:
        """Open an object as a seekable binary file for reading."""
        return self.kind.open(key)

    def put(self, key: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Write an object, replacing an existing one.

        Args:
            headers: what a store that is read over HTTP answers with it, for instance `Content-Type`.
        """
        self.kind.put(key, data, headers)

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object if the key is free; durable on return.

        Returns:
            False when the key was taken; the existing object is unchanged.
        """
        return self.kind.put_new(key, data)

    def stage(self, key: str) -> Path:
        """Return a local path to write the future object `key` to; it is not visible before `publish`."""
        return self.kind.stage(key)

    def publish(self, staged: dict[str, Path]) -> None:
        """Make staged files durable under their keys."""
        self.kind.publish(staged)

    def discard(self, staged: Iterable[Path]) -> None:
        """Delete staged files that will not be published."""
        for path in staged:
            with suppress(OSError):  # `lake maintain` removes what remains as an orphan
                path.unlink(missing_ok=True)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; absent ones are not an error."""
        self.kind.delete(keys)

    def close(self) -> None:
        """Remove the staging folder."""
        self.kind.close()

    def honours_put_if_absent(self) -> bool:
        """Whether the store honours the condition of `put_new`; some accept the header and ignore it."""
        return self.kind.honours_put_if_absent()

    def honours_conditional_delete(self) -> bool:
        """Whether the store refuses to delete an object that has another version; tested with an object of its own."""
        return self.kind.honours_conditional_delete()

    @contextmanager
    def disk_errors(self) -> Iterator[None]:
        """Convert errors of the local disk (full, read-only, forbidden) to Lakemesh errors with a one-line message.

        Raises:
            FileNotFoundError: unchanged; it concerns an object, not the disk.
        """
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise local_error(error, Path(error.filename or self.root or tempfile.gettempdir())) from error


def _kind(uri: str) -> type[Kind]:
    module = KINDS.get(scheme_of(uri))
    if module is None:
        raise ConfigError(f"{uri}: no kind of storage has this scheme; expected a folder or {remote_schemes()}")
    found: type[Kind] = import_module(module).KIND
    return found
