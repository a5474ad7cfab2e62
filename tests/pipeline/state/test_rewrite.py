"""A DuckDB file is replaced by a copy with everything that is in it, and nothing that was deleted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.errors import RetriableError
from ingest.settings import PROJECT, Settings
from pipeline.state.duck import DuckDatabase
from pipeline.state.rewrite import rewrite
from pipeline.state.state import TABLES
from tests.small_disk import small_disk

SECRET = "person-5f0c77aa91"
OBJECTS = """
CREATE SCHEMA gold; CREATE SCHEMA inner_tables; CREATE SCHEMA lakemesh;
CREATE TYPE inner_tables.mood AS ENUM ('good', 'bad');
CREATE SEQUENCE inner_tables.numbers START 5;
CREATE TABLE inner_tables.plays (
  id BIGINT PRIMARY KEY DEFAULT nextval('inner_tables.numbers'),
  person TEXT NOT NULL DEFAULT 'nobody',
  amount DECIMAL(18, 2) CHECK (amount >= 0),
  played_at TIMESTAMP, nested STRUCT(a INT, b TEXT[])[], labels MAP(TEXT, DOUBLE), mood inner_tables.mood
);
CREATE UNIQUE INDEX of_person ON inner_tables.plays (person, id);
CREATE TABLE lakemesh.by_key (name TEXT PRIMARY KEY, state TEXT);
INSERT INTO lakemesh.by_key VALUES ('inner_tables.plays', '{"positions": {"bronze.events": ["feed", "x", 3, "l"]}}');
CREATE TABLE inner_tables."odd ""name"".x" AS SELECT 'NaN'::DOUBLE AS n, NULL::TEXT AS t;
COMMENT ON TABLE inner_tables.plays IS 'One row per play.';
COMMENT ON COLUMN inner_tables.plays.amount IS 'In the reporting currency';
CREATE MACRO inner_tables.doubled(x) AS x * 2;
CREATE VIEW gold.plays AS SELECT * FROM warehouse.inner_tables.plays;
CREATE VIEW gold.summed AS SELECT SUM(amount) AS amount FROM gold.plays;
CREATE OR REPLACE VIEW gold.plays AS SELECT id, person, amount FROM warehouse.inner_tables.plays;
COMMENT ON VIEW gold.plays IS 'Plays';
COMMENT ON COLUMN gold.plays.amount IS 'Shown';
"""
ROWS = """
INSERT INTO inner_tables.plays (person, amount, played_at, nested, labels, mood)
SELECT 'p' || i, i / 7, TIMESTAMP '2026-01-01' + INTERVAL (i) MINUTE, [{'a': i, 'b': ['x', NULL]}], MAP {'k': i}, 'bad'
FROM range(5000) AS r(i)
"""
IN_PROCESS = """
import sys
import pipeline.state.rewrite
from tests.small_disk import small_disk
from tests.worker import prepare
if sys.argv[2]:
    prepare(sys.argv[2], sys.argv[3])
print(pipeline.state.rewrite.rewrite(sys.argv[1]))
"""


def create(path: Path, version: str = "v1.0.0", block: int = 262144) -> None:
    """A file with every kind of object, a view of missing and of present files, and free blocks with a secret."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = path.parent / "files"
    files.mkdir(exist_ok=True)
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{path}' AS warehouse (STORAGE_VERSION '{version}', BLOCK_SIZE {block})")
        connection.execute("USE warehouse")
        connection.execute(OBJECTS)
        for name in ("here", "gone"):
            connection.execute(f"COPY (SELECT 1 AS a) TO '{files}/{name}.parquet'")
            connection.execute(f"CREATE VIEW gold.{name} AS SELECT * FROM READ_PARQUET('{files}/{name}.parquet')")
        connection.execute("CREATE TABLE gold.dropped (a INT); CREATE VIEW gold.broken AS FROM gold.dropped")
        connection.execute("DROP TABLE gold.dropped")
        connection.execute("SET force_compression = 'uncompressed'")
        connection.execute(f"CREATE TABLE gold.secrets AS SELECT '{SECRET}' || i AS secret FROM range(20000) AS r(i)")
        connection.execute(ROWS)
        connection.execute("CHECKPOINT warehouse")
        connection.execute("DROP TABLE gold.secrets")
        connection.execute("CHECKPOINT warehouse")
        connection.execute("USE memory")
    (files / "gone.parquet").unlink()
    assert has_secret(path)


def has_secret(path: Path) -> bool:
    """Whether the bytes of a file have the secret."""
    return SECRET.encode() in path.read_bytes()


def content(path: Path) -> dict[str, Any]:
    """Everything in a file, as the warehouse opens it."""
    queries = {
        "tables": "SELECT schema_name, table_name, sql, comment FROM duckdb_tables()",
        "views": "SELECT schema_name, view_name, sql, comment FROM duckdb_views() WHERE NOT internal",
        "columns": "SELECT table_name, column_name, data_type, column_default, is_nullable, comment "
        "FROM duckdb_columns() WHERE NOT internal",
        "indexes": "SELECT index_name, sql FROM duckdb_indexes()",
        "constraints": "SELECT table_name, constraint_text FROM duckdb_constraints()",
        "macros": "SELECT function_name, macro_definition FROM duckdb_functions() WHERE NOT internal",
        "types": "SELECT type_name, labels FROM duckdb_types() WHERE NOT internal",
        "format": "SELECT database_name, tags FROM duckdb_databases() WHERE NOT internal",
        "blocks": "SELECT block_size FROM pragma_database_size() WHERE database_name = 'warehouse'",
        "rows": "FROM inner_tables.plays",
        "view": "FROM gold.summed",
        "here": "FROM gold.here",
        "state": "FROM lakemesh.by_key",
        "odd": 'FROM inner_tables."odd ""name"".x"',
    }
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{path}' AS warehouse (READ_ONLY)")
        connection.execute("USE warehouse")
        return {name: sorted(map(repr, connection.execute(query).fetchall())) for name, query in queries.items()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "warehouse.duckdb"
    create(path)
    return path


def run(path: Path, moment: str = "", action: str = "kill") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", IN_PROCESS, str(path), moment, action]
    environment = os.environ | {"PYTHONPATH": os.environ.get("PYTHONPATH") or str(PROJECT)}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def beside(path: Path) -> list[str]:
    return sorted(item.name for item in path.parent.iterdir() if item.name != "files")


@pytest.mark.parametrize(("version", "block"), [("v1.0.0", 262144), ("v1.2.0", 16384), ("v1.4.0", 262144)])
def test_copy_has_everything_in_the_same_format_without_deleted_rows(tmp_path: Path, version: str, block: int) -> None:
    path = tmp_path / "home" / "warehouse.duckdb"
    create(path, version, block)
    path.chmod(0o640)
    before = content(path)
    assert version in before["format"][1]

    done = rewrite(str(path))

    assert done is not None
    assert content(path) == before
    assert not has_secret(path)
    assert done.bytes_after == path.stat().st_size < done.bytes_before
    assert path.stat().st_mode & 0o777 == 0o640
    assert beside(path) == [path.name]
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO inner_tables.plays (amount) VALUES (1)")
        query = "SELECT id, person FROM inner_tables.plays ORDER BY id DESC LIMIT 1"
        assert connection.execute(query).fetchall() == [(5005, "nobody")], "sequence and defaults go on"


def test_file_behind_a_link_is_replaced_where_it_is(file: Path, tmp_path: Path) -> None:
    before = content(file)
    link = tmp_path / "link" / "warehouse.duckdb"
    link.parent.mkdir()
    link.symlink_to(file)
    command = "import duckdb, sys, os; c = duckdb.connect(sys.argv[1]); c.execute(sys.argv[2]); os._exit(0)"
    statement = "INSERT INTO lakemesh.by_key VALUES ('late', 'x')"
    subprocess.run([sys.executable, "-c", command, str(link), statement], check=True)

    rewrite(str(link))

    assert (link.is_symlink(), has_secret(file)) == (True, False)
    assert content(file) == before | {"state": sorted([*before["state"], "('late', 'x')"])}
    assert [path.name for path in link.parent.iterdir()] == [link.name]
    assert beside(file) == [file.name]


def test_rows_that_are_only_in_the_log_are_kept(file: Path) -> None:
    command = "import duckdb, sys, os; c = duckdb.connect(sys.argv[1]); c.execute(sys.argv[2]); os._exit(0)"
    statement = "INSERT INTO lakemesh.by_key VALUES ('late', 'x')"
    subprocess.run([sys.executable, "-c", command, str(file), statement], check=True)
    assert Path(f"{file}.wal").stat().st_size

    rewrite(str(file))

    assert "('late', 'x')" in content(file)["state"]
    assert beside(file) == [file.name]


@pytest.mark.parametrize(
    "moment",
    [
        "before:pipeline.state.rewrite:_options",
        "before:pipeline.state.rewrite:_fsync",
        "before:pipeline.state.rewrite:_require_equal",
        "after:pipeline.state.rewrite:_require_equal",
        "before:pathlib:Path.replace",
        "after:pathlib:Path.replace",
    ],
)
def test_killed_copy_leaves_the_old_file_or_the_new_one_and_the_next_call_cleans_up(file: Path, moment: str) -> None:
    before = content(file)

    killed = run(file, moment)

    _, error = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, error
    assert content(file) == before
    assert has_secret(file) is not moment.startswith("after:pathlib")
    rewrite(str(file))
    assert content(file) == before
    assert not has_secret(file)
    assert beside(file) == [file.name]


def test_nobody_can_write_while_the_copy_is_made(file: Path) -> None:
    stopped = run(file, "before:pathlib:Path.replace", "stop")
    os.waitpid(stopped.pid, os.WUNTRACED)
    with pytest.raises(duckdb.IOException, match="Could not set lock"):
        duckdb.connect(str(file))
    with pytest.raises(RetriableError, match="is in use by another process"):
        rewrite(str(file))
    stopped.send_signal(signal.SIGCONT)
    stopped.communicate(timeout=60)


def test_file_that_is_open_is_refused_in_this_process_and_in_another(file: Path) -> None:
    before = file.read_bytes()
    with duckdb.connect(str(file), read_only=True), pytest.raises(RetriableError, match="open in this process"):
        rewrite(str(file))
    command = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1], read_only=True); print(1, flush=True)"
    arguments = [sys.executable, "-c", f"{command}; time.sleep(60)", str(file)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "1\n"
        with pytest.raises(RetriableError, match="in use by another process"):
            rewrite(str(file), 0.5)
        reader.kill()
    assert file.read_bytes() == before
    assert beside(file) == [file.name]
    assert rewrite(str(file)) is not None


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 12) as folder:
        yield folder


@pytest.mark.parametrize("is_foreseen", [True, False])
def test_full_disk_leaves_the_file_as_it_was(disk: Path, is_foreseen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    path = disk / "home" / "warehouse.duckdb"
    create(path)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "filler").write_bytes(b"x" * (free - (300 << 10)))
    if not is_foreseen:  # another process fills the disk after it was looked at
        monkeypatch.setattr("pipeline.state.rewrite._free", lambda _: 1 << 40)
    before = content(path)

    with pytest.raises(RetriableError, match="unchanged") as raised:
        rewrite(str(path))

    assert ("free disk space" in str(raised.value)) is is_foreseen
    assert content(path) == before
    assert beside(path) == [path.name]
    (disk / "filler").unlink()
    assert rewrite(str(path)) is not None
    assert content(path) == before


def test_state_keeps_all_tables_of_lakemesh(tmp_path: Path) -> None:
    database = DuckDatabase(Settings(lake_home=str(tmp_path / "home")))
    with database.open() as state:
        state.execute("INSERT INTO lakemesh.settled VALUES ('events', 7, NULL)")

    done = database.rewrite()

    assert len(done.done) == 1
    assert "state.duckdb: copied without its free blocks" in done.done[0]
    with database.open() as state:
        assert state.rows("SELECT feed, position FROM lakemesh.settled") == [("events", 7)]
        query = "SELECT COUNT(*) FROM duckdb_tables() WHERE schema_name = 'lakemesh' AND database_name = 'state'"
        assert state.rows(query) == [(len(TABLES),)]


def test_missing_file_is_nothing_to_do(tmp_path: Path) -> None:
    assert rewrite(str(tmp_path / "none.duckdb")) is None
