"""Releases of gold: immutable files, one catalog per release, and a pointer that switches readers atomically.

Models of other layers join by the tag `released`.

    <PUBLISHED_URI>/tables/<schema>.<table>/<release>-<part>-<random>.parquet   data, never changed
                    states/<release>/catalog.duckdb                             views over exactly that release's files
                    states/<release>/manifest.json                              written last: now the release exists
                    current.json, on a local disk also current.duckdb           the release that readers get
                    erasures/<request>.json                                     releases that erasures withdrew

A reader needs neither a lock nor Lakemesh: `ATTACH '…/current.duckdb' AS lake (READ_ONLY)` on a local disk,
`ATTACH 's3://…/states/<release>/catalog.duckdb' AS lake (READ_ONLY)` on S3. It sees that release while it is attached.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import duckdb

from ingest.errors import ConfigError
from ingest.settings import Settings, settings
from ingest.storage.store import Store
from pipeline.releases import erasures
from pipeline.warehouse.duck import connect

FORMAT_VERSION = 4
"""Format 2 adds what a database needs besides columns: grain, time column and not-null columns; 3 adds rollups, 4 the
buckets of tables that are computed by key."""
CURRENT, CURRENT_CATALOG = "current.json", "current.duckdb"


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One Parquet file of a table.

    Attributes:
        part: month of its dates, as 2026-01, or bucket of its keys, as 3-of-16; empty for a table in one file.
    """

    key: str
    part: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Buckets:
    """How the files of a table that is computed by key are divided, and what of its changes they have.

    Attributes:
        identity, sequence: of its log, see pipeline/warehouse/by_key/log.py.
        count: number of buckets.
        engine: version of DuckDB, whose hash of a key names its bucket.
    """

    identity: str
    sequence: int
    count: int
    engine: str


@dataclass(frozen=True, slots=True)
class ReleaseTable:
    """A table of a release, or a view over other tables of that release.

    Attributes:
        version: the model's version in SQLMesh.
        columns: (name, SQL type, comment) in order.
        query: a view's SELECT over other published tables; empty for a table.
        grain: columns that identify a row; empty if the model declares none.
        time_column: the date column by which its files are divided into months; empty if they are not.
        not_null: columns that a blocking audit keeps free of NULL.
        rollup: the SELECT of a stored rollup, see pipeline/releases/rollups.py; empty for other tables.
        buckets: None for a table that is not divided by key.
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
    buckets: Buckets | None = None

    @property
    def rows(self) -> int:
        """Rows of all files; 0 for a view."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True, slots=True)
class Release:
    """One release of gold.

    Attributes:
        number: releases are numbered from 1 and never renumbered.
        lake_id: the lake that it was computed from.
        positions: the ledger position of each feed that it contains.
        sequence: how much of the interval log it contains, see pipeline/state/interval_log.py.
        tables: by name.
        audits: name, scope and rows found (always 0) of each audit that it passed.
        dates: dates that are new or changed since the previous release, by table.
        audit_log: number and hash of the newest entry of the audit log, see pipeline/access/audit_log.py.
    """

    number: int
    published_at: dt.datetime
    lake_id: str
    positions: Mapping[str, int]
    sequence: int
    tables: Mapping[str, ReleaseTable]
    audits: tuple[dict[str, Any], ...] = ()
    dates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    audit_log: str = ""

    def of_layer(self, schema: str) -> Release:
        """The release with the tables of one schema alone, such as `gold`."""
        tables = {name: table for name, table in self.tables.items() if name.startswith(f"{schema}.")}
        return replace(self, tables=tables)

    def to_json(self) -> bytes:
        """The manifest."""
        return json.dumps({"format": FORMAT_VERSION} | asdict(self), default=str, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes, name: str) -> Self:
        """Read a manifest.

        Args:
            name: its URI, for the error.

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
                    "buckets": Buckets(**item["buckets"]) if item.get("buckets") else None,
                }
            )
            for key, item in raw["tables"].items()
        }
        fields = {"published_at": dt.datetime.fromisoformat(raw["published_at"]), "tables": tables}
        fields |= {"audits": tuple(raw["audits"]), "dates": {key: tuple(days) for key, days in raw["dates"].items()}}
        return cls(**raw | fields)


def file_key(table: str, number: int, part: str) -> str:
    """Key of a new file of a table.

    Args:
        table: name with schema.
        number: of the release that it is written for.
        part: see `ReleaseFile`.
    """
    return f"tables/{table}/{number:020d}-{part or 'all'}-{uuid.uuid4().hex[:8]}.parquet"


def manifest_key(number: int) -> str:
    """Key of a release's manifest."""
    return f"states/{number:020d}/manifest.json"


def suspect_key(number: int) -> str:
    """Key of the mark of a release in whose tables an audit found rows after it was published."""
    return f"states/{number:020d}/suspect.json"


def catalog_key(number: int) -> str:
    """Key of a release's catalog."""
    return f"states/{number:020d}/catalog.duckdb"


class Releases:
    """The stored releases, and the pointer to the one that readers get.

    Args:
        options: the settings; by default those of this process.
    """

    def __init__(self, options: Settings | None = None) -> None:
        self.options = options or settings()
        self.store = Store(self.options.published_uri, self.options, self.options.published_folder_mode)

    def numbers(self) -> list[int]:
        """Numbers of the stored releases, oldest first."""
        found = (item.key for item in self.store.list("states"))
        return sorted(int(key.split("/")[-2]) for key in found if key.endswith("/manifest.json"))

    def suspects(self) -> dict[int, dict[str, Any]]:
        """Releases in whose tables a later pass over everything found rows: when, and the rows by audit."""
        found = [item.key for item in self.store.list("states") if item.key.endswith("/suspect.json")]
        return {int(key.split("/")[-2]): json.loads(self.store.get(key)) for key in found}

    def get(self, number: int) -> Release:
        """One release.

        Raises:
            ConfigError: it does not exist, or was pruned.
        """
        key = manifest_key(number)
        try:
            return Release.from_json(self.store.get(key), f"{self.store.uri}/{key}")
        except FileNotFoundError:
            kept = ", ".join(map(str, self.numbers())) or "none"
            raise ConfigError(f"{self.store.uri}: release {number} is not kept; kept are {kept}") from None

    def newest(self) -> Release | None:
        """The newest release, whether or not readers get it."""
        numbers = self.numbers()
        return self.get(numbers[-1]) if numbers else None

    def pointer(self) -> dict[str, Any]:
        """The pointer to the release that readers get: `state`, and `held` after a rollback; empty if there is none."""
        try:
            found: dict[str, Any] = json.loads(self.store.get(CURRENT))
        except FileNotFoundError:
            return {}
        return found

    def current(self) -> Release | None:
        """The release that readers get."""
        found = self.pointer()
        return self.get(found["state"]) if found else None

    def point_to(self, number: int, withhold: bool = False) -> None:
        """Switch readers to a release atomically.

        Args:
            withhold: whether later releases are withheld until an operator publishes, as after a rollback.
        """
        if self.store.root is not None:
            self.store.put(CURRENT_CATALOG, self.store.get(catalog_key(number)))
        pointer = {"state": number, "catalog": f"{self.store.uri}/{catalog_key(number)}", "held": withhold}
        self.store.put(CURRENT, json.dumps(pointer).encode())

    def roll_back(self, number: int | None = None) -> int:
        """Switch readers to an older release, by default the previous one, and withhold newer ones.

        Raises:
            ConfigError: it is not kept, or an erasure withdrew it.
        """
        before = self.pointer()
        now, gone = before.get("state", 0), erasures.recorded(self.store)
        if number is None:
            withdrawn = {old for item in gone for old in item.withdrawn}
            older = [kept for kept in self.numbers() if kept < now and kept not in withdrawn]
            if not older:
                erasures.refuse(self.store.uri, None, gone)
                raise ConfigError(f"{self.store.uri}: no release before {now} is kept to roll back to")
            number = older[-1]
        erasures.refuse(self.store.uri, number, gone)
        self.get(number)
        self.point_to(number, withhold=True)
        try:
            erasures.refuse(self.store.uri, number, erasures.recorded(self.store))
        except ConfigError:  # withdrawn at the same time
            self.point_to(int(now), withhold=bool(before.get("held")))
            raise
        return number

    def attach(self, number: int | None = None) -> str:
        """The statement by which a DuckDB session attaches a release, by default the current one.

        Raises:
            ConfigError: nothing is published yet, or that release is not kept.
        """
        if number is None:
            found = self.pointer()
            if not found:
                raise ConfigError(f"{self.store.uri}: nothing is published yet; run `lake run` or `lake publish`")
            if self.store.root is not None:
                return f"ATTACH '{self.store.uri}/{CURRENT_CATALOG}' AS lake (READ_ONLY)"
            number = found["state"]
        self.get(number)
        return f"ATTACH '{self.store.uri}/{catalog_key(number)}' AS lake (READ_ONLY)"

    def connect(self, number: int | None = None) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection to a release, by default the current one, with tables `lake.gold.<table>`.

        Raises:
            ConfigError: see `attach`.
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
        number: of the release; by default the current one.

    Raises:
        ConfigError: nothing is published yet, that release is not kept, or has no such table.
    """
    releases = Releases()
    release = releases.current() if number is None else releases.get(number)
    if release is not None and table not in release.tables:
        raise ConfigError(f"{table} is not published; expected one of {', '.join(sorted(release.tables))}")
    return releases.connect(number).sql(f"FROM lake.{table}")
