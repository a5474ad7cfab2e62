"""Versions: of Python and of the packages that results depend on, and extras that settings need."""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from packaging.requirements import Requirement

from ingest.contracts.contract import contracts
from ingest.settings import PROJECT, Settings
from pipeline.doctor.finding import Finding, Reporter
from pipeline.lake import Lake

PACKAGE = "lakemesh"
CHECKED = ("sqlmesh", "sqlglot", "duckdb", "duckdb-extension-httpfs", "pyarrow", "obstore", "pydantic", "msgspec")
"""Packages on which rows and files depend."""
_PIN = re.compile(r"^([a-z0-9][a-z0-9-]*)==([^ ;\\]+)", re.MULTILINE)
_LOCKED = "make setup"


def check(lake: Lake) -> Iterator[Finding]:
    """See the module."""
    report = Reporter("versions")
    yield report.ok("python", platform.python_version())
    yield from _packages(report)
    yield from _extras(report, lake.options)
    if lake.options.has_spark and not shutil.which("java"):
        yield report.fail("java", "not found", "Java 17, which Spark runs on", "install it, and put it into PATH")


def _packages(report: Reporter) -> Iterator[Finding]:
    """What is installed against what the package demands and what the lock pins."""
    try:
        wanted = {item.name: item for item in map(Requirement, requires(PACKAGE) or ()) if not item.marker}
    except PackageNotFoundError:
        wanted = {}
        step = f"install the project itself: {_LOCKED}, or pip install --no-deps -e ."
        yield report.warn(PACKAGE, "not installed, only imported", "its metadata, which has the versions", step)
    lock = PROJECT / "requirements.lock"
    pins = dict(_PIN.findall(lock.read_text(encoding="utf-8"))) if lock.is_file() else {}
    for name in CHECKED:
        try:
            found = version(name)
        except PackageNotFoundError:
            yield report.fail(name, "not installed", str(wanted.get(name, name)), _LOCKED)
            continue
        if name in wanted and not wanted[name].specifier.contains(found, prereleases=True):
            yield report.fail(name, found, str(wanted[name]), f"{_LOCKED}: with this one results were never tested")
        elif pins.get(name, found) != found:
            step = f"{_LOCKED} installs it; with another one results were never tested"
            yield report.warn(name, found, f"{pins[name]}, which requirements.lock has", step)
        else:
            yield report.ok(name, found)


def _extras(report: Reporter, options: Settings) -> Iterator[Finding]:
    """What settings need beyond the core."""
    reads_topics = any(contract.source.kafka for contract in contracts().values())
    for is_set, setting, extra, module in (
        (options.has_postgres_state, "LAKE_GATEWAY", "postgres", "psycopg2"),
        (bool(options.serving_dsn), "SERVING_DSN", "postgres", "psycopg2"),
        (bool(options.kafka_bootstrap_servers and reads_topics), "KAFKA_BOOTSTRAP_SERVERS", "kafka", "confluent_kafka"),
        (bool(options.metrics_file), "METRICS_FILE", "serve", "prometheus_client"),
        (bool(options.lake_api_keys or options.lake_jwt_key), "LAKE_API_KEYS", "serve", "mcp"),
        (options.sends_lineage, "OPENLINEAGE_URL", "openlineage", "openlineage"),
        (options.has_spark, "LAKE_GATEWAY", "spark", "pyspark"),
    ):
        if is_set and find_spec(module) is None:
            step = f"make setup-{extra}, or pip install 'lakemesh[{extra}]'"
            yield report.fail(
                f"{setting}, extra {extra}", f"{module} is not installed", "the extra that it needs", step
            )
        elif is_set:
            yield report.ok(f"{setting}, extra {extra}", f"{module} is installed")
