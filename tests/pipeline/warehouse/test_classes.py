"""Classes follow values through every layer; counts, and sums over several persons, end them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.contracts.classes import Class
from pipeline.access.classes import Classed, Use, classify
from pipeline.warehouse.classes import Classes, project_classes
from tests.classed import classed_project, model

EXPRESSIONS = {
    "as_itself": ("people.person_id", Class.DIRECT),
    "cast": ("people.salary::DOUBLE::TEXT", Class.SENSITIVE),
    "hashed": ("MD5(people.person_id)", Class.DIRECT),
    "joined_text": ("CONCAT(people.country, '/', people.team)", Class.QUASI),
    "two_classes": ("CONCAT(people.country, people.person_id)", Class.DIRECT),
    "all_classes": ("CONCAT(people.salary, people.person_id)", Class.SENSITIVE),
    "condition": ("people.salary > 1000", Class.SENSITIVE),
    "case_of_condition": ("CASE WHEN people.person_id IS NULL THEN 0 ELSE 1 END", Class.DIRECT),
    "of_no_class": ("COALESCE(people.team, 'none')", Class.NONE),
    "constant": ("1", Class.NONE),
    "field_of_struct": ("people.serial", Class.DIRECT),
    "other_field": ("people.maker", Class.NONE),
    "row_number": ("ROW_NUMBER() OVER (PARTITION BY people.person_id ORDER BY people.salary)", Class.NONE),
    "earlier_value": (
        "LAG(people.salary) OVER (PARTITION BY people.person_id ORDER BY people.hired_at)",
        Class.SENSITIVE,
    ),
    "count_in_window": ("COUNT(people.person_id) OVER (PARTITION BY people.country)", Class.NONE),
    "sum_per_team": ("SUM(people.salary) OVER (PARTITION BY people.team)", Class.NONE),
    "sum_per_person": ("SUM(people.salary) OVER (PARTITION BY people.person_id)", Class.SENSITIVE),
    "subquery": ("(SELECT MAX(others.salary) FROM silver.people AS others)", Class.SENSITIVE),
    "correlated_sum": ("(SELECT SUM(o.salary) FROM silver.people AS o WHERE o.team = people.team)", Class.NONE),
    "sum_of_one": (
        "(SELECT SUM(o.salary) FROM silver.people AS o WHERE o.person_id = people.person_id)",
        Class.SENSITIVE,
    ),
    "mean_of_one": (
        "(SELECT AVG(i.salary) FROM (SELECT o.salary AS salary FROM silver.people AS o "
        "WHERE o.person_id = people.person_id) AS i)",
        Class.SENSITIVE,
    ),
    "correlated": ("(SELECT COUNT(*) FROM silver.people AS o WHERE o.team = people.team)", Class.NONE),
}
AGGREGATES = {
    "team": ("people.team", Class.NONE),
    "people": ("COUNT(DISTINCT people.person_id)", Class.NONE),
    "mean": ("AVG(people.salary)", Class.NONE),
    "filtered": ("SUM(people.salary) FILTER (WHERE people.country = 'fr')", Class.NONE),
    "share": ("ROUND(SUM(CASE WHEN people.salary > 9 THEN 1 ELSE 0 END) / NULLIF(COUNT(*), 0), 2)", Class.NONE),
    "greatest": ("MAX(people.salary)", Class.SENSITIVE),
    "middle": ("MEDIAN(people.salary)", Class.SENSITIVE),
    "one_of_them": ("MIN(people.person_id)", Class.DIRECT),
    "listed": ("STRING_AGG(people.person_id, ',')", Class.DIRECT),
}

KEYED = {
    "by_all": ("people.person_id AS a, people.team AS b", "GROUP BY ALL", Class.SENSITIVE),
    "by_all_of_team": ("people.team AS a, UPPER(people.team) AS b", "GROUP BY ALL", Class.NONE),
    "by_rollup": ("people.person_id AS a", "GROUP BY ROLLUP (people.team, people.person_id)", Class.SENSITIVE),
    "by_cube": ("people.person_id AS a", "GROUP BY people.team, CUBE (people.person_id)", Class.SENSITIVE),
    "by_sets": (
        "people.person_id AS a",
        "GROUP BY GROUPING SETS ((people.team, people.person_id), ())",
        Class.SENSITIVE,
    ),
    "by_place": ("people.person_id AS a", "GROUP BY ROLLUP (1)", Class.SENSITIVE),
    "by_place_in_sets": (
        "people.team AS a, people.person_id AS b",
        "GROUP BY GROUPING SETS ((1, 2), ())",
        Class.SENSITIVE,
    ),
    "by_place_of_team": ("people.team AS a, 'x' AS b", "GROUP BY CUBE (1, 2)", Class.NONE),
    "by_sets_of_team": ("people.team AS a", "GROUP BY GROUPING SETS ((people.team), ())", Class.NONE),
}
"""Selected keys, GROUP BY, and the class of a sum."""
WINDOWS = {
    "by_name": ("w", "w AS (PARTITION BY people.person_id)", Class.SENSITIVE),
    "by_name_of_name": ("(w ORDER BY people.team)", "v AS (PARTITION BY people.person_id), w AS (v)", Class.SENSITIVE),
    "by_name_of_team": ("w", "w AS (PARTITION BY people.team), v AS (PARTITION BY people.person_id)", Class.NONE),
}
"""OVER, WINDOW, and the class of a sum."""
JOINED = {
    "lateral_sum": ("CROSS JOIN LATERAL", "paid", "person_id", "own", Class.SENSITIVE),
    "lateral_renamed": ("CROSS JOIN LATERAL", "total", "person_id", "own(paid)", Class.SENSITIVE),
    "lateral_of_team": ("CROSS JOIN LATERAL", "paid", "team", "own", Class.NONE),
    "joined_sum": (",", "paid", "person_id", "own", Class.SENSITIVE),
}
"""A query joined with each row: how, its column, what it is correlated by, its name, and the class of the column."""


def select(columns: dict[str, tuple[str, Class]], group: str = "") -> str:
    items = ", ".join(f"{expression} AS {name}" for name, (expression, _) in columns.items())
    return f"SELECT {items} FROM silver.people AS people {group}"


MODELS = {
    "gold.expressions": select(EXPRESSIONS),
    "gold.aggregates": select(AGGREGATES, "GROUP BY people.team"),
    **{
        f"gold.{name}": f"SELECT {keys}, SUM(people.salary) AS paid FROM silver.people AS people {group}"
        for name, (keys, group, _) in KEYED.items()
    },
    **{
        f"gold.{name}": "SELECT people.team AS team, own.paid AS paid FROM silver.people AS people "
        f"{join} (SELECT SUM(o.salary) AS {inner} FROM silver.people AS o WHERE o.{key} = people.{key}) AS {alias}"
        for name, (join, inner, key, alias, _) in JOINED.items()
    },
    **{
        f"gold.window_{name}": f"SELECT SUM(people.salary) OVER {over} AS paid FROM silver.people AS people "
        f"WINDOW {named}"
        for name, (over, named, _) in WINDOWS.items()
    },
    "gold.per_country": "SELECT people.country, COUNT(*) AS n FROM silver.people AS people GROUP BY people.country",
    "gold.per_person": (
        "SELECT people.person_id, SUM(people.salary) AS paid, COUNT(people.salary) AS payments, "
        "AVG(people.salary) AS m "
        "FROM silver.people AS people GROUP BY people.person_id"
    ),
    "gold.over_persons": "SELECT SUM(per_person.paid) AS paid FROM gold.per_person AS per_person",
    "gold.nested": (
        "WITH paid AS (SELECT p.person_id AS who, p.team AS team, SUM(p.salary) AS total FROM silver.people AS p "
        "GROUP BY p.person_id, p.team) "
        "SELECT paid.team AS team, AVG(paid.total) AS mean, MAX(paid.total) AS most, COUNT(paid.who) AS n "
        "FROM paid AS paid GROUP BY paid.team"
    ),
    "gold.both_sides": (
        "SELECT people.team AS x FROM silver.people AS people UNION ALL "
        "SELECT others.country AS y FROM silver.people AS others"
    ),
    "silver.children": (
        "WITH listed AS (SELECT people.team AS team, UNNEST(people.children) AS child FROM bronze.people AS people) "
        "SELECT listed.team, listed.child.age AS age, listed.child AS whole FROM listed AS listed"
    ),
    "silver.by_place": (
        "SELECT items.child.name AS name, items.place AS place FROM bronze.people AS people "
        "CROSS JOIN UNNEST(people.children) WITH ORDINALITY AS items(child, place)"
    ),
    "silver.structs": "SELECT people.device AS device, people._rescued_data AS rest FROM bronze.people AS people",
    "silver.of_structs": "SELECT s.device.maker AS maker, s.device.serial AS serial FROM silver.structs AS s",
    "ops.counts": "SELECT per_country.country AS place, per_country.n AS n FROM gold.per_country AS per_country",
}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classes]:
    folder = tmp_path_factory.mktemp("classes")
    privacy = {
        "columns": [
            {"names": ["gold.expressions.condition"], "class": "sensitive", "becomes": "quasi", "reason": "A band."},
            {"names": ["gold.expressions.cast"], "class": "direct", "becomes": "none", "reason": "Before salary was."},
        ]
    }
    with classed_project(folder, MODELS, privacy) as context:
        yield project_classes(context)


@pytest.mark.parametrize("name", [name for name in EXPRESSIONS if name != "condition"])
def test_class_follows_what_an_expression_is_calculated_from(classes: Classes, name: str) -> None:
    assert classes.of("gold.expressions", name).class_ is EXPRESSIONS[name][1]


@pytest.mark.parametrize("name", AGGREGATES)
def test_counts_and_sums_end_classes_and_other_aggregates_do_not(classes: Classes, name: str) -> None:
    assert classes.of("gold.aggregates", name).class_ is AGGREGATES[name][1]


def test_sum_per_person_is_about_that_person_and_a_count_or_a_sum_over_persons_is_not(classes: Classes) -> None:
    found = {name: item.class_ for name, item in classes.columns["gold.per_person"].items()}
    sensitive = Class.SENSITIVE
    assert found == {"person_id": Class.DIRECT, "paid": sensitive, "payments": Class.NONE, "m": sensitive}
    assert classes.of("gold.over_persons", "paid").class_ is Class.NONE
    nested = {name: item.class_ for name, item in classes.columns["gold.nested"].items()}
    assert nested == {"team": Class.NONE, "mean": Class.NONE, "most": sensitive, "n": Class.NONE}


@pytest.mark.parametrize("name", KEYED)
def test_sum_per_person_is_found_in_every_form_of_group_by(classes: Classes, name: str) -> None:
    assert classes.of(f"gold.{name}", "paid").class_ is KEYED[name][2]


@pytest.mark.parametrize("name", WINDOWS)
def test_sum_over_a_named_window_is_per_its_partition(classes: Classes, name: str) -> None:
    assert classes.of(f"gold.window_{name}", "paid").class_ is WINDOWS[name][2]


@pytest.mark.parametrize("name", JOINED)
def test_sum_in_a_lateral_query_is_per_row_around_it(classes: Classes, name: str) -> None:
    found = classes.of(f"gold.{name}", "paid")
    assert found.class_ is JOINED[name][-1]
    assert classes.lineage.sources(f"gold.{name}.paid")


def test_group_key_keeps_its_class_into_ops(classes: Classes) -> None:
    place = classes.of("ops.counts", "place")
    assert (place.class_, place.subjects) == (Class.QUASI, {"employee"})
    assert place.origins == {"bronze.people.country"}
    assert classes.of("ops.counts", "n").class_ is Class.NONE


def test_every_side_of_a_union_counts(classes: Classes) -> None:
    assert classes.of("gold.both_sides", "x").class_ is Class.QUASI


def test_fields_of_structs_and_lists_have_classes_of_their_own(classes: Classes) -> None:
    assert classes.of("silver.children", "age").class_ is Class.SENSITIVE
    assert classes.of("silver.children", "age").subjects == {"child"}
    assert classes.of("silver.children", "whole").class_ is Class.SENSITIVE
    assert classes.of("silver.by_place", "name").origins == {"bronze.people.children.name"}
    assert classes.of("silver.by_place", "place").class_ is Class.NONE
    assert classes.of("silver.structs", "device").class_ is Class.DIRECT  # by the strictest of its fields
    assert classes.of("silver.of_structs", "maker").class_ is Class.DIRECT  # no contract classes a field of silver
    assert classes.of("silver.structs", "rest").class_ is Class.SENSITIVE  # unknown fields may be anything


def test_declaration_changes_the_class_it_was_written_for_and_no_other(classes: Classes) -> None:
    banded = classes.of("gold.expressions", "condition")
    assert (banded.class_, banded.inherited, banded.reason) == (Class.QUASI, Class.SENSITIVE, "A band.")
    assert classes.of("gold.expressions", "cast").class_ is Class.SENSITIVE
    assert classes.restricted("gold.per_country") == []
    assert set(classes.restricted("gold.per_person")) == {"person_id", "paid", "m"}
    assert classes.minimum_group_size == 5


def test_table_that_reads_itself_has_the_classes_of_what_it_began_with(tmp_path: Path) -> None:
    sql = (
        "SELECT people.hired_at::DATE AS x, people.country AS now, earlier.now AS before, earlier.before AS long_ago "
        "FROM silver.people AS people LEFT JOIN silver.states AS earlier ON people.team = earlier.now"
    )
    kind = "INCREMENTAL_BY_TIME_RANGE (time_column x)"
    path, text = next(iter(model("silver.states", sql, kind).items()))
    columns = "  columns (x DATE, now TEXT, before TEXT, long_ago TEXT),\n  grain"
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(text.replace("  grain", columns))
    with classed_project(tmp_path, {"gold.x": "SELECT s.long_ago AS x FROM silver.states AS s"}) as context:
        found = project_classes(context)
    assert found.of("gold.x", "x").class_ is Class.QUASI
    assert found.lineage.upstream("gold.x.x")[0].source == "bronze.people.country"


def test_long_chain_of_tables() -> None:
    uses = {f"silver.t{n}": {"a": (Use(f"silver.t{n - 1}", "a"),)} for n in range(2000, 0, -1)}
    sources = {"silver.t0": {"a": Classed(Class.QUASI, Class.QUASI)}}
    assert classify(sources, uses, {})["silver.t2000"]["a"].class_ is Class.QUASI


PYTHON = """from sqlmesh import model

@model("gold.computed", columns={"team": "text"}, depends_on=["silver.people"], kind="FULL")
def execute(context, start, end, execution_time, **kwargs):
    yield from ()
"""


def test_what_cannot_be_read_from_sql_has_the_strictest_class_of_what_it_may_read(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "computed.py").write_text(PYTHON)
    loose = {"silver.all": "SELECT * FROM bronze.unknown", "gold.stars": "SELECT s.id AS id FROM silver.all AS s"}
    with classed_project(tmp_path, loose) as context:
        found = project_classes(context)
    assert found.of("gold.computed", "team").class_ is Class.SENSITIVE
    assert found.of("gold.computed", "team").origins >= {"bronze.people.salary", "bronze.people.person_id"}
    assert found.lineage.sources("gold.stars.id")[0].source == "silver.all.id"


def test_names_of_personal_columns_of_every_layer(classes: Classes) -> None:
    names = classes.personal_names()
    assert {"person_id", "serial", "as_itself", "paid", "place"} <= names
    assert not names & {"team", "row_number", "payments", "mean"}
