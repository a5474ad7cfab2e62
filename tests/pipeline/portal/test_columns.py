"""Columns that a query reads: each with its own table, and what cannot be known is named."""

from __future__ import annotations

import pytest

from pipeline.portal.columns import reads

COLUMNS = {"gold.x": ("a", "b", "id", "share"), "gold.y": ("b", "id", "person")}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a, b FROM gold.x WHERE id = 1", "x.a x.b x.id"),
        ("SELECT x.a, y.b FROM gold.x AS x JOIN gold.y AS y ON x.id = y.id", "x.a x.id y.b y.id"),
        ("SELECT * FROM gold.x", "x.a x.b x.id x.share"),
        ("SELECT t.* FROM gold.x AS t", "x.a x.b x.id x.share"),
        ("FROM GOLD.X SELECT A", "x.a"),
        ("SELECT share AS share FROM gold.x ORDER BY share", "x.share"),
        ("WITH t AS (SELECT a FROM gold.x AS s), s AS (SELECT b FROM gold.y) SELECT t.a, s.b FROM t, s", "x.a y.b"),
        ("SELECT a FROM gold.x JOIN gold.y USING (id)", "x.a x.id y.id"),
        ("SELECT a FROM gold.x WHERE EXISTS (SELECT 1 FROM gold.y AS y WHERE y.id = x.share)", "x.a x.share y.id"),
        ("SELECT person.name.first FROM gold.y", "y.person.name.first"),
        ("SELECT a FROM gold.x UNION ALL SELECT b FROM gold.y", "x.a y.b"),
        ("SELECT COUNT(*) AS n FROM gold.x GROUP BY a ORDER BY n", "x.a"),
    ],
)
def test_columns_are_named_with_their_tables(sql: str, expected: str) -> None:
    found = reads(sql, COLUMNS)
    assert " ".join(sorted(f"{table}.{name}" for table, name in found.columns)).replace("gold.", "") == expected
    assert found.unresolved == ()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT y FROM gold.y AS y",
        "SELECT TO_JSON(y) FROM gold.y AS y",
        "SELECT ROW(y.*) FROM gold.y AS y",
        "SELECT COLUMNS('per.*') FROM gold.y",
        "SELECT * LIKE 'per%' FROM gold.y",
        "SELECT t.p FROM gold.y AS t(p)",
        "SELECT a FROM gold.x NATURAL JOIN gold.y",
        "SELECT id FROM gold.x, gold.y",
        "SELECT * FROM gold.nowhere",
        "SELECT rowid FROM gold.x",
        "SELECT a AS y FROM gold.x, gold.y AS y ORDER BY TO_JSON(y)",
    ],
)
def test_what_cannot_be_resolved_is_named(sql: str) -> None:
    assert reads(sql, COLUMNS).unresolved
