"""What a branch changes: columns by what they compute rather than how they are written, rows, and what they reach."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest
import yaml
from click.testing import CliRunner

from ingest.errors import ConfigError
from pipeline.cli.impact import impact
from pipeline.cli.show_impact import show_comparison, show_impact
from pipeline.portal.catalog.compare import Change, compare
from pipeline.portal.catalog.declared import Declared, exported
from pipeline.portal.catalog.entries import Catalog, Column, Exposure, Metric, Table, Tile
from pipeline.portal.catalog.graph import Graph
from pipeline.portal.catalog.shape import Shape, shape_of
from tests.classed import PEOPLE, classed_project

BEFORE = """
WITH counted AS (
  SELECT people.team AS team, COUNT(people.person_id) AS people FROM silver.people AS people
  WHERE people.team <> 'test' GROUP BY people.team
)
SELECT counted.team AS team, counted.people * 2 AS n FROM counted AS counted
"""
RENAMED = """
WITH c AS (
  /* how many there are */
  SELECT p.team AS t, COUNT(p.person_id) AS k FROM silver.people AS p WHERE p.team <> 'test' GROUP BY p.team
)
SELECT c.t AS team, c.k * 2 AS n FROM c AS c
"""


def _shape(folder: Path, query: str) -> Shape:
    with classed_project(folder, {"gold.teams": query}) as context:
        return shape_of(context.get_model("gold.teams", raise_if_missing=True))


def test_names_comments_and_layout_make_no_difference(tmp_path: Path) -> None:
    assert _shape(tmp_path / "a", BEFORE) == _shape(tmp_path / "b", RENAMED)


@pytest.mark.parametrize(
    ("old", "new", "columns", "rows"),
    [
        ("counted.people * 2", "counted.people * 3", {"n"}, False),
        ("COUNT(people.person_id)", "COUNT(DISTINCT people.person_id)", {"n"}, False),
        ("<> 'test'", "<> 'tests'", set(), True),
        ("FROM counted AS counted", "FROM counted AS counted WHERE counted.people > 1", set(), True),
        ("counted.people * 2 AS n", "(counted.people * 2)::TEXT AS n", {"n"}, False),
    ],
)
def test_a_change_is_one_of_values_or_of_rows(
    tmp_path: Path, old: str, new: str, columns: set[str], rows: bool
) -> None:
    before, after = _shape(tmp_path / "a", BEFORE), _shape(tmp_path / "b", BEFORE.replace(old, new))
    assert {name for name in before.columns if before.columns[name] != after.columns[name]} == columns
    assert (before.rows != after.rows) == rows


def _declared(measure: str = "values-1", rows: str = "rows-1", **changes: object) -> Declared:
    silver = Table("silver.users", "table", "", "", "", (Column("country", "TEXT"), Column("id", "TEXT")))
    gold = Table(
        *("gold.plays", "table", "", "", ""),
        (
            Column("country", "TEXT", upstream=("silver.users.country",)),
            Column("plays", "BIGINT", upstream=("silver.users.id",)),
        ),
    )
    metric = Metric(
        "plays", "Plays", "", "", "", "", "integer", "gold.plays", "sum of plays", upstream=("gold.plays.plays",)
    )
    board = Exposure(
        "use", "Use", "", tiles=(Tile("1", "Plays", "bar", upstream=("metric:plays", "gold.plays.country")),)
    )
    catalog = msgspec.structs.replace(Catalog(1, "x", 0, "", (gold, silver), (metric,), (board,)), **changes)
    shapes = {
        "silver.users": Shape({"country": measure, "id": "id-1"}, rows),
        "gold.plays": Shape({"country": "c", "plays": "p"}, "r"),
    }
    return Declared(catalog, shapes)


def test_a_changed_column_reaches_what_is_computed_from_it() -> None:
    found = compare(_declared(), _declared("values-2"))
    assert [(item.name, item.change) for item in found.differences] == [("silver.users.country", Change.VALUES)]
    assert [item.name for item in found.impact.columns] == ["gold.plays.country"]
    assert list(found.impact.changed) == sorted(found.impact.changed)
    assert [item.name for item in found.impact.tiles] == ["use/1"]
    assert found.impact.metrics == ()
    shown = show_comparison(found, "main")
    assert "silver.users.country  is computed differently" in shown
    assert "that reaches 1 column, 1 tile" in shown


def test_changed_rows_reach_every_column_downstream() -> None:
    found = compare(_declared(), _declared(rows="rows-2"))
    assert [(item.name, item.change) for item in found.differences] == [("silver.users", Change.ROWS)]
    assert {item.name for item in found.impact.columns} == {"gold.plays.country", "gold.plays.plays"}
    assert [item.name for item in found.impact.metrics] == ["plays"]
    assert "gold.plays.* (2)" in show_comparison(found, "main")


def test_what_is_gone_reaches_what_read_it() -> None:
    after = _declared()
    gold, silver = after.catalog.tables
    without = msgspec.structs.replace(silver, columns=silver.columns[:1])
    found = compare(_declared(), _declared(tables=(gold, without)))
    assert [(item.name, item.change) for item in found.differences] == [("silver.users.id", Change.REMOVED)]
    assert [item.name for item in found.impact.metrics] == ["plays"]


def test_types_metrics_and_tiles_are_compared_too() -> None:
    before = _declared()
    (metric,), (board,) = before.catalog.metrics, before.catalog.exposures
    other = msgspec.structs.replace(metric, measure="sum of plays, where x", label="Renamed")
    tiles = (
        msgspec.structs.replace(board.tiles[0], title="Renamed"),
        Tile("2", "New", "line", upstream=("metric:plays",)),
    )
    after = _declared(metrics=(other,), exposures=(msgspec.structs.replace(board, tiles=tiles),))
    assert [(item.name, item.change) for item in compare(before, after).differences] == [
        ("metric:plays", Change.DEFINITION),
        ("tile:use/2", Change.ADDED),
    ]
    renamed = _declared(metrics=(msgspec.structs.replace(metric, label="Renamed", description="Other."),))
    assert compare(before, renamed).differences == ()
    assert show_comparison(compare(before, renamed), "main") == "nothing is computed differently than in main"


def _commit(folder: Path) -> None:
    """Make a repository with one commit on main."""
    for arguments in (("init", "-q", "--initial-branch", "main"), ("add", "-A"), ("commit", "-qm", "first")):
        subprocess.run(["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x", *arguments], check=True)


def test_a_revision_is_exported_without_touching_the_working_copy(tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "project"
    folder.mkdir(parents=True)
    (folder / "model.sql").write_text("old")

    _commit(folder)
    (folder / "model.sql").write_text("new")
    with exported(folder, "main") as found:
        assert [path.name for path in found.iterdir()] == ["model.sql"]
        assert (found / "model.sql").read_text() == "old"
    assert (folder / "model.sql").read_text() == "new"
    for revision in ("nope", "--output=x", ""):
        with pytest.raises(ConfigError, match="git knows no revision"), exported(folder, revision):
            pass


def test_the_command_asks_for_one_of_both() -> None:
    for arguments in ([], ["silver.users.id", "--against", "main"]):
        found = CliRunner().invoke(impact, arguments)
        assert found.exit_code == 2
        assert "give either a column" in found.output


def test_a_revision_of_another_format_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = tmp_path / "ingest" / "contracts" / "hr" / "people.yaml"
    contract.parent.mkdir(parents=True)
    old = {name: value for name, value in PEOPLE.items() if name != "columns"}
    columns = [{"name": "person_id", "type": "string", "description": "Who.", "required": True, "pii": True}]
    contract.write_text(yaml.safe_dump(old | {"columns": columns}))
    (tmp_path / "config.yaml").write_text(
        "gateways: {local: {connection: {type: duckdb}}}\nmodel_defaults: {dialect: duckdb}\n"
    )
    _commit(tmp_path)
    monkeypatch.setattr("ingest.settings.PROJECT", tmp_path)
    found = CliRunner().invoke(impact, ["--against", "main"])
    assert found.exit_code == 2
    start, end = found.output.split("`pii` is no field")
    assert start.startswith(
        "error: revision main is no project as this version reads it: ingest/contracts/hr/people.yaml: columns.0: "
    )
    assert end.endswith("; compare with a later revision, such as HEAD\n")


def test_nothing_downstream_is_said_in_words() -> None:
    assert show_impact(Graph({"a.b.c": ()}, {}).impact(["a.b.c"])) == "nothing is computed from a.b.c"
