"""One way to list, get and put, on a local folder and on S3 alike (obstore, that is Rust's object_store).

Local folders differ in one point only: what is written is fsynced before it counts. What others write, the raw objects,
landing.py lists and reads.
"""

from __future__ import annotations

import datetime as dt
import errno
import io
import os
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
import pyarrow as pa
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, S3Store

from ingest.errors import ConfigError, RetriableError
from ingest.settings import Settings, settings
from ingest.storage.bucket import LONGEST_WAIT_SECONDS, WAITS, Bucket
from ingest.storage.folders import make_folder
from ingest.storage.names import draft_of, is_draft
from ingest.text import printable

if TYPE_CHECKING:
    from obstore import ObjectMeta

BLOCK_BYTES = 8 << 20
WHOLE_BYTES = 32 << 20
ANSWER_SECONDS = 60.0
"""A request to S3 that takes longer is given up, and sent again where that is harmless."""
_BAD_KEY = ("empty path segment", "illegal character sequence")
CUT_ANSWERS = 4
"""How often an answer is asked for again whose body broke off: obstore repeats only what failed before that."""
_CUT = "response body error"
_SLOW_DOWN = ("503 Service", "429 Too", "SlowDown", "TooManyRequests")
_FORBIDDEN = ("403 Forbidden", "401 Unauthorized", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")

_Answer = TypeVar("_Answer")


class ObjectChanged(Exception):  # noqa: N818  no error: the next run reads the newer version
    """The object was overwritten or deleted after it was listed."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One version of one object, as a listing shows it.

    Attributes:
        key: name below the store's root.
        etag: version as the store names it, without quotes.
        size: bytes.
        modified_at: when this version was written, aware, UTC.
    """

    key: str
    etag: str
    size: int
    modified_at: dt.datetime


def _version(meta: ObjectMeta) -> StoredObject:
    return StoredObject(meta["path"], (meta["e_tag"] or "").strip('"'), meta["size"], meta["last_modified"])


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Remote(io.RawIOBase):
    """An object of a store as a file of Python's; obstore's own reader lacks what pyarrow asks of a file."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())

    def readinto(self, buffer: Any) -> int:
        data = self._reader.read(len(buffer))
        buffer[: len(data)] = bytes(data)
        return len(data)


class Store:
    """A folder or an S3 bucket (with optional prefix).

    Args:
        folder_mode: permission bits of folders that are made in it; by default those of LAKE_FOLDER_MODE.
    """

    def __init__(self, uri: str, options: Settings | None = None, folder_mode: int | None = None) -> None:
        self.uri = uri
        self.root: Path | None = None
        self._made: set[Path] = set()
        self._folder_mode = options.lake_folder_mode if folder_mode is None and options else folder_mode
        self._staging: Path | None = None
        self.bucket: Bucket | None = None
        if uri.startswith("s3://"):
            self._store: S3Store | LocalStore = _s3(uri, options or settings())
            self.bucket = Bucket(uri, options or settings())
        else:
            self.root = Path(uri)

    def __repr__(self) -> str:
        return f"Store({self.uri})"

    @property
    def _obstore(self) -> S3Store | LocalStore:
        if self.root is not None and not hasattr(self, "_store"):
            self._store = LocalStore(self.root)
        return self._store

    def list(self, prefix: str = "", after: str | None = None) -> Iterator[StoredObject]:
        """All objects whose key starts with `prefix` (whole path segments), in key order on S3.

        Args:
            prefix: folder below the root, without a slash at its end.
            after: on S3 only keys greater than this are listed.

        Raises:
            ConfigError: no such bucket, or no right to list it.
            RetriableError: the store cannot be reached.
        """
        if self.root is not None and not (self.root / prefix).is_dir():
            return
        offset = after if self.root is None else None
        with self._translated(prefix or "/"):
            for batch in self._batches(prefix or None, offset):
                for meta in batch:
                    if not is_draft(meta["path"]):
                        yield _version(meta)

    def find(self, key: str) -> StoredObject | None:
        """The current version of one object, None when there is none."""
        if self.root is not None and not self.root.is_dir():
            return None
        with self._translated(key):
            try:
                meta = self._read(key, lambda: obstore.head(self._obstore, key))
            except FileNotFoundError:
                return None
        return _version(meta)

    def get(self, key: str) -> bytes:
        """A whole small object.

        Raises:
            FileNotFoundError: there is none.
        """
        if self.root is not None:
            with self.disk_errors():
                try:
                    return (self.root / key).read_bytes()
                except NotADirectoryError as error:  # a file is where a folder should be: whoever writes says so
                    raise FileNotFoundError(error.errno, error.strerror, error.filename) from error
        with self._translated(key):
            return self._read(key, lambda: bytes(obstore.get(self._obstore, key).bytes()))

    @contextmanager
    def open(self, key: str) -> Iterator[Any]:
        """A seekable binary file to read one object from."""
        if self.root is not None:
            # Arrow's own kind: a thread of it that still holds one of Python's when the process ends aborts it
            with pa.OSFile(str(self.root / key)) as file:
                yield file
        else:
            with self._translated(key):
                size = self._read(key, lambda: obstore.head(self._obstore, key)["size"])
                if size <= WHOLE_BYTES:  # one request, and rclone's S3 server answers no range that is everything
                    yield io.BytesIO(self._read(key, lambda: bytes(obstore.get(self._obstore, key).bytes())))
                else:
                    yield io.BufferedReader(_Remote(obstore.open_reader(self._obstore, key)))

    def put(self, key: str, data: bytes) -> None:
        """Writes an object, replacing what was there."""
        if self.root is not None:
            self._link(key, data, replace=True)
            return
        with self._translated(key):
            self._patiently(key, lambda: obstore.put(self._obstore, key, data))

    def put_new(self, key: str, data: bytes) -> bool:
        """Writes an object if the name is free (`If-None-Match: *`, on disk an exclusive link); durable on return.

        Returns:
            False when the name was taken; what lies there is untouched.
        """
        if self.root is not None:
            return self._link(key, data, replace=False)
        with self._translated(key):
            try:
                self._patiently(key, lambda: obstore.put(self._obstore, key, data, mode="create", use_multipart=False))
            except AlreadyExistsError:
                return False
            return True

    def stage(self, key: str) -> Path:
        """A local path to write the future object `key` to; nobody sees it before `publish`."""
        if self.root is None:
            self._staging = self._staging or Path(tempfile.mkdtemp(prefix="lakemesh-"))
            return self._staging / uuid.uuid4().hex
        path = self.root / key
        self._made |= self._make_folder(path.parent)
        return path

    def publish(self, staged: dict[str, Path]) -> None:
        """Makes staged files durable under their keys."""
        if self.root is None:
            for key, path in staged.items():
                with self._translated(key):
                    self._patiently(key, partial(self._upload, key, path))
                path.unlink()
            return
        try:
            for path in staged.values():
                _fsync(path)
            for folder in {path.parent for path in staged.values()} | self._made:
                _fsync(folder)
        except OSError as error:
            raise local_error(error, self.root) from error
        self._made.clear()

    def discard(self, staged: Iterable[Path]) -> None:
        """Deletes staged files that will not be published."""
        for path in staged:
            with suppress(OSError):  # what cannot be deleted is an orphan for `lake maintain`
                path.unlink(missing_ok=True)

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes objects; absent ones are no error."""
        for key in keys:
            if self.root is not None:
                with self.disk_errors():
                    (self.root / key).unlink(missing_ok=True)
            else:
                with self._translated(key):
                    obstore.delete(self._obstore, key)

    def close(self) -> None:
        """Removes the staging folder."""
        if self._staging:
            shutil.rmtree(self._staging)
            self._staging = None

    def honours_put_if_absent(self) -> bool:
        """Whether the store keeps its promise on `put_new`; some accept the header and ignore it."""
        if self.root is not None:
            return True
        key = f"_probe/{uuid.uuid4().hex}"
        self.put_new(key, b"first")
        try:
            return not self.put_new(key, b"second")
        finally:
            self.delete([key])

    def _link(self, key: str, data: bytes, *, replace: bool) -> bool:
        assert self.root is not None
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

    def _upload(self, key: str, path: Path) -> None:
        with path.open("rb") as file:
            obstore.put(self._obstore, key, file)

    def _batches(self, prefix: str | None, offset: str | None) -> Iterator[Sequence[ObjectMeta]]:
        """A listing in parts; one that broke off goes on behind the last key that came."""
        cut = 0
        while True:
            try:
                for batch in obstore.list(self._obstore, prefix=prefix, offset=offset, chunk_size=5000):
                    yield batch
                    if batch:
                        offset, cut = batch[-1]["path"], 0
                return
            except BaseError as error:
                cut += 1
                if cut > CUT_ANSWERS or not self._was_cut(error):
                    raise
                time.sleep(random.uniform(0, 0.1 * 2**cut))

    def _read(self, key: str, request: Callable[[], _Answer]) -> _Answer:
        """Sends a request that changes nothing; again when its answer broke off."""
        for number in range(CUT_ANSWERS):
            try:
                return self._patiently(key, request)
            except BaseError as error:
                if not self._was_cut(error):
                    raise
                time.sleep(random.uniform(0, 0.1 * 2**number))
        return self._patiently(key, request)

    def _was_cut(self, error: BaseError) -> bool:
        return self.bucket is not None and _CUT in str(error)

    def _patiently(self, key: str, request: Callable[[], _Answer]) -> _Answer:
        """Sends a request; a store that keeps saying to slow down is left alone for as long as it asks (Retry-After).

        obstore itself tries again after fractions of a second, a few times.
        """
        for number in range(WAITS):
            try:
                return request()
            except BaseError as error:
                if self.bucket is None or not any(word in str(error) for word in _SLOW_DOWN):
                    raise
                asked = self.bucket.asks_to_wait(key)
                wait = min(2.0**number if asked is None else asked, LONGEST_WAIT_SECONDS)
                time.sleep(wait + random.uniform(0, 1))
        return request()

    @contextmanager
    def disk_errors(self) -> Iterator[None]:
        """Turns what the system says of the local disk (full, read-only, forbidden) into ours, one line each.

        Raises:
            FileNotFoundError: as it comes; it tells of an object, not of the disk.
        """
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise local_error(error, Path(error.filename or self.root or tempfile.gettempdir())) from error

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Turns the store's errors into ours, one line each."""
        try:
            yield
        except (FileNotFoundError, ValueError, BaseError) as error:
            text = str(error)
            is_known = any(word in text for word in _BAD_KEY) or isinstance(error, BaseError | FileNotFoundError)
            if (isinstance(error, FileNotFoundError) and "NoSuchBucket" not in text) or not is_known:
                raise
            place = f"{self.uri} ({printable(key)})"
            if "NoSuchBucket" in text:
                raise ConfigError(f"{self.uri}: no such bucket; create it or mend LANDING_URI / LAKE_URI") from None
            if isinstance(error, PermissionDeniedError | UnauthenticatedError) or any(w in text for w in _FORBIDDEN):
                raise ConfigError(
                    f"{place}: access refused; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the key's rights"
                ) from None
            if isinstance(error, AlreadyExistsError | PreconditionError):
                raise
            if any(word in text for word in _BAD_KEY):
                raise ConfigError(
                    f"{place}: a key has an empty part, `.` or `..` between slashes; rename the object: {text[:200]}"
                ) from None
            reason = text.split("\n", 1)[0][:300]
            raise RetriableError(
                f"{place}: the store did not answer properly; check AWS_ENDPOINT_URL and try again: {reason}"
            ) from error


def local_error(error: OSError, path: Path) -> ConfigError | RetriableError:
    """What an error of the local file system means for the caller, in one line."""
    reason, place = os.strerror(error.errno) if error.errno else str(error), printable(str(path))
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}:
        return ConfigError(f"{place}: {reason}; expected a folder that this user can read and write")
    return RetriableError(f"{place}: {reason}; nothing half done is visible, run it again once that is mended")


def _s3(uri: str, options: Settings) -> S3Store:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    config: dict[str, Any] = {
        "region": options.aws_region,
        "endpoint": options.aws_endpoint_url,
        "access_key_id": options.aws_access_key_id,
        "secret_access_key": options.aws_secret_access_key,
        "session_token": options.aws_session_token,
        # S3-compatible servers are addressed by path, AWS by host name
        "virtual_hosted_style_request": options.aws_endpoint_url is None,
    }
    return S3Store(
        bucket,
        prefix=prefix or None,
        client_options={"allow_http": True, "timeout": f"{ANSWER_SECONDS}s", "connect_timeout": "5s"},
        retry_config={
            "max_retries": 5,
            "retry_timeout": dt.timedelta(seconds=60),
            "backoff": {
                "init_backoff": dt.timedelta(milliseconds=100),
                "max_backoff": dt.timedelta(seconds=5),
                "base": 2,
            },
        },
        **{name: value for name, value in config.items() if value is not None},
    )
