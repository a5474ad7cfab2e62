"""Creation of buckets on a real S3 store."""

from __future__ import annotations

import time

import boto3
import pytest

from ingest.errors import ConfigError, RetriableError
from ingest.settings import Settings, settings
from pipeline.dev.init_s3 import buckets_of, create_buckets, main


@pytest.mark.s3
def test_missing_buckets_are_created_once(s3_server: dict[str, str]) -> None:
    options = Settings.model_validate(s3_server)
    assert create_buckets(options, ["shared", "made-here"]) == ["made-here"]
    assert create_buckets(options, ["shared", "made-here"]) == []
    client = boto3.client(
        "s3",
        endpoint_url=options.aws_endpoint_url,
        region_name=options.aws_region,
        aws_access_key_id=options.aws_access_key_id,
        aws_secret_access_key=options.aws_secret_access_key,
    )
    assert "made-here" in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]


@pytest.mark.s3
def test_wrong_key_fails_at_once(s3_server: dict[str, str]) -> None:
    options = Settings.model_validate(s3_server | {"AWS_SECRET_ACCESS_KEY": "wrong-and-long-enough"})
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"s3://shared at http.*refused .*AWS_SECRET_ACCESS_KEY"):
        create_buckets(options, ["shared"], wait_seconds=30)
    assert time.monotonic() - started < 10


def test_unreachable_store_is_waited_for_and_then_reported() -> None:
    options = Settings.model_validate(
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    )
    with pytest.raises(RetriableError, match="did not answer in time; check AWS_ENDPOINT_URL"):
        create_buckets(options, ["lake"], wait_seconds=0.5)


def test_buckets_are_those_of_the_settings() -> None:
    options = Settings.model_validate({"LANDING_URI": "s3://{bucket}/in", "LAKE_URI": "s3://warehouse/lake"})
    raw = ["accounts", "activities", "events", "invoices", "subscriptions", "users"]
    raw += [f"shop-{table}" for table in ("clickstream", "customers", "order-items", "orders", "payments", "products")]
    raw += ["shop-inventory", "shop-marketing-spend", "shop-refunds", "shop-shipments"]
    assert buckets_of(options) == [*sorted(f"raw-{name}" for name in raw), "warehouse"]


@pytest.mark.s3
def test_command_names_each_bucket(s3_lake: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "s3://lake\texists\n" in capsys.readouterr().out


@pytest.mark.usefixtures("clean_settings")
def test_local_settings_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    settings.cache_clear()
    assert main([]) == 2
    assert "neither LANDING_URI nor LAKE_URI is s3://" in capsys.readouterr().err
