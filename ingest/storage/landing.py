"""A landing bucket: raw objects that others write and name, in a local folder or on S3."""

from __future__ import annotations

import datetime as dt
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
from obstore.exceptions import PreconditionError

from ingest.errors import ConfigError, ObjectRefused
from ingest.storage import local
from ingest.storage.listing import list_columns
from ingest.storage.names import LISTED, NOT_UTF8, key_problem
from ingest.storage.store import BLOCK_BYTES, ObjectChanged, Store, StoredObject, local_error
from ingest.text import printable

_GAVE_WAY = local.ABSENT | {errno.ELOOP, errno.ENXIO}
"""What the system says of a file that is not there any more, or is something else by now."""


_UNKNOWN = "\ufffd"


class Landing(Store):
    """A folder or an S3 bucket (with optional prefix) in which nothing is trusted: no name, no link, no kind of file.

    Keys are those of the store, character by character, slashes at both ends included.
    """

    def is_there(self) -> bool:
        """Whether the bucket's folder exists; on S3, which has no folders, whether a key lies below the URI's prefix.

        Raises:
            ConfigError: it is no folder, there is no such bucket, or no right to look.
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
            raise ConfigError(f"{self.root} is no folder; expected the folder of a bucket, check LANDING_URI")
        return True

    def listing(self, prefix: str = "") -> pa.Table:
        """Everything whose key starts with `prefix` (whole path segments), as columns names.LISTED, in no order.

        Raises:
            ConfigError: no such bucket, no folder, or no right to list it.
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

    def look(self, key: str) -> tuple[StoredObject, str | None] | None:
        """The current version of one object and why it cannot be loaded, None for most; None when there is none.

        Raises:
            ConfigError, RetriableError: as `listing`.
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
            status = local.look(str(self.root), key)
        except local.Refused as refused:
            return StoredObject(printable(key), "", 0, local.EPOCH), refused.reason
        except OSError as error:
            raise local_error(error, Path(f"{self.root}/{key}")) from error
        if status is None:
            return None
        return StoredObject(key, local.etag_of(status), status.st_size, local.modified_at(status)), None

    def find(self, key: str) -> StoredObject | None:
        """The current version of one object, None when there is none that could be loaded."""
        seen = self.look(key)
        return seen[0] if seen and seen[1] is None else None

    def listed_at(self, key: str) -> dt.datetime | None:
        """When an object was modified, as a listing says it: `find` may know only whole seconds; None: not there."""
        if self.bucket is None:
            found = self.find(key)
            return found.modified_at if found else None
        seen = self.bucket.listed(key)
        return seen[2] if seen else None

    def read(self, version: StoredObject) -> Iterator[bytes]:
        """The bytes of exactly this version, in blocks.

        Raises:
            ObjectChanged: it was overwritten or deleted since it was listed.
            ObjectRefused: the store or the file system lists it, but does not give it.
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
        """Deletes an object if it still is this version; False when it is another one or none.

        Of a link the link is deleted. Between the check of a file and its deletion pass some microseconds; on S3 the
        delete itself is conditional where the store honours that.

        Raises:
            ConfigError, RetriableError: the store fails, or there is no right to delete.
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

        def whole() -> tuple[str | None, bytes]:
            result = get()
            return result.meta["e_tag"], bytes(result.bytes())

        with self._translated(version.key):
            try:
                if version.size <= BLOCK_BYTES:
                    etag, content = self._read(version.key, whole)
                    blocks: Iterable[bytes] = [content]
                else:
                    result = self._patiently(version.key, get)
                    etag, blocks = result.meta["e_tag"], map(bytes, result.stream(min_chunk_size=BLOCK_BYTES))
                if (etag or "").strip('"') != version.etag:  # some stores ignore If-Match
                    raise self._absence(version)
                yield from blocks
            except (FileNotFoundError, PreconditionError):
                raise self._absence(version) from None

    def _absence(self, version: StoredObject) -> ObjectChanged | ObjectRefused:
        """What it means that the store does not give an object that it listed: only a new listing tells.

        But not of U+FFFD, which stands for what a store could not write in its answer.
        """
        assert self.bucket is not None
        if _UNKNOWN not in version.key:
            seen = self.bucket.listed(version.key)
            if seen is None or seen[0] != version.etag:
                return ObjectChanged(version.key)
        return ObjectRefused(
            f"{self.uri} ({printable(version.key)}): the store lists this key and version, but does not give it; "
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
        except local.Refused:  # a link by now, as the next listing says
            raise ObjectChanged(version.key) from None
        except PermissionError:
            place = printable(f"{self.root}/{version.key}")
            raise ObjectRefused(
                f"{place}: permission denied; let this user read it, or name it in the contract's source.ignore"
            ) from None
        except OSError as error:
            if error.errno in _GAVE_WAY:
                raise ObjectChanged(version.key) from None
            raise local_error(error, Path(f"{self.root}/{version.key}")) from error


def _is_plain(key: str) -> bool:
    """Whether obstore addresses an object of that key as it is: it strips and refuses empty parts.

    >>> _is_plain("a/b"), _is_plain("/a"), _is_plain("a/"), _is_plain("a//b")
    (True, False, False, False)
    """
    return "" not in key.split("/")
