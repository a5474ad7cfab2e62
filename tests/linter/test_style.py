"""Each style rule finds its fault, names the model and states the fix; a conforming model passes all."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from sqlmesh.core.linter.definition import RuleSet
from sqlmesh.core.linter.rule import Rule

from ingest.settings import PROJECT
from tests.linter.projects import project_of, rules_of

GOOD = """MODEL (
  name silver.clicks,
  kind INCREMENTAL_BY_TIME_RANGE (time_column click_date),
  cron '@daily',
  owner web,
  description 'One row per click.',
  grain click_id,
  tags (silver, web),
  partitioned_by click_date,
  audits (not_null(columns := (click_id, click_date)))
);

SELECT
  clicks.click_id::TEXT AS click_id, /* Identity */
  clicks.click_date::DATE AS click_date /* UTC date */
FROM bronze.clicks AS clicks
WHERE
  clicks.click_date BETWEEN @start_date AND @end_date
"""


def rules() -> RuleSet:
    """The rules of linter/style.py."""
    own = [item for item in vars(rules_of("style")).values() if isinstance(item, type) and issubclass(item, Rule)]
    return RuleSet(rule for rule in own if rule is not Rule)


HEADER = GOOD.partition(");\n\n")[0] + ");\n\n"
TAPS = """UNION ALL
SELECT
  taps.tap_id AS click_id,
  taps.click_date::DATE AS click_date
FROM bronze.taps AS taps
"""
JINJA = """JINJA_QUERY_BEGIN;
SELECT {{ "click_id" }}::TEXT AS click_id, click_date::DATE AS click_date FROM bronze.clicks
JINJA_END;
"""
DESCRIPTIONS = "  column_descriptions (click_id = 'Identity', click_date = 'UTC date'),\n  audits"

ROLLING = "MAX(clicks.click_id) OVER (PARTITION BY clicks.page ORDER BY clicks.click_date)"


def faults(folder: Path, sql: str, file: str = "silver/web/clicks.sql") -> dict[str, str]:
    """Messages by rule, for one model in a separate project."""
    macros = (PROJECT / "macros" / "versions.py").read_text(encoding="utf-8")
    with project_of(folder, {f"models/{file}": sql, "macros/versions.py": macros}) as context:
        (model,) = context.models.values()
        found = {}
        for rule in rules().values():
            violation = rule(context).check_model(model)
            if violation:
                found[rule.name] = violation.violation_msg
        return found


def test_conforming_model_passes_every_rule(tmp_path: Path) -> None:
    assert len(rules()) == 8
    assert faults(tmp_path, GOOD) == {}


@pytest.mark.parametrize(
    ("old", "new", "rule", "message"),
    [
        ("  owner web,\n", "", "headerfields", "silver.clicks: the header lacks owner; add them in clicks.sql"),
        ("  partitioned_by click_date,\n", "", "headerfields", "silver.clicks: the header lacks partitioned_by"),
        (
            "  owner web,\n  description 'One row per click.',\n",
            "  description 'One row per click.',\n  owner web,\n",
            "headerfields",
            "order them as name, kind, cron, owner, description, grain, tags, partitioned_by, audits",
        ),
        ("One row per click", "All clicks", "descriptionstatesgrain", "silver.clicks: the description must begin"),
        (
            "name silver.clicks",
            "name silver.taps",
            "namematchespath",
            "silver.taps: its file is models/silver/web/clicks.sql; name it",
        ),
        ("tags (silver, web)", "tags (silver)", "namematchespath", "silver.clicks: the tags lack web"),
        ("bronze.clicks", "gold.fct_clicks", "layerorder", "silver.clicks: reads gold.fct_clicks; this layer may read"),
        ("click_id::TEXT", "click_id", "columnscastanddocumented", "silver.clicks: cast click_id in the last SELECT"),
        (" /* Identity */", "", "columnscastanddocumented", "silver.clicks: comment click_id in the last SELECT"),
        ("WHERE\n", f"{TAPS}WHERE\n", "columnscastanddocumented", "silver.clicks: cast click_id in the last SELECT"),
        ("@start_date AND", "@start_date - INTERVAL '7' DAY AND", "crossdateeffectsdeclared", "moves @start_date"),
        (
            "@start_date AND",
            "DATE_ADD(@start_date, INTERVAL 1 DAY) AND",
            "crossdateeffectsdeclared",
            "moves @start_date",
        ),
        (
            "clicks.click_id::",
            f"{ROLLING}::",
            "crossdateeffectsdeclared",
            "has a window over several dates of click_date",
        ),
        ("tags (silver", "tags (affects_some_days, silver", "crossdateeffectsdeclared", "expected affects_<n>_days"),
        ("  audits", DESCRIPTIONS, "columnscastanddocumented", "silver.clicks: turn column_descriptions into comments"),
    ],
)
def test_fault_is_found_and_named(tmp_path: Path, old: str, new: str, rule: str, message: str) -> None:
    assert old in GOOD
    found = faults(tmp_path, GOOD.replace(old, new))
    assert message in found[rule]


@pytest.mark.parametrize("tag", ["affects_30_days", "affects_1_days_before", "affects_onward"])
def test_window_over_several_dates_passes_once_it_is_declared(tmp_path: Path, tag: str) -> None:
    declared = GOOD.replace("tags (silver", f"tags ({tag}, silver").replace("clicks.click_id::", f"{ROLLING}::")
    assert faults(tmp_path, declared) == {}


def test_list_of_the_computed_dates_needs_no_declaration(tmp_path: Path) -> None:
    spine = "INNER JOIN (@DATE_SPINE('day', {}, @end_ds)) AS days ON days.date_day::DATE = clicks.click_date\nWHERE\n"
    assert faults(tmp_path / "same", GOOD.replace("WHERE\n", spine.format("@start_ds"))) == {}
    moved = spine.format("(@start_ds::DATE - INTERVAL '7' DAY)")
    assert list(faults(tmp_path / "moved", GOOD.replace("WHERE\n", moved))) == ["crossdateeffectsdeclared"]


def test_superseded_versions_of_the_computed_dates_need_no_declaration(tmp_path: Path) -> None:
    versions = "INNER JOIN (@SUPERSEDED(bronze.clicks, click_id, {}, @end_date)) AS versions ON TRUE\nWHERE\n"
    assert faults(tmp_path / "same", GOOD.replace("WHERE\n", versions.format("@start_date"))) == {}
    moved = GOOD.replace("WHERE\n", versions.format("(@start_date - INTERVAL '1' DAY)"))
    assert list(faults(tmp_path / "moved", moved)) == ["crossdateeffectsdeclared"]


def test_window_within_a_date_needs_no_declaration(tmp_path: Path) -> None:
    within = ROLLING.replace("clicks.page", "clicks.click_date")
    assert faults(tmp_path, GOOD.replace("clicks.click_id::", f"{within}::")) == {}


@pytest.mark.parametrize(
    "expression",
    ["LIST_TRANSFORM([1], LAMBDA x : x + 1)[1]", "(clicks.click_id // 2)", "[x FOR x IN [1] IF x > 0][1]"],
)
def test_duckdb_only_syntax_is_parsed(tmp_path: Path, expression: str) -> None:
    assert faults(tmp_path, GOOD.replace("clicks.click_id::", f"{expression}::")) == {}


def test_last_select_written_by_jinja_is_checked_as_rendered(tmp_path: Path) -> None:
    described = HEADER.replace("  audits", DESCRIPTIONS)
    assert faults(tmp_path / "good", described + JINJA) == {}
    assert list(faults(tmp_path / "untold", HEADER + JINJA)) == ["columnscastanddocumented"]
    uncast = faults(tmp_path / "uncast", described + JINJA.replace("::TEXT", ""))
    assert "cast click_id" in uncast["columnscastanddocumented"]


def test_checkout_below_a_folder_named_models_passes(tmp_path: Path) -> None:
    assert faults(tmp_path / "models" / "lakemesh", GOOD) == {}


@pytest.mark.parametrize("file", ["silver/clicks.sql", "silver/web/app/clicks.sql", "clicks.sql"])
def test_model_lies_in_the_folder_of_its_layer_and_domain(tmp_path: Path, file: str) -> None:
    assert "move it to models/<layer>/<domain>/clicks.sql" in faults(tmp_path, GOOD, file)["namematchespath"]


@pytest.mark.parametrize(
    ("table", "rule"),
    [("fct_clicks", None), ("dim_page", None), ("rpt_traffic", None), ("clicks", "goldprefix")],
)
def test_gold_states_its_grain(tmp_path: Path, table: str, rule: str | None) -> None:
    sql = GOOD.replace("silver.clicks", f"gold.{table}").replace("bronze.clicks", "silver.clicks")
    found = faults(tmp_path, sql.replace("tags (silver", "tags (gold"), f"gold/web/{table}.sql")
    assert list(found) == ([rule] if rule else [])


def test_gold_that_reads_bronze_is_rejected(tmp_path: Path) -> None:
    sql = GOOD.replace("silver.clicks", "gold.fct_clicks").replace("tags (silver", "tags (gold")
    found = faults(tmp_path, sql, "gold/web/fct_clicks.sql")
    expected = "gold.fct_clicks: reads bronze.clicks; this layer may read gold, seeds, silver; change its FROM"
    assert found == {"layerorder": expected}


def test_unknown_layer_is_rejected(tmp_path: Path) -> None:
    sql = GOOD.replace("silver", "platinum")
    assert "unknown layer" in faults(tmp_path, sql, "platinum/web/clicks.sql")["layerorder"]


@pytest.mark.parametrize(
    ("condition", "is_fine"),
    [
        ("clicks.page_id = pages.page_id", True),
        ("(clicks.page_id = pages.page_id AND clicks.click_date < COALESCE(pages.valid_to, DATE '9999-12-31'))", True),
        ("clicks.click_date BETWEEN pages.valid_from AND pages.valid_to", True),
        ("clicks.page_id = pages.page_id AND pages.is_open AND NOT pages.kind IN ('a', 'b')", True),
        ("clicks.page_id = pages.page_id AND NOT clicks.click_date >= pages.valid_to", True),
        ("clicks.page_id = pages.page_id AND (clicks.click_date < pages.valid_to OR pages.valid_to IS NULL)", False),
        ("clicks.page_id = pages.page_id AND clicks.page_id > 5", False),
        ("clicks.page_id IN (pages.page_id, pages.other_id)", False),
        ("clicks.page_id + pages.page_id > 5", False),
    ],
)
def test_outer_joins_are_hashed(tmp_path: Path, condition: str, is_fine: bool) -> None:
    join = f"FROM bronze.clicks AS clicks\nLEFT JOIN bronze.pages AS pages ON {condition}"
    found = faults(tmp_path, GOOD.replace("FROM bronze.clicks AS clicks", join))
    assert list(found) == ([] if is_fine else ["outerjoinscomparesides"])
    inner = faults(tmp_path / "inner", GOOD.replace("FROM bronze.clicks AS clicks", join.replace("LEFT", "INNER")))
    assert inner == {}
    if not is_fine:
        assert "joins pages on" in found["outerjoinscomparesides"]
        assert plan_of(condition) == "BLOCKWISE_NL_JOIN"
    else:
        assert plan_of(condition) != "BLOCKWISE_NL_JOIN"


def plan_of(condition: str) -> str:
    """The join operator that DuckDB plans for it."""
    with duckdb.connect() as engine:
        engine.execute("CREATE TABLE clicks AS SELECT 1 AS page_id, DATE '2026-01-01' AS click_date")
        engine.execute(
            "CREATE TABLE pages AS SELECT 1 AS page_id, 2 AS other_id, 'a' AS kind, TRUE AS is_open, "
            "DATE '2026-01-01' AS valid_from, DATE '2026-02-01' AS valid_to"
        )
        query = f"EXPLAIN SELECT COUNT(*) FROM clicks LEFT JOIN pages ON {condition}"
        (plan,) = [row[1] for row in engine.execute(query).fetchall()]
    return next(word for line in plan.splitlines() if (word := line.strip(" │")).endswith("_JOIN"))


def test_rules_are_enabled_in_the_project() -> None:
    enabled = (PROJECT / "config.yaml").read_text(encoding="utf-8")
    assert [rule for rule in rules() if f"- {rule}\n" not in enabled] == []
