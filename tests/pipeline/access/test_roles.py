"""The file of roles: what it may say, and how what is wrong in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.errors import ConfigError
from ingest.settings import read_settings, secrets
from pipeline.access.roles import FILE, load_roles

GOOD = "roles: [{name: analyst, description: Reads., owner: data, tables: [gold.*]}]"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: analyst", "name: An analyst", "roles.0.name: String should match pattern"),
        ("tables: [gold.*]", "tables: [gold.*], rows: [{tables: [gold.x], where: 'a = ('}]", "is not a condition"),
        ("tables: [gold.*]", 'tables: [gold.*], rows: [{tables: [gold.x], where: "a = \'x"}]', "is not a condition"),
        (
            "tables: [gold.*]",
            "tables: [gold.*], rows: [{tables: [gold.x], where: 'a IN (SELECT b FROM c)'}]",
            "expected comparisons of the table's own columns",
        ),
        (
            "tables: [gold.*]",
            "tables: [gold.*], rows: [{tables: [gold.x], where: \"read_text('x') = a\"}]",
            "expected comp",
        ),
        ("tables: [gold.*]", "tables: [gold.*], columns: [{names: [gold.x], show: hash}]", "is not a column"),
        ("tables: [gold.*]", "tables: [gold.*], classes: {direct: open}", "is no mask"),
        ("roles: [", "roles: [{name: analyst, description: R., owner: d, tables: [a]}, ", "analyst is defined twice"),
    ],
)
def test_wrong_file_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / FILE
    path.parent.mkdir()
    path.write_text(GOOD)
    assert [item.name for item in load_roles(tmp_path)] == ["analyst"]
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError, match=r"roles\.yaml: .*" + message):
        load_roles(tmp_path)


def test_without_the_file_there_are_no_roles(tmp_path: Path) -> None:
    assert load_roles(tmp_path) == ()


def test_keys_are_secret_each_and_as_a_whole(monkeypatch: pytest.MonkeyPatch, clean_settings: Path) -> None:
    given = '{"analyst": "a key of some length", "other": ""}'
    monkeypatch.setenv("LAKE_ROLE_KEYS", given)
    options = read_settings()
    assert options.role_keys == {"analyst": "a key of some length", "other": ""}
    assert "some length" not in repr(options)
    assert {given, "a key of some length"} <= set(secrets().values())


@pytest.mark.parametrize("value", ["analyst", "[]", '{"analyst": 7}'])
def test_keys_that_are_no_object_are_refused(value: str, monkeypatch: pytest.MonkeyPatch, clean_settings: Path) -> None:
    monkeypatch.setenv("LAKE_ROLE_KEYS", value)
    with pytest.raises(ConfigError, match="LAKE_ROLE_KEYS: expected a JSON object with the key of each role"):
        read_settings()
    assert secrets()["LAKE_ROLE_KEYS"] == value
