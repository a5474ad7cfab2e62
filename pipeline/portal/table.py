"""Table tiles over SQL: the exception for what is no metric, such as a ready report of a release."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import duckdb
from pydantic import BaseModel, ConfigDict
from sqlglot import exp, parse
from sqlglot.errors import SqlglotError

from ingest.errors import ConfigError
from ingest.text import printable
from pipeline.warehouse.engine import DIALECT

MOST_ROWS = 500
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_FRACTIONS = ("FLOAT", "DOUBLE", "DECIMAL")


class Shown(BaseModel):
    """How a column is shown.

    Attributes:
        label: by default its name in words.
        format: by default what its type suggests.
        currency: ISO code, for the format `currency`.
        bad: whether TRUE is bad news.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = ""
    format: Literal["", "integer", "decimal", "percent", "currency", "duration", "date", "moment", "text"] = ""
    currency: str = ""
    bad: bool = False


def tables_of(sql: str) -> set[str]:
    """The tables that a query reads, as `schema.table` in lower case.

    Raises:
        ConfigError: it is not exactly one SELECT over tables of a release.
    """
    place = f"sql '{printable(' '.join(sql.split())[:80])}'"
    try:
        found = parse(sql, dialect=DIALECT)
    except SqlglotError as error:
        raise ConfigError(f"{place} cannot be parsed: {printable(str(error).splitlines()[0])}") from None
    if len(found) != 1 or not isinstance(found[0], exp.Query):
        raise ConfigError(f"{place}: expected exactly one SELECT")
    named = {cte.alias.lower() for cte in found[0].find_all(exp.CTE)}
    tables = set()
    for table in found[0].find_all(exp.Table):
        is_plain = isinstance(table.this, exp.Identifier)
        if is_plain and table.db and not table.catalog:
            tables.add(f"{table.db}.{table.name}".lower())  # names in DuckDB do not depend on case
        elif not is_plain or table.db or table.name.lower() not in named:
            name = ".".join(part.name for part in table.parts if part.name) if is_plain else ""
            raise ConfigError(
                f"{place} reads {printable(name) or 'a function'}; expected tables of a release, schema.table"
            )
    return tables


def stored_table(connection: duckdb.DuckDBPyConnection, sql: str, shown: Mapping[str, Shown]) -> dict[str, Any]:
    """The rows of a query for a page: at most MOST_ROWS, with their number.

    Raises:
        ConfigError: the release does not have what it reads, or `shown` names another column.
    """
    try:
        found = connection.execute(sql)
        described = [(item[0], str(item[1])) for item in found.description or ()]
        rows = found.fetchmany(MOST_ROWS + 1)
        total = len(rows)
        if total > MOST_ROWS:
            ((total,),) = connection.execute(f"SELECT COUNT(*) FROM ({sql.rstrip().rstrip(';')}) AS counted").fetchall()
    except duckdb.Error as error:
        raise ConfigError(f"sql cannot be run on this release: {printable(str(error).splitlines()[0])}") from error
    if unknown := sorted(set(shown) - {name for name, _ in described}):
        raise ConfigError(f"columns: the query has no {unknown[0]}; it has {', '.join(name for name, _ in described)}")
    columns = [_column(name, kind, shown.get(name, Shown())) for name, kind in described]
    return {"columns": columns, "rows": [[_plain(value) for value in row] for row in rows[:MOST_ROWS]], "total": total}


def _column(name: str, kind: str, shown: Shown) -> dict[str, Any]:
    base = kind.split("(")[0].upper()
    by_type = {"DATE": "date", "TIMESTAMP": "moment", "TIMESTAMP WITH TIME ZONE": "moment"}
    form = shown.format or by_type.get(base, "")
    form = form or ("integer" if base in _NUMBERS else "decimal" if base in _FRACTIONS or base == "NUMBER" else "text")
    label = shown.label or name.replace("_", " ").capitalize()
    is_number = form in ("integer", "decimal", "percent", "currency", "duration")
    column: dict[str, Any] = {"name": name, "label": label, "format": form, "isNumber": is_number, "bad": shown.bad}
    return column | ({"currency": shown.currency} if shown.currency else {})


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, dt.datetime):
        moment = value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return moment.isoformat(timespec="seconds")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)
