"""The faults are those that they are called, the reviewed list describes faults, and unit tests notice a sample."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlglot import parse_one
from sqlmesh import Context

from ingest.errors import ConfigError
from tests.mutants.bench import bench
from tests.mutants.equivalent import Equivalent, read_equivalent
from tests.mutants.faults import Fault, faults_of, with_fault
from tests.mutants.measure import Outcome, all_faults, check_entries, measure, sample

FAULTS = [
    ("comparison", "SELECT a < b AS c", ["SELECT a <= b AS c"]),
    ("comparison", "SELECT a >= b AS c", ["SELECT a > b AS c"]),
    ("comparison", "SELECT a = b AS c", ["SELECT a <> b AS c"]),
    (
        "comparison",
        "SELECT a BETWEEN 1 AND 2 AS c",
        ["SELECT (a > 1 AND a <= 2) AS c", "SELECT (a >= 1 AND a < 2) AS c"],
    ),
    ("comparison", "SELECT a IS NULL AS c", ["SELECT NOT a IS NULL AS c"]),
    ("comparison", "SELECT NOT a IN (1, 2) AS c", ["SELECT a IN (1, 2) AS c"]),
    ("sign", "SELECT a + b AS c", ["SELECT a - b AS c"]),
    ("sign", "SELECT -(a - b) AS c", ["SELECT (a - b) AS c", "SELECT -(a + b) AS c"]),
    ("clause", "SELECT a FROM t WHERE a", ["SELECT a FROM t"]),
    ("clause", "SELECT a FROM t GROUP BY a HAVING SUM(b) > 0", ["SELECT a FROM t GROUP BY a"]),
    ("clause", "SELECT a FROM t QUALIFY RANK() OVER (ORDER BY a) = 1", ["SELECT a FROM t"]),
    ("clause", "SELECT a FROM t JOIN u ON t.a = u.a", ["SELECT a FROM t JOIN u ON TRUE"]),
    (
        "clause",
        "SELECT a FROM t WHERE a AND b AND c",
        ["SELECT a FROM t WHERE a AND b", "SELECT a FROM t WHERE b AND c", "SELECT a FROM t WHERE a AND c"],
    ),
    ("clause", "SELECT a OR b AS c", ["SELECT b AS c", "SELECT a AS c"]),
    (
        "branch",
        "SELECT CASE WHEN a THEN 1 WHEN b THEN 2 ELSE 3 END AS c",
        [
            "SELECT CASE WHEN b THEN 2 ELSE 3 END AS c",
            "SELECT CASE WHEN a THEN 1 ELSE 3 END AS c",
            "SELECT CASE WHEN a THEN 1 WHEN b THEN 2 END AS c",
        ],
    ),
    ("branch", "SELECT CASE WHEN a THEN 1 END AS c", ["SELECT NULL AS c"]),
    ("distinct", "SELECT DISTINCT a FROM t", ["SELECT a FROM t"]),
    ("distinct", "SELECT COUNT(DISTINCT a) AS c FROM t", ["SELECT COUNT(a) AS c FROM t"]),
    ("distinct", "SELECT a FROM t UNION SELECT a FROM u", ["SELECT a FROM t UNION ALL SELECT a FROM u"]),
    ("default", "SELECT COALESCE(a, 0) AS c", ["SELECT a AS c"]),
    (
        "default",
        "SELECT LAG(a, 1, 0) OVER (ORDER BY b) AS c FROM t",
        ["SELECT LAG(a, 1) OVER (ORDER BY b) AS c FROM t"],
    ),
    ("join", "SELECT a FROM t LEFT JOIN u ON t.a = u.a", ["SELECT a FROM t INNER JOIN u ON t.a = u.a"]),
    ("join", "SELECT a FROM t INNER JOIN u ON t.a = u.a", ["SELECT a FROM t LEFT JOIN u ON t.a = u.a"]),
    ("join", "SELECT a FROM t CROSS JOIN u", []),
    ("literal", "SELECT a + 1 AS c", ["SELECT a + 2 AS c"]),
    ("literal", "SELECT 0.5 AS c", ["SELECT 1.5 AS c"]),
    ("literal", "SELECT a + INTERVAL '27' DAY AS c", ["SELECT a + INTERVAL '28' DAY AS c"]),
    ("literal", "SELECT '1' AS b, CAST(a AS DECIMAL(18, 6)) AS c", []),
    ("literal", "SELECT COUNT(CASE WHEN a THEN 1 END) AS c FROM t", []),
    ("aggregate", "SELECT SUM(a) AS c FROM t", ["SELECT MAX(a) AS c FROM t"]),
    ("aggregate", "SELECT MIN(a) AS c FROM t", ["SELECT MAX(a) AS c FROM t"]),
    (
        "aggregate",
        "SELECT COUNT(a) AS b, COUNT(*) AS c FROM t",
        ["SELECT COUNT(DISTINCT a) AS b, COUNT(*) AS c FROM t"],
    ),
    (
        "order",
        "SELECT a FROM t ORDER BY a, b DESC",
        ["SELECT a FROM t ORDER BY a DESC, b DESC", "SELECT a FROM t ORDER BY a, b"],
    ),
]


def mutants(sql: str, kind: str) -> list[str]:
    query = parse_one(sql, dialect="duckdb")
    found = [with_fault(query, fault) for fault in faults_of("m", query) if fault.kind == kind]
    return [" ".join(one.sql("duckdb").replace(" ASC", "").split()) for one in found]


@pytest.fixture(scope="module")
def faults(project: Context) -> list[Fault]:
    """Every fault of the models."""
    return all_faults(project)


@pytest.mark.parametrize(("kind", "sql", "expected"), FAULTS)
def test_a_fault_is_what_its_kind_says(kind: str, sql: str, expected: list[str]) -> None:
    assert mutants(sql, kind) == expected


def test_a_fault_is_shown_with_its_place_and_its_fragment() -> None:
    query = parse_one("WITH sums AS (SELECT SUM(t.a) AS a FROM t WHERE t.b > 0) SELECT 2 * sums.a AS c FROM sums")
    shown = {(fault.place, fault.kind): (fault.before, fault.after) for fault in faults_of("gold.m", query)}
    assert shown == {
        ("sums.a", "aggregate"): ("SUM(t.a)", "MAX(t.a)"),
        ("sums WHERE", "clause"): ("WHERE t.b > 0", ""),
        ("sums WHERE", "comparison"): ("t.b > 0", "t.b >= 0"),
        ("sums WHERE", "literal"): ("t.b > 0", "t.b > 1"),
        ("query.c", "literal"): ("2 * sums.a", "3 * sums.a"),
    }


def test_a_seed_chooses_the_same_faults(faults: list[Fault]) -> None:
    assert sample(faults, 25, seed=1) == sample(faults, 25, seed=1)
    assert sample(faults, 25, seed=1) != sample(faults, 25, seed=2)
    assert len(set(sample(faults, 25, seed=1))) == 25
    assert sample(faults, len(faults) + 1, seed=1) == faults


def test_a_fault_of_the_rendered_query_is_that_of_the_models_query(project: Context, faults: list[Fault]) -> None:
    # GIVEN faults inside and outside of the arguments of macros, which rendering replaces and repeats
    of_model = [fault for fault in faults if fault.model == "gold.fct_revenue_recognition"]
    inside = [fault for fault in of_model if "@HALF_UP(counted_months" in fault.before]
    assert inside
    with bench(project, "gold.fct_revenue_recognition") as tests:
        (test, *_) = tests._groups[0]
        for fault in [*inside[::8], *of_model[::20]]:
            # WHEN one is put into the rendered query, THEN it is the rendering of the query that has it
            rendered = tests.render(with_fault(tests._query, fault), test)
            assert tests.faulty(test, fault).sql("duckdb") == rendered.sql("duckdb"), fault


def test_every_entry_of_the_reviewed_list_describes_a_fault(faults: list[Fault]) -> None:
    entries = read_equivalent()
    assert entries
    check_entries(entries, faults)


def test_an_entry_that_describes_no_fault_is_an_error(faults: list[Fault]) -> None:
    entry = Equivalent(faults[0].model, faults[0].kind, faults[0].before, "another fragment", "a reason")
    with pytest.raises(ConfigError, match=r"1 entries describe no fault .* → another fragment; correct or remove"):
        check_entries([*read_equivalent(), entry], faults)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a reason\n", "expected a mapping of reasons to lists of faults"),
        (
            "a reason:\n- {model: m, kind: join, before: a}\n",
            "a reason: expected after, before, kind, model and optionally",
        ),
        ("a reason:\n- {model: m, kind: join, before: a, after: 1}\n", "all of them texts"),
        ("a reason: nothing\n", "found 'nothing'"),
    ],
)
def test_an_entry_that_is_not_complete_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "equivalent.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_equivalent(tmp_path / "equivalent.yaml")


def test_too_few_noticed_faults_and_disproved_entries_do_not_suffice(faults: list[Fault]) -> None:
    noticed = dict.fromkeys(faults[:95], "test")
    assert Outcome(noticed, faults[95:100]).suffices
    assert not Outcome(noticed, faults[95:101]).suffices
    assert not Outcome(noticed, disproved={faults[95]: "test"}).suffices


def test_unit_tests_notice_small_faults(project: Context, faults: list[Fault]) -> None:
    outcome = measure(project, sample(faults, 25, seed=1), read_equivalent())
    assert len(outcome.noticed) > 15
    assert outcome.suffices, "\n".join(map(str, [*outcome.survived, *outcome.disproved]))


def test_a_fault_that_no_unit_test_notices_survives(project: Context, faults: list[Fault]) -> None:
    # GIVEN a fault that is equivalent, and one that is not, of the same model, without the reviewed list
    (entry, *_) = [entry for entry in read_equivalent() if entry.model == "silver.accounts"]
    tried = [
        fault
        for fault in faults
        if fault.model == "silver.accounts" and (entry.matches(fault) or fault.kind == "order")
    ]

    # WHEN they are tried
    outcome = measure(project, tried, [])

    # THEN the first survives alone, and the list moves it
    assert [fault for fault in outcome.survived if entry.matches(fault)] == outcome.survived != []
    assert len(outcome.noticed) == len(tried) - 1
    assert measure(project, outcome.survived, [entry]).equivalent == outcome.survived
