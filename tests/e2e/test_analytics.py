"""The analytics questions return the reference's figures on the reference's data."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from sqlmesh import Context

# (query columns, reference figures; the reference's q3 swaps before and after, these are corrected)
QUESTIONS = {
    "q1_completion_rate": ("theme, completion_rate_pct", None),
    "q2_price_tier_engagement": ("price_tier, session_count, avg_duration_seconds", None),
    "q3_subscription_impact": (
        "platform, avg_completed_before, avg_completed_after",
        [("apple", 0.4, 1.0), ("google", 0.2, 0.2)],
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_question_has_the_answer_of_the_reference(project: Context, reference: Path, question: str) -> None:
    columns, expected = QUESTIONS[question]
    query = project.render(f"gold.{question}").sql("duckdb")
    with duckdb.connect(":memory:") as connection:
        connection.execute("ATTACH ':memory:' AS warehouse; USE warehouse; CREATE SCHEMA seeds")
        for name in ("activities", "activity_events", "subscriptions"):
            model = project.get_model(f"seeds.{name}", raise_if_missing=True)
            types = ", ".join(f"'{column}': '{kind.sql()}'" for column, kind in model.columns_to_types.items())
            connection.execute(
                f"CREATE TABLE seeds.{name} AS FROM read_csv('{reference}/seeds/{name}.csv', types = {{{types}}})"
            )
        found = connection.execute(f"SELECT {columns} FROM ({query}) ORDER BY ALL").fetchall()
        if expected is None:
            expected = connection.execute(
                f"SELECT {columns} FROM '{reference}/expected/{question}.parquet' ORDER BY ALL"
            ).fetchall()
    assert [tuple(map(_plain, row)) for row in found] == [tuple(map(_plain, row)) for row in expected]


def _plain(cell: object) -> object:
    return cell if cell is None or isinstance(cell, str) else float(str(cell))
