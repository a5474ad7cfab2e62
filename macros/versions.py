"""Versions of events: which of several objects with the same event counts.

SQLMesh finds the macros that models call in macros/.
"""

from __future__ import annotations

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()  # type: ignore[untyped-decorator]  # SQLMesh publishes no types
def superseded(
    evaluator: MacroEvaluator,
    table: exp.Expression,
    key: exp.Expression,
    first: exp.Expression,
    last: exp.Expression,
    condition: exp.Expression | None = None,
) -> exp.Query:
    """The lines of an event feed's bronze that a version in a newer object replaces, per key and UTC date.

    Few events are sent more than once, so their keys are counted first, and only versions of the same key are put in
    order: a third of the cost of ordering all. What reads the wide rows leaves these few out.

    `@SUPERSEDED(bronze.clickstream, event_id, @start_date, @end_date)` →
    `SELECT _source_file, _source_line FROM bronze.clickstream … QUALIFY ROW_NUMBER() OVER (…) > 1`

    Args:
        key: its column of the key.
        first: first date, DATE.
        last: last date, DATE.
        condition: on columns of the table, which versions must meet to count at all.
    """
    is_wanted = exp.column("event_date", "versions").between(first.copy(), last.copy())
    if condition is not None:
        own = condition.copy()
        for column in own.find_all(exp.Column):
            column.set("table", exp.to_identifier("versions"))
        is_wanted = exp.and_(own, is_wanted)
    source, name = table.sql("duckdb"), key.name
    rows = f"FROM {source} AS versions WHERE {is_wanted.sql('duckdb')}"
    query = f"""
        SELECT versions._source_file AS _source_file, versions._source_line AS _source_line
        FROM {source} AS versions
        INNER JOIN (
          SELECT versions.{name} AS {name}, versions.event_date AS event_date {rows}
          GROUP BY versions.{name}, versions.event_date HAVING COUNT(*) > 1
        ) AS repeated ON versions.{name} = repeated.{name} AND versions.event_date = repeated.event_date
        WHERE {is_wanted.sql("duckdb")}
        QUALIFY ROW_NUMBER() OVER (
          PARTITION BY versions.{name}, versions.event_date
          ORDER BY versions._source_modified_at DESC, versions._source_file DESC, versions._source_line DESC
        ) > 1
    """
    return exp.maybe_parse(query, dialect="duckdb")
