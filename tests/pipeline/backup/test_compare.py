"""Fingerprints of tables: equal rows are equal in any order, and any other row is seen."""

from __future__ import annotations

import duckdb
import pytest

from pipeline.backup.compare import fingerprint


def made(query: str) -> object:
    with duckdb.connect() as reader:
        reader.execute(f"CREATE TABLE t AS {query}")
        return fingerprint(reader, "t")


ROWS = "SELECT * FROM (VALUES (1, 'a', 0.1::DOUBLE), (2, 'b', NULL), (2, 'b', NULL)) AS rows(n, name, share)"


def test_the_order_of_rows_and_of_columns_does_not_count() -> None:
    assert made(ROWS) == made(f"{ROWS} ORDER BY n DESC") == made(f"SELECT share, n, name FROM ({ROWS})")


@pytest.mark.parametrize(
    "other",
    [
        f"{ROWS} LIMIT 2",
        f"SELECT DISTINCT * FROM ({ROWS}) UNION ALL SELECT 1, 'a', 0.1",
        f"SELECT n, name, COALESCE(share, 0) AS share FROM ({ROWS})",
        f"SELECT n, name, share * 1.00001 AS share FROM ({ROWS})",
        f"SELECT n, name || '' || CASE WHEN n = 1 THEN ' ' ELSE '' END AS name, share FROM ({ROWS})",
        f"SELECT n, share, name AS other FROM ({ROWS})",
    ],
)
def test_another_row_is_seen(other: str) -> None:
    assert made(other) != made(ROWS)


def test_sums_in_another_order_are_equal() -> None:
    """Addition of floating-point numbers is not associative."""
    forth, back = "0.1::DOUBLE + 0.2::DOUBLE + 0.3::DOUBLE", "0.3::DOUBLE + 0.2::DOUBLE + 0.1::DOUBLE"
    with duckdb.connect() as reader:
        assert reader.sql(f"SELECT ({forth}) = ({back})").fetchone() == (False,)
    assert made(f"SELECT {forth} AS x, 0.0::DOUBLE AS y") == made(f"SELECT {back} AS x, 0.0::DOUBLE AS y")
    assert made("SELECT 'nan'::DOUBLE AS x") == made("SELECT 'nan'::DOUBLE AS x")
