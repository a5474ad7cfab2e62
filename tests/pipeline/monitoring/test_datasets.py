"""Rule: datasets are named as OpenLineage's own client names them."""

from __future__ import annotations

import pytest

from ingest.contracts.contract import contracts
from ingest.settings import Settings
from pipeline.monitoring.datasets import at, landing_of, released, table_of

naming = pytest.importorskip(
    "openlineage.client.naming.dataset", reason="OpenLineage: its client is not installed, the extra `openlineage`"
)
ON_DISK = Settings(lake_home="/srv/lake", kafka_bootstrap_servers="k1:9092,k2:9092")
ON_S3 = Settings(
    lake_home="/srv/lake", lake_uri="s3://lake/prod", published_uri="s3://out", landing_uri="s3://{bucket}"
)


def named(naming: object) -> tuple[str, str]:
    return naming.get_namespace(), naming.get_name()  # type: ignore[attr-defined]


def test_folders_and_buckets() -> None:
    events = contracts()["events"]
    bucket = events.source.bucket
    assert landing_of(events, ON_DISK) == named(naming.LocalFileSystem(f"/srv/lake/landing/{bucket}"))
    assert landing_of(events, ON_S3) == named(naming.S3(bucket, "/"))
    assert table_of("bronze.events", ON_DISK) == named(naming.LocalFileSystem("/srv/lake/lake/bronze/events"))
    assert table_of("bronze.events", ON_S3) == named(naming.S3("lake", "prod/bronze/events"))
    assert released("gold.fct_sales", ON_S3) == named(naming.S3("out", "tables/gold.fct_sales"))
    assert at("s3://lake/", "a") == named(naming.S3("lake", "a"))


def test_topics_and_tables() -> None:
    with_topic = next(item for item in contracts().values() if item.source.kafka)
    topic = with_topic.source.kafka.topic
    alone = with_topic.model_copy(update={"source": with_topic.source.model_copy(update={"bucket": ""})})
    assert landing_of(alone, ON_DISK) == named(naming.Kafka("k1", "9092", topic))
    assert table_of("gold.fct_sales", ON_DISK) == ("duckdb:///srv/lake/warehouse.duckdb", "gold.fct_sales")
    spark = Settings(lake_home="/srv/lake", lake_gateway="spark")
    folder = "/srv/lake/spark/warehouse/gold.db/fct_sales"
    assert table_of("gold.fct_sales", spark) == named(naming.LocalFileSystem(folder))
