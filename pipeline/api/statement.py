"""Whether a text is exactly one SELECT over published tables.

DuckDB's own parser decides (`json_serialize_sql`), so that there is no second grammar to differ from the one that
runs. What the tree names is compared with lists of what is allowed: tables of the release, common table expressions in
scope, and a few table functions that read nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

import duckdb

from pipeline.api.problems import Kind, Problem
from pipeline.process.duck import error_text

DATABASE = "lake"
LONGEST = 20_000
"""Characters of a statement."""
DEEPEST = 500
"""Levels of its tree."""
TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest"})
REFUSED_FUNCTIONS = frozenset(
    {
        *("current_setting", "getvariable", "current_query", "current_schemas", "in_search_path"),
        *("nextval", "currval", "write_log", "parse_duckdb_log_message", "sleep_ms", "pg_sleep", "error"),
        *("json_serialize_plan", "json_serialize_sql", "json_deserialize_sql", "json_execute_serialized_sql"),
        *("pg_get_viewdef", "pg_get_constraintdef", "pg_get_expr", "get_block_size", "cast_to_type"),
        *("getenv", "query", "query_table", "file_exists", "glob"),
    }
)
"""Functions that tell about the server or the session rather than the data, or wait."""
_OTHER_REFERENCES = {
    "SHOW_REF": "DESCRIBE, SHOW and SUMMARIZE are not run; GET /v1/tables/NAME describes a table",
    "COLUMN_DATA": "it reads data that is no table",
    "DELIM_GET": "it reads data that is no table",
    "BOUND_TABLE_REF": "it reads data that is no table",
    "CTE": "it reads data that is no table",
}
_EXAMPLE = "expected for instance SELECT COUNT(*) FROM gold.activity_engagement_metrics"


def checked(connection: duckdb.DuckDBPyConnection, sql: str, tables: Collection[str]) -> frozenset[str]:
    """Return the published tables that a statement reads.

    Args:
        connection: parses it; nothing of it runs.
        tables: names with schema that it may read.

    Raises:
        Problem: it is anything else than one SELECT over them.
    """
    if len(sql) > LONGEST:
        raise _refused(f"the statement has {len(sql):,} characters; expected at most {LONGEST:,}")
    if "\0" in sql:
        raise _refused("the statement has a zero byte; remove it")
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise Problem(Kind.FAILED, f"{error_text(error)}; correct it and send it again") from None
    if len(statements) != 1:
        raise _refused(f"{len(statements)} statements; {_EXAMPLE}")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise _refused(f"{statements[0].type.name} is no SELECT; {_EXAMPLE}")
    if statements[0].named_parameters:
        raise _refused("the statement has parameters; write their values into it")
    return frozenset(_Reading(tables).read(_tree(connection, sql)))


def _tree(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    try:
        (text,) = connection.execute(
            "SELECT json_serialize_sql($1::VARCHAR, skip_null := true, skip_empty := true)", [sql]
        ).fetchone() or ("{}",)
        found = json.loads(text)
    except (duckdb.Error, RecursionError, ValueError) as error:
        raise _refused(f"the statement cannot be analysed ({error_text(error)}); write it more simply") from None
    if found.get("error", True) or len(found["statements"]) != 1:
        reason = found.get("error_message", "it is no SELECT")
        raise _refused(f"{reason} {_EXAMPLE}")
    return found["statements"][0]


class _Reading:
    """A walk over a statement's tree that collects the tables which it reads."""

    def __init__(self, tables: Collection[str]) -> None:
        self._tables = {name.lower(): name for name in tables}

    def read(self, tree: Any) -> Iterator[str]:
        return self._visit(tree, frozenset(), 0)

    def _visit(self, item: Any, scope: frozenset[str], depth: int) -> Iterator[str]:
        if depth > DEEPEST:
            raise _refused(f"the statement is nested deeper than {DEEPEST} levels; write it more simply")
        if isinstance(item, list):
            for part in item:
                yield from self._visit(part, scope, depth + 1)
        elif isinstance(item, dict):
            named = item.get("cte_map", {}).get("map", ()) if isinstance(item.get("cte_map"), dict) else ()
            for entry in named:
                query = entry["value"]["query"]
                own = {entry["key"].lower()} if _is_recursive(query) else set()
                yield from self._visit({**entry["value"]}, scope | own, depth + 1)
                scope |= {entry["key"].lower()}
            yield from self._check(item, scope)
            for key, part in item.items():
                if key != "cte_map":
                    yield from self._visit(part, scope, depth + 1)

    def _check(self, item: dict[str, Any], scope: frozenset[str]) -> Iterator[str]:
        kind = item.get("type")
        if kind == "BASE_TABLE":
            yield from self._table(item, scope)
        elif kind == "TABLE_FUNCTION":
            name = str(item["function"].get("function_name", "")).lower()
            if name not in TABLE_FUNCTIONS or item["function"].get("schema") or item["function"].get("catalog"):
                raise _refused(f"the table function {name} is not run; read published tables: GET /v1/tables")
        elif isinstance(kind, str) and kind in _OTHER_REFERENCES and "class" not in item:
            raise _refused(_OTHER_REFERENCES[kind])
        if item.get("class") == "FUNCTION" and str(item.get("function_name", "")).lower() in REFUSED_FUNCTIONS:
            raise _refused(f"the function {item['function_name']} is not run: it reads no published data")

    def _table(self, item: dict[str, Any], scope: frozenset[str]) -> Iterator[str]:
        catalog, schema, name = (str(item.get(f"{part}_name", "")).lower() for part in ("catalog", "schema", "table"))
        if not catalog and not schema and name in scope:
            return
        full = f"{schema}.{name}"
        if catalog not in ("", DATABASE) or full not in self._tables:
            shown = ".".join(part for part in (catalog, schema, name) if part)
            raise Problem(Kind.REFUSED, f"{shown} is no published table; GET /v1/tables lists them with their schema")
        yield self._tables[full]


def _is_recursive(query: Any) -> bool:
    return isinstance(query, dict) and query.get("node", {}).get("type") == "RECURSIVE_CTE_NODE"


def _refused(detail: str) -> Problem:
    return Problem(Kind.REFUSED, detail)
