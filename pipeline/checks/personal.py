"""Which columns look like values of a person and are not classed so: by names in contracts, by values in the lake."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import duckdb

from ingest.contracts.classes import Class, strictest
from ingest.contracts.column import Column
from ingest.contracts.contract import Contract, Kind
from ingest.contracts.personal import Finding, look
from ingest.ledger.files import LakeFile
from ingest.ledger.quarantine import Selection, bad_records
from ingest.ledger.state import LedgerState
from ingest.sql import dotted
from ingest.storage.store import Store
from pipeline.access.classes import RESCUED
from pipeline.warehouse.bronze import bronze_query, readable

MOST_FILES, MOST_ROWS, MOST_VALUES, LONGEST = 60, 20_000, 1_000, 1_000
"""Files of a feed that are read, the oldest and the newest; rows of these that are looked at; values per column, and
characters of each: texts may have megabytes."""
_FIELD = re.compile(r"[^\W\d][\w $-]{0,63}")
ANY_FIELD = "*"
"""Stands for fields whose names are values: an object that is keyed by addresses has one field per person."""
BRONZE, RESCUED_FIELDS, REJECTED = "bronze", "_rescued_data", "quarantine"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A column, or a field that no contract knows, that looks personal and is not classed so.

    Attributes:
        place: `bronze`, `_rescued_data` or `quarantine`; `contract` if only its name was looked at.
        column: its dotted path.
        declared: its class by the contract; None for a field that the contract does not know.
        finding: what it looks like.
        values: number of different values that were looked at.
        distinct: share of the values that are different, 0 to 1; near 1 for what identifies a person.
    """

    feed: str
    place: str
    column: str
    declared: Class | None
    finding: Finding
    values: int = 0
    distinct: float = 0.0


def by_name(contract: Contract) -> list[Suspect]:
    """Columns of a contract without a class whose names are those of personal ones, and no reason says why not."""
    classes = contract.classes()
    found = []
    for path, column in contract.walk():
        if _may_be(column) and not (column.not_personal or classes[path][0].is_personal):
            finding = look(path, (), contract.feed)
            if finding and _suits(column, finding):
                found.append(Suspect(contract.feed, "contract", path, Class.NONE, finding))
    return found


def by_values(
    contract: Contract, lake: Store, state: LedgerState, connection: duckdb.DuckDBPyConnection
) -> list[Suspect]:
    """Columns and fields of a feed whose values or names look more personal than their class says.

    Args:
        connection: that can read the lake.

    Raises:
        RetriableError: the lake cannot be read.
    """
    known, classes = dict(contract.walk()), contract.classes()

    def judged(place: str, values: Mapping[str, list[str]]) -> Iterator[Suspect]:
        for path, texts in sorted(values.items()):
            column = known.get(path)
            if column is not None and (column.not_personal or not _may_be(column)):
                continue
            distinct = list(dict.fromkeys(texts))[:MOST_VALUES]
            finding = look(path, distinct, contract.feed)
            if finding is None or (column is not None and not _suits(column, finding)):
                continue
            declared = classes[path][0] if column is not None else None
            if declared is None or strictest([declared, finding.class_]) is not declared:
                share = len(set(texts)) / len(texts) if texts else 0.0
                yield Suspect(contract.feed, place, path, declared, finding, len(distinct), round(share, 3))

    suspects: list[Suspect] = []
    if files := state.bronze_files():
        _look_at(contract, lake, state, files, connection)
        suspects += judged(BRONZE, dict(_columns(contract, connection)))
        rescued = connection.execute(f"SELECT {RESCUED} FROM looked_at WHERE {RESCUED} IS NOT NULL").fetchall()
        suspects += judged(RESCUED_FIELDS, _fields(text for (text,) in rescued))
    rejected = _fields(record.raw for record in islice(bad_records(lake, state, Selection()), MOST_ROWS))
    suspects += judged(REJECTED, _rows(rejected) if contract.kind is Kind.CHANGE else rejected)
    return suspects


def _look_at(
    contract: Contract,
    lake: Store,
    state: LedgerState,
    files: Sequence[LakeFile],
    connection: duckdb.DuckDBPyConnection,
) -> None:
    """Copy the rows that are looked at to the table looked_at: a third from the oldest files on, the rest from the
    newest on backwards, since a column may change its meaning."""
    third = max(1, min(len(files), MOST_FILES) // 3)
    newest = list(reversed(files[third:]))[: MOST_FILES - third]
    shape = readable(contract, lake, state)
    query = bronze_query(shape, lake.uri, files[:third])
    rows = MOST_ROWS // 3 if newest else MOST_ROWS
    connection.execute(f"CREATE OR REPLACE TEMP TABLE looked_at AS FROM ({query}) LIMIT {rows}")
    query = bronze_query(shape, lake.uri, newest)
    connection.execute(f"INSERT INTO looked_at BY NAME FROM ({query}) LIMIT {MOST_ROWS - rows}")


def _columns(contract: Contract, connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, list[str]]]:
    """Values of the columns outside lists of structs, as text; those of a list one by one."""
    loaded = {name for name, *_ in connection.execute("DESCRIBE looked_at").fetchall()}
    lists: set[str] = set()
    for path, column in contract.walk():
        if column.type == "struct":
            if column.repeated:
                lists.add(path)
            continue
        if path.split(".")[0] not in loaded or any(path.startswith(f"{name}.") for name in lists):
            continue
        value = f"UNNEST({dotted(path)})" if column.repeated else dotted(path)
        text = f"left(CAST(value AS VARCHAR), {LONGEST})"
        query = f"SELECT {text} FROM (SELECT {value} AS value FROM looked_at) WHERE value IS NOT NULL"
        yield path, [text for (text,) in connection.execute(query).fetchall()]


def _fields(records: Iterable[str | bytes]) -> dict[str, list[str]]:
    """Values of all fields of JSON records by dotted path, as text; what is no JSON is one field without a name."""
    found: dict[str, list[str]] = {}

    def add(path: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                name = key if _FIELD.fullmatch(key) else ANY_FIELD
                add(f"{path}.{name}" if path else name, item)
        elif isinstance(value, list):
            for item in value:
                add(path, item)
        elif value is not None and not isinstance(value, bool):
            found.setdefault(path, []).append(str(value)[:LONGEST])

    for record in records:
        try:
            add("", json.loads(record))
        except (ValueError, RecursionError):
            add("", record[:LONGEST].decode("utf-8", "replace") if isinstance(record, bytes) else record)
    return found


def _rows(fields: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Of the fields of change events those of the row before and after, by the column's name, and text."""
    found: dict[str, list[str]] = {}
    for path, values in fields.items():
        column = re.fullmatch(r"(?:(?:payload|value)\.)*(?:before|after)\.(.+)", path)
        if column or not path:
            found.setdefault(column[1] if column else "", []).extend(values)
    return found


def _may_be(column: Column) -> bool:
    """Whether a column of its type can have values of persons."""
    return column.type not in ("boolean", "struct")


def _suits(column: Column, finding: Finding) -> bool:
    """Whether a column of its type can be what it looks like: of moments only a birth is personal."""
    return column.type not in ("timestamp", "date") or finding.label == "date of birth"
