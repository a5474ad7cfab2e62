"""Errors of disks and stores as Lakemesh's errors, on one line: a function for each driver."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from ingest.errors import ConfigError, RetriableError
from ingest.text import printable

_BAD_KEY = ("empty path segment", "illegal character sequence")
_FORBIDDEN = ("403 Forbidden", "401 Unauthorized", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")
_REFUSED = {"AccessDenied", "403", "401", "InvalidAccessKeyId", "SignatureDoesNotMatch"}


def local_error(error: OSError, path: Path) -> ConfigError | RetriableError:
    """Convert an error of the local file system to a Lakemesh error with a one-line message."""
    reason, place = os.strerror(error.errno) if error.errno else str(error), printable(str(path))
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}:
        return ConfigError(f"{place}: {reason}; expected a folder that this user can read and write")
    return RetriableError(f"{place}: {reason}; nothing half done is visible, fix that and run it again")


@contextmanager
def obstore_errors(uri: str, key: str) -> Iterator[None]:
    """Convert errors of obstore to Lakemesh errors.

    Raises:
        ConfigError: no such bucket, access is refused, or the key is none.
        RetriableError: the store does not answer.
        FileNotFoundError, AlreadyExistsError, PreconditionError: unchanged; they concern one object.
    """
    try:
        yield
    except (FileNotFoundError, ValueError, BaseError) as error:
        text = str(error)
        is_known = any(word in text for word in _BAD_KEY) or isinstance(error, BaseError | FileNotFoundError)
        if (isinstance(error, FileNotFoundError) and "NoSuchBucket" not in text) or not is_known:
            raise
        place = f"{uri} ({printable(key)})"
        if "NoSuchBucket" in text:
            raise _no_bucket(uri) from None
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or any(word in text for word in _FORBIDDEN):
            raise _access_refused(place) from None
        if isinstance(error, AlreadyExistsError | PreconditionError):
            raise
        if any(word in text for word in _BAD_KEY):
            raise ConfigError(
                f"{place}: a key has an empty path segment, `.` or `..`; rename the object: {text[:200]}"
            ) from None
        raise _no_response(place, text.split("\n", 1)[0][:300]) from error


@contextmanager
def boto3_errors(uri: str, key: str) -> Iterator[None]:
    """Convert errors of boto3 to Lakemesh errors.

    Raises:
        ConfigError: no such bucket, no credentials, or access is refused.
        RetriableError: the store does not answer, or answers with another code.
    """
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError  # takes 0.2 s

    place = f"{uri} ({printable(key[:100])})"
    try:
        yield
    except ClientError as error:
        code = code_of(error)
        if code == "NoSuchBucket":
            raise _no_bucket(uri) from None
        if code in _REFUSED:
            raise _access_refused(place) from None
        raise RetriableError(f"{place}: the store returned {code}; try again: {error}") from error
    except NoCredentialsError:
        raise no_credentials(place) from None
    except BotoCoreError as error:
        raise _no_response(place, str(error)) from error


def code_of(error: Any) -> str:
    """Return the code of a botocore ClientError; empty for another error."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def no_credentials(place: str) -> ConfigError:
    """The error for a store without credentials in the settings."""
    return ConfigError(f"{place}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")


def _no_bucket(uri: str) -> ConfigError:
    return ConfigError(f"{uri}: no such bucket; create it or fix LANDING_URI / LAKE_URI")


def _access_refused(place: str) -> ConfigError:
    return ConfigError(f"{place}: access refused; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the key's rights")


def _no_response(place: str, reason: str) -> RetriableError:
    return RetriableError(f"{place}: no valid response from the store; check AWS_ENDPOINT_URL and try again: {reason}")
