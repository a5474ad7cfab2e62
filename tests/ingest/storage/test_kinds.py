"""A kind of storage is a module and a line in ingest/schemes.py: settings, Store and Landing then know it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from ingest import schemes
from ingest.errors import ConfigError
from ingest.settings import Settings, read_settings
from ingest.storage.kinds.disk import Disk
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from pipeline.warehouse.duck import ACCESS
from pipeline.warehouse.spark.session import HADOOP_SCHEMES, spark_uri


@pytest.fixture
def cellar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A third kind, registered as `cellar`: folders below one that only its module knows."""

    class Cellar(Disk):
        def __init__(self, uri: str, options: Settings | None, folder_mode: int | None) -> None:
            super().__init__(str(tmp_path / uri.removeprefix("cellar://")), options, folder_mode)

    module = ModuleType("cellar_kind")
    module.KIND = Cellar
    monkeypatch.setitem(sys.modules, "cellar_kind", module)
    monkeypatch.setitem(schemes.KINDS, "cellar", "cellar_kind")
    return tmp_path


def test_registered_kind_serves_settings_store_and_landing(cellar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_URI", "cellar://lake/")
    monkeypatch.setenv("LANDING_URI", "cellar://raw/{bucket}")
    options = read_settings()
    assert options.lake_uri == "cellar://lake"
    lake = Store(options.lake_uri, options)
    assert lake.put_new("ledger/a", b"first")
    assert not lake.put_new("ledger/a", b"second")
    assert [item.key for item in lake.list("ledger")] == ["ledger/a"]
    assert (cellar / "lake" / "ledger" / "a").read_bytes() == b"first"
    (cellar / "raw" / "events").mkdir(parents=True)
    (cellar / "raw" / "events" / "a.json").write_bytes(b"{}")
    landing = Landing(options.landing("events"), options)
    assert landing.listing().column("key").to_pylist() == ["a.json"]
    version = landing.find("a.json")
    assert version is not None
    assert b"".join(landing.read(version)) == b"{}"


def test_unregistered_scheme_is_refused_with_the_known_ones(cellar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_URI", "gs://lake")
    expected = (
        r"LAKE_URI: 'gs://lake' has the scheme 'gs'; expected a folder or .*s3://.* or cellar://bucket\[/prefix\]"
    )
    with pytest.raises(ConfigError, match=expected):
        read_settings()
    with pytest.raises(ConfigError, match="gs://lake: no kind of storage has this scheme"):
        Store("gs://lake")


def test_only_landing_and_lake_may_be_of_a_remote_kind(cellar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_PATH", "cellar://state.duckdb")
    with pytest.raises(ConfigError, match=r"STATE_PATH: .* must be on a local disk"):
        read_settings()


def test_engines_read_every_registered_kind() -> None:
    assert ACCESS.keys() == schemes.KINDS.keys()
    assert HADOOP_SCHEMES.keys() == schemes.KINDS.keys() - {schemes.FOLDER}
    assert (spark_uri("s3://lake/a"), spark_uri("/lake/a")) == ("s3a://lake/a", "file:///lake/a")
