"""DuckDB reads S3 with the key in the settings, else with the current one of the task that the process is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.settings import Settings
from pipeline.warehouse import duck
from tests.task_keys import serve_keys

FIRST = {"AccessKeyId": "FIRST", "SecretAccessKey": "one", "Token": "t1"}
SECOND = {"AccessKeyId": "SECOND", "SecretAccessKey": "two", "Token": "t2"}


@pytest.fixture
def task(clean_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, dict[str, str]]]:
    """The keys of a task, which last a minute; changed by the test."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    duck._provider.cache_clear()
    keys = {"cycle": FIRST}
    with serve_keys(keys, tmp_path, seconds=60) as variables:
        for name, value in variables("cycle").items():
            monkeypatch.setenv(name, value)
        yield keys
    duck._provider.cache_clear()


def test_the_current_key_of_the_task_is_used(task: dict[str, dict[str, str]]) -> None:
    first = duck.secret(Settings())
    task["cycle"] = SECOND
    second = duck.secret(Settings())
    assert [(found["key_id"], found["secret"], found["session_token"]) for found in (first, second)] == [
        ("FIRST", "one", "t1"),
        ("SECOND", "two", "t2"),
    ]


def test_a_key_in_the_settings_comes_first(task: dict[str, dict[str, str]]) -> None:
    found = duck.secret(Settings(aws_access_key_id="own", aws_secret_access_key="secret"))
    assert (found["key_id"], found["secret"], "session_token" in found) == ("own", "secret", False)


def test_without_any_key_requests_are_not_signed(
    task: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    assert "key_id" not in duck.secret(Settings())
