"""What a change reaches: by values, by the rows that a column decides, and what nearly has a name."""

from __future__ import annotations

import pytest

from ingest.errors import ConfigError
from pipeline.portal.catalog.graph import Graph

GRAPH = Graph(
    {
        "source:raw/country": (),
        "bronze.users.country": ("source:raw/country",),
        "bronze.users.id": (),
        "silver.users.country": ("bronze.users.country",),
        "silver.users.id": ("bronze.users.id",),
        "gold.plays.country": ("silver.users.country",),
        "gold.plays.plays": (),
        "metric:plays": ("gold.plays.plays",),
        "metric:rate": ("metric:plays",),
        "tile:use/1": ("metric:rate",),
        "tile:use/2": ("metric:plays", "gold.plays.country"),
    },
    {"gold.plays": ("silver.users.id",)},
)


def test_values_are_followed_from_a_source_to_tiles_with_their_steps() -> None:
    found = GRAPH.impact(["source:raw/country"])
    assert [(item.name, item.steps, item.by) for item in found.columns] == [
        ("bronze.users.country", 1, "values"),
        ("silver.users.country", 2, "values"),
        ("gold.plays.country", 3, "values"),
    ]
    assert [(item.name, item.steps) for item in found.tiles] == [("use/2", 4)]
    assert found.metrics == ()


def test_a_column_that_decides_rows_reaches_the_whole_table() -> None:
    found = GRAPH.impact(["silver.users.id"])
    assert [(item.name, item.by) for item in found.columns] == [
        ("gold.plays.country", "rows"),
        ("gold.plays.plays", "rows"),
    ]
    assert [(item.name, item.by) for item in found.metrics] == [("plays", "rows"), ("rate", "rows")]
    assert {item.name for item in found.tiles} == {"use/1", "use/2"}


def test_rows_reached_through_other_columns_are_followed_too() -> None:
    names = {item.name for item in GRAPH.impact(["bronze.users.id"]).columns}
    assert names == {"silver.users.id", "gold.plays.country", "gold.plays.plays"}


def test_changed_rows_of_a_table_reach_what_is_computed_from_it() -> None:
    found = GRAPH.impact([], rows=["silver.users"])
    assert {item.name for item in found.columns} >= {"gold.plays.country"}
    assert all(item.by == "rows" for item in found.columns)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("silver.users.contry", "did you mean silver.users.country?"),
        ("silver.users.zzz", "did you mean silver.users.country, silver.users.id?"),
        ("gold.play.country", "did you mean gold.plays.country"),
        ("zzz", "expected schema.table.column"),
    ],
)
def test_an_unknown_column_is_answered_with_the_nearest(asked: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no column {asked}; {expected.replace('?', '[?]')}"):
        GRAPH.resolve(asked)


def test_a_metric_is_named_without_its_kind() -> None:
    assert GRAPH.resolve("rate") == "metric:rate"
