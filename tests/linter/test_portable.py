"""The portable SQL rule finds each expression that differs between engines, and accepts the replacement."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlglot import exp, parse_one
from sqlglot.optimizer.annotate_types import annotate_types
from sqlmesh import Context

from tests.linter.projects import project_of, rules_of
from tests.subset import DIFFERENT, QUERIES, SCALARS, query

MODEL = """MODEL (
  name silver.clicks,
  kind FULL,
  audits (
    {audit}
  )
);

SELECT
  clicks.click_id::TEXT AS click_id,
  {column} AS value
FROM bronze.clicks AS clicks
"""
TABLES = """- name: bronze.clicks
  columns:
    click_id: TEXT
    clicked_at: TIMESTAMP
    click_date: DATE
    price: DECIMAL(20, 6)
    rate: DECIMAL(18, 8)
    seconds: DOUBLE
    times: BIGINT
"""
NOT_NULL = "not_null(columns := click_id)"
OWN_AUDIT = "AUDIT (name clicks_are_short);\n\nSELECT rows.value FROM @this_model AS rows WHERE {condition}\n"
STANDALONE = """AUDIT (
  name assert_clicks_are_short,
  standalone TRUE
);

SELECT clicks.value FROM silver.clicks AS clicks WHERE {condition}
"""


PORTABLE = rules_of("portable")


def faults(project: Context, expression: str) -> list[str]:
    """The faults of a standalone expression or query."""
    parsed = parse_one(query(expression), dialect="duckdb")
    assert project.models, "loading it makes sqlglot know macros"
    typed = annotate_types(parsed.copy(), dialect="duckdb")
    return [*PORTABLE.written_faults(parsed), *PORTABLE.typed_faults(typed)]


@pytest.mark.parametrize("expression", [*SCALARS, *QUERIES])
def test_what_is_the_same_on_all_engines_passes(project: Context, expression: str) -> None:
    assert faults(project, expression) == []


@pytest.mark.parametrize(("expression", "instead"), DIFFERENT.items())
def test_differing_expression_is_found_and_its_replacement_passes(
    project: Context, expression: str, instead: str
) -> None:
    found = faults(project, expression)
    assert found
    assert all(re.fullmatch(r".+; write .+", fault) for fault in found)
    assert faults(project, instead) == []


def test_every_function_that_passes_has_an_example(project: Context) -> None:
    nodes = [parse_one(query(item), dialect="duckdb").walk() for item in (*SCALARS, *QUERIES)]
    assert {type(node) for walk in nodes for node in walk} >= PORTABLE.PORTABLE_FUNCTIONS
    assert not PORTABLE.PORTABLE_FUNCTIONS & set(PORTABLE.REPLACEMENTS)


def test_every_function_with_a_replacement_has_an_example(project: Context) -> None:
    nodes = [node for item in DIFFERENT for node in parse_one(query(item), dialect="duckdb").walk()]
    assert {type(node) for node in nodes} >= set(PORTABLE.REPLACEMENTS)
    assert {node.name.upper() for node in nodes if isinstance(node, exp.Anonymous)} >= set(
        PORTABLE.REPLACEMENTS_BY_NAME
    )


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("JARO_SIMILARITY('a', 'b')", "JARO_SIMILARITY has not been compared on DuckDB and Spark"),
        ("KURTOSIS(1)", "KURTOSIS has not been compared on DuckDB and Spark"),
        ("DAYOFWEEK(t.day)", "DAYOFWEEK(t.day); write @DAY_OF_WEEK(day), 1 for Monday to 7 for Sunday"),
        ("1 / t.x", "1 / t.x; write NULLIF(t.x, 0) as the divisor"),
        ("1 / (t.x + 1)::DOUBLE", "write NULLIF("),
        ("1 / (SELECT COUNT(*) FROM t)", "write NULLIF("),
    ],
)
def test_message_names_the_expression_and_its_replacement(project: Context, expression: str, message: str) -> None:
    (fault,) = faults(project, expression)
    assert message in fault


@pytest.mark.parametrize(
    "divisor",
    ["2", "-2.5::DOUBLE", "NULLIF(t.x, 0)::DOUBLE", "@cap_seconds", "@VAR('cap_seconds')", "LN(10)"],
)
def test_divisors_that_are_never_zero(project: Context, divisor: str) -> None:
    assert faults(project, f"t.y::DOUBLE / {divisor}") == []


def violations(folder: Path, column: str, audit: str = NOT_NULL, **files: str) -> list[str]:
    """Messages of the rule for a model in a separate project whose upstream has types."""
    files = {"models/clicks.sql": MODEL.format(column=column, audit=audit), "external_models.yaml": TABLES, **files}
    with project_of(folder, files) as context:
        rule = PORTABLE.PortableSql(context)
        return [item.violation_msg for model in context.models.values() for item in rule.check_model(model)]


@pytest.mark.parametrize(
    ("column", "instead", "message"),
    [
        ("clicks.seconds::BIGINT", "ROUND(clicks.seconds::DECIMAL(18, 6))::BIGINT", "DuckDB rounds, Spark truncates"),
        ("clicks.price / 2", "clicks.price::DOUBLE / 2", "clicks.price::DOUBLE as the dividend"),
        ("clicks.price * clicks.rate", "clicks.price::DECIMAL(19, 6) * clicks.rate", "at most 37 digits together"),
        ("AVG(clicks.price) OVER ()", "AVG(clicks.price::DOUBLE) OVER ()", "AVG(clicks.price::DOUBLE)"),
        ("ROUND(clicks.seconds, 2)", "ROUND(clicks.seconds::DECIMAL(18, 6), 2)", "engines round a DOUBLE differently"),
        (
            "DATE_DIFF('DAY', clicks.clicked_at, clicks.click_date)",
            "DATE_DIFF('DAY', clicks.clicked_at::DATE, clicks.click_date)",
            "DuckDB counts midnights, Spark whole days",
        ),
        (
            "clicks.click_date - LAG(clicks.click_date) OVER (ORDER BY clicks.click_date)",
            "DATE_DIFF('DAY', LAG(clicks.click_date) OVER (ORDER BY clicks.click_date), clicks.click_date)",
            "the difference is an interval on Spark",
        ),
        ("clicks.click_id::INT", "LENGTH(clicks.click_id)", "a type in the contract or seed"),
        ("clicks.seconds::TEXT", "clicks.times::TEXT", "engines print a DOUBLE differently"),
        ("CONCAT(clicks.click_id, clicks.times)", "CONCAT(clicks.click_id, clicks.times::TEXT)", "clicks.times::TEXT"),
    ],
)
def test_types_are_those_of_the_tables(tmp_path: Path, column: str, instead: str, message: str) -> None:
    (found,) = violations(tmp_path, column)
    assert found.startswith("silver.clicks: ")
    assert message in found
    assert violations(tmp_path, instead) == []


def test_faults_of_a_models_audits_are_reported_for_the_model(tmp_path: Path) -> None:
    found = violations(tmp_path, "1", audit="forall(criteria := (HASH(click_id) > 0))")
    assert found == ["silver.clicks: HASH(click_id); write MD5(text): each engine has its own HASH"]
    own = {"audits/clicks_are_short.sql": OWN_AUDIT.format(condition="LOG(rows.value) > 1")}
    (fault,) = violations(tmp_path, "1", audit="clicks_are_short", **own)
    assert fault.startswith("silver.clicks: LOG(rows.value); write LN(x) / LN(10)")


def test_faults_of_a_standalone_audit_are_reported_for_what_it_reads(tmp_path: Path) -> None:
    files = {"audits/assert_clicks_are_short.sql": STANDALONE.format(condition="DAYOFWEEK(clicks.value) = 1")}
    (fault,) = violations(tmp_path, "clicks.click_date", **files)
    assert fault.startswith("assert_clicks_are_short: DAYOFWEEK(clicks.value); write @DAY_OF_WEEK(day)")


def test_rule_is_enabled_and_the_project_conforms(project: Context) -> None:
    assert "portablesql" in project.config.linter.rules
    rule = PORTABLE.PortableSql(project)
    assert [item.violation_msg for model in project.models.values() for item in rule.check_model(model)] == []
