"""What obstore cannot do with an S3 bucket and boto3 can: exact listing, tags, conditional copies and deletes."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from ingest.errors import ConfigError, RetriableError
from ingest.settings import Settings

_REFUSED = {"AccessDenied", "403", "401", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_UNREAD = {"NotImplemented"}
_CHANGED = {"PreconditionFailed", "412", "NoSuchKey", "404", "ConditionalRequestConflict"}
COPY_BYTES = 5 << 30
"""The largest object that one request may copy."""


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


class Bucket:
    """One bucket with an optional prefix, as Store addresses it."""

    def __init__(self, uri: str, options: Settings) -> None:
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
        from botocore.exceptions import BotoCoreError, ClientError

        place = f"s3://{self.name} ({key[:100]})"
        try:
            yield
        except ClientError as error:
            code = _code(error)
            if code == "NoSuchBucket":
                raise ConfigError(f"{place}: no such bucket as source.bucket or source.retire.to names") from None
            if code in _REFUSED:
                raise ConfigError(f"{place}: refused ({code}); check the key's rights") from None
            raise RetriableError(f"{place}: the store said {code}; try again: {error}") from error
        except BotoCoreError as error:
            raise RetriableError(f"{place}: the store did not answer properly; try again: {error}") from error

    def path(self, key: str) -> str:
        """A key below the store's root as the bucket names it."""
        return f"{self._prefix}/{key}" if self._prefix else key

    def listed_at(self, key: str) -> dt.datetime | None:
        """When the object was modified, as a listing says it; None when it is not there.

        A HEAD says the same in whole seconds.
        """
        with self._translated(key):
            answer = self._client.list_objects_v2(Bucket=self.name, Prefix=self.path(key), MaxKeys=1)
        for item in answer.get("Contents", ()):
            if item["Key"] == self.path(key):
                return item["LastModified"].astimezone(dt.UTC)  # type: ignore[no-any-return]  # boto3 has no types
        return None

    def asks_to_wait(self, key: str) -> float | None:
        """How many seconds the store asks to be left alone, by one request for an object; None when it does not.

        obstore tells nothing of a `Retry-After`.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            s3_client(self._options, attempts=1).head_object(Bucket=self.name, Key=self.path(key))
        except ClientError as error:
            said = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after")
            return _seconds(said) if said else None
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
        spared = not self.delete(key, "0" * 32) and self.listed_at(key) is not None
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
