"""The environment is read in one place, and a wrong value is reported with its variable."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from ingest.errors import ConfigError
from ingest.settings import PROJECT, read_settings

NAMES = ["LAKE_HOME", "LANDING_URI", "LAKE_URI", "WAREHOUSE_PATH", "STATE_PATH", "LAKE_START", "AWS_ENDPOINT_URL"]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    dotenv = tmp_path / "dotenv"
    dotenv.touch()
    monkeypatch.setenv("SQLMESH_DOTENV_PATH", str(dotenv))
    return dotenv


def test_defaults_lie_in_the_data_folder_of_the_project() -> None:
    options = read_settings()
    home = f"{PROJECT}/data"
    assert options.landing("raw-events") == f"{home}/landing/raw-events"
    assert (options.lake_uri, options.warehouse_path) == (f"{home}/lake", f"{home}/warehouse.duckdb")
    assert (options.state_path, options.lake_start) == (f"{home}/state.duckdb", dt.date(2021, 1, 1))


def test_home_moves_all_locations_and_each_can_be_moved_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HOME", "/srv/home")
    monkeypatch.setenv("LAKE_URI", "s3://lake/prod/")
    monkeypatch.setenv("LANDING_URI", "s3://{bucket}")
    options = read_settings()
    assert options.landing("raw-users") == "s3://raw-users"
    assert (options.lake_uri, options.state_path) == ("s3://lake/prod", "/srv/home/state.duckdb")


def test_dotenv_takes_precedence_as_in_sqlmesh(monkeypatch: pytest.MonkeyPatch, clean: Path) -> None:
    monkeypatch.setenv("LAKE_HOME", "/from/environment")
    clean.write_text("LAKE_HOME=/from/dotenv\n")
    assert read_settings().lake_home == "/from/dotenv"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_URI", "")
    assert read_settings().lake_uri == f"{PROJECT}/data/lake"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LAKE_URI", "gs://bucket", "scheme 'gs'"),
        ("LAKE_URI", "s3://", "names no bucket"),
        ("LANDING_URI", "s3://raw", "lacks the placeholder {bucket}"),
        ("LAKE_HOME", "s3://bucket/home", "must be on a local disk"),
        ("STATE_PATH", "s3://bucket/state.duckdb", "must be on a local disk"),
        ("LAKE_START", "last year", "'last year' is not a date"),
    ],
)
def test_wrong_value_names_the_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        read_settings()
    assert str(caught.value).startswith(f"{name}: ")
    assert message in str(caught.value)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    assert "very-secret" not in repr(read_settings())
