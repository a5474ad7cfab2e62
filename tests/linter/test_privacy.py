"""A personal column of gold or ops needs a reason; a class ends in an aggregate or for a reason; entries stay true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlmesh import Context

from ingest.contracts.classes import Class
from pipeline.warehouse.classes import project_classes
from tests.classed import classed_project
from tests.linter.projects import project_of, rules_of

PER_PERSON = "SELECT people.person_id AS person_id, people.team AS team FROM silver.people AS people"
PER_COUNTRY = "SELECT people.country AS country, COUNT(*) AS n, 'x' AS word FROM silver.people AS people GROUP BY 1"
FLAG = "SELECT people.team AS team, people.person_id IS NULL AS is_unknown FROM silver.people AS people"
SEED = """MODEL (
  name seeds.people,
  kind SEED (
    path '../../people.csv'
  ),
  columns (
    person_id INT,
    team TEXT
  )
)
"""
FROM_SEED = "SELECT people.person_id AS person_id FROM seeds.people AS people"
KEPT = {"names": ["gold.x.person_id"], "class": "direct", "reason": "Joined by it."}
WHY = {"purpose": "Pays them.", "legal_basis": "contract", "retention": "ten years"}
OWNED = {"names": ["seeds.people.person_id"], "class": "direct", "subject": "employee", **WHY}
NEEDED = "class: direct` and why it is needed as `reason`"


def faults(folder: Path, models: dict[str, str], privacy: Any = None, seed: bool = False) -> list[str]:
    """What the rule says of a project."""
    if seed:
        (folder / "models" / "seeds").mkdir(parents=True)
        (folder / "models" / "seeds" / "people.sql").write_text(SEED)
        (folder / "people.csv").write_text("person_id,team\n1,a\n")
    with classed_project(folder, models, privacy) as context:
        rule = rules_of("privacy").PersonalColumnsDeclared(context)
        return [item.violation_msg for model in context.models.values() for item in rule.check_model(model)]


@pytest.mark.parametrize("layer", ["gold", "ops"])
def test_direct_column_without_a_reason_is_named_with_its_origin(tmp_path: Path, layer: str) -> None:
    (fault,) = faults(tmp_path, {f"{layer}.x": PER_PERSON})
    assert fault.startswith(f"{layer}.x.person_id is direct, from bronze.people.person_id; remove it, or declare it in")
    assert NEEDED in fault


def test_sensitive_column_needs_a_reason_and_silver_none(tmp_path: Path) -> None:
    sql = "SELECT MAX(people.salary) AS most FROM silver.people AS people"
    (fault,) = faults(tmp_path, {"silver.most": sql, "gold.x": "SELECT most.most AS most FROM silver.most AS most"})
    assert fault.startswith("gold.x.most is sensitive, from bronze.people.salary")


@pytest.mark.parametrize(
    ("models", "entries"),
    [
        ({"gold.x": PER_PERSON}, {"columns": [KEPT]}),
        ({"gold.x": "SELECT COUNT(DISTINCT people.person_id) AS n FROM silver.people AS people"}, None),
        ({"gold.x": PER_COUNTRY}, {"groups": [{"tables": ["gold.x"], "size": "n"}]}),
        ({"gold.x": PER_COUNTRY}, {"groups": [{"tables": ["gold.x"], "reason": "All are large."}]}),
        (
            {"gold.x": FLAG},
            {"columns": [{"names": ["gold.x.is_unknown"], "class": "direct", "becomes": "none", "reason": "No key."}]},
        ),
        (  # dropped in silver already, so that gold inherits nothing
            {"silver.flags": FLAG, "gold.x": "SELECT flags.is_unknown AS is_unknown FROM silver.flags AS flags"},
            {
                "columns": [
                    {"names": ["silver.flags.is_unknown"], "class": "direct", "becomes": "none", "reason": "No key."}
                ]
            },
        ),
    ],
    ids=["kept", "counted", "sized", "never_small", "dropped", "dropped_in_silver"],
)
def test_aggregate_or_reason_is_enough(tmp_path: Path, models: dict[str, str], entries: Any) -> None:
    assert faults(tmp_path, models, entries) == []


def test_class_that_ends_without_aggregate_or_reason_does_not_end(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, {"gold.x": FLAG})
    assert fault.startswith("gold.x.is_unknown is direct, from bronze.people.person_id")
    assert "add `becomes: none`" in fault


@pytest.mark.parametrize(
    ("models", "entries", "message"),
    [
        (
            {"gold.x": "SELECT people.salary AS person_id FROM silver.people AS people"},
            {"columns": [KEPT]},
            "gold.x.person_id: privacy/hr.yaml expects class direct, but by lineage it is sensitive from "
            "bronze.people.salary; correct the entry and its reason",
        ),
        (
            {"gold.x": "SELECT people.team AS person_id FROM silver.people AS people"},
            {"columns": [KEPT]},
            "expects class direct, but by lineage it is none; remove the entry",
        ),
        (
            {"gold.x": "SELECT people.team AS team FROM silver.people AS people"},
            {"columns": [KEPT]},
            "gold.x.person_id: privacy/hr.yaml declares it, but the table has no such column",
        ),
        ({}, {"columns": [KEPT]}, "gold.x: privacy/hr.yaml declares it, but no seed or model has that name"),
        ({}, {"groups": [{"tables": ["gold.x"], "size": "n"}]}, "gold.x: privacy/hr.yaml declares it, but no seed"),
        (
            {},
            {"columns": [{"names": ["silver.people.person_id"], "class": "direct", "reason": "Why."}]},
            "silver.people.person_id: privacy/hr.yaml gives a reason for class direct, which needs none here",
        ),
        (
            {},
            {"columns": [{"names": ["silver.people.person_id"], "class": "direct", "subject": "employee", **WHY}]},
            "gives it a subject, but it inherits its class; give a `reason` instead",
        ),
        (
            {"gold.x": PER_COUNTRY},
            None,
            "gold.x: groups by country, which is quasi-identifying; declare in privacy/<domain>.yaml under `groups`",
        ),
        (
            {"gold.x": PER_COUNTRY},
            {"groups": [{"tables": ["gold.x"], "size": "word"}]},
            "names word as the size of groups; expected a column with integers",
        ),
        (
            {"gold.x": PER_PERSON},
            {"columns": [KEPT], "groups": [{"tables": ["gold.x"], "size": "n"}]},
            "declares groups, but it has no quasi-identifying groups",
        ),
        ({}, "columns: [", "privacy/hr.yaml: not valid YAML"),
    ],
)
def test_entry_that_is_not_true_is_a_fault(tmp_path: Path, models: dict[str, str], entries: Any, message: str) -> None:
    (fault,) = faults(tmp_path, models, entries)
    assert message in fault


PYTHON = """from sqlmesh import model

@model("gold.computed", columns={"team": "text"}, depends_on=["silver.people"], kind="FULL")
def execute(context, start, end, execution_time, **kwargs):
    yield from ()
"""


def test_python_model_is_judged_like_others(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "computed.py").write_text(PYTHON)
    (fault,) = faults(tmp_path, {})
    assert fault.startswith("gold.computed.team is sensitive, from bronze.people.")


def test_entry_of_a_project_without_models_of_its_own_is_a_fault(tmp_path: Path) -> None:
    files = {
        "external_models/bronze.yaml": "- name: bronze.people\n  columns: {team: text}\n",
        "ingest/contracts/none.txt": "",
        "privacy/hr.yaml": "columns:\n  - {names: [gold.x.person_id], class: direct, reason: Joined by it.}\n",
    }
    with project_of(tmp_path, files) as context:
        rule = rules_of("privacy").PersonalColumnsDeclared(context)
        (fault,) = [item.violation_msg for model in context.models.values() for item in rule.check_model(model)]
    assert fault.startswith("gold.x: privacy/hr.yaml declares it, but no seed or model has that name")


def test_seed_says_whose_its_values_are(tmp_path: Path) -> None:
    models = {"gold.x": FROM_SEED}
    (fault,) = faults(tmp_path, models, {"columns": [OWNED]}, seed=True)
    assert fault.startswith("gold.x.person_id is direct, from seeds.people.person_id")


def test_seed_gives_no_reason(tmp_path: Path) -> None:
    entry = {"names": ["seeds.people.team"], "class": "quasi", "reason": "Why."}
    (fault,) = faults(tmp_path, {}, {"columns": [entry]}, seed=True)
    assert "a seed inherits nothing; say whose it is as `subject`" in fault


def test_rule_judges_again_when_a_declaration_changed(tmp_path: Path) -> None:
    with classed_project(tmp_path, {"gold.x": PER_PERSON}) as context:
        rule = rules_of("privacy").PersonalColumnsDeclared(context)
        (item,) = [item for item in context.models.values() if item.name == "gold.x"]
        assert len(rule.check_model(item)) == 1
        (tmp_path / "privacy").mkdir()
        (tmp_path / "privacy" / "hr.yaml").write_text(
            "columns:\n  - {names: [gold.x.person_id], class: direct, reason: Joined by it.}\n"
        )
        assert rule.check_model(item) == []


def test_project_keeps_its_own_rule(project: Context, tmp_path: Path) -> None:
    rule = rules_of("privacy").PersonalColumnsDeclared(project)
    assert [item.violation_msg for model in project.models.values() for item in rule.check_model(model)] == []
    found = project_classes(project, cache=tmp_path).columns
    gold = {
        f"{table}.{name}": str(item.class_)
        for table, columns in found.items()
        for name, item in columns.items()
        if table.split(".")[0] in ("gold", "ops") and item.class_ is not Class.NONE
    }
    assert gold["gold.dim_account.account_id"] == gold["gold.dim_account.account_key"] == "direct"
    assert gold["gold.activity_engagement_metrics.country_code"] == gold["ops.play_shares_daily.member"] == "quasi"
    assert [name for name, class_ in gold.items() if class_ == "sensitive"] == ["gold.fct_active_users_daily.user_key"]
    assert not any(name.endswith(("user_id", "child_id", "email")) for name in gold)
    assert found["silver.activity_events_enriched"]["child_id"].class_ is Class.SENSITIVE
