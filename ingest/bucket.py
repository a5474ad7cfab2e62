"""What obstore cannot do with an S3 bucket and boto3 can: exact listing, tags, conditional copies and deletes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from ingest.errors import ConfigError, RetriableError
from ingest.settings import Settings

_REFUSED = {"AccessDenied", "403", "401", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket"}
_UNREAD = {"NotImplemented", "InvalidArgument", "MethodNotAllowed", "InvalidRequest"}
_CHANGED = {"PreconditionFailed", "412", "NoSuchKey", "404", "ConditionalRequestConflict"}
_TAG_TRIES = 3


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
    return boto3.client(
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
        self._options = options

    @cached_property
    def _client(self) -> Any:
        return s3_client(self._options)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Turns boto3's errors into ours, one line each."""
        from botocore.exceptions import BotoCoreError, ClientError

        place = f"s3://{self.name} ({key[:100]})"
        try:
            yield
        except ClientError as error:
            code = _code(error)
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


def _code(error: Any) -> str:
    """The code of one of botocore's ClientErrors."""
    return str(error.response.get("Error", {}).get("Code", ""))
