"""Creation of the lake's buckets in an S3 store.

`python -m pipeline.dev.init_s3` waits for the store and creates missing buckets.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from ingest.contracts.contract import contracts
from ingest.errors import ConfigError, LakemeshError, RetriableError
from ingest.settings import Settings, settings
from ingest.storage.bucket import s3_client
from ingest.storage.errors import code_of, no_credentials

WAIT_SECONDS = 60.0
_TAKEN = {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}
_ABSENT = {"404", "NoSuchBucket", "NotFound"}
_STARTING = {"429", "500", "502", "503", "504", "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout"}


def buckets_of(options: Settings) -> list[str]:
    """Return the buckets used by the settings, sorted: of feeds, `retire` targets, the lake and its releases."""
    uris = [options.landing(item.source.bucket) for item in contracts().values() if item.source.bucket]
    retired = (contract.source.retire for contract in contracts().values())
    uris += [options.landing(rule.to.split("/", 1)[0]) for rule in retired if rule and rule.to]
    uris += [options.lake_uri, options.published_uri]
    return sorted({uri.removeprefix("s3://").split("/", 1)[0] for uri in uris if uri.startswith("s3://")})


def create_buckets(options: Settings, buckets: Iterable[str], wait_seconds: float = WAIT_SECONDS) -> list[str]:
    """Create the missing buckets as soon as the store answers.

    Args:
        options: address and credentials of the store.
        buckets: names; existing buckets are left unchanged.
        wait_seconds: total time limit for the store to answer.

    Returns:
        Names of the created buckets.

    Raises:
        ConfigError: access is refused, or a name is taken by another account.
        RetriableError: the store did not answer in time.
    """
    client = s3_client(options, attempts=1)  # the deadline limits retries, not boto3
    deadline = time.monotonic() + wait_seconds
    return [bucket for bucket in buckets if _create(client, options, bucket, deadline)]


def _create(client: Any, options: Settings, bucket: str, deadline: float) -> bool:
    """Create one bucket unless it exists; retries while the store is starting."""
    place = f"s3://{bucket} at {options.aws_endpoint_url or 'AWS'}"
    while True:
        try:
            return _create_once(client, bucket, options.aws_region)
        except (NoCredentialsError, PartialCredentialsError):
            raise no_credentials(place) from None
        except ClientError as error:
            code = code_of(error)
            if code not in _STARTING:
                raise ConfigError(
                    f"{place}: refused ({code}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, their right to create "
                    "buckets, and that the name is not taken by another account"
                ) from None
            reason = code
        except BotoCoreError as error:
            reason = str(error)
        if time.monotonic() >= deadline:
            raise RetriableError(f"{place}: the store did not answer in time; check AWS_ENDPOINT_URL: {reason}")
        time.sleep(0.2)


def _create_once(client: Any, bucket: str, region: str) -> bool:
    try:
        client.head_bucket(Bucket=bucket)
        return False
    except ClientError as error:
        if code_of(error) not in _ABSENT:
            raise
    # AWS rejects us-east-1 as a location constraint
    placement = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        client.create_bucket(Bucket=bucket, **placement)
    except ClientError as error:
        if code_of(error) not in _TAKEN:
            raise
        client.head_bucket(Bucket=bucket)  # refused if the bucket belongs to another account
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; exit 0 done, 1 the store cannot be reached, 2 misuse."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.dev.init_s3", description=__doc__)
    parser.add_argument(
        "--wait", type=float, default=WAIT_SECONDS, metavar="SECONDS", help="time limit for the store to answer"
    )
    chosen = parser.parse_args(arguments)
    try:
        options = settings()
        buckets = buckets_of(options)
        if not buckets:
            raise ConfigError("neither LANDING_URI nor LAKE_URI is s3://, so there is no bucket to create")
        created = create_buckets(options, buckets, chosen.wait)
    except LakemeshError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    for bucket in buckets:
        print(f"s3://{bucket}\t{'created' if bucket in created else 'exists'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
