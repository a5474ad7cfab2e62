"""A table that is computed by key has the rows of its query after each change, and records exactly what changed."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlglot import exp, parse_one

from pipeline.warehouse.by_key import log as log_module
from pipeline.warehouse.by_key import table as table_module
from pipeline.warehouse.by_key.definition import ByKey
from pipeline.warehouse.by_key.log import Log, State, UnknownChangesError
from pipeline.warehouse.by_key.sources import Position, Source
from pipeline.warehouse.by_key.table import DAY_MS, Table
from pipeline.warehouse.by_key.through import led_by

SOURCE, TARGET, CHILD = (exp.to_table(f"db.s.{name}", dialect="duckdb") for name in ("source", "target", "child"))
COLUMNS = "k TEXT, g TEXT, v INT, l INT[], r STRUCT(a INT, b TEXT)"


KEPT = 4
KEYS = [*(f"k{number}" for number in range(10)), "new", "none"]


class Killed(BaseException):
    """Ends a computation as a signal would."""


class Cursor:
    """A cursor that can be stopped at a statement, and remembers those that it executed."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.stop_at: Callable[[str], bool] = lambda _: False
        self.statements: list[str] = []

    def execute(self, statement: str, parameters: Any = None) -> Cursor:
        if self.stop_at(statement):
            raise Killed(statement)
        self.statements.append(statement)
        self._connection.execute(statement, parameters)
        return self

    def fetchone(self) -> Any:
        return self._connection.fetchone()

    def fetchall(self) -> list[Any]:
        return self._connection.fetchall()


@dataclass
class World:
    """A source whose changes are known, and a table that is computed from it.

    Attributes:
        changed: keys of the source that changed, with the position from which on.
        wholes: number of computations as a whole.
    """

    cursor: Cursor
    query: str = "SELECT source.k, source.g, source.v, source.l, source.r FROM db.s.source AS source"
    definition: str = "d"
    position: int = 0
    changed: list[tuple[int, str | None]] = field(default_factory=list)
    end: int = 100 * DAY_MS
    wholes: int = 0

    def change(self, statement: str, *keys: str | None) -> None:
        """Change rows of these keys in the source."""
        self.cursor.execute(statement)
        self.position += 1
        self.changed += [(self.position, key) for key in keys]

    def source(self) -> Source:
        def since(position: Position) -> str:
            keys = [exp.convert(key).sql("duckdb") for number, key in self.changed if number > position[2]]
            return f"SELECT UNNEST([{', '.join(keys)}]::TEXT[]) AS key"

        return Source(SOURCE, True, ["feed", "shape", self.position], since)

    def compute(self, **options: Any) -> None:
        """Compute the table."""
        query = parse_one(self.query, dialect="duckdb")

        def replace_all() -> None:
            self.wholes += 1
            self.cursor.execute(f"CREATE OR REPLACE TABLE {TARGET.sql()} AS {query.sql('duckdb')}")

        interval = options.pop("interval", (self.end - DAY_MS, self.end))
        sources = options.pop("sources", None) or [self.source()]
        columns = list("kgvlr")
        Table(self.cursor, TARGET, columns, ByKey("k", ("k", "g")), self.definition).compute(
            query, sources, interval, replace_all
        )

    @property
    def log(self) -> Log:
        return Log(self.cursor, TARGET)

    def state(self) -> State:
        """What is recorded of the table."""
        state = self.log.read()
        assert state
        return state

    def logged(self) -> set[tuple[Any, ...]]:
        """(change, key, value of the logged column) of rows that changed."""
        rows = self.cursor.execute(f"SELECT _sequence, k, g FROM {self.log.keys} WHERE _is_changed")
        return set(rows.fetchall())

    def audited(self, start_ts: int) -> set[str] | None:
        """Keys that an audit of an interval looks at; None for all."""
        condition = self.log.condition("target.k", "k", start_ts)
        if condition is None:
            return None
        rows = self.cursor.execute(f"SELECT k FROM (SELECT UNNEST($1) AS k) AS target WHERE {condition}", [KEYS])
        return {key for (key,) in rows.fetchall()}

    def is_right(self) -> bool:
        """Whether the table has the rows of its query."""
        stored, computed = (
            sorted(map(repr, self.cursor.execute(f"SELECT k, g, v, l, r FROM ({rows})").fetchall()))
            for rows in (f"FROM {TARGET.sql()}", self.query)
        )
        return stored == computed


@pytest.fixture
def cursor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cursor]:
    monkeypatch.setattr(log_module, "KEPT", KEPT)
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS db; USE db; CREATE SCHEMA s")
        connection.execute(f"CREATE TABLE s.source ({COLUMNS})")
        connection.execute(
            "INSERT INTO s.source SELECT 'k' || range, 'g' || range % 3, range, [range, NULL], {'a': range, 'b': 'x'} "
            "FROM RANGE(10)"
        )
        yield Cursor(connection)


@pytest.fixture
def world(cursor: Cursor) -> World:
    """A table that is computed once."""
    world = World(cursor)
    world.compute()
    assert (world.wholes, world.is_right(), world.logged()) == (1, True, set())
    return world


def by_key(world: World) -> bool:
    """Compute, and return whether that was by key; the rows must be right."""
    wholes = world.wholes
    world.compute()
    assert world.is_right()
    return world.wholes == wholes


@pytest.mark.parametrize(
    ("statement", "logged"),
    [
        ("UPDATE s.source SET v = 99 WHERE k = 'k1'", {(1, "k1", "g1")}),
        ("UPDATE s.source SET v = NULL, l = NULL, r = NULL WHERE k = 'k1'", {(1, "k1", "g1")}),
        ("UPDATE s.source SET l = [1] WHERE k = 'k1'", {(1, "k1", "g1")}),
        ("UPDATE s.source SET r = {'a': 1, 'b': NULL} WHERE k = 'k1'", {(1, "k1", "g1")}),
        ("UPDATE s.source SET g = 'other' WHERE k = 'k1'", {(1, "k1", "g1"), (1, "k1", "other")}),
        ("UPDATE s.source SET g = NULL WHERE k = 'k1'", {(1, "k1", "g1"), (1, "k1", None)}),
        ("DELETE FROM s.source WHERE k = 'k1'", {(1, "k1", "g1")}),
        ("INSERT INTO s.source SELECT * FROM s.source WHERE k = 'k1'", {(1, "k1", "g1")}),
        ("INSERT INTO s.source (k, g) VALUES ('k1', 'new')", {(1, "k1", "new")}),
        ("INSERT INTO s.source (k) VALUES ('new')", {(1, "new", None)}),
        ("UPDATE s.source SET v = v", set()),
    ],
)
def test_rows_of_changed_keys_are_computed_and_logged(
    world: World, statement: str, logged: set[tuple[Any, ...]]
) -> None:
    world.change(statement, "k1", "k2", "new")  # k2 is named, but did not change
    assert by_key(world)
    assert world.logged() == logged
    assert world.audited(world.end) == set()
    world.end += DAY_MS
    world.change("SELECT 1", "k3")
    assert by_key(world)
    assert world.audited(world.end - DAY_MS) == {"k3"}


def test_one_of_two_equal_rows_disappears(world: World) -> None:
    world.change("INSERT INTO s.source SELECT * FROM s.source WHERE k = 'k1'", "k1")
    assert by_key(world)
    world.change("DELETE FROM s.source WHERE k = 'k1'; INSERT INTO s.source (k, v) VALUES ('k1', 1)", "k1")
    assert by_key(world)
    assert world.logged() == {(1, "k1", "g1"), (2, "k1", "g1"), (2, "k1", None)}


def test_positions_advance_although_nothing_differs(world: World) -> None:
    world.change("UPDATE s.source SET v = v", "k1")
    assert by_key(world)
    state = world.log.read()
    assert state
    assert (world.logged(), state.positions) == (set(), {"s.source": ["feed", "shape", 1]})


def test_without_a_change_nothing_is_written_but_the_state(world: World) -> None:
    world.cursor.statements.clear()
    assert by_key(world)
    written = [text for text in world.cursor.statements if text.startswith(("INSERT", "DELETE", "CREATE"))]
    assert [text.split(" VALUES")[0] for text in written] == [
        f'CREATE OR REPLACE TEMP TABLE changed_keys AS SELECT DISTINCT key FROM (SELECT "k" AS key FROM {TARGET.sql()} '
        "WHERE FALSE)",
        "INSERT OR REPLACE INTO lakemesh.by_key",
    ]


def test_only_rows_of_changed_keys_are_read_and_written(world: World) -> None:
    """Counts of rows, by key: what is not named as changed is not noticed."""
    world.change("UPDATE s.source SET v = -1", "k3")
    world.compute()
    found = world.cursor.execute("SELECT k FROM s.target WHERE v = -1").fetchall()
    counts = world.cursor.execute("SELECT (SELECT COUNT(*) FROM fresh_rows), (SELECT COUNT(*) FROM differing_rows)")
    assert (found, counts.fetchall()) == ([("k3",)], [(1, 2)])


@pytest.mark.parametrize(
    "change",
    [
        lambda world: setattr(world, "definition", "another query"),
        lambda world: setattr(world, "query", world.query + " WHERE source.v > 3"),
        lambda world: world.changed.append((1, None)),
        lambda world: world.log.drop(),
        lambda world: world.cursor.execute('UPDATE lakemesh.by_key SET state = \'{"of": "another version"}\''),
    ],
    ids=["definition", "rendered query", "NULL among the keys", "no record", "record of another version"],
)
def test_computed_as_a_whole_where_changes_are_unknown(world: World, change: Callable[[World], None]) -> None:
    world.change("INSERT INTO s.source (v) VALUES (7)")
    change(world)
    assert not by_key(world)
    assert world.logged() == set()
    world.change("UPDATE s.source SET v = 8 WHERE k = 'k1'", "k1")
    assert by_key(world)


@pytest.mark.parametrize("source", ["another shape", "another table", "without keys", "unknown"])
def test_computed_as_a_whole_if_the_keys_of_a_source_are_unknown(world: World, source: str) -> None:
    world.change("UPDATE s.source SET v = 8")
    now = world.source()
    other = replace(now, position=["feed", "other", now.position[2]])
    world.compute(
        sources=[
            {
                "another shape": other,
                "another table": replace(now, position=["rows", "shape", now.position[2]]),
                "without keys": replace(now, _changes=None),
                "unknown": replace(now, _changes=Log(world.cursor, CHILD).changed("k")),
            }[source]
        ]
    )
    assert (world.wholes, world.is_right()) == (2, True)


def test_null_among_the_changed_keys_is_left_out_where_no_row_has_it(cursor: Cursor) -> None:
    world = World(cursor, f"{World.query} WHERE NOT source.k IS NULL")
    world.compute()
    world.change("INSERT INTO s.source (v) VALUES (7)", None)
    assert by_key(world)
    assert world.logged() == set()
    world.change("UPDATE s.source SET v = 8 WHERE k = 'k1' OR k IS NULL", "k1", None)
    assert by_key(world)
    assert world.logged() == {(1, "k1", "g1")}


def test_a_row_without_a_key_that_goes_means_computing_as_a_whole(world: World) -> None:
    world.change("INSERT INTO s.source (v) VALUES (7)", None)
    assert not by_key(world)
    world.change("DELETE FROM s.source WHERE k IS NULL", None)
    assert not by_key(world)
    assert world.cursor.execute("SELECT COUNT(*) FROM s.target WHERE k IS NULL").fetchall() == [(0,)]


def test_changed_values_lead_to_the_keys_beside_them(world: World) -> None:
    """A source that lacks the key, computed by a column that another source has beside it."""
    world.query = (
        "SELECT source.k, source.g, source.v + names.extra AS v, source.l, source.r FROM db.s.source AS source "
        "JOIN db.s.names AS names ON source.g = names.g"
    )
    world.cursor.execute("CREATE TABLE s.names AS SELECT DISTINCT g, 0 AS extra FROM s.source")
    names = exp.to_table("db.s.names", dialect="duckdb")
    changed = "SELECT UNNEST(['g1', NULL]) AS key"

    def sources(position: int) -> list[Source]:
        def since(_: Position) -> str:
            return led_by(changed, "k", "g", [SOURCE])

        return [world.source(), Source(names, False, ["table", "identity", position], since)]

    world.compute(sources=sources(0))
    world.cursor.execute("UPDATE s.names SET extra = 100 WHERE g = 'g1'")
    wholes = world.wholes
    world.compute(sources=sources(1))
    assert world.wholes == wholes
    assert world.is_right()
    expected = world.cursor.execute("SELECT k FROM s.source WHERE g = 'g1'").fetchall()
    assert {key for _, key, _ in world.logged()} == {key for (key,) in expected}
    assert 0 < len(expected) < world.cursor.execute("SELECT COUNT(*) FROM s.source").fetchone()[0]


def test_a_file_that_is_gone_means_computing_as_a_whole(world: World) -> None:
    world.change("UPDATE s.source SET v = 8")
    gone = replace(world.source(), _changes=lambda _: "SELECT k AS key FROM READ_PARQUET('gone.parquet')")
    world.compute(sources=[gone])
    assert (world.wholes, world.is_right()) == (2, True)


def test_a_query_of_the_time_is_always_computed_as_a_whole(cursor: Cursor) -> None:
    world = World(cursor, "SELECT k, g, DATE_DIFF('day', DATE '2020-01-01', CURRENT_DATE) AS v, l, r FROM db.s.source")
    assert not by_key(world)
    assert not by_key(world)


def test_an_interval_of_the_past_is_computed_as_a_whole(world: World) -> None:
    """It is computed again on request, to replace rows that are wrong."""
    world.cursor.execute("UPDATE s.target SET v = 0")
    world.compute(interval=(world.end - 3 * DAY_MS, world.end - 2 * DAY_MS))
    assert (world.wholes, world.is_right()) == (2, True)
    assert world.state().end_ts == world.end  # so the last day is no news
    assert by_key(world)


def test_most_keys_of_a_large_table_are_computed_as_a_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "MANY_KEYS", 3)
    world.change("UPDATE s.source SET v = 8 WHERE v < 5", *(f"k{number}" for number in range(5)))
    assert by_key(world)
    world.change("UPDATE s.source SET v = 9 WHERE v < 9", *(f"k{number}" for number in range(9)))
    assert not by_key(world)


def test_audits_that_passed_look_at_later_changes_alone(world: World) -> None:
    """The newest interval is audited again with each change, as long as it is the newest."""
    newest = world.end - DAY_MS
    assert world.audited(newest) is None  # computed as a whole
    world.log.mark_audited()
    assert world.audited(newest) is None  # a new audit in a plan
    world.change("UPDATE s.source SET v = 8 WHERE k = 'k1'", "k1")
    assert by_key(world)
    world.change("UPDATE s.source SET v = v WHERE k = 'k2'", "k2")  # a key that should have rows may have none
    assert by_key(world)
    assert world.audited(newest) == {"k1", "k2"}
    world.log.mark_audited()
    assert world.audited(newest) == set()

    # WHEN an older interval is audited, as for a new audit in a plan, THEN as a whole
    assert world.audited(newest - DAY_MS) is None

    # WHEN it is due again with the next day
    world.end += DAY_MS
    world.change("UPDATE s.source SET v = 8 WHERE k = 'k4'", "k4")
    world.compute(interval=(newest, world.end))
    assert world.audited(newest) == {"k4"}

    # WHEN the table is computed as a whole again, THEN so are its audits
    world.definition = "another"
    assert not by_key(world)
    assert world.audited(newest) is None


def test_audits_that_passed_too_long_ago_count_for_nothing(world: World) -> None:
    """Keys of changes long ago are forgotten."""
    world.log.mark_audited()
    for number in range(KEPT):
        world.change(f"UPDATE s.source SET v = 50 WHERE k = 'k{number}'", f"k{number}")
        assert by_key(world)
    assert world.audited(world.end - DAY_MS) == {f"k{number}" for number in range(KEPT)}
    world.change("UPDATE s.source SET v = 50 WHERE k = 'k9'", "k9")
    assert by_key(world)
    assert world.audited(world.end - DAY_MS) is None


def test_what_an_older_version_recorded_is_read(world: World) -> None:
    world.cursor.execute(
        'UPDATE lakemesh.by_key SET state = JSON_MERGE_PATCH(state, \'{"audited": null, "start_ts": null}\')'
    )
    stored = world.cursor.execute("SELECT state FROM lakemesh.by_key").fetchone()[0]
    assert "audited" not in stored
    world.change("UPDATE s.source SET v = 8 WHERE k = 'k1'", "k1")
    assert by_key(world)
    assert world.audited(world.end - DAY_MS) is None


STOPS = ("DELETE FROM db.s.target", "INSERT INTO db.s.target", "INSERT INTO lakemesh.", "INSERT OR REPLACE", "COMMIT")


@pytest.mark.parametrize("stop", STOPS)
def test_a_computation_that_is_stopped_leaves_nothing(world: World, stop: str) -> None:
    before = world.cursor.execute("SELECT k, v FROM s.target ORDER BY k").fetchall()
    state = world.log.read()
    world.change("UPDATE s.source SET v = 77, g = 'moved' WHERE k = 'k1'", "k1")
    world.cursor.stop_at = lambda statement: statement.startswith(stop)
    with pytest.raises(Killed):
        world.compute()
    world.cursor.stop_at = lambda _: False
    if stop == "COMMIT":
        world.cursor.execute("ROLLBACK")
    assert world.cursor.execute("SELECT k, v FROM s.target ORDER BY k").fetchall() == before
    assert (world.log.read(), world.logged()) == (state, set())
    assert by_key(world)
    assert world.logged() == {(1, "k1", "g1"), (1, "k1", "moved")}


@pytest.mark.parametrize(
    "stop", ["CREATE OR REPLACE TABLE db.s", "CREATE OR REPLACE TABLE lakemesh", "INSERT OR REPLACE"]
)
def test_a_computation_as_a_whole_that_is_stopped_leaves_nothing(world: World, stop: str) -> None:
    world.change("UPDATE s.source SET v = 77 WHERE k = 'k1'", "k1")
    assert by_key(world)
    before, state, logged = world.cursor.execute("FROM s.target").fetchall(), world.log.read(), world.logged()
    world.change("UPDATE s.source SET v = 78 WHERE k = 'k1'; INSERT INTO s.source (v) VALUES (1)", "k1", None)
    world.cursor.stop_at = lambda statement: statement.startswith(stop)
    with pytest.raises(Killed):
        world.compute()
    world.cursor.stop_at = lambda _: False
    assert world.cursor.execute("FROM s.target").fetchall() == before
    assert (world.log.read(), world.logged()) == (state, logged)
    assert not by_key(world)


def test_a_process_that_dies_between_delete_and_insert_leaves_nothing(tmp_path: Path) -> None:
    """The real thing: the process exits without closing the database."""
    path = tmp_path / "warehouse.duckdb"
    done = subprocess.run(
        [sys.executable, __file__, str(path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 9, done.stderr
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS db; USE db")
        world = World(Cursor(connection), position=1, changed=[(1, "k1")])
        state = world.log.read()
        assert state
        assert (state.sequence, state.positions) == (0, {"s.source": ["feed", "shape", 0]})
        assert world.cursor.execute("SELECT COUNT(*), SUM(v) FROM s.target").fetchall() == [(3, 3)]
        assert by_key(world)
        assert world.cursor.execute("SELECT v FROM s.target WHERE k = 'k1'").fetchall() == [(77,)]


def _die(path: str) -> None:
    connection = duckdb.connect()
    connection.execute(f"ATTACH '{path}' AS db; USE db; CREATE SCHEMA s")
    connection.execute(f"CREATE TABLE s.source ({COLUMNS})")
    connection.execute("INSERT INTO s.source (k, v) SELECT 'k' || range, range FROM RANGE(3)")
    world = World(Cursor(connection))
    world.compute()
    world.change("UPDATE s.source SET v = 77 WHERE k = 'k1'", "k1")
    world.cursor.stop_at = lambda text: text.startswith(f"INSERT INTO {TARGET.sql()}") and os._exit(9)
    world.compute()


def child(world: World) -> tuple[Callable[[], None], Callable[[], int]]:
    """A table by the logged column of another; its computation, and the number of times that it was a whole one."""
    wholes = itertools.count()
    done = [0]
    text = "SELECT target.g, COUNT(*) AS n, SUM(target.v) AS v FROM db.s.target AS target GROUP BY target.g"

    def compute() -> None:
        state = world.log.read()
        position = ["table", state.identity, state.sequence] if state else ["table", "", 0]
        source = Source(TARGET, state is not None, position, world.log.changed("g"))

        def replace_all() -> None:
            done[0] = next(wholes) + 1
            world.cursor.execute(f"CREATE OR REPLACE TABLE {CHILD.sql()} AS {text}")

        Table(world.cursor, CHILD, ["g", "n", "v"], ByKey("g", ("g",)), "d").compute(
            parse_one(text, dialect="duckdb"), [source], (world.end - DAY_MS, world.end), replace_all
        )
        stored, computed = (
            sorted(map(repr, world.cursor.execute(f"SELECT g, n, v FROM ({rows})").fetchall()))
            for rows in (f"FROM {CHILD.sql()}", text)
        )
        assert stored == computed

    return compute, lambda: done[0]


def test_a_key_that_moves_is_computed_where_it_was_and_where_it_is(world: World) -> None:
    compute, wholes = child(world)
    compute()
    world.change("UPDATE s.source SET g = 'g2' WHERE k = 'k1'", "k1")
    world.compute()
    compute()
    world.change("DELETE FROM s.source WHERE k = 'k2'", "k2")
    world.compute()
    compute()
    assert wholes() == 1
    log = Log(world.cursor, CHILD)
    found = world.cursor.execute(f"SELECT _sequence, g FROM {log.keys} WHERE _is_changed").fetchall()
    assert sorted(found) == [(1, "g1"), (1, "g2"), (2, "g2")]


def test_a_child_that_missed_changes_catches_up(world: World) -> None:
    compute, wholes = child(world)
    compute()
    for number in range(KEPT):
        world.change(f"UPDATE s.source SET v = {100 + number} WHERE k = 'k{number % 9}'", f"k{number % 9}")
        world.compute()
    compute()
    assert wholes() == 1


def test_a_child_that_missed_too_many_changes_is_computed_as_a_whole(world: World) -> None:
    compute, wholes = child(world)
    compute()
    for number in range(KEPT + 1):
        world.end += DAY_MS
        key = "k1" if number else "k0"
        world.change(f"UPDATE s.source SET v = {100 + number} WHERE k = '{key}'", key)
        world.compute()
    assert min(world.logged())[0] == 2  # the first change is forgotten
    with pytest.raises(UnknownChangesError):
        world.log.changed("g")(["table", "", 0])
    compute()
    assert wholes() == 2


def test_a_child_notices_that_a_table_was_dropped_and_computed_anew(world: World) -> None:
    """The new table has as many changes as the old one had, so their number tells nothing."""
    compute, wholes = child(world)
    compute()
    world.cursor.execute("DROP TABLE s.target")
    world.log.drop()
    assert world.log.read() is None
    world.change("UPDATE s.source SET v = 50")
    world.compute()
    compute()
    assert wholes() == 2


def test_audits_look_at_all_keys_that_were_computed_in_their_interval_or_later(world: World) -> None:
    """Also at those without a row that differs, and at all rows in the interval of a computation as a whole."""
    first = world.end - DAY_MS
    assert world.audited(first) is None
    world.end += DAY_MS
    assert world.audited(first + DAY_MS) == set()
    world.change("UPDATE s.source SET v = 7 WHERE k = 'k1'", "k1", "none")
    assert by_key(world)
    assert world.audited(first + DAY_MS) == {"k1", "none"}
    world.end += DAY_MS
    world.change("UPDATE s.source SET v = 7 WHERE k = 'k2'", "k2")
    assert by_key(world)
    assert world.audited(first + 2 * DAY_MS) == {"k2"}
    assert world.audited(first + DAY_MS) == {"k1", "k2", "none"}


def test_keys_of_an_interval_whose_audits_fail_are_kept_however_often_it_is_computed(world: World) -> None:
    world.end += DAY_MS
    world.change("UPDATE s.source SET v = -1 WHERE k = 'k1'", "k1")
    assert by_key(world)
    for _ in range(KEPT + 2):
        world.change("UPDATE s.source SET v = v + 1 WHERE k = 'k2'", "k2")
        assert by_key(world)
    assert world.audited(world.end - DAY_MS) == {"k1", "k2"}


def forget(world: World) -> None:
    """Forget the keys of all changes, as an erasure does."""
    world.log.forget_keys()
    assert world.cursor.execute(f"SELECT COUNT(*) FROM {world.log.keys}").fetchall() == [(0,)]


def test_a_child_that_saw_all_changes_goes_on_by_key_after_the_keys_are_forgotten(world: World) -> None:
    compute, wholes = child(world)
    world.change("UPDATE s.source SET v = 50 WHERE k = 'k1'", "k1")
    world.compute()
    compute()
    forget(world)
    compute()
    world.change("UPDATE s.source SET v = 51 WHERE k = 'k2'", "k2")
    assert by_key(world)
    assert world.logged() == {(2, "k2", "g2")}
    compute()
    assert wholes() == 1


def test_a_child_that_missed_forgotten_changes_is_computed_as_a_whole(world: World) -> None:
    compute, wholes = child(world)
    compute()
    world.change("UPDATE s.source SET v = 50 WHERE k = 'k1'", "k1")
    world.compute()
    forget(world)
    with pytest.raises(UnknownChangesError):
        world.log.changed("g")(["table", "", 0])
    compute()
    assert wholes() == 2


def test_audits_do_not_miss_keys_that_are_forgotten(world: World) -> None:
    newest = world.end
    world.end += DAY_MS
    world.change("UPDATE s.source SET v = 50 WHERE k = 'k1'", "k1")
    assert by_key(world)
    assert world.audited(newest) == {"k1"}
    forget(world)  # before the audits passed
    assert world.audited(newest) is None
    world.change("UPDATE s.source SET v = 50 WHERE k = 'k2'", "k2")
    assert by_key(world)
    assert world.audited(newest) is None
    world.log.mark_audited()
    assert world.audited(newest) == set()
    forget(world)  # after they passed
    world.change("UPDATE s.source SET v = 50 WHERE k = 'k3'", "k3")
    assert by_key(world)
    assert world.audited(newest) == {"k3"}
    world.end += DAY_MS  # of the next day, nothing is forgotten
    assert by_key(world)
    world.change("UPDATE s.source SET v = 50 WHERE k = 'k4'", "k4")
    assert by_key(world)
    assert world.audited(newest + DAY_MS) == {"k3", "k4"}
    assert world.audited(newest) is None


@pytest.mark.parametrize("stop", ["DELETE FROM lakemesh", "INSERT OR REPLACE", "COMMIT"])
def test_forgetting_that_is_stopped_forgets_nothing(world: World, stop: str) -> None:
    world.change("UPDATE s.source SET v = 50 WHERE k = 'k1'", "k1")
    assert by_key(world)
    before = (world.state(), world.logged())
    world.cursor.stop_at = lambda statement: statement.startswith(stop)
    with pytest.raises(Killed):
        world.log.forget_keys()
    world.cursor.stop_at = lambda _: False
    if stop == "COMMIT":
        world.cursor.execute("ROLLBACK")
    assert (world.state(), world.logged()) == before


def test_records_of_tables_that_no_model_has_are_dropped(world: World) -> None:
    log = Log(world.cursor, exp.to_table("db.s.old"))
    world.cursor.execute("CREATE TABLE s.old AS SELECT 'x' AS k")
    log.begin(["k"])
    log.write(world.state())
    world.cursor.execute("CREATE TABLE lakemesh.half_dropped AS SELECT 'x' AS k")
    assert log_module.drop_others(world.cursor, {"s.target"}) == ["lakemesh.half_dropped", "s.old"]
    assert log.read() is None
    names = world.cursor.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'lakemesh' ORDER BY 1")
    assert names.fetchall() == [("by_key",), ("target",)]
    assert by_key(world)
    assert log_module.drop_others(world.cursor, {"s.target"}) == []


def test_logged_columns_may_have_any_name(world: World) -> None:
    world.cursor.execute('CREATE TABLE s.odd AS SELECT 1 AS "sequence", 2 AS end_ts, 3 AS "key", 4 AS "order"')
    for name, rows in (("differing_rows", "SELECT * FROM s.odd"), ("changed_keys", "SELECT 9 AS key")):
        world.cursor.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {rows}")
    log = Log(world.cursor, exp.to_table("db.s.odd"))
    names = ["key", "sequence", "end_ts", "order"]
    log.begin(names)
    log.add(5, (6, 7), names)
    rows = {(5, 7, True, 3, 1, 2, 4), (5, 7, False, 9, None, None, None)}
    assert set(world.cursor.execute(f"FROM {log.keys}").fetchall()) == rows


if __name__ == "__main__":
    _die(sys.argv[1])
