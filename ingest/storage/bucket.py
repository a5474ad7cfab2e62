"""S3 operations that obstore lacks, with boto3: exact listing, tags, conditional copies and deletes."""

from __future__ import annotations

import datetime as dt
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urlsplit
from xml.etree import ElementTree

from ingest.errors import RetriableError
from ingest.retry import while_throttled
from ingest.settings import Settings
from ingest.storage.errors import boto3_errors, code_of
from ingest.storage.page import Page, parse_page
from ingest.storage.traffic import count
from ingest.text import printable

LISTING_ATTEMPTS = 3
"""Attempts to read one page of a listing."""
_SLOW_DOWN = {"SlowDown", "503", "429", "TooManyRequests", "ServiceUnavailable", "ThrottlingException"}
_UNSUPPORTED = {"NotImplemented"}
_CHANGED = {"PreconditionFailed", "412", "NoSuchKey", "404", "ConditionalRequestConflict"}
COPY_BYTES = 5 << 30
"""The largest object that one request can copy."""
_LOCK = threading.Lock()
_Result = TypeVar("_Result")


def s3_client(options: Settings, attempts: int = 5) -> Any:
    """Return a boto3 client for the store in the settings; safe to share between threads."""
    import boto3  # takes 0.2 s, and most commands do not need it
    from botocore.config import Config

    endpoint = options.aws_endpoint_url
    config = Config(
        s3={"addressing_style": "path" if endpoint else "auto"},
        connect_timeout=2,
        read_timeout=10 if attempts == 1 else 60,
        max_pool_connections=32,
        retries={"total_max_attempts": attempts},
        proxies={} if urlsplit(endpoint or "").hostname in {"127.0.0.1", "localhost"} else None,
    )
    return boto3.session.Session().client(  # the default session is not thread-safe
        "s3",
        endpoint_url=endpoint,
        region_name=options.aws_region,
        aws_access_key_id=options.aws_access_key_id,
        aws_secret_access_key=options.aws_secret_access_key,
        aws_session_token=options.aws_session_token,
        config=config,
    )


def _listing_client(options: Settings) -> Any:
    """Return a client whose listings are the raw response bytes: botocore takes ten times longer to parse them."""
    with _LOCK:  # creating a client takes 0.5 s, and many threads ask at once
        return _new_listing_client(options)


@lru_cache(maxsize=4)
def _new_listing_client(options: Settings) -> Any:
    client = s3_client(options)
    client.meta.events.register("before-parse.*.ListObjectsV2", _keep_body)  # runs before the handlers of `s3`
    return client


def _keep_body(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    if response_dict["status_code"] < 300:
        customized_response_dict["Body"] = response_dict["body"]
        response_dict["body"] = b"<ListBucketResult/>"


class Bucket:
    """One bucket with an optional prefix, with the same URIs as Store."""

    def __init__(self, uri: str, options: Settings) -> None:
        self._uri = uri
        self.name, _, self._prefix = uri.removeprefix("s3://").partition("/")
        self._options, self._made, self._lock = options, None, threading.Lock()

    @property
    def _client(self) -> Any:
        with self._lock:
            self._made = self._made or s3_client(self._options)
            return self._made

    def _convert_errors(self, key: str) -> AbstractContextManager[None]:
        return boto3_errors(self._uri, key)

    def path(self, key: str) -> str:
        """Return the bucket's key for a key below the store's root."""
        return f"{self._prefix}/{key}" if self._prefix else key

    def pages(self, prefix: str = "", by_folder: bool = False, size: int = 1000) -> Iterator[Page]:
        """Yield every object whose key begins with `prefix`, a page at a time.

        Args:
            by_folder: only the objects without a further slash, and the folders at the same level.
            size: keys per page, at most 1000.

        Raises:
            ConfigError: no such bucket, or no permission to list it.
            RetriableError: the store cannot be reached, or returns an invalid listing.
        """
        wanted: dict[str, Any] = {"Bucket": self.name, "Prefix": self.path(prefix), "MaxKeys": size}
        wanted |= {"EncodingType": "url"} | ({"Delimiter": "/"} if by_folder else {})
        while True:
            page = self._page(prefix, wanted)
            yield page
            if page.token is None:
                return
            wanted["ContinuationToken"] = page.token

    def _page(self, prefix: str, wanted: dict[str, Any]) -> Page:
        """Fetch one page of a listing; retry if it cannot be read, for instance because it is truncated."""
        for attempt in range(LISTING_ATTEMPTS):
            count(self._uri, "list")
            with self._convert_errors(prefix or "/"):
                response = self._with_backoff(lambda: _listing_client(self._options).list_objects_v2(**wanted))
            try:
                page = parse_page(response["Body"], self.path(""))
                if page.token is not None and page.token == wanted.get("ContinuationToken"):
                    raise ValueError("the same page again")
                return page
            except (ElementTree.ParseError, ValueError) as error:
                reason = error
            time.sleep(random.uniform(0, 0.1 * 2**attempt))
        place = f"{self._uri} ({printable(prefix[:100]) or '/'})"
        raise RetriableError(f"{place}: the store's listing cannot be read; try again: {reason}") from reason

    @property
    def has_prefix(self) -> bool:
        """Whether the URI names only a part of the bucket."""
        return bool(self._prefix)

    def is_empty(self) -> bool:
        """Whether no key exists below the prefix.

        Raises:
            ConfigError, RetriableError: as in `pages`.
        """
        return not next(self.pages(size=1)).keys

    def listed(self, key: str) -> tuple[str, int, dt.datetime] | None:
        """Return (etag, size, modification time) of an object from a listing; None when it does not exist.

        A HEAD request returns the time only in whole seconds.
        """
        page = next(self.pages(key, size=1))
        if page.keys != [key]:
            return None
        return page.etags[0], page.sizes[0], dt.datetime.fromisoformat(page.modified_at[0]).astimezone(dt.UTC)

    def read(self, key: str, etag: str, block_bytes: int) -> Iterator[bytes] | None:
        """Return the bytes of exactly this version, in blocks; None if the object has another version or is absent."""
        from botocore.exceptions import ClientError

        place = {"Bucket": self.name, "Key": self.path(key)}
        count(self._uri, "get")
        with self._convert_errors(key):
            try:
                response = self._with_backoff(lambda: self._client.get_object(**place, IfMatch=f'"{etag}"'))
            except ClientError as error:
                if code_of(error) in _CHANGED:
                    return None
                raise
        return self._blocks(key, response["Body"], block_bytes) if response["ETag"].strip('"') == etag else None

    def _blocks(self, key: str, body: Any, block_bytes: int) -> Iterator[bytes]:
        with self._convert_errors(key):
            for block in body.iter_chunks(block_bytes):
                count(self._uri, "read", len(block))
                yield block

    def _with_backoff(self, request: Callable[[], _Result]) -> _Result:
        """Send a request and retry while the store throttles, after the time that it asks for (Retry-After)."""
        return while_throttled(request, lambda error: code_of(error) in _SLOW_DOWN, _retry_after)

    def retry_after(self, key: str) -> float | None:
        """Return the store's Retry-After in seconds, by one request for an object; None without such a header.

        obstore does not expose the header.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        count(self._uri, "get")
        try:
            s3_client(self._options, attempts=1).head_object(Bucket=self.name, Key=self.path(key))
        except ClientError as error:
            return _retry_after(error)
        except BotoCoreError:
            return None
        return None

    def delete(self, key: str, etag: str) -> bool:
        """Delete the object if it still has this version; the condition applies where the store honours it.

        Returns:
            False when the object has another version or is absent.
        """
        place = {"Bucket": self.name, "Key": self.path(key)}

        def conditional() -> None:
            count(self._uri, "delete")
            try:
                self._client.delete_object(**place, IfMatch=f'"{etag}"')
            except self._client.exceptions.ClientError as error:
                if code_of(error) not in _UNSUPPORTED:
                    raise
                self._client.delete_object(**place)

        return self._unless_changed(key, conditional)

    def honours_conditional_delete(self) -> bool:
        """Whether the store refuses to delete an object with another version; MinIO and rclone do not."""
        key = f"_probe/{uuid.uuid4().hex}"
        with self._convert_errors(key):
            self._client.put_object(Bucket=self.name, Key=self.path(key), Body=b"probe")
        spared = not self.delete(key, "0" * 32) and self.listed(key) is not None
        with self._convert_errors(key):
            self._client.delete_object(Bucket=self.name, Key=self.path(key))
        return spared

    def copy(self, key: str, etag: str, size: int, target: Bucket, target_key: str) -> bool:
        """Copy exactly this version within the store.

        Returns:
            False when the object has another version or is absent.
        """
        place = {"Bucket": target.name, "Key": target.path(target_key)}
        source = {"CopySource": {"Bucket": self.name, "Key": self.path(key)}}
        condition = {"CopySourceIfMatch": f'"{etag}"'}
        count(target._uri, "put")
        if size <= COPY_BYTES:
            return self._unless_changed(key, lambda: self._client.copy_object(**place, **source, **condition))
        return self._unless_changed(key, lambda: self._client.copy(**place, **source, ExtraArgs=condition))

    def tag(self, key: str, etag: str, name: str, value: str) -> bool:
        """Add a tag to the object if it still has this version, and remove it if the object changed meanwhile.

        Returns:
            False when the object has another version or is absent.
        """
        place = {"Bucket": self.name, "Key": self.path(key)}

        def current() -> bool:
            count(self._uri, "get")
            return bool(self._client.head_object(**place)["ETag"].strip('"') == etag)

        def tags() -> list[dict[str, str]]:
            count(self._uri, "get")
            found = self._client.get_object_tagging(**place)["TagSet"]
            return [item for item in found if item["Key"] != name]

        def put(found: list[dict[str, str]]) -> None:
            count(self._uri, "put")
            self._client.put_object_tagging(**place, Tagging={"TagSet": found})

        def add() -> bool:
            if not current():
                return False
            put([*tags(), {"Key": name, "Value": value}])
            if not current():
                put(tags())
                return False
            return True

        return self._unless_changed(key, add)

    def _unless_changed(self, key: str, action: Callable[[], Any]) -> bool:
        """Run the action; False when the store or the action itself reports that the object changed."""
        from botocore.exceptions import ClientError

        with self._convert_errors(key):
            try:
                return action() is not False
            except ClientError as error:
                if code_of(error) in _CHANGED:
                    return False
                raise


def _retry_after(error: Any) -> float | None:
    """Return the Retry-After of a botocore ClientError in seconds; None without such a header."""
    header = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after")
    return _seconds(header) if header else None


def _seconds(retry_after: str) -> float | None:
    """Convert a Retry-After header, a number of seconds or a date, to seconds from now.

    >>> _seconds("7"), _seconds("Wed, 21 Oct 2015 07:28:00 GMT"), _seconds("soon")
    (7.0, 0.0, None)
    """
    if retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - dt.datetime.now(dt.UTC)).total_seconds())
    except ValueError:
        return None
