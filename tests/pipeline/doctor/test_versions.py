"""Versions: another than the lock's is a warning, one outside what is demanded a failure; extras that are missing."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from ingest.settings import settings
from pipeline.doctor import versions
from pipeline.doctor.finding import Finding, Status
from pipeline.lake import Lake


def checked() -> dict[str, Finding]:
    settings.cache_clear()
    return {item.object: item for item in versions.check(Lake(settings()))}


def test_versions_of_the_lock(clean_settings: Path) -> None:
    found = checked()
    assert {item.status for item in found.values()} == {Status.OK}
    assert found["duckdb"].found == version("duckdb")


def test_another_version_than_the_lock_has(
    clean_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements.lock").write_text("pyarrow==1.0.0 \\\n    --hash=sha256:0\n", encoding="utf-8")
    monkeypatch.setattr(versions, "PROJECT", tmp_path)
    found = checked()
    assert (found["pyarrow"].status, found["pyarrow"].expected) == (Status.WARN, "1.0.0, which requirements.lock has")
    assert found["duckdb"].status is Status.OK


@pytest.mark.parametrize(
    ("variables", "about", "module", "step"),
    [
        ({"LAKE_GATEWAY": "postgres_state"}, "LAKE_GATEWAY, extra postgres", "psycopg2", "make setup-postgres"),
        ({"SERVING_DSN": "host=db"}, "SERVING_DSN, extra postgres", "psycopg2", "make setup-postgres"),
        ({"METRICS_FILE": "/srv/m.prom"}, "METRICS_FILE, extra serve", "prometheus_client", "make setup-serve"),
        (
            {"OPENLINEAGE_URL": "http://l"},
            "OPENLINEAGE_URL, extra openlineage",
            "openlineage",
            "make setup-openlineage",
        ),
        ({"LAKE_GATEWAY": "spark"}, "LAKE_GATEWAY, extra spark", "pyspark", "make setup-spark"),
        (
            {"KAFKA_BOOTSTRAP_SERVERS": "b:1"},
            "KAFKA_BOOTSTRAP_SERVERS, extra kafka",
            "confluent_kafka",
            "make setup-kafka",
        ),
    ],
)
def test_an_extra_that_a_setting_needs(
    clean_settings: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    about: str,
    module: str,
    step: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    found = checked()[about]
    assert (found.status, step in found.next_step) == (Status.FAIL, True)
