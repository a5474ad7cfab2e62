"""Storage on S3 and whatever speaks its API: by obstore (the bindings of Rust's object_store), by boto3 what it lacks.

obstore strips or refuses empty path segments, so boto3 serves such keys, and all listings of the landing.
"""

from __future__ import annotations

import datetime as dt
import io
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
import pyarrow as pa
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from ingest.errors import ObjectRefused
from ingest.retry import while_throttled
from ingest.settings import Settings, settings
from ingest.storage.bucket import Bucket
from ingest.storage.errors import obstore_errors
from ingest.storage.kinds.kind import Kind
from ingest.storage.listing import list_columns
from ingest.storage.names import NOT_UTF8, key_problem
from ingest.storage.objects import BLOCK_BYTES, ObjectChanged, StoredObject, version_of
from ingest.storage.remote_file import RemoteFile
from ingest.storage.traffic import count, pages, uploads
from ingest.text import printable

if TYPE_CHECKING:
    from obstore import ObjectMeta

WHOLE_BYTES = 32 << 20
REQUEST_TIMEOUT_SECONDS = 60.0
"""A longer request is cancelled, and retried if it is idempotent."""
CUT_RESPONSE_RETRIES = 4
"""Retries of a cut-off body. obstore resumes the body of an object, but not that of a listing or an error (a 404)."""
_CUT = "response body error"
_SLOW_DOWN = ("503 Service", "429 Too", "SlowDown", "TooManyRequests")
_UNKNOWN = "\ufffd"

_Result = TypeVar("_Result")


class S3(Kind):
    """A bucket with an optional prefix; see Kind.

    Attributes:
        bucket: the same place for boto3.
    """

    def __init__(self, uri: str, options: Settings | None, folder_mode: int | None) -> None:
        self._uri = uri
        self._store = _store(uri, options or settings())
        self.bucket = Bucket(uri, options or settings())
        self._staging: Path | None = None

    def list(self, prefix: str, after: str | None) -> Iterator[StoredObject]:
        """See Kind."""
        with obstore_errors(self._uri, prefix or "/"):
            for batch in self._batches(prefix or None, after):
                yield from map(version_of, batch)

    def find(self, key: str) -> StoredObject | None:
        """See Kind."""
        with obstore_errors(self._uri, key):
            try:
                count(self._uri, "get")
                return version_of(self._with_backoff(key, lambda: obstore.head(self._store, key)))
            except FileNotFoundError:
                return None

    def get(self, key: str) -> bytes:
        """See Kind."""
        with obstore_errors(self._uri, key):
            count(self._uri, "get")
            data = self._read_whole(key, lambda: bytes(obstore.get(self._store, key).bytes()))
            count(self._uri, "read", len(data))
            return data

    @contextmanager
    def open(self, key: str) -> Iterator[Any]:
        """See Kind."""
        with obstore_errors(self._uri, key):
            count(self._uri, "get")
            size = self._with_backoff(key, lambda: obstore.head(self._store, key)["size"])
            if size <= WHOLE_BYTES:  # one request; rclone's S3 server rejects a range of the whole object
                yield io.BytesIO(self.get(key))
            else:
                yield io.BufferedReader(RemoteFile(obstore.open_reader(self._store, key), self._uri))

    def put(self, key: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        """See Kind."""
        attributes: Any = dict(headers or {})
        with obstore_errors(self._uri, key):
            self._count_upload(len(data))
            self._with_backoff(key, lambda: obstore.put(self._store, key, data, attributes=attributes))

    def put_new(self, key: str, data: bytes) -> bool:
        """See Kind; by `If-None-Match: *`."""
        with obstore_errors(self._uri, key):
            count(self._uri, "put")
            try:
                self._with_backoff(key, lambda: obstore.put(self._store, key, data, mode="create", use_multipart=False))
            except AlreadyExistsError:
                return False
            count(self._uri, "written", len(data))
            return True

    def stage(self, key: str) -> Path:
        """See Kind."""
        self._staging = self._staging or Path(tempfile.mkdtemp(prefix="lakemesh-"))
        return self._staging / uuid.uuid4().hex

    def publish(self, staged: dict[str, Path]) -> None:
        """See Kind."""
        for key, path in staged.items():
            with obstore_errors(self._uri, key):
                self._count_upload(path.stat().st_size)
                self._with_backoff(key, partial(self._upload, key, path))
            path.unlink()

    def delete(self, keys: Iterable[str]) -> None:
        """See Kind."""
        for key in keys:
            with obstore_errors(self._uri, key):
                count(self._uri, "delete")
                obstore.delete(self._store, key)

    def honours_put_if_absent(self) -> bool:
        """See Kind; some servers accept the header and ignore it."""
        key = f"_probe/{uuid.uuid4().hex}"
        self.put_new(key, b"first")
        try:
            return not self.put_new(key, b"second")
        finally:
            self.delete([key])

    def honours_conditional_delete(self) -> bool:
        """See Kind; MinIO and rclone do not."""
        return self.bucket.honours_conditional_delete()

    def close(self) -> None:
        """See Kind."""
        if self._staging:
            shutil.rmtree(self._staging)
            self._staging = None

    def is_there(self) -> bool:
        """See Kind; a bucket has no folders, so a prefix exists while a key below it does."""
        return not self.bucket.has_prefix or not self.bucket.is_empty()

    def listing(self, prefix: str) -> pa.Table:
        """See Kind."""
        return list_columns(self.bucket, prefix)

    def inspect(self, key: str) -> tuple[StoredObject, str | None] | None:
        """See Kind."""
        problem = key_problem(key)
        if problem is None and _is_plain(key):
            found = self.find(key)
            return (found, None) if found else None
        seen = None if problem == NOT_UTF8 else self.bucket.listed(key)
        return (StoredObject(printable(key) if problem else key, *seen), problem) if seen else None

    def listed_at(self, key: str) -> dt.datetime | None:
        """See Kind."""
        seen = self.bucket.listed(key)
        return seen[2] if seen else None

    def read(self, version: StoredObject) -> Iterator[bytes]:
        """See Kind."""
        if _is_plain(version.key):
            yield from self._read_plain(version)
            return
        blocks = self.bucket.read(version.key, version.etag, BLOCK_BYTES)
        if blocks is None:
            raise self._absence(version)
        yield from blocks

    def remove(self, version: StoredObject) -> bool:
        """See Kind; the delete itself is conditional where the store honours that."""
        return self.bucket.delete(version.key, version.etag)

    def copy(self, version: StoredObject, target: S3, key: str) -> None:
        """See Kind; within the store."""
        if not self.bucket.copy(version.key, version.etag, version.size, target.bucket, key):
            raise ObjectChanged(version.key)

    def tag(self, version: StoredObject, name: str, value: str) -> bool:
        """See Kind."""
        return self.bucket.tag(version.key, version.etag, name, value)

    def _read_plain(self, version: StoredObject) -> Iterator[bytes]:
        def get() -> Any:
            return obstore.get(self._store, version.key, options={"if_match": f'"{version.etag}"'})

        with obstore_errors(self._uri, version.key):
            count(self._uri, "get")
            try:
                result = self._read_whole(version.key, get)
                if (result.meta["e_tag"] or "").strip('"') != version.etag:  # some stores ignore If-Match
                    raise self._absence(version)
                count(self._uri, "read", version.size)
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
        if _UNKNOWN not in version.key:
            seen = self.bucket.listed(version.key)
            if seen is None or seen[0] != version.etag:
                return ObjectChanged(version.key)
        return ObjectRefused(
            f"{self._uri} ({printable(version.key)}): the store lists this key and version, but does not return it; "
            "write the object under another name, or name it in the contract's source.ignore"
        )

    def _upload(self, key: str, path: Path) -> None:
        with path.open("rb") as file:
            obstore.put(self._store, key, file)

    def _count_upload(self, size: int) -> None:
        count(self._uri, "put", uploads(size))
        count(self._uri, "written", size)

    def _batches(self, prefix: str | None, offset: str | None) -> Iterator[Sequence[ObjectMeta]]:
        """Yield a listing in batches; one that was cut off resumes after the last received key."""
        cut = listed = 0
        while True:
            try:
                for batch in obstore.list(self._store, prefix=prefix, offset=offset, chunk_size=5000):
                    listed += len(batch)
                    yield batch
                    if batch:
                        offset, cut = batch[-1]["path"], 0
                count(self._uri, "list", pages(listed))
                return
            except BaseError as error:
                cut += 1
                if cut > CUT_RESPONSE_RETRIES or _CUT not in str(error):
                    raise
                time.sleep(random.uniform(0, 0.1 * 2**cut))

    def _read_whole(self, key: str, request: Callable[[], _Result]) -> _Result:
        """Send a read-only request; retry when its response is cut off."""
        for number in range(CUT_RESPONSE_RETRIES):
            try:
                return self._with_backoff(key, request)
            except BaseError as error:
                if _CUT not in str(error):
                    raise
                time.sleep(random.uniform(0, 0.1 * 2**number))
        return self._with_backoff(key, request)

    def _with_backoff(self, key: str, request: Callable[[], _Result]) -> _Result:
        return while_throttled(request, _is_throttled, lambda _: self.bucket.retry_after(key))


def _is_throttled(error: Exception) -> bool:
    return isinstance(error, BaseError) and any(word in str(error) for word in _SLOW_DOWN)


def _is_plain(key: str) -> bool:
    """Whether obstore addresses an object with that key unchanged: it strips or refuses empty path segments.

    >>> _is_plain("a/b"), _is_plain("/a"), _is_plain("a/"), _is_plain("a//b")
    (True, False, False, False)
    """
    return "" not in key.split("/")


def _store(uri: str, options: Settings) -> S3Store:
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


KIND = S3
