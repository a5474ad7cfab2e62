"""Values within `_rescued_data` as SQL of the contract's types, for columns that were unknown when rows were loaded."""

from __future__ import annotations

import re

from ingest.contracts.column import DEFAULT_UNIT, Column
from ingest.contracts.schema import MAX_DOUBLE, sql_type
from ingest.formats.debezium.numbers import FIRST_DAY, LAST_DAY, MICROS
from ingest.sql import identifier


def from_json(column: Column, document: str, path: str, has_counts: bool, depth: int = 0) -> str:
    """SQL of a value within JSON; NULL if it is not of the column's type, never a truncated value.

    Args:
        document: SQL of the JSON text.
        path: SQL of the path in it.
        has_counts: whether integers stand for dates and times, as in change events.
    """
    if column.repeated:
        item = f"part_{depth}"
        whole = f"TRY_CAST(JSON_EXTRACT({document}, {path}) AS TEXT[])"
        one = _object(column, item, "'$'", has_counts, depth + 1) if column.fields else _exact(column, item, has_counts)
        return f"LIST_TRANSFORM({whole}, lambda {item}: {one})"
    if column.fields:
        return _object(column, document, path, has_counts, depth)
    return _exact(column, f"JSON_EXTRACT_STRING({document}, {path})", has_counts)


def _object(column: Column, document: str, path: str, has_counts: bool, depth: int) -> str:
    """SQL of a struct within JSON."""
    members = ", ".join(
        f"{identifier(member.name)} := {from_json(member, document, _below(path, member.name), has_counts, depth)}"
        for member in column.fields
    )
    return f"CASE WHEN JSON_EXTRACT_STRING({document}, {path}) LIKE '{{%' THEN STRUCT_PACK({members}) END"


def _below(path: str, name: str) -> str:
    """The path of a member; for a literal path it is a literal, which can be transpiled.

    >>> print(_below("'$'", "a"))
    '$.a'
    """
    return f"{path[:-1]}.{name}'"


_COUNT = "^-?[0-9]{1,19}$"
_NUMBER = "^-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?$"


def _exact(column: Column, text: str, has_counts: bool) -> str:
    """SQL of a text as a value of the contract's type; NULL where a cast would truncate, round or guess."""
    kind = column.type
    found = _exact_text(kind, text)
    if not has_counts or kind not in ("date", "timestamp"):
        return found
    unit = "days" if kind == "date" else column.unit or DEFAULT_UNIT
    return f"CASE WHEN REGEXP_MATCHES({text}, '{_COUNT}') THEN {_counted(kind, unit, text)} ELSE {found} END"


def _counted(kind: str, unit: str, text: str) -> str:
    """SQL of a text of digits as the time that is so many units after 1970; NULL outside the years 1 to 9999.

    An interval is multiplied by 32 bits only, hence days, seconds and microseconds by themselves.
    """
    count, start = f"TRY_CAST({text} AS BIGINT)", f"CAST('1970-01-01' AS {kind.upper()})"
    if kind == "date":
        days = f"{count} BETWEEN {FIRST_DAY} AND {LAST_DAY}"
        return f"CASE WHEN {days} THEN CAST({start} + CAST({count} AS INT) * INTERVAL '1' DAY AS DATE) END"
    times, parts = MICROS[unit]
    second = 1_000_000 * parts // times
    day = 86_400 * second
    rest = f"(({count} % {day} + {day}) % {day})"  # in the day: the sign of a remainder is that of the count
    days = f"CAST(ROUND(({count} - {rest}) / {day}.0) AS INT)"
    seconds = f"CAST(FLOOR({rest} / {second}.0) AS INT)"
    micros = f"CAST(FLOOR({rest} % {second} * {times} / {parts}.0) AS INT)"
    least, most = max(FIRST_DAY * day, day - (1 << 63)), min((LAST_DAY + 1) * day, (1 << 63) - 1)
    return (
        f"CASE WHEN {count} >= {least} AND {count} < {most} THEN {start} + {days} * INTERVAL '1' DAY "
        f"+ {seconds} * INTERVAL '1' SECOND + {micros} * INTERVAL '1' MICROSECOND END"
    )


def _exact_text(kind: str, text: str) -> str:
    sql = sql_type(Column.model_construct(name="", type=kind, description="", fields=(), repeated=False))
    cast = f"TRY_CAST({text} AS {sql})"
    if kind == "timestamp":  # a plain cast would drop the offset
        return (
            f"CASE WHEN REGEXP_MATCHES({text}, '(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$') "
            f"THEN TRY_CAST({text} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' ELSE {cast} END"
        )
    patterns = {
        "boolean": "^(true|false)$",
        "integer": "^-?[0-9]+$",
        "double": _NUMBER,
        "date": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    }
    if kind.startswith("decimal"):
        scale = re.findall(r"\d+", kind)[1]
        patterns[kind] = f"^-?[0-9]+([.][0-9]{{0,{scale}}}0*)?$"
    if kind not in patterns:
        return text
    bounded = f" AND ABS({cast}) <= {MAX_DOUBLE:g}" if kind == "double" else ""
    return f"CASE WHEN REGEXP_MATCHES({text}, '{patterns[kind]}'){bounded} THEN {cast} END"
