"""One interface to list, get and put objects in a local folder or on S3 (obstore, the bindings of Rust's object_store).

Local folders differ in one respect: writes are fsynced before they become visible. Raw objects from producers are
listed and read by landing.py instead.
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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from ingest.storage.bucket import LONGEST_WAIT_SECONDS, THROTTLE_RETRIES, Bucket
from ingest.storage.folders import make_folder
from ingest.storage.names import draft_of, is_draft
from ingest.text import printable

if TYPE_CHECKING:
    from obstore import ObjectMeta

BLOCK_BYTES = 8 << 20
WHOLE_BYTES = 32 << 20
REQUEST_TIMEOUT_SECONDS = 60.0
"""A longer request to S3 is cancelled, and retried if it is idempotent."""
_BAD_KEY = ("empty path segment", "illegal character sequence")
CUT_RESPONSE_RETRIES = 4
"""Retries of a cut-off body. obstore resumes the body of an object, but not that of a listing or an error (a 404)."""
_CUT = "response body error"
_SLOW_DOWN = ("503 Service", "429 Too", "SlowDown", "TooManyRequests")
_FORBIDDEN = ("403 Forbidden", "401 Unauthorized", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")

_Result = TypeVar("_Result")


class ObjectChanged(Exception):  # noqa: N818  not an error: the next run reads the newer version
    """The object was overwritten or deleted after it was listed."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One version of an object in a listing.

    Attributes:
        key: name below the store's root.
        etag: the store's id of the version, without quotes.
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
    """An object as a Python file; obstore's own reader lacks methods that pyarrow requires."""

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
        folder_mode: permission bits of new folders in it; by default those of LAKE_FOLDER_MODE.
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
        """Yield all objects whose key starts with `prefix` (whole path segments), in key order on S3.

        Args:
            prefix: folder below the root, without a trailing slash.
            after: on S3, only keys greater than this are listed.

        Raises:
            ConfigError: no such bucket, or no permission to list it.
            RetriableError: the store cannot be reached.
        """
        if self.root is not None and not (self.root / prefix).is_dir():
            return
        offset = after if self.root is None else None
        with self._convert_errors(prefix or "/"):
            for batch in self._batches(prefix or None, offset):
                for meta in batch:
                    if not is_draft(meta["path"]):
                        yield _version(meta)

    def find(self, key: str) -> StoredObject | None:
        """Return the current version of an object, None when it does not exist."""
        if self.root is not None and not self.root.is_dir():
            return None
        with self._convert_errors(key):
            try:
                meta = self._with_backoff(key, lambda: obstore.head(self._obstore, key))
            except FileNotFoundError:
                return None
        return _version(meta)

    def get(self, key: str) -> bytes:
        """Return the content of a small object.

        Raises:
            FileNotFoundError: it does not exist.
        """
        if self.root is not None:
            with self.disk_errors():
                try:
                    return (self.root / key).read_bytes()
                except NotADirectoryError as error:  # a file instead of a folder: the writer reports it
                    raise FileNotFoundError(error.errno, error.strerror, error.filename) from error
        with self._convert_errors(key):
            return self._read(key, lambda: bytes(obstore.get(self._obstore, key).bytes()))

    @contextmanager
    def open(self, key: str) -> Iterator[Any]:
        """Open an object as a seekable binary file for reading."""
        if self.root is not None:
            # an Arrow file: an Arrow thread that still holds a Python file when the process ends would abort it
            with pa.OSFile(str(self.root / key)) as file:
                yield file
        else:
            with self._convert_errors(key):
                size = self._with_backoff(key, lambda: obstore.head(self._obstore, key)["size"])
                if size <= WHOLE_BYTES:  # one request; rclone's S3 server rejects a range of the whole object
                    yield io.BytesIO(self.get(key))
                else:
                    yield io.BufferedReader(_Remote(obstore.open_reader(self._obstore, key)))

    def put(self, key: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Write an object, replacing an existing one.

        Args:
            headers: what S3 answers with it, for instance `Content-Type`; a folder has no place for them.
        """
        if self.root is not None:
            self._link(key, data, replace=True)
            return
        attributes: Any = dict(headers or {})
        with self._convert_errors(key):
            self._with_backoff(key, lambda: obstore.put(self._obstore, key, data, attributes=attributes))

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object if the key is free (`If-None-Match: *`, on disk an exclusive link); durable on return.

        Returns:
            False when the key was taken; the existing object is unchanged.
        """
        if self.root is not None:
            return self._link(key, data, replace=False)
        with self._convert_errors(key):
            try:
                self._with_backoff(
                    key, lambda: obstore.put(self._obstore, key, data, mode="create", use_multipart=False)
                )
            except AlreadyExistsError:
                return False
            return True

    def stage(self, key: str) -> Path:
        """Return a local path to write the future object `key` to; it is not visible before `publish`."""
        if self.root is None:
            self._staging = self._staging or Path(tempfile.mkdtemp(prefix="lakemesh-"))
            return self._staging / uuid.uuid4().hex
        path = self.root / key
        self._made |= self._make_folder(path.parent)
        return path

    def publish(self, staged: dict[str, Path]) -> None:
        """Make staged files durable under their keys."""
        if self.root is None:
            for key, path in staged.items():
                with self._convert_errors(key):
                    self._with_backoff(key, partial(self._upload, key, path))
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
        """Delete staged files that will not be published."""
        for path in staged:
            with suppress(OSError):  # `lake maintain` removes what remains as an orphan
                path.unlink(missing_ok=True)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; absent ones are not an error."""
        for key in keys:
            if self.root is not None:
                with self.disk_errors():
                    (self.root / key).unlink(missing_ok=True)
            else:
                with self._convert_errors(key):
                    obstore.delete(self._obstore, key)

    def close(self) -> None:
        """Remove the staging folder."""
        if self._staging:
            shutil.rmtree(self._staging)
            self._staging = None

    def honours_put_if_absent(self) -> bool:
        """Whether the store honours the condition of `put_new`; some accept the header and ignore it."""
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
        """Yield a listing in batches; one that was cut off resumes after the last received key."""
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
                if cut > CUT_RESPONSE_RETRIES or not self._was_cut(error):
                    raise
                time.sleep(random.uniform(0, 0.1 * 2**cut))

    def _read(self, key: str, request: Callable[[], _Result]) -> _Result:
        """Send a read-only request; retry when its response is cut off."""
        for number in range(CUT_RESPONSE_RETRIES):
            try:
                return self._with_backoff(key, request)
            except BaseError as error:
                if not self._was_cut(error):
                    raise
                time.sleep(random.uniform(0, 0.1 * 2**number))
        return self._with_backoff(key, request)

    def _was_cut(self, error: BaseError) -> bool:
        return self.bucket is not None and _CUT in str(error)

    def _with_backoff(self, key: str, request: Callable[[], _Result]) -> _Result:
        """Send a request and retry while the store throttles, after the time that it asks for (Retry-After).

        obstore's own retries stop after a few attempts within fractions of a second.
        """
        for number in range(THROTTLE_RETRIES):
            try:
                return request()
            except BaseError as error:
                if self.bucket is None or not any(word in str(error) for word in _SLOW_DOWN):
                    raise
                delay = self.bucket.retry_after(key)
                wait = min(2.0**number if delay is None else delay, LONGEST_WAIT_SECONDS)
                time.sleep(wait + random.uniform(0, 1))
        return request()

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

    @contextmanager
    def _convert_errors(self, key: str) -> Iterator[None]:
        """Convert the store's errors to Lakemesh errors with a one-line message."""
        try:
            yield
        except (FileNotFoundError, ValueError, BaseError) as error:
            text = str(error)
            is_known = any(word in text for word in _BAD_KEY) or isinstance(error, BaseError | FileNotFoundError)
            if (isinstance(error, FileNotFoundError) and "NoSuchBucket" not in text) or not is_known:
                raise
            place = f"{self.uri} ({printable(key)})"
            if "NoSuchBucket" in text:
                raise ConfigError(f"{self.uri}: no such bucket; create it or fix LANDING_URI / LAKE_URI") from None
            if isinstance(error, PermissionDeniedError | UnauthenticatedError) or any(w in text for w in _FORBIDDEN):
                raise ConfigError(
                    f"{place}: access refused; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the key's rights"
                ) from None
            if isinstance(error, AlreadyExistsError | PreconditionError):
                raise
            if any(word in text for word in _BAD_KEY):
                raise ConfigError(
                    f"{place}: a key has an empty path segment, `.` or `..`; rename the object: {text[:200]}"
                ) from None
            reason = text.split("\n", 1)[0][:300]
            raise RetriableError(
                f"{place}: no valid response from the store; check AWS_ENDPOINT_URL and try again: {reason}"
            ) from error


def local_error(error: OSError, path: Path) -> ConfigError | RetriableError:
    """Convert an error of the local file system to a Lakemesh error with a one-line message."""
    reason, place = os.strerror(error.errno) if error.errno else str(error), printable(str(path))
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}:
        return ConfigError(f"{place}: {reason}; expected a folder that this user can read and write")
    return RetriableError(f"{place}: {reason}; nothing half done is visible, fix that and run it again")


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
        client_options={"allow_http": True, "timeout": f"{REQUEST_TIMEOUT_SECONDS}s", "connect_timeout": "5s"},
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
