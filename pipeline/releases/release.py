"""The published states of gold: immutable files, one catalog per state, and a pointer that switches at once.

    <PUBLISHED_URI>/tables/<schema>.<table>/<state>-<part>-<random>.parquet   data, never changed
                    states/<state>/catalog.duckdb                             views over exactly that state's files
                    states/<state>/manifest.json                              written last: the state exists
                    current.json, on a local disk also current.duckdb         which state readers get

A reader needs no lock and no Lakemesh: `ATTACH '…/current.duckdb' AS lake (READ_ONLY)` on a local disk,
`ATTACH 's3://…/states/<state>/catalog.duckdb' AS lake (READ_ONLY)` on S3, and sees that state as long as it holds it.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import duckdb

from ingest.errors import ConfigError
from ingest.settings import Settings, settings
from ingest.storage.store import Store
from pipeline.warehouse.duck import connect

FORMAT_VERSION = 3
"""2 adds what a database needs beside columns: grain, time column and which columns are never NULL; 3 adds rollups."""
CURRENT, CURRENT_CATALOG = "current.json", "current.duckdb"


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One Parquet file of a table.

    Attributes:
        part: month of its dates, as 2026-01; empty for a table that is written as a whole.
    """

    key: str
    part: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ReleaseTable:
    """A table, or a view over other tables, of one state.

    Attributes:
        version: the model's version in SQLMesh.
        columns: (name, SQL type, comment) in order.
        query: of a view its SELECT over the other published tables; empty for a table.
        grain: columns of which no two rows have the same values; empty when the model names none.
        time_column: the column by whose months its files are divided; empty for others.
        not_null: columns that a blocking audit keeps free of NULL.
        rollup: of a table that sums another one by periods, the SELECT that does, see pipeline/releases/rollups.py.
    """

    name: str
    version: str
    description: str
    columns: tuple[tuple[str, str, str], ...]
    files: tuple[ReleaseFile, ...] = ()
    query: str = ""
    grain: tuple[str, ...] = ()
    time_column: str = ""
    not_null: tuple[str, ...] = ()
    rollup: str = ""

    @property
    def rows(self) -> int:
        """Rows of all files; 0 for a view."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True, slots=True)
class Release:
    """One published state of gold.

    Attributes:
        number: states are numbered from 1 and never renumbered.
        lake_id: the lake that it was computed from.
        positions: the ledger position of each feed that it stands for.
        sequence: how much of the history of computations it contains, see pipeline/state/interval_log.py.
        tables: by name.
        audits: name, scope and rows found (always 0) of each audit that it passed.
        dates: dates that are new or different since the state before, by table.
    """

    number: int
    published_at: dt.datetime
    lake_id: str
    positions: Mapping[str, int]
    sequence: int
    tables: Mapping[str, ReleaseTable]
    audits: tuple[dict[str, Any], ...] = ()
    dates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The manifest."""
        return json.dumps({"format": FORMAT_VERSION} | asdict(self), default=str, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes, name: str) -> Self:
        """Reads a manifest.

        Args:
            name: its address, for the error.

        Raises:
            ConfigError: a newer version of Lakemesh wrote it.
        """
        raw = json.loads(data)
        if raw.pop("format") not in range(1, FORMAT_VERSION + 1):
            raise ConfigError(f"{name} was written by a newer Lakemesh; install that version")
        tables = {
            key: ReleaseTable(
                **item
                | {
                    "columns": tuple(map(tuple, item["columns"])),
                    "files": tuple(ReleaseFile(**file) for file in item["files"]),
                    "grain": tuple(item.get("grain", ())),
                    "not_null": tuple(item.get("not_null", ())),
                }
            )
            for key, item in raw["tables"].items()
        }
        fields = {"published_at": dt.datetime.fromisoformat(raw["published_at"]), "tables": tables}
        fields |= {"audits": tuple(raw["audits"]), "dates": {key: tuple(days) for key, days in raw["dates"].items()}}
        return cls(**raw | fields)


def file_key(table: str, number: int, part: str) -> str:
    """Where a new file of a table lies.

    Args:
        table: its name with schema.
        number: of the state that it is written for.
        part: as ReleaseFile has it.
    """
    return f"tables/{table}/{number:020d}-{part or 'all'}-{uuid.uuid4().hex[:8]}.parquet"


def manifest_key(number: int) -> str:
    """Where the manifest of a state lies."""
    return f"states/{number:020d}/manifest.json"


def catalog_key(number: int) -> str:
    """Where the catalog of a state lies."""
    return f"states/{number:020d}/catalog.duckdb"


class Releases:
    """What readers see, and what there was before.

    Args:
        options: the settings; those of this process by default.
    """

    def __init__(self, options: Settings | None = None) -> None:
        self.options = options or settings()
        self.store = Store(self.options.published_uri, self.options, self.options.published_folder_mode)

    def numbers(self) -> list[int]:
        """The states that are kept, oldest first."""
        found = (item.key for item in self.store.list("states"))
        return sorted(int(key.split("/")[-2]) for key in found if key.endswith("/manifest.json"))

    def state(self, number: int) -> Release:
        """One state.

        Raises:
            ConfigError: it is not kept (any more).
        """
        key = manifest_key(number)
        try:
            return Release.from_json(self.store.get(key), f"{self.store.uri}/{key}")
        except FileNotFoundError:
            kept = ", ".join(map(str, self.numbers())) or "none"
            raise ConfigError(f"{self.store.uri}: state {number} is not kept; kept are {kept}") from None

    def newest(self) -> Release | None:
        """The newest state, whether readers get it or not."""
        numbers = self.numbers()
        return self.state(numbers[-1]) if numbers else None

    def pointer(self) -> dict[str, Any]:
        """Which state readers get: `state`, and `held` after a rollback; empty before the first state."""
        try:
            found: dict[str, Any] = json.loads(self.store.get(CURRENT))
        except FileNotFoundError:
            return {}
        return found

    def current(self) -> Release | None:
        """The state that readers get."""
        found = self.pointer()
        return self.state(found["state"]) if found else None

    def point_to(self, number: int, held: bool = False) -> None:
        """Switches readers to a state at once.

        Args:
            held: whether later states are published only when somebody asks for it, as after a rollback.
        """
        if self.store.root is not None:
            self.store.put(CURRENT_CATALOG, self.store.get(catalog_key(number)))
        pointer = {"state": number, "catalog": f"{self.store.uri}/{catalog_key(number)}", "held": held}
        self.store.put(CURRENT, json.dumps(pointer).encode())

    def roll_back(self, number: int | None = None) -> int:
        """Switches readers to an older state, by default the one before theirs, and holds them there.

        Raises:
            ConfigError: it is not kept.
        """
        now = self.pointer().get("state", 0)
        if number is None:
            older = [kept for kept in self.numbers() if kept < now]
            if not older:
                raise ConfigError(f"{self.store.uri}: no state before {now} is kept, so there is nothing to go back to")
            number = older[-1]
        self.state(number)
        self.point_to(number, held=True)
        return number

    def attach(self, number: int | None = None) -> str:
        """The one line that a DuckDB session needs to read a state, the current one by default.

        Raises:
            ConfigError: nothing is published yet, or that state is not kept.
        """
        if number is None:
            found = self.pointer()
            if not found:
                raise ConfigError(f"{self.store.uri}: nothing is published yet; `lake run` or `lake publish` does it")
            if self.store.root is not None:
                return f"ATTACH '{self.store.uri}/{CURRENT_CATALOG}' AS lake (READ_ONLY)"
            number = found["state"]
        self.state(number)
        return f"ATTACH '{self.store.uri}/{catalog_key(number)}' AS lake (READ_ONLY)"

    def connect(self, number: int | None = None) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection on one state, the current one by default; its tables are `lake.gold.<table>`.

        Raises:
            ConfigError: as `attach`.
        """
        line = self.attach(number)
        connection = connect(self.options, self.options.published_uri)
        connection.execute(line)
        connection.execute("USE lake")
        return connection


def published(table: str, number: int | None = None) -> duckdb.DuckDBPyRelation:
    """A published table, for pandas (`published("gold.x").df()`), polars (`.pl()`) and Arrow (`.to_arrow_table()`).

    Args:
        table: name with schema, for instance `gold.activity_engagement_metrics`.
        number: the state; the current one by default.

    Raises:
        ConfigError: nothing is published yet, that state is not kept, or has no such table.
    """
    found = Releases()
    state = found.current() if number is None else found.state(number)
    if state is not None and table not in state.tables:
        raise ConfigError(f"{table} is not published; expected one of {', '.join(sorted(state.tables))}")
    return found.connect(number).sql(f"FROM lake.{table}")
