"""Column lineage equals SQLMesh's own, can be asked both ways, and is computed again for changed models alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlmesh import Context
from sqlmesh.core.lineage import column_dependencies

from pipeline.access.classes import Reach
from pipeline.warehouse import lineage as module
from pipeline.warehouse.cache import fingerprint
from pipeline.warehouse.lineage import FILE, Edge, Lineage, lineage_of
from pipeline.warehouse.project import plain_name
from tests.classed import classed_project, model

MODELS = {
    "gold.teams": "SELECT people.team, COUNT(people.person_id) AS n FROM silver.people AS people GROUP BY people.team",
    "ops.sizes": "SELECT teams.n + 1 AS size FROM gold.teams AS teams",
    "silver.structs": "SELECT people.device AS device FROM bronze.people AS people",
}


def test_lineage_of_the_project_is_that_of_sqlmesh(project: Context, tmp_path: Path) -> None:
    found = lineage_of(project, tmp_path)
    compared = 0
    for item in project.models.values():
        for column in item.columns_to_types or () if item.is_sql else ():
            theirs = column_dependencies(project, item.name, column)
            expected = {(plain_name(table), name) for table, names in theirs.items() for name in names}
            ours = {(use.table, use.column.split(".")[0]) for use in found.uses[item.name][column]}
            assert ours == expected, f"{item.name}.{column}"
            compared += 1
    assert compared > 400


def test_a_field_is_followed_from_its_object_to_the_last_report(project: Context, tmp_path: Path) -> None:
    found = lineage_of(project, tmp_path)
    names = {edge.target for edge in found.downstream("bronze.events.context.os.version")}
    assert {"silver.activity_events.os_version", "gold.activity_engagement_metrics_monthly.os_version"} <= names
    sources = {edge.source for edge in found.upstream("ops.share_anomalies.member")}
    assert {"bronze.users.country_code", "bronze.events.context.os.name"} <= sources
    assert "bronze.events.user_id" not in sources


def test_both_directions_name_each_step(tmp_path: Path) -> None:
    with classed_project(tmp_path, MODELS) as context:
        found = lineage_of(context, tmp_path)
    person = Edge("bronze.people.person_id", "silver.people.person_id", Reach.VALUE)
    count = Edge("silver.people.person_id", "gold.teams.n", Reach.AGGREGATE)
    size = Edge("gold.teams.n", "ops.sizes.size", Reach.VALUE)
    assert found.upstream("ops.sizes.size") == sorted([person, count, size])
    assert found.downstream("bronze.people.person_id") == sorted([person, count, size])
    assert found.upstream("bronze.people.person_id") == found.downstream("ops.sizes.size") == []
    assert found.sources("gold.teams.n") == [count]


def test_reader_of_a_struct_reads_its_fields(tmp_path: Path) -> None:
    with classed_project(tmp_path, MODELS) as context:
        found = lineage_of(context, tmp_path)
    assert {edge.target for edge in found.readers("bronze.people.device.maker")} == {
        "silver.people.maker",
        "silver.structs.device",
    }
    assert {edge.target for edge in found.readers("bronze.people.device")} == {
        "silver.people.maker",
        "silver.people.serial",
        "silver.structs.device",
    }
    assert found.sources("silver.structs.device.maker") == [
        Edge("bronze.people.device", "silver.structs.device.maker", Reach.VALUE)
    ]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose uses are computed."""
    names: list[str] = []
    inner = module.column_uses

    def counted(item: object) -> object:
        names.append(item.name)  # type: ignore[attr-defined]
        return inner(item)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "column_uses", counted)
    return names


def loaded(folder: Path, models: dict[str, str]) -> Lineage:
    with classed_project(folder, models) as context:
        return lineage_of(context)


def test_only_a_changed_model_and_its_readers_are_computed_again(tmp_path: Path, computed: list[str]) -> None:
    first = loaded(tmp_path, MODELS)
    assert {"gold.teams", "ops.sizes", "silver.people", "silver.structs"} <= set(computed)

    computed.clear()
    assert loaded(tmp_path, MODELS).uses == first.uses
    assert computed == []

    changed = MODELS | {"ops.sizes": "SELECT teams.n + 1 AS size, teams.team FROM gold.teams AS teams"}
    found = loaded(tmp_path, changed)
    assert computed == ["ops.sizes"]
    assert found.sources("ops.sizes.team") == [Edge("gold.teams.team", "ops.sizes.team", Reach.VALUE)]

    computed.clear()
    assert loaded(tmp_path, MODELS).uses == first.uses
    assert computed == ["ops.sizes"]


def test_columns_of_what_is_read_are_part_of_the_key(tmp_path: Path, computed: list[str]) -> None:
    models = {"gold.joined": "SELECT team, place FROM gold.a CROSS JOIN gold.b"}
    one = {"gold.a": "SELECT 'x' AS team", "gold.b": "SELECT 'y' AS place"}
    other = {"gold.a": "SELECT 'x' AS place", "gold.b": "SELECT 'y' AS team"}
    assert loaded(tmp_path, models | one).sources("gold.joined.team")[0].source == "gold.a.team"
    assert loaded(tmp_path, models | other).sources("gold.joined.team")[0].source == "gold.b.team"


def reversed_tables(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its tables in the opposite order, and columns in theirs."""
    if not all(isinstance(below, dict) for below in schema.values()):
        return schema
    return {name: reversed_tables(schema[name]) for name in reversed(schema)}


def test_order_in_which_sqlmesh_lists_parents_does_not_matter(tmp_path: Path) -> None:
    """It is that of a set of names, another in each process."""
    both = "SELECT a.team AS team, b.n AS n FROM silver.people AS a JOIN gold.teams AS b ON a.team = b.team"
    with classed_project(tmp_path, MODELS | {"gold.both": both}) as context:
        found = next(item for item in context.models.values() if item.name == "gold.both")
        before, listed = fingerprint(found, "1"), json.dumps(found.mapping_schema)
        found.set_mapping_schema(reversed_tables(found.mapping_schema))
        assert json.dumps(found.mapping_schema) != listed
        assert fingerprint(found, "1") == before
        assert fingerprint(found, "2") != before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"silver.people": 1}', '{"silver.people": {"key": "x"}}'])
def test_damaged_cache_is_computed_again(tmp_path: Path, content: str) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / FILE).write_text(content)
    with classed_project(tmp_path, MODELS) as context:
        found = lineage_of(context, cache)
    assert found.sources("gold.teams.n")
    assert "gold.teams" in json.loads((cache / FILE).read_text())


def test_place_that_cannot_be_written_to_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with classed_project(tmp_path, MODELS) as context:
        assert lineage_of(context, tmp_path / "file" / "below").sources("gold.teams.n")


def test_model_that_is_gone_leaves_the_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with classed_project(tmp_path, MODELS) as context:
        lineage_of(context, cache)
    (tmp_path / next(iter(model("ops.sizes", "")))).unlink()
    with classed_project(tmp_path, {}) as context:
        lineage_of(context, cache)
    stored = json.loads((cache / FILE).read_text())
    assert "ops.sizes" not in stored
    assert "gold.teams" in stored
