"""Releases of a table that is computed by key have its rows, and share the files of buckets without changed keys."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from sqlglot import exp, parse_one
from sqlmesh.core.dialect import parse
from sqlmesh.core.model import load_sql_based_model
from sqlmesh.core.snapshot import Snapshot, SnapshotChangeCategory

from ingest.settings import read_settings
from materializations import by_key as _  # noqa: F401  SQLMesh knows the kind by its class
from pipeline.releases import buckets
from pipeline.releases.changes import Change
from pipeline.releases.export import has_same_definition, prune, publish, sweep
from pipeline.releases.release import Release, Releases, manifest_key
from pipeline.state.interval_log import Recomputed
from pipeline.warehouse.by_key import log as log_module
from pipeline.warehouse.by_key.definition import ByKey
from pipeline.warehouse.by_key.sources import Position, Source
from pipeline.warehouse.by_key.table import DAY_MS, Table
from pipeline.warehouse.duck_engine import DuckEngine

NAME = "gold.t"
MODEL = (
    "MODEL (name gold.t, dialect duckdb, grain (month, k), kind CUSTOM (materialization 'by_key', "
    "materialization_properties (key = k))); SELECT 'x'::TEXT AS k, 1::INT AS month, 1::INT AS v"
)
QUERY = parse_one("SELECT source.k, source.month, source.v FROM db.s.source AS source", dialect="duckdb")
KNOWN, UNKNOWN = Recomputed(True, frozenset({dt.date(2026, 1, 1)})), Recomputed(True, None)
KEPT = 4
NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


class Killed(BaseException):
    """Ends a publication as a signal would."""


class World:
    """A source, the table that is computed from it by key, and its releases.

    Attributes:
        rows: of the table by release, as it was when that was published.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.cursor = connection
        self.engine = DuckEngine(SimpleNamespace(cursor=connection))  # type: ignore[arg-type]
        self.published = Releases(read_settings())
        model = load_sql_based_model(parse(MODEL, default_dialect="duckdb"), default_catalog="db")
        self.snapshot = Snapshot.from_node(model, nodes={})
        self.snapshot.categorize_as(SnapshotChangeCategory.BREAKING)
        self.table = exp.to_table(self.snapshot.table_name(), dialect="duckdb")
        connection.execute(f"CREATE SCHEMA db.{self.table.db}; CREATE TABLE s.source (k TEXT, month INT, v INT)")
        self.rows: dict[int, list[Any]] = {}
        self._changed: list[set[str | None]] = []
        self._definition = 0

    def change(self, statement: str, *keys: str | None) -> None:
        """Change rows of these keys in the source, and compute the table."""
        self.cursor.execute(statement)
        self._changed.append(set(keys))
        self.compute()

    def compute(self, as_a_whole: bool = False) -> None:
        """Compute the table by what changed since the last time, or all of it."""
        self._definition += as_a_whole

        def since(position: Position) -> str:
            keys = set().union(*self._changed[position[2] :])
            return f"SELECT UNNEST([{', '.join(exp.convert(key).sql('duckdb') for key in keys)}]::TEXT[]) AS key"

        def replace_all() -> None:
            self.cursor.execute(f"CREATE OR REPLACE TABLE {self.table.sql('duckdb')} AS {QUERY.sql('duckdb')}")

        source = exp.to_table("db.s.source", dialect="duckdb")
        sources = [Source(source, True, ["feed", "shape", len(self._changed)], since)]
        interval = (100 * DAY_MS, 101 * DAY_MS)
        declared = ByKey("k", ("k",))
        table = Table(self.cursor, self.table, ["k", "month", "v"], declared, str(self._definition))
        table.compute(QUERY.copy(), sources, interval, replace_all)

    def publish(self, recomputed: Recomputed = KNOWN) -> Release:
        """Publish the table as the next release."""
        before = self.published.newest()
        number = before.number + 1 if before else 1
        self.rows[number] = self.stored()
        about = Release(number, NOW, "lake", {}, 0, {})
        return publish(self.published, self.engine, {NAME: Change(self.snapshot, recomputed)}, before, about)

    def stored(self) -> list[Any]:
        """Rows of the table in the warehouse."""
        return sorted(self.cursor.execute(f"FROM {self.table.sql('duckdb')}").fetchall(), key=repr)

    def read(self, number: int) -> list[Any]:
        """Rows of the table in a release."""
        with self.published.connect(number) as reader:
            return sorted(reader.execute(f"FROM lake.{NAME}").fetchall(), key=repr)

    def parts(self, number: int) -> dict[str, str]:
        """Names of the table's files in a release, by part."""
        return {file.part: file.key for file in self.published.get(number).tables[NAME].files}

    def part_of(self, key: str | None) -> str:
        """The part in which the newest release has a key."""
        newest = self.published.newest()
        assert newest
        table = newest.tables[NAME]
        assert table.buckets
        (number,) = self.cursor.execute(f"SELECT HASH($1::TEXT) % {table.buckets.count} + 1", [key]).fetchone() or ()
        return f"{number}-of-{table.buckets.count}"


@pytest.fixture
def world(clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A table of 40 keys in four buckets, published."""
    monkeypatch.setattr(buckets, "ROWS", 20)
    monkeypatch.setattr(buckets, "MOST", 16)
    monkeypatch.setattr(log_module, "KEPT", KEPT)
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS db; USE db; CREATE SCHEMA s")
        world = World(connection)
        world.change(
            "INSERT INTO s.source SELECT 'k' || keys.range, months.range, 1 FROM RANGE(40) AS keys, RANGE(2) AS months"
        )
        world.publish()
        assert (len(world.parts(1)), world.read(1)) == (4, world.stored())
        yield world


@pytest.mark.parametrize(
    ("statement", "key"),
    [
        ("UPDATE s.source SET v = 2 WHERE k = 'k7'", "k7"),
        ("DELETE FROM s.source WHERE k = 'k7'", "k7"),
        ("INSERT INTO s.source VALUES ('new', 1, 1)", "new"),
    ],
)
def test_one_changed_key_writes_its_bucket_alone(world: World, statement: str, key: str) -> None:
    world.change(statement, key, "k8")  # k8 is named, but did not change
    world.publish()
    before, after = world.parts(1), world.parts(2)
    assert {part for part in after if after[part] != before[part]} == {world.part_of(key)}
    assert (world.read(2), world.read(1)) == (world.rows[2], world.rows[1])
    assert world.rows[2] != world.rows[1]


def test_what_did_not_change_is_not_written(world: World) -> None:
    world.change("SELECT 1", "k1")
    released = world.publish()
    assert (world.parts(2), released.dates) == (world.parts(1), {})
    assert world.publish(Recomputed(False, frozenset())).tables == released.tables


def test_each_file_is_in_the_order_of_the_grain(world: World) -> None:
    world.change("UPDATE s.source SET v = 2", *(f"k{number}" for number in range(40)))
    release = world.publish()
    for file in release.tables[NAME].files:
        path = f"{world.published.store.uri}/{file.key}"
        rows = world.cursor.execute(f"SELECT month, k FROM READ_PARQUET('{path}')").fetchall()
        assert rows == sorted(rows)
        assert len(rows) == file.rows


def test_an_emptied_bucket_has_no_file_and_gets_one_again(world: World) -> None:
    parts = {f"k{number}": world.part_of(f"k{number}") for number in range(40)}
    sizes = Counter(parts.values())
    part = min(sizes, key=sizes.__getitem__)
    gone = [key for key, found in parts.items() if found == part]
    names = ", ".join(f"'{key}'" for key in gone)
    world.change(f"DELETE FROM s.source WHERE k IN ({names})", *gone)
    world.publish()
    assert world.parts(2).keys() == world.parts(1).keys() - {part}
    world.change(f"INSERT INTO s.source VALUES ('{gone[0]}', 1, 1)", gone[0])
    world.publish()
    assert world.parts(3) == world.parts(2) | {part: world.parts(3)[part]}
    assert world.read(3) == world.stored()


def test_keys_without_a_value_are_in_a_bucket(world: World) -> None:
    world.change("INSERT INTO s.source VALUES (NULL, 1, 1)", None)  # computed as a whole
    world.publish()
    assert world.read(2) == world.rows[2]
    world.change("UPDATE s.source SET v = 3 WHERE k = 'k7'", "k7")
    world.publish()
    assert world.read(3) == world.rows[3]


def test_everything_is_written_where_changed_keys_are_unknown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def written(recomputed: Recomputed = KNOWN) -> bool:
        """Publish, and return whether every file is new."""
        before = world.published.newest()
        assert before
        number = world.publish(recomputed).number
        assert world.read(number) == world.stored()
        return not set(world.parts(number).values()) & set(world.parts(before.number).values())

    world.compute(as_a_whole=True)
    assert written()
    assert not written()  # nothing changed since

    for number in range(KEPT + 1):
        world.change(f"UPDATE s.source SET v = {number} WHERE k = 'k{number}'", f"k{number}")
    assert written()

    assert written(UNKNOWN)  # as after a backup was restored: sequences may be those of other changes
    monkeypatch.setattr(duckdb, "__version__", "0.0.0")
    assert written()
    assert not written()


def test_a_table_that_grows_gets_more_files_and_shrinks_again(world: World) -> None:
    world.change("INSERT INTO s.source SELECT 'n' || range, 1, 1 FROM RANGE(70)", *(f"n{n}" for n in range(70)))
    world.publish()
    assert len(world.parts(2)) == 4  # 150 rows of 80: not yet twice as many
    world.change("INSERT INTO s.source SELECT 'm' || range, 1, 1 FROM RANGE(30)", *(f"m{n}" for n in range(30)))
    world.publish()
    world.publish()  # as what it had before
    assert {part.split("-of-")[1] for part in world.parts(4)} == {"9"}
    world.change("DELETE FROM s.source WHERE k <> 'k1'", *(f"{a}{n}" for a in "knm" for n in range(70)))
    world.publish()
    assert world.read(5) == world.rows[5]
    world.publish()
    assert world.parts(6).keys() == {""}
    assert world.read(6) == world.rows[6]
    world.change("UPDATE s.source SET v = 2 WHERE k = 'k1'", "k1")
    world.publish()
    assert world.parts(7).keys() == {""}
    assert world.read(7) == world.rows[7]


def test_a_release_of_an_older_version_is_followed_by_one_with_all_files(world: World) -> None:
    """Its manifest has no buckets."""
    release = world.published.get(1)
    assert has_same_definition(Change(world.snapshot, KNOWN), release.tables[NAME], {NAME})
    manifest = json.loads(release.to_json())
    assert manifest["tables"][NAME].pop("buckets")["count"] == 4
    world.published.store.put(manifest_key(1), json.dumps(manifest | {"format": 3}).encode())

    world.publish()

    assert set(world.parts(2).values()).isdisjoint(world.parts(1).values())
    assert (world.read(2), world.read(1)) == (world.rows[2], world.rows[1])


@pytest.mark.parametrize("seed", range(3))
def test_any_changes_and_interruptions(seed: int, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every release that exists has the rows of its time; files are shared exactly where no key of them changed."""
    dice = random.Random(seed)
    store = type(world.published.store)
    left = [-1]
    for name in ("stage", "publish", "put", "put_new"):
        monkeypatch.setattr(store, name, _killing(getattr(store, name), left))
    shared, is_whole = 0, False
    named: list[str] = []
    for _round in range(25):
        for _change in range(dice.choice((0, 1, 1, 2, KEPT + 1))):
            key = f"k{dice.randrange(60)}"
            world.change(
                dice.choice(
                    (
                        f"UPDATE s.source SET v = {dice.randrange(3)} WHERE k = '{key}'",
                        f"DELETE FROM s.source WHERE k = '{key}'",
                        f"INSERT INTO s.source VALUES ('{key}', {dice.randrange(3)}, {dice.randrange(3)})",
                        "SELECT 1",
                    )
                ),
                key,
            )
            named.append(key)
        if dice.random() < 0.1:
            world.compute(as_a_whole=True)
            is_whole = True
        before = world.published.newest()
        assert before
        left[0] = dice.choice((-1, -1, dice.randrange(8)))
        recomputed = UNKNOWN if dice.random() < 0.1 else KNOWN
        with suppress(Killed):
            world.publish(recomputed)
        left[0] = -1
        newest = world.published.newest()
        assert newest
        if newest.number > before.number:
            if recomputed is KNOWN and not is_whole and len(named) <= KEPT and len(world.parts(before.number)) > 1:
                old, new = (set(world.parts(number).items()) for number in (before.number, newest.number))
                assert {part for part, _ in old - new} <= {world.part_of(key) for key in named}
                shared += len(old & new)
            named, is_whole = [], False
        if dice.random() < 0.2:
            sweep(world.published)
            prune(world.published, 2, NOW, dt.timedelta(0))
        if dice.random() < 0.1:
            world.published.roll_back(world.published.numbers()[0])
        for number in {newest.number, dice.choice(world.published.numbers())}:
            assert world.read(number) == world.rows[number]
    assert shared > 10


def _killing(method: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    """A method that ends its process at one of the next calls, half of the time after it is done.

    Args:
        left: twice the number of calls until then; negative for never.
    """

    def called(*arguments: Any) -> Any:
        left[0] -= left[0] >= 0
        if left[0] == 0:
            left[0] = -1
            raise Killed
        done = method(*arguments)
        left[0] -= left[0] >= 0
        if left[0] == 0:
            left[0] = -1
            raise Killed
        return done

    return called
