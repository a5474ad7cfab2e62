"""Published columns in Postgres: their types, and their values as text for COPY."""

from __future__ import annotations

from sqlglot import exp

from ingest.errors import ConfigError

DIALECT = "duckdb"
NULL = "\\N"
"""NULL in CSV files; a text with the same characters is quoted."""
NO_NUL = "\ufffd"
"""Replacement in Postgres for the character NUL, which its texts cannot contain."""
_TYPE = exp.DataType.Type
_SCALARS = {
    _TYPE.BOOLEAN: "boolean",
    _TYPE.TINYINT: "smallint",
    _TYPE.SMALLINT: "smallint",
    _TYPE.INT: "integer",
    _TYPE.BIGINT: "bigint",
    _TYPE.INT128: "numeric(39,0)",
    _TYPE.UTINYINT: "smallint",
    _TYPE.USMALLINT: "integer",
    _TYPE.UINT: "bigint",
    _TYPE.UBIGINT: "numeric(20,0)",
    _TYPE.UINT128: "numeric(39,0)",
    _TYPE.FLOAT: "real",
    _TYPE.DOUBLE: "double precision",
    _TYPE.TEXT: "text",
    _TYPE.VARCHAR: "text",
    _TYPE.CHAR: "text",
    _TYPE.DATE: "date",
    _TYPE.TIME: "time without time zone",
    _TYPE.TIMESTAMP: "timestamp without time zone",
    _TYPE.TIMESTAMPNTZ: "timestamp without time zone",
    _TYPE.TIMESTAMP_S: "timestamp without time zone",
    _TYPE.TIMESTAMP_MS: "timestamp without time zone",
    _TYPE.TIMESTAMPTZ: "timestamp with time zone",
    _TYPE.INTERVAL: "interval",
    _TYPE.UUID: "uuid",
}
"""By DuckDB type, the Postgres type that represents each of its values exactly, as `format_type` writes it."""
_NESTED = {_TYPE.ARRAY, _TYPE.LIST, _TYPE.STRUCT, _TYPE.MAP}
_TEXTS = {"text", "text[]"}


def postgres_type(kind: str, column: str = "") -> str:
    """The Postgres type for a DuckDB type, as `format_type` writes it.

    A list of scalars is an array, any other nested type is jsonb.

    >>> [postgres_type(kind) for kind in ("DECIMAL(18, 6)", "TEXT[]", "STRUCT(a INT)", "INT[][]")]
    ['numeric(18,6)', 'text[]', 'jsonb', 'jsonb']

    Args:
        column: name of the column, for the error.

    Raises:
        ConfigError: Postgres has no type that represents these values exactly.
    """
    found = _parsed(kind)
    element = _element(found)
    if element is not None:
        return f"{_scalar(element)}[]"
    if found.this in _NESTED or found.this == _TYPE.JSON:
        return "jsonb"
    if found.this in (_TYPE.VARBINARY, _TYPE.BLOB):
        return "bytea"
    scalar = _scalar(found)
    if not scalar:
        raise ConfigError(
            f"{column} has the type {kind}, for which Postgres has no exact match; cast it in the model, for example "
            "to TIMESTAMP or TEXT"
        )
    return scalar


def as_text(column: str, kind: str) -> str:
    """A DuckDB expression for a column's values as Postgres reads them from CSV.

    Args:
        column: quoted identifier.
    """
    found = _parsed(kind)
    element = _element(found)
    if element is not None:
        plain = _without_nul("item::TEXT", _scalar(element))
        quoted = f"REPLACE(REPLACE({plain}, '\\', '\\\\'), '\"', '\\\"')"
        items = f"LIST_TRANSFORM({column}, LAMBDA item: COALESCE('\"' || {quoted} || '\"', 'NULL'))"
        return f"CASE WHEN NOT {column} IS NULL THEN '{{' || COALESCE(ARRAY_TO_STRING({items}, ','), '') || '}}' END"
    if found.this in (_TYPE.VARBINARY, _TYPE.BLOB):
        return f"'\\x' || HEX({column})"
    if found.this in _NESTED:
        return f"TO_JSON({column})::TEXT"
    return _without_nul(column, _scalar(found))


def is_text(kind: str) -> bool:
    """Whether a column's values may contain the character NUL."""
    return postgres_type(kind) in _TEXTS


def nul_count(column: str, kind: str) -> str:
    """A DuckDB aggregate: the number of rows whose text column contains the character NUL."""
    text = column if postgres_type(kind) == "text" else f"ARRAY_TO_STRING({column}, '')"
    return f"COUNT_IF(CONTAINS({text}, CHR(0)))"


def _parsed(kind: str) -> exp.DataType:
    return exp.DataType.build(kind, dialect=DIALECT)


def _element(kind: exp.DataType) -> exp.DataType | None:
    """The element type of a list of scalars; None for anything else."""
    if kind.this not in (_TYPE.ARRAY, _TYPE.LIST) or not kind.expressions:
        return None
    element = kind.expressions[0]
    return element if isinstance(element, exp.DataType) and _scalar(element) else None


def _scalar(kind: exp.DataType) -> str:
    if kind.this == _TYPE.DECIMAL:
        digits = [str(item) for item in kind.expressions] or ["18", "3"]
        return f"numeric({digits[0]},{digits[1] if len(digits) > 1 else 0})"
    return _SCALARS.get(kind.this, "")


def _without_nul(expression: str, kind: str) -> str:
    return f"REPLACE({expression}, CHR(0), '{NO_NUL}')" if kind == "text" else expression
