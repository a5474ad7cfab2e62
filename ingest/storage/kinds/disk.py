"""Storage in a local folder. Writes are fsynced before they become visible; reads never leave the folder."""

from __future__ import annotations

import datetime as dt
import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
from obstore.store import LocalStore

from ingest.errors import ConfigError, ObjectRefused
from ingest.settings import Settings
from ingest.storage import local
from ingest.storage.errors import local_error, obstore_errors
from ingest.storage.folder_reader import FolderReader
from ingest.storage.folders import make_folder
from ingest.storage.kinds.kind import Kind
from ingest.storage.names import LISTED, draft_of
from ingest.storage.objects import BLOCK_BYTES, ObjectChanged, StoredObject, version_of
from ingest.text import printable

_VANISHED = local.ABSENT | {errno.ELOOP, errno.ENXIO}
"""Error codes for a file that no longer exists, or has been replaced by something else."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Disk(Kind):
    """A folder; see Kind."""

    root: Path

    def __init__(self, uri: str, options: Settings | None, folder_mode: int | None) -> None:
        self.root = Path(uri)
        self._uri = uri
        self._folder_mode = options.lake_folder_mode if folder_mode is None and options else folder_mode
        self._made: set[Path] = set()
        self._opened: LocalStore | None = None
        self._reader: FolderReader | None = None

    @property
    def _store(self) -> LocalStore:
        """obstore's view of the folder, which must exist."""
        self._opened = self._opened or LocalStore(self.root)
        return self._opened

    def list(self, prefix: str, after: str | None) -> Iterator[StoredObject]:
        """See Kind; the order is arbitrary, so `after` is ignored."""
        if not (self.root / prefix).is_dir():
            return
        with obstore_errors(self._uri, prefix or "/"):
            for batch in obstore.list(self._store, prefix=prefix or None, chunk_size=5000):
                yield from map(version_of, batch)

    def find(self, key: str) -> StoredObject | None:
        """See Kind."""
        if not self.root.is_dir():
            return None
        with obstore_errors(self._uri, key):
            try:
                return version_of(obstore.head(self._store, key))
            except FileNotFoundError:
                return None

    def get(self, key: str) -> bytes:
        """See Kind."""
        path = self.root / key
        try:
            return path.read_bytes()
        except NotADirectoryError as error:  # a file instead of a folder: the writer reports it
            raise FileNotFoundError(error.errno, error.strerror, error.filename) from error
        except FileNotFoundError:
            raise
        except OSError as error:
            raise local_error(error, path) from error

    @contextmanager
    def open(self, key: str) -> Iterator[Any]:
        """See Kind."""
        # an Arrow file: an Arrow thread that still holds a Python file when the process ends would abort it
        with pa.OSFile(str(self.root / key)) as file:
            yield file

    def put(self, key: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        """See Kind; a folder has no place for headers."""
        self._link(key, data, replace=True)

    def put_new(self, key: str, data: bytes) -> bool:
        """See Kind; by an exclusive link."""
        return self._link(key, data, replace=False)

    def stage(self, key: str) -> Path:
        """See Kind; the file is written in its place, which nothing names before it is published."""
        path = self.root / key
        self._made |= self._make_folder(path.parent)
        return path

    def publish(self, staged: dict[str, Path]) -> None:
        """See Kind."""
        try:
            for path in staged.values():
                _fsync(path)
            for folder in {path.parent for path in staged.values()} | self._made:
                _fsync(folder)
        except OSError as error:
            raise local_error(error, self.root) from error
        self._made.clear()

    def delete(self, keys: Iterable[str]) -> None:
        """See Kind."""
        for key in keys:
            path = self.root / key
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise local_error(error, path) from error

    def honours_put_if_absent(self) -> bool:
        """See Kind."""
        return True

    def honours_conditional_delete(self) -> bool:
        """See Kind; a file may change within microseconds between its check and its deletion."""
        return False

    def close(self) -> None:
        """See Kind; staged files lie in their places, where `lake maintain` removes what remains."""

    def is_there(self) -> bool:
        """See Kind."""
        try:
            is_folder = stat.S_ISDIR(self.root.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise local_error(error, self.root) from error
        if not is_folder:
            raise ConfigError(f"{self.root} is not a folder; expected the folder of a bucket, check LANDING_URI")
        return True

    def listing(self, prefix: str) -> pa.Table:
        """See Kind."""
        if not self.is_there():
            return LISTED.empty_table()
        try:
            return local.scan(str(self.root), prefix)
        except OSError as error:
            raise local_error(error, Path(f"{self.root}/{prefix}")) from error

    def inspect(self, key: str) -> tuple[StoredObject, str | None] | None:
        """See Kind."""
        try:
            status = local.inspect(str(self.root), key)
        except local.Refused as refused:
            return StoredObject(printable(key), "", 0, local.EPOCH), refused.reason
        except OSError as error:
            raise local_error(error, Path(f"{self.root}/{key}")) from error
        if status is None:
            return None
        return StoredObject(key, local.etag_of(status), status.st_size, local.modified_at(status)), None

    def listed_at(self, key: str) -> dt.datetime | None:
        """See Kind."""
        seen = self.inspect(key)
        return seen[0].modified_at if seen and seen[1] is None else None

    def read(self, version: StoredObject) -> Iterator[bytes]:
        """See Kind."""
        try:
            reader = self._reader
            file = reader.open(version.key) if reader else local.open_file(str(self.root), version.key)
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

    @contextmanager
    def reading_in_turn(self) -> Iterator[None]:
        """See Kind; the folder of the last file stays open."""
        with FolderReader(str(self.root)) as self._reader:
            try:
                yield
            finally:
                self._reader = None

    def remove(self, version: StoredObject) -> bool:
        """See Kind; of a link, the link is deleted."""
        try:
            local.remove_file(str(self.root), version.key)
        except (FileNotFoundError, NotADirectoryError, local.Refused):
            return False
        except OSError as error:
            raise local_error(error, Path(f"{self.root}/{version.key}")) from error
        return True

    def copy(self, version: StoredObject, target: Disk, key: str) -> None:
        """See Kind; the copy keeps the modification time."""
        draft = target.stage(draft_of(key))
        try:
            with draft.open("xb") as file:
                file.writelines(self.read(version))
            time = (version.modified_at - _EPOCH) // dt.timedelta(microseconds=1) * 1000
            os.utime(draft, ns=(time, time))
            draft.replace(target.root / key)
        finally:
            draft.unlink(missing_ok=True)
        target.publish({key: target.root / key})

    def _link(self, key: str, data: bytes, *, replace: bool) -> bool:
        path = self.root / key
        changed = self._make_folder(path.parent) | {path.parent}
        draft = self.root / draft_of(key)
        try:
            with draft.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                draft.replace(path)
            else:
                os.link(draft, path)
            for folder in changed:
                _fsync(folder)
        except FileExistsError:
            return False
        except OSError as error:
            raise local_error(error, path) from error
        finally:
            draft.unlink(missing_ok=True)
        return True

    def _make_folder(self, folder: Path) -> set[Path]:
        try:
            return make_folder(folder, self._folder_mode)
        except OSError as error:
            raise local_error(error, folder) from error


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


KIND = Disk
