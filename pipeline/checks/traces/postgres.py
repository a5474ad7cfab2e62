"""Search of a Postgres database: rows, definitions, the planner's statistics, and what deleted rows have left behind.

The bytes of deleted rows are readable by superusers alone. So tables are asked for dead rows and for gaps between their
rows, which VACUUM leaves and VACUUM FULL does not; where `pageinspect` is installed and allowed, pages are searched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ingest.sql import identifier, literal
from pipeline.checks.traces.encodings import Form
from pipeline.checks.traces.matcher import Found, Matcher

if TYPE_CHECKING:
    from pipeline.process.postgres import Session

BLOCK_BYTES = 8 << 20
_COPIED = re.compile(rb"\\(.)", re.DOTALL)
_CONTROL = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_BYTES = re.compile(rb"\\x((?:[0-9a-f]{2})+)")
_ITEM = re.compile(r'[{},"]+')
_TABLES = (
    "SELECT classes.oid, classes.reltoastrelid, namespaces.nspname, classes.relname FROM pg_class AS classes "
    "JOIN pg_namespace AS namespaces ON namespaces.oid = classes.relnamespace "
    "WHERE namespaces.nspname = ANY(%s) AND classes.relkind IN ('r', 'm') ORDER BY 3, 4"
)
_COLUMNS = (
    "SELECT attributes.attname, types.typcategory FROM pg_attribute AS attributes "
    "JOIN pg_type AS types ON types.oid = attributes.atttypid "
    "WHERE attributes.attrelid = %s AND attributes.attnum > 0 AND NOT attributes.attisdropped"
)
_DEFINITIONS = (
    "SELECT namespaces.nspname || '.' || classes.relname, CONCAT_WS(chr(10), classes.relname, "
    "CASE WHEN classes.relkind IN ('v', 'm') THEN pg_get_viewdef(classes.oid) END, "
    "(SELECT STRING_AGG(description, chr(10)) FROM pg_description WHERE objoid = classes.oid), "
    "(SELECT STRING_AGG(attname, chr(10)) FROM pg_attribute WHERE attrelid = classes.oid)) "
    "FROM pg_class AS classes JOIN pg_namespace AS namespaces ON namespaces.oid = classes.relnamespace "
    "WHERE namespaces.nspname = ANY(%s)"
)
_STATISTICS = (
    "SELECT schemaname || '.' || tablename, attname, CONCAT_WS(',', most_common_vals::TEXT, histogram_bounds::TEXT, "
    "most_common_elems::TEXT) FROM pg_stats WHERE schemaname = ANY(%s)"
)


def search(session: Session, schemas: Iterable[str], matcher: Matcher) -> Iterator[tuple[str, Found | str]]:
    """Yield what is found with the table, and as text what may remain.

    Args:
        session: in autocommit mode; it may read the schemas.

    Raises:
        psycopg2.Error: the database cannot be read.
    """
    names = list(schemas)
    with session.cursor() as cursor:
        cursor.execute("SET client_encoding = 'UTF8'")
        cursor.execute(_DEFINITIONS, (names,))
        for name, text in cursor.fetchall():
            yield from ((f"{name}, definition", one) for one in matcher.search(text.encode()))
        cursor.execute(_STATISTICS, (names,))
        for name, column, text in cursor.fetchall():
            yield from ((f"{name}, statistics of column {column}", one) for one in _in_array(text, column, matcher))
        cursor.execute(_TABLES, (names,))
        can_read_pages = False
        tables = cursor.fetchall()
        if tables:
            can_read_pages = _can_read_pages(cursor)
        for oid, toast, schema, table in tables:
            shown, name = f"{schema}.{table}", f"{identifier(schema)}.{identifier(table)}"
            yield from ((shown, one) for one in _in_rows(cursor, name, matcher))
            cursor.execute(_COLUMNS, (oid,))
            for column, category in cursor.fetchall():
                found = _in_column(cursor, name, column, category, matcher)
                yield from ((f"{shown}, column {column}", one) for one in found)
            if can_read_pages:
                for relation in filter(None, (oid, toast)):
                    yield from ((f"{shown}, pages", one) for one in _in_pages(cursor, relation, matcher))
            yield from ((shown, reason) for reason in _remains(cursor, oid, toast, name))


class _Rows:
    """A file that searches what COPY writes to it."""

    def __init__(self, matcher: Matcher) -> None:
        self.found: set[Found] = set()
        self._matcher, self._parts, self._size = matcher, [b"\n"], 1

    def write(self, data: bytes) -> int:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= BLOCK_BYTES:
            self.finish()
        return len(data)

    def finish(self) -> None:
        """Search what is complete: COPY writes whole rows."""
        data = b"".join(self._parts)
        if b"\\" in data:
            data = _COPIED.sub(lambda match: _CONTROL.get(match[1], match[1]), data)
            if texts := _BYTES.findall(data):
                self.found |= self._matcher.search(b"\0".join(bytes.fromhex(text.decode()) for text in texts))
        self.found |= self._matcher.search(data)
        self._parts, self._size = [b"\n"], 1


def _in_rows(cursor: Any, name: str, matcher: Matcher) -> set[Found]:
    rows = _Rows(matcher)
    cursor.copy_expert(f"COPY (SELECT * FROM {name}) TO STDOUT", rows)
    rows.finish()
    return rows.found


def _in_column(cursor: Any, name: str, column: str, category: str, matcher: Matcher) -> set[Found]:
    """Values that are not distinctive, in a column of theirs."""
    own = {
        value.text.strip(): number
        for number, value in enumerate(matcher.values)
        if not value.is_distinctive and value.is_in((column,))
    }
    if not own:
        return set()
    cell = identifier(column)
    if category == "A":
        condition = f"wanted.text = ANY({cell}::TEXT[])"
    elif category == "N":
        condition = f"TRIM_SCALE({cell}::NUMERIC)::TEXT = wanted.text"
    else:
        condition = f"TRIM({cell}::TEXT) = wanted.text"
    cursor.execute(
        f"SELECT DISTINCT wanted.text FROM {name} JOIN UNNEST(%s) AS wanted(text) ON {condition}", (list(own),)
    )
    return {Found(own[text], Form.TEXT) for (text,) in cursor.fetchall()}


def _in_array(text: str, column: str, matcher: Matcher) -> set[Found]:
    items = set(_ITEM.split(text))
    own = {
        Found(number, Form.TEXT)
        for number, value in enumerate(matcher.values)
        if not value.is_distinctive and value.is_in((column,)) and value.text.strip() in items
    }
    return own | matcher.search(text.encode())


def _can_read_pages(cursor: Any) -> bool:
    cursor.execute(
        "SELECT has_function_privilege(procedures.oid, 'EXECUTE') AND usesuper FROM pg_proc AS procedures "
        "JOIN pg_user ON usename = CURRENT_USER "
        "WHERE proname = 'get_raw_page' AND pronargs = 2 AND pg_function_is_visible(procedures.oid)"
    )
    return any(allowed for (allowed,) in cursor.fetchall())


def _in_pages(cursor: Any, oid: int, matcher: Matcher) -> set[Found]:
    """Search the raw pages, where deleted rows are; long texts are compressed in them."""
    cursor.execute("SELECT %s::REGCLASS::TEXT, pg_relation_size(%s) / current_setting('block_size')::INT", (oid, oid))
    ((name, pages),) = cursor.fetchall()
    found: set[Found] = set()
    step = 256
    for start in range(0, pages, step):
        cursor.execute(
            f"SELECT STRING_AGG(get_raw_page({literal(name)}, page), ''::BYTEA ORDER BY page) "
            "FROM GENERATE_SERIES(%s::INT, %s::INT) AS page",
            (start, min(start + step, pages) - 1),
        )
        ((data,),) = cursor.fetchall()
        found |= matcher.search(bytes(data), has_headers=True)
    return found


def _remains(cursor: Any, oid: int, toast: int, name: str) -> Iterator[str]:
    cursor.execute(
        "SELECT COALESCE(SUM(pg_stat_get_dead_tuples(relation)), 0) FROM UNNEST(%s::OID[]) AS relation",
        ([oid, toast] if toast else [oid],),
    )
    ((dead,),) = cursor.fetchall()
    if dead:
        yield f"{dead} dead rows; run VACUUM (FULL, ANALYZE) on it"
        return
    cursor.execute(
        "SELECT COALESCE(SUM(slots - rows), 0), COALESCE(MAX(page) + 1 - COUNT(*), 0), COALESCE(SUM(rows), 0) "
        "FROM (SELECT (ctid::TEXT::POINT)[0]::BIGINT AS page, MAX((ctid::TEXT::POINT)[1]::BIGINT) AS slots, "
        f"COUNT(*) AS rows FROM {name} GROUP BY 1) AS pages"
    )
    ((slots, pages, rows),) = cursor.fetchall()
    cursor.execute("SELECT pg_relation_size(%s)", (oid,))
    ((size,),) = cursor.fetchall()
    if slots or pages or (size and not rows):
        yield "rows were deleted, and their bytes may remain; run VACUUM (FULL, ANALYZE) on it"
