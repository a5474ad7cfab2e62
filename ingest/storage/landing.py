"""A landing bucket: raw objects that producers write and name, in a local folder or on S3."""

from __future__ import annotations

import datetime as dt
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
from obstore.exceptions import PreconditionError

from ingest.errors import ConfigError, ObjectRefused
from ingest.settings import Settings
from ingest.storage import local
from ingest.storage.listing import list_columns
from ingest.storage.names import LISTED, NOT_UTF8, key_problem
from ingest.storage.store import BLOCK_BYTES, ObjectChanged, Store, StoredObject, local_error
from ingest.text import printable

_VANISHED = local.ABSENT | {errno.ELOOP, errno.ENXIO}
"""Error codes for a file that no longer exists, or has been replaced by something else."""

_UNKNOWN = "\ufffd"


class Landings:
    """The buckets that producers write to, each opened once."""

    def __init__(self, options: Settings) -> None:
        self._options = options
        self._open: dict[str, Landing] = {}

    def bucket(self, name: str) -> Landing:
        """The bucket of that name, as in a contract's source."""
        if name not in self._open:
            self._open[name] = Landing(self._options.landing(name), self._options)
        return self._open[name]


class Landing(Store):
    """A folder or an S3 bucket (with optional prefix) in which nothing is trusted: no name, no link, no file type.

    Keys are exactly those of the store, including leading and trailing slashes.
    """

    def is_there(self) -> bool:
        """Whether the bucket's folder exists; on S3, which has no folders, whether a key exists below the URI's prefix.

        Raises:
            ConfigError: it is not a folder, there is no such bucket, or no permission to list it.
            RetriableError: the store cannot be reached.
        """
        if self.bucket is not None:
            return not self.bucket.has_prefix or not self.bucket.is_empty()
        assert self.root is not None
        try:
            is_folder = stat.S_ISDIR(self.root.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise local_error(error, self.root) from error
        if not is_folder:
            raise ConfigError(f"{self.root} is not a folder; expected the folder of a bucket, check LANDING_URI")
        return True

    def listing(self, prefix: str = "") -> pa.Table:
        """Return all objects whose key starts with `prefix` (whole path segments), as columns names.LISTED, unordered.

        Raises:
            ConfigError: no such bucket, not a folder, or no permission to list it.
            RetriableError: the store cannot be reached.
        """
        if self.bucket is not None:
            return list_columns(self.bucket, prefix)
        if not self.is_there():
            return LISTED.empty_table()
        try:
            return local.scan(str(self.root), prefix)
        except OSError as error:
            raise local_error(error, Path(f"{self.root}/{prefix}")) from error

    def inspect(self, key: str) -> tuple[StoredObject, str | None] | None:
        """Return an object's current version and why it cannot be loaded (None if it can); None if it does not exist.

        Raises:
            ConfigError, RetriableError: as in `listing`.
        """
        if self.bucket is not None:
            problem = key_problem(key)
            if problem is None and _is_plain(key):
                found = super().find(key)
                return (found, None) if found else None
            seen = None if problem == NOT_UTF8 else self.bucket.listed(key)
            return (StoredObject(printable(key) if problem else key, *seen), problem) if seen else None
        assert self.root is not None
        try:
            status = local.inspect(str(self.root), key)
        except local.Refused as refused:
            return StoredObject(printable(key), "", 0, local.EPOCH), refused.reason
        except OSError as error:
            raise local_error(error, Path(f"{self.root}/{key}")) from error
        if status is None:
            return None
        return StoredObject(key, local.etag_of(status), status.st_size, local.modified_at(status)), None

    def find(self, key: str) -> StoredObject | None:
        """Return the current version of an object; None when there is none that can be loaded."""
        seen = self.inspect(key)
        return seen[0] if seen and seen[1] is None else None

    def listed_at(self, key: str) -> dt.datetime | None:
        """Return an object's modification time from a listing (`find` may have whole seconds only); None if absent."""
        if self.bucket is None:
            found = self.find(key)
            return found.modified_at if found else None
        seen = self.bucket.listed(key)
        return seen[2] if seen else None

    def read(self, version: StoredObject) -> Iterator[bytes]:
        """Yield the bytes of exactly this version, in blocks.

        Raises:
            ObjectChanged: it was overwritten or deleted since it was listed.
            ObjectRefused: the store or the file system lists it, but does not return it.
            ConfigError, RetriableError: the store fails.
        """
        if self.root is not None:
            yield from self._read_local(version)
        elif _is_plain(version.key):
            yield from self._read_remote(version)
        else:
            assert self.bucket is not None
            blocks = self.bucket.read(version.key, version.etag, BLOCK_BYTES)
            if blocks is None:
                raise self._absence(version)
            yield from blocks

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
        if self.bucket is not None:
            return self.bucket.delete(version.key, version.etag)
        try:
            local.remove_file(str(self.root), version.key)
        except (FileNotFoundError, NotADirectoryError, local.Refused):
            return False
        except OSError as error:
            raise local_error(error, Path(f"{self.root}/{version.key}")) from error
        return True

    def _read_remote(self, version: StoredObject) -> Iterator[bytes]:
        def get() -> Any:
            return obstore.get(self._obstore, version.key, options={"if_match": f'"{version.etag}"'})

        with self._convert_errors(version.key):
            try:
                result = self._with_backoff(version.key, get)
                if (result.meta["e_tag"] or "").strip('"') != version.etag:  # some stores ignore If-Match
                    raise self._absence(version)
                if version.size <= BLOCK_BYTES:
                    yield bytes(result.bytes())
                else:
                    yield from (bytes(block) for block in result.stream(min_chunk_size=BLOCK_BYTES))
            except (FileNotFoundError, PreconditionError):
                raise self._absence(version) from None

    def _absence(self, version: StoredObject) -> ObjectChanged | ObjectRefused:
        """Return the error for an object that is listed but not returned; a new listing shows whether it changed.

        Keys with U+FFFD are refused: it replaces what the store could not represent in its listing.
        """
        assert self.bucket is not None
        if _UNKNOWN not in version.key:
            seen = self.bucket.listed(version.key)
            if seen is None or seen[0] != version.etag:
                return ObjectChanged(version.key)
        return ObjectRefused(
            f"{self.uri} ({printable(version.key)}): the store lists this key and version, but does not return it; "
            "write the object under another name, or name it in the contract's source.ignore"
        )

    def _read_local(self, version: StoredObject) -> Iterator[bytes]:
        try:
            file = local.open_file(str(self.root), version.key)
            try:
                status = os.fstat(file)
                if not stat.S_ISREG(status.st_mode) or local.etag_of(status) != version.etag:
                    raise ObjectChanged(version.key)
                left = version.size
                while left > 0 and (block := os.read(file, min(left, BLOCK_BYTES))):
                    left -= len(block)
                    yield block
            finally:
                os.close(file)
        except local.Refused:  # it has become a link, as the next listing shows
            raise ObjectChanged(version.key) from None
        except PermissionError:
            place = printable(f"{self.root}/{version.key}")
            raise ObjectRefused(
                f"{place}: permission denied; let this user read it, or name it in the contract's source.ignore"
            ) from None
        except OSError as error:
            if error.errno in _VANISHED:
                raise ObjectChanged(version.key) from None
            raise local_error(error, Path(f"{self.root}/{version.key}")) from error


def _is_plain(key: str) -> bool:
    """Whether obstore addresses an object with that key unchanged: it strips or refuses empty path segments.

    >>> _is_plain("a/b"), _is_plain("/a"), _is_plain("a/"), _is_plain("a//b")
    (True, False, False, False)
    """
    return "" not in key.split("/")
