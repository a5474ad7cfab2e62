"""`catalog.json` is read as it was written, and is what its written schema says."""

from __future__ import annotations

import json

import pytest

from ingest.errors import ConfigError
from ingest.settings import PROJECT
from pipeline.portal.catalog.document import from_json, schema
from pipeline.portal.catalog.entries import Catalog, Column, Profile, Table

CATALOG = Catalog(
    1,
    "shop",
    3,
    "2026-01-01T00:00:00+00:00",
    (
        Table(
            "gold.x",
            "table",
            "One row per x.",
            "shop",
            "me",
            (Column("a", "TEXT", class_="quasi", profile=Profile(1, 2)),),
        ),
    ),
)


def test_a_catalog_is_read_as_it_was_written() -> None:
    assert from_json(CATALOG.to_json(), "catalog.json") == CATALOG
    written = json.loads(CATALOG.to_json())["tables"][0]["columns"][0]
    assert written == {"name": "a", "type": "TEXT", "class": "quasi", "profile": {"nulls": 1, "distinct": 2}}


def test_the_written_schema_is_that_of_the_code() -> None:
    path = PROJECT / "docs" / "catalog.schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(schema())), (
        f"write it anew: python -c 'import json; from pipeline.portal.catalog.document import schema; "
        f"print(json.dumps(schema(), indent=1))' > {path}"
    )


def test_every_field_of_the_schema_is_described() -> None:
    for name, kind in schema()["$defs"].items():
        assert kind["description"], name
        assert all(field["description"] for field in kind["properties"].values()), name


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"format":1', "is no catalog"),
        (b'{"format":1,"project":"x","release":"one","published_at":""}', "is no catalog"),
        (CATALOG.to_json().replace(b'"format":1', b'"format":9'), "has format 9; expected 1"),
    ],
)
def test_what_cannot_be_read_is_named(data: bytes, expected: str) -> None:
    with pytest.raises(ConfigError, match=f"catalog.json.*{expected}"):
        from_json(data, "catalog.json")
