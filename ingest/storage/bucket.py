"""What obstore cannot do with an S3 bucket and boto3 can: exact listing, tags, conditional copies and deletes."""

from __future__ import annotations

import datetime as dt
import random
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes, urlsplit
from xml.etree import ElementTree

from ingest.errors import ConfigError, RetriableError
from ingest.settings import Settings
from ingest.text import printable

WAITS = 4
"""How often a store that asks to be left alone is asked again, after the client's own retries."""
LONGEST_WAIT_SECONDS = 120.0
READS = 3
"""How often a page of a listing is asked for until it can be read."""
_SLOW_DOWN = {"SlowDown", "503", "429", "TooManyRequests", "ServiceUnavailable", "ThrottlingException"}
_REFUSED = {"AccessDenied", "403", "401", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_UNREAD = {"NotImplemented"}
_CHANGED = {"PreconditionFailed", "412", "NoSuchKey", "404", "ConditionalRequestConflict"}
COPY_BYTES = 5 << 30
"""The largest object that one request may copy."""
_NO_TEXT = re.compile(
    rb"&#(?:x0*(?:[0-8bcef]|1[0-9a-f])|0*(?:[0-8]|1[124-9]|2[0-9]|3[01]));|[\x00-\x08\x0b\x0c\x0e-\x1f]", re.I
)
"""What XML 1.0 cannot hold, and a store that does not encode its keys sends all the same."""

_LOCK = threading.Lock()
_Answer = TypeVar("_Answer")


def s3_client(options: Settings, attempts: int = 5) -> Any:
    """A client of boto3's for the store that the settings lead to; safe to share between threads."""
    import boto3  # costs 0.2 s, and most commands do without
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
    return boto3.session.Session().client(  # the default session is not safe to share between threads
        "s3",
        endpoint_url=endpoint,
        region_name=options.aws_region,
        aws_access_key_id=options.aws_access_key_id,
        aws_secret_access_key=options.aws_secret_access_key,
        aws_session_token=options.aws_session_token,
        config=config,
    )


def _listing_client(options: Settings) -> Any:
    """A client whose listings come as the bytes of the answer: botocore takes ten times longer to parse them."""
    with _LOCK:  # making one takes half a second, and many threads ask at once
        return _new_listing_client(options)


@lru_cache(maxsize=4)
def _new_listing_client(options: Settings) -> Any:
    client = s3_client(options)
    client.meta.events.register("before-parse.*.ListObjectsV2", _keep_body)  # so it comes before those of `s3`
    return client


def _keep_body(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    if response_dict["status_code"] < 300:
        customized_response_dict["Body"] = response_dict["body"]
        response_dict["body"] = b"<ListBucketResult/>"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to a request for a listing, exactly as the store has the keys.

    Attributes:
        keys: below the bucket's prefix; a byte that is not UTF-8 is a surrogate, as `surrogateescape` makes it.
        etags: without quotes; empty where the store gives none.
        sizes: bytes.
        modified_at: as the store writes it, ISO 8601.
        folders: below the bucket's prefix, with the slash at their end; only when they were asked for.
        token: for the next page; None after the last one.
    """

    keys: list[str]
    etags: list[str]
    sizes: list[int]
    modified_at: list[str]
    folders: list[str]
    token: str | None


class Bucket:
    """One bucket with an optional prefix, as Store addresses it."""

    def __init__(self, uri: str, options: Settings) -> None:
        self._uri = uri
        self.name, _, self._prefix = uri.removeprefix("s3://").partition("/")
        self._options, self._made, self._lock = options, None, threading.Lock()

    @property
    def _client(self) -> Any:
        with self._lock:
            self._made = self._made or s3_client(self._options)
            return self._made

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Turns boto3's errors into ours, one line each."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        place = f"{self._uri} ({printable(key[:100])})"
        try:
            yield
        except ClientError as error:
            code = _code(error)
            if code == "NoSuchBucket":
                raise ConfigError(f"{self._uri}: no such bucket; create it or mend LANDING_URI / LAKE_URI") from None
            if code in _REFUSED:
                raise ConfigError(
                    f"{place}: access refused; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the key's rights"
                ) from None
            raise RetriableError(f"{place}: the store said {code}; try again: {error}") from error
        except NoCredentialsError:
            raise ConfigError(f"{place}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from None
        except BotoCoreError as error:
            raise RetriableError(
                f"{place}: the store did not answer properly; check AWS_ENDPOINT_URL and try again: {error}"
            ) from error

    def path(self, key: str) -> str:
        """A key below the store's root as the bucket names it."""
        return f"{self._prefix}/{key}" if self._prefix else key

    def pages(self, prefix: str = "", by_folder: bool = False, size: int = 1000) -> Iterator[Page]:
        """Every object whose key begins with `prefix`, a page at a time.

        Args:
            by_folder: only the objects without a further slash, and the folders beside them.
            size: keys of a page, at most 1000.

        Raises:
            ConfigError: no such bucket, or no right to list it.
            RetriableError: the store cannot be reached, or answers with something else than a listing.
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
        """One answer to a request for a listing; one that cannot be read, as when it broke off, is asked for again."""
        for attempt in range(READS):
            with self._translated(prefix or "/"):
                answer = self._patiently(lambda: _listing_client(self._options).list_objects_v2(**wanted))
            try:
                page = _page(answer["Body"], self.path(""))
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
        """Whether it is only a part of a bucket."""
        return bool(self._prefix)

    def is_empty(self) -> bool:
        """Whether no key lies below the prefix.

        Raises:
            ConfigError, RetriableError: as `pages`.
        """
        return not next(self.pages(size=1)).keys

    def listed(self, key: str) -> tuple[str, int, dt.datetime] | None:
        """(etag, size, time of modification) of an object, as a listing says it; None when it is not there.

        A HEAD says the time in whole seconds.
        """
        page = next(self.pages(key, size=1))
        if page.keys != [key]:
            return None
        return page.etags[0], page.sizes[0], dt.datetime.fromisoformat(page.modified_at[0]).astimezone(dt.UTC)

    def read(self, key: str, etag: str, block_bytes: int) -> Iterator[bytes] | None:
        """The bytes of exactly this version, in blocks; None when it is another one or none."""
        from botocore.exceptions import ClientError

        place = {"Bucket": self.name, "Key": self.path(key)}
        with self._translated(key):
            try:
                answer = self._patiently(lambda: self._client.get_object(**place, IfMatch=f'"{etag}"'))
            except ClientError as error:
                if _code(error) in _CHANGED:
                    return None
                raise
        return self._blocks(key, answer["Body"], block_bytes) if answer["ETag"].strip('"') == etag else None

    def _blocks(self, key: str, body: Any, block_bytes: int) -> Iterator[bytes]:
        with self._translated(key):
            yield from body.iter_chunks(block_bytes)

    def _patiently(self, request: Callable[[], _Answer]) -> _Answer:
        """Sends a request; a store that keeps saying to slow down is left alone for as long as it asks."""
        from botocore.exceptions import ClientError

        for number in range(WAITS):
            try:
                return request()
            except ClientError as error:
                if _code(error) not in _SLOW_DOWN:
                    raise
                asked = _retry_after(error)
                time.sleep(min(2.0**number if asked is None else asked, LONGEST_WAIT_SECONDS) + random.uniform(0, 1))
        return request()

    def asks_to_wait(self, key: str) -> float | None:
        """How many seconds the store asks to be left alone, by one request for an object; None when it does not.

        obstore tells nothing of a `Retry-After`.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            s3_client(self._options, attempts=1).head_object(Bucket=self.name, Key=self.path(key))
        except ClientError as error:
            return _retry_after(error)
        except BotoCoreError:
            return None
        return None

    def delete(self, key: str, etag: str) -> bool:
        """Deletes the object if it still is this version; the condition counts where the store honours it.

        Returns:
            False when it is another one or none.
        """
        place = {"Bucket": self.name, "Key": self.path(key)}

        def conditional() -> None:
            try:
                self._client.delete_object(**place, IfMatch=f'"{etag}"')
            except self._client.exceptions.ClientError as error:
                if _code(error) not in _UNREAD:
                    raise
                self._client.delete_object(**place)

        return self._unless_changed(key, conditional)

    def honours_conditional_delete(self) -> bool:
        """Whether the store spares an object whose version is not the one to delete; MinIO and rclone do not."""
        key = f"_probe/{uuid.uuid4().hex}"
        with self._translated(key):
            self._client.put_object(Bucket=self.name, Key=self.path(key), Body=b"probe")
        spared = not self.delete(key, "0" * 32) and self.listed(key) is not None
        with self._translated(key):
            self._client.delete_object(Bucket=self.name, Key=self.path(key))
        return spared

    def copy(self, key: str, etag: str, size: int, target: Bucket, target_key: str) -> bool:
        """Copies exactly this version within the store.

        Returns:
            False when it is another one or none.
        """
        place = {"Bucket": target.name, "Key": target.path(target_key)}
        source = {"CopySource": {"Bucket": self.name, "Key": self.path(key)}}
        condition = {"CopySourceIfMatch": f'"{etag}"'}
        if size <= COPY_BYTES:
            return self._unless_changed(key, lambda: self._client.copy_object(**place, **source, **condition))
        return self._unless_changed(key, lambda: self._client.copy(**place, **source, ExtraArgs=condition))

    def tag(self, key: str, etag: str, name: str, value: str) -> bool:
        """Adds a tag to the object if it still is this version, and takes it back if it changed meanwhile.

        Returns:
            False when it is another one or none.
        """
        place = {"Bucket": self.name, "Key": self.path(key)}

        def current() -> bool:
            return bool(self._client.head_object(**place)["ETag"].strip('"') == etag)

        def tags() -> list[dict[str, str]]:
            found = self._client.get_object_tagging(**place)["TagSet"]
            return [item for item in found if item["Key"] != name]

        def put(found: list[dict[str, str]]) -> None:
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

    def _unless_changed(self, key: str, deed: Callable[[], Any]) -> bool:
        """Does it; False when the store or the deed itself says that the object is not that version any more."""
        from botocore.exceptions import ClientError

        with self._translated(key):
            try:
                return deed() is not False
            except ClientError as error:
                if _code(error) in _CHANGED:
                    return False
                raise


def _retry_after(error: Any) -> float | None:
    """How many seconds the store asks to be left alone, by one of botocore's ClientErrors; None when it does not."""
    said = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after")
    return _seconds(said) if said else None


def _page(body: bytes, root_prefix: str) -> Page:
    """Reads the answer to ListObjectsV2.

    Args:
        root_prefix: with what every key begins; it is left away.

    Raises:
        ElementTree.ParseError, ValueError: it is no such answer.
    """
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        root = ElementTree.fromstring(_NO_TEXT.sub("\ufffd".encode(), body))
    space = root.tag[: root.tag.find("}") + 1]
    if root.tag != f"{space}ListBucketResult":
        raise ValueError(f"expected ListBucketResult, got {root.tag[:100]}")
    is_encoded = (root.findtext(f"{space}EncodingType") or "").lower() == "url"
    items = root.findall(f"{space}Contents")

    def texts(name: str) -> list[str]:
        found = [item.text or "" for item in root.iter(space + name)]
        return found if len(found) == len(items) else [item.findtext(space + name) or "" for item in items]

    def key(text: str) -> str:
        if is_encoded and ("%" in text or "+" in text):
            text = unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")
        if not text.startswith(root_prefix):
            raise ValueError(f"expected keys below {root_prefix}, got {printable(text[:100])}")
        return text[len(root_prefix) :]

    prefixes = [item.findtext(f"{space}Prefix") or "" for item in root.findall(f"{space}CommonPrefixes")]
    token = root.findtext(f"{space}NextContinuationToken")
    is_truncated = (root.findtext(f"{space}IsTruncated") or "").strip() == "true"
    if is_truncated and not token:
        raise ValueError("it goes on, but says not where")
    return Page(
        [key(text) for text in texts("Key")],
        [text.strip('"') for text in texts("ETag")],
        [int(text) for text in texts("Size")],
        texts("LastModified"),
        [key(text) for text in prefixes],
        token if is_truncated else None,
    )


def _seconds(retry_after: str) -> float | None:
    """The header's seconds from now; it is a number of them or a date.

    >>> _seconds("7"), _seconds("Wed, 21 Oct 2015 07:28:00 GMT"), _seconds("soon")
    (7.0, 0.0, None)
    """
    if retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - dt.datetime.now(dt.UTC)).total_seconds())
    except ValueError:
        return None


def _code(error: Any) -> str:
    """The code of one of botocore's ClientErrors."""
    return str(error.response.get("Error", {}).get("Code", ""))
