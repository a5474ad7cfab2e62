"""Names of datasets by OpenLineage's naming specification, so that its graph joins what other programs report.

The specification has no entry for a DuckDB file: `duckdb://<path>` follows its rule for all others, that a namespace is
scheme and authority and a name is the path, here schema and table.
"""

from __future__ import annotations

from pathlib import Path

from ingest import schemes
from ingest.contracts.contract import Contract
from ingest.settings import Settings

Dataset = tuple[str, str]
"""Namespace and name."""


def at(uri: str, *parts: str) -> Dataset:
    """A folder on disk or in a bucket.

    >>> at("s3://lake/prod", "bronze", "events"), at("/data/lake", "bronze", "events")
    (('s3://lake', 'prod/bronze/events'), ('file', '/data/lake/bronze/events'))
    """
    path = "/".join([uri.rstrip("/"), *parts])
    if not schemes.is_remote(uri):
        return "file", path
    scheme, _, rest = path.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key or "/"


def landing_of(contract: Contract, options: Settings) -> Dataset:
    """Where the objects of a feed are written, or its topic if it has no bucket."""
    if not contract.source.bucket and contract.source.kafka:
        brokers = options.kafka_bootstrap_servers.split(",")[0] or "localhost:9092"
        return f"kafka://{brokers}", contract.source.kafka.topic
    return at(options.landing(contract.source.bucket), *filter(None, [contract.source.prefix.strip("/")]))


def table_of(name: str, options: Settings) -> Dataset:
    """A table that models read or write, as `bronze.events` or `gold.fct_sales`."""
    schema, table = name.split(".", 1)
    if schema == "bronze":
        return at(options.lake_uri, "bronze", table)
    if options.has_spark:
        return at(str(Path(options.lake_home) / "spark" / "warehouse"), f"{schema}.db", table)
    return f"duckdb://{options.warehouse_path}", name


def released(name: str, options: Settings) -> Dataset:
    """A table of the releases."""
    return at(options.published_uri, "tables", name)
