"""Histories of change feeds: from the changes of rows in a source database to versions with periods of validity.

The order within a key is the source's: by position in its log, never by arrival or by a clock. See
docs/decisions/0020-change-data.md. SQLMesh finds the macros that models call in macros/.
"""

from __future__ import annotations

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()  # type: ignore[untyped-decorator]  # SQLMesh publishes no types
def change_marks(evaluator: MacroEvaluator) -> exp.Query:
    """What concerns every key of a change feed: truncates, and complete snapshots, which tell what no longer exists.

    Columns: feed; mark, truncate or snapshot; position in the source's log; place, the position from which it counts;
    marked_at, when it was committed or taken. Of all change feeds.

    `@CHANGE_MARKS()` → `SELECT 'customers' AS feed, 'snapshot' AS mark, … FROM bronze.customers … UNION ALL …`
    """
    # Imported here because SQLMesh stores every module-level name that a macro uses with the environment.
    from pipeline.warehouse.changes import change_feeds, marks_query

    return exp.maybe_parse(marks_query(list(change_feeds())), dialect="duckdb")


@macro()  # type: ignore[untyped-decorator]
def versions(evaluator: MacroEvaluator, feed: exp.Expression, marks: exp.Expression) -> exp.Query:
    """The versions of every key of a change feed, from all of its changes.

    Columns: those of the contract; valid_from and valid_to, the period in which they held; is_deleted, whether the row
    was deleted in it, its columns being the last ones before. Periods of a key join, and the last one has no end.

    `@VERSIONS(customers, silver.change_marks)` → `WITH … SELECT … FROM bronze.customers …`
    """
    from ingest.errors import ConfigError
    from pipeline.warehouse.changes import change_feeds, versions_query

    known = change_feeds()
    if feed.name not in known:
        raise ConfigError(f"@VERSIONS({feed.name}): no change feed; expected one of {', '.join(sorted(known))}")
    return exp.maybe_parse(versions_query(known[feed.name], marks.sql("duckdb")), dialect="duckdb")
