"""Releases in a real Postgres: what a BI tool sees, what a switch costs, and which failures it survives."""

from __future__ import annotations

import datetime as dt
import json
import math
import multiprocessing
import random
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ingest.errors import ConfigError, RetriableError, ServingRefused
from ingest.settings import Settings, read_settings, settings
from pipeline.cli import main
from pipeline.process.postgres import LOCKS
from pipeline.releases.release import FORMAT_VERSION, manifest_key
from pipeline.serving.rows import Change, Rows
from pipeline.serving.session import lock_key
from pipeline.serving.types import as_text, postgres_type
from tests.gold_states import GoldStates, Table
from tests.handle import serve
from tests.postgres_server import Postgres

psycopg2 = pytest.importorskip("psycopg2", reason="PostgreSQL: psycopg2 is not installed, the extra `postgres`")
READERS = 'readers "of" o\'gold'
ODD = ("", "\\N", "\\.", "a\n\\.\nb", 'tab\there, "quoted", new\r\nline', "back\\slash", "naïve 漢字 🎵", "{NULL}", " ")


@dataclass(frozen=True, slots=True)
class Bi:
    """A database for BI, and the releases that are copied into it."""

    server: Postgres
    database: str
    options: Settings
    gold: GoldStates

    def connect(self) -> Any:
        """Open a session that commits each statement."""
        session = psycopg2.connect(self.options.serving_dsn)
        session.autocommit = True
        return session

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        session = self.connect()
        try:
            with session.cursor() as cursor:
                cursor.execute(query, values or None)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            session.close()

    def state(self) -> int:
        ((number,),) = self.rows("SELECT state FROM gold.lakemesh_state")
        return int(number)


def dsn_of(server: Postgres, **wanted: str) -> str:
    """The DSN of a database of the server; libpq's variables cannot redirect it."""
    given = {name.removeprefix("PG").lower(): value for name, value in server.variables.items()}
    return str(psycopg2.extensions.make_dsn(**(given | wanted)))


@pytest.fixture
def bi(clean_settings: Path, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bi]:
    """An empty database, and a location for releases without any."""
    database = f"bi_{uuid.uuid4().hex}"
    postgres_server.sql("postgres", f"CREATE DATABASE {database}")
    monkeypatch.setenv("SERVING_DSN", dsn_of(postgres_server, dbname=database))
    settings.cache_clear()
    options = read_settings()
    yield Bi(postgres_server, database, options, GoldStates(options))
    postgres_server.sql("postgres", f"DROP DATABASE {database} WITH (FORCE)")


def daily(*months: str, note: str = "''", **fields: Any) -> Table:
    """A dated table with three rows a day, one of them without a country.

    Args:
        months: as `2026-01`; `2026-01*2` gives the fifth day twice the plays.
    """
    parts = {}
    for month in months:
        name, _, factor = month.partition("*")
        parts[name] = (
            f"SELECT DATE '{name}-01' + (i // 3)::INTEGER AS date, [NULL, 'fr', 'de'][1 + i % 3] AS country, "
            f"i * IF(i // 3 = 4, {factor or 1}, 1) AS plays, {note} AS note FROM RANGE(84) AS numbers(i)"
        )
    columns = {"date": "DATE", "country": "TEXT", "plays": "BIGINT", "note": "TEXT"}
    about = Table(columns, parts, grain=("date", "country"), time_column="date", not_null=("date", "plays"))
    return replace(about, **fields)


def plan(price: str = "5.5") -> Table:
    """A table that is always rewritten completely."""
    query = f"SELECT 'p' || i AS plan_id, IF(i = 7, {price}, i) AS price FROM RANGE(100) AS numbers(i)"
    return Table({"plan_id": "TEXT", "price": "DECIMAL(18, 6)"}, {"": query}, grain=("plan_id",), not_null=("plan_id",))


MONTHLY = Table(
    {"month_date": "DATE", "country": "TEXT", "plays": "BIGINT", "share": "DOUBLE"},
    query="SELECT DATE_TRUNC('MONTH', date)::DATE AS month_date, country, SUM(plays)::BIGINT AS plays, "
    "SUM(plays / 7) AS share FROM gold.daily GROUP BY 1, 2",
    grain=("month_date", "country"),
    not_null=("month_date", "plays"),
)


def sorted_rows(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=repr)


def must_be_equal(bi: Bi, *tables: str) -> None:
    """Assert that Postgres has the same rows as the published files."""
    for table in tables:
        assert sorted_rows(bi.rows(f"SELECT * FROM gold.{table}")) == sorted_rows(bi.gold.rows(f"FROM gold.{table}"))


def rewritten(bi: Bi, table: str, since: dict[tuple[Any, ...], Any]) -> set[tuple[Any, ...]]:
    """Rewritten rows: those with another location or transaction."""
    return {row for row, place in places(bi, table).items() if since.get(row) != place}


def places(bi: Bi, table: str) -> dict[tuple[Any, ...], Any]:
    """The location of each row and the transaction that wrote it."""
    rows = bi.rows(f"SELECT xmin::TEXT, ctid::TEXT, served.* FROM gold.{table} AS served")
    return {row[2:]: row[:2] for row in rows}


def test_first_release_has_types_keys_and_comments_as_a_bi_tool_reads_them(bi: Bi) -> None:
    bi.gold.publish(daily=daily("2026-01"), monthly=MONTHLY, plan=plan(), empty=daily())

    done = serve(bi.options)

    assert {name: change.written for name, change in done.changes.items()} == {
        "gold.daily": 84,
        "gold.monthly": 3,
        "gold.plan": 100,
        "gold.empty": 0,
    }
    must_be_equal(bi, "daily", "monthly", "plan", "empty")
    columns = bi.rows(
        "SELECT table_name, column_name, data_type, numeric_precision, numeric_scale, is_nullable "
        "FROM information_schema.columns WHERE table_schema = 'gold' AND table_name IN ('daily', 'plan') "
        "ORDER BY table_name, ordinal_position"
    )
    assert columns == [
        ("daily", "date", "date", None, None, "NO"),
        ("daily", "country", "text", None, None, "YES"),
        ("daily", "plays", "bigint", 64, 0, "NO"),
        ("daily", "note", "text", None, None, "YES"),
        ("plan", "plan_id", "text", None, None, "NO"),
        ("plan", "price", "numeric", 18, 6, "YES"),
    ]
    keys = bi.rows(
        "SELECT table_name, constraint_type, STRING_AGG(column_name, ',' ORDER BY ordinal_position) "
        "FROM information_schema.table_constraints JOIN information_schema.key_column_usage "
        "USING (constraint_schema, constraint_name, table_name) WHERE constraint_schema = 'gold' "
        "AND table_name <> 'lakemesh_state' GROUP BY 1, 2 ORDER BY 1"
    )
    assert keys == [
        ("daily", "UNIQUE", "date,country"),
        ("empty", "UNIQUE", "date,country"),
        ("monthly", "UNIQUE", "month_date,country"),
        ("plan", "PRIMARY KEY", "plan_id"),
    ]
    described = bi.rows("SELECT obj_description('gold.daily'::regclass), col_description('gold.daily'::regclass, 3)")
    assert described == [("One row per thing.", "What plays is")]
    ((number, lake, positions, models),) = bi.rows("SELECT state, lake_id, positions, models FROM gold.lakemesh_state")
    assert (number, lake, positions) == (1, "lake-1", {"events": 1})
    assert models == {f"gold.{name}": "1" for name in ("daily", "monthly", "plan", "empty")}


def test_time_column_that_does_not_lead_a_key_has_an_index(bi: Bi) -> None:
    bi.gold.publish(daily=daily("2026-01", grain=("country", "date")), bare=daily("2026-02", grain=()))
    serve(bi.options)
    found = bi.rows("SELECT indexdef FROM pg_indexes WHERE schemaname = 'gold' AND indexdef LIKE '%%(date)'")
    assert sorted(definition.split(" ON ")[1] for (definition,) in found) == [
        "gold.bare USING btree (date)",
        "gold.daily USING btree (date)",
    ]


def test_a_changed_date_rewrites_its_rows_only(bi: Bi) -> None:
    # GIVEN a release with three tables, one of them a view of another
    bi.gold.publish(daily=daily("2026-01", "2026-02"), monthly=MONTHLY, plan=plan())
    serve(bi.options)
    before = {table: places(bi, table) for table in ("daily", "monthly", "plan")}

    # WHEN two rows of a date differ (the third stays 0 times anything), and one of a table without dates
    bi.gold.publish(daily=daily("2026-01", "2026-02*2"), monthly=MONTHLY, plan=plan("9"))
    done = serve(bi.options)

    # THEN these dates and keys are rewritten, and nothing else is touched
    assert done.changes == {"gold.daily": Change(3, 3), "gold.monthly": Change(3, 3), "gold.plan": Change(1, 1)}
    must_be_equal(bi, "daily", "monthly", "plan")
    assert {row[0] for row in rewritten(bi, "daily", before["daily"])} == {dt.date(2026, 2, 5)}
    assert {row[0] for row in rewritten(bi, "monthly", before["monthly"])} == {dt.date(2026, 2, 1)}
    assert {row[0] for row in rewritten(bi, "plan", before["plan"])} == {"p7"}


def test_same_release_again_writes_nothing(bi: Bi) -> None:
    bi.gold.publish(daily=daily("2026-01"), plan=plan())
    serve(bi.options)
    before = places(bi, "daily"), bi.rows("SELECT xmin::TEXT FROM gold.lakemesh_state")
    done = serve(bi.options)
    assert (done.changes, done.unchanged) == ({}, 2)
    assert (places(bi, "daily"), bi.rows("SELECT xmin::TEXT FROM gold.lakemesh_state")) == before


def test_rewritten_files_with_the_same_rows_write_nothing(bi: Bi) -> None:
    bi.gold.publish(daily=daily("2026-01"), plan=plan())
    serve(bi.options)
    again = daily("2026-01")
    bi.gold.publish(daily=replace(again, parts={"2026-01": again.parts["2026-01"] + " ORDER BY i DESC"}), plan=plan())
    assert serve(bi.options).changes == {}
    assert bi.state() == 2


def test_months_that_are_added_and_removed(bi: Bi) -> None:
    for months in (("2026-01",), ("2026-01", "2026-02"), ("2026-02", "2026-03"), ()):
        bi.gold.publish(daily=daily(*months), monthly=MONTHLY)
        serve(bi.options)
        must_be_equal(bi, "daily", "monthly")


def test_rollback_reverts_postgres_at_once(bi: Bi) -> None:
    bi.gold.publish(daily=daily("2026-01"), monthly=MONTHLY)
    first = bi.gold.rows("FROM gold.daily")
    serve(bi.options)
    bi.gold.publish(daily=daily("2026-01*3"), monthly=MONTHLY)
    serve(bi.options)
    assert sorted_rows(bi.rows("SELECT * FROM gold.daily")) != sorted_rows(first)

    shown = CliRunner().invoke(main, ["publish", "--rollback", "--json"])

    printed = json.loads(shown.stdout)
    assert (printed["state"], printed["served"]["state"], printed["served"]["changes"]["gold.daily"]["written"]) == (
        1,
        1,
        3,
    )
    assert sorted_rows(bi.rows("SELECT * FROM gold.daily")) == sorted_rows(first)
    assert CliRunner().invoke(main, ["publish", "--to", "2"]).exit_code == 0
    assert bi.state() == 2
    must_be_equal(bi, "daily", "monthly")


def test_previous_release_without_files_rewrites_the_whole_table(bi: Bi) -> None:
    bi.gold.publish(daily=daily("2026-01"))
    serve(bi.options)
    for path in bi.gold.published.store.root.rglob("*.parquet"):
        path.unlink()
    bi.gold.publish(daily=daily("2026-01*2"))
    assert serve(bi.options).changes == {"gold.daily": Change(84, 84, True)}
    must_be_equal(bi, "daily")


def test_rows_that_another_user_changed_are_detected_and_rewritten(bi: Bi) -> None:
    bi.gold.publish(daily=daily("2026-01"))
    serve(bi.options)
    bi.rows("DELETE FROM gold.daily WHERE date = '2026-01-05' AND country = 'fr'")
    bi.gold.publish(daily=daily("2026-01*2"))
    done = serve(bi.options)
    assert done.changes["gold.daily"].whole
    assert "had 2 rows where it should have 3, so another user wrote to it" in done.warnings[0]
    must_be_equal(bi, "daily")


KINDS = {
    "BOOLEAN": "TRUE",
    "TINYINT": "-128",
    "SMALLINT": "-32768",
    "INTEGER": "2147483647",
    "BIGINT": "-9223372036854775808",
    "UTINYINT": "255",
    "USMALLINT": "65535",
    "UINTEGER": "4294967295",
    "UBIGINT": "18446744073709551615",
    "DECIMAL(38, 9)": "12345678901234567890123456789.123456789",
    "DATE": "DATE '0001-01-01'",
    "TIME": "TIME '23:59:59.999999'",
    "TIMESTAMP": "TIMESTAMP '9999-12-31 23:59:59.999999'",
    "UUID": "'0b2d8e5a-3c3f-4a0e-8a3e-0f6c5e1d2b4c'",
    "BLOB": "'\\x00\\xFF'::BLOB",
    "TEXT[]": "['a\"b', 'c\\d', NULL, '', '{,}']",
    "INTEGER[]": "[1, NULL]",
    "DECIMAL(18, 3)[]": "[]",
}


def test_every_type_keeps_its_values_to_the_last_digit(bi: Bi) -> None:
    names = {f"c{number}": kind for number, kind in enumerate(KINDS)}
    values = ", ".join(f"({value})::{kind} AS c{number}" for number, (kind, value) in enumerate(KINDS.items()))
    nothing = ", ".join(f"NULL::{kind}" for kind in KINDS)
    bi.gold.publish(types=Table(names, {"": f"SELECT {values} UNION ALL SELECT {nothing}"}))
    serve(bi.options)
    rows = bi.rows("SELECT * FROM gold.types ORDER BY c0")
    plain = [tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in rows]
    expected = bi.gold.rows("FROM gold.types ORDER BY c0")
    # psycopg2 returns UUIDs as text
    assert plain == [tuple(str(value) if isinstance(value, uuid.UUID) else value for value in row) for row in expected]


def test_nested_values_are_json(bi: Bi) -> None:
    value = "{'a': 1, 'b': ['x\"y', NULL]}"
    columns = {"nested": "STRUCT(a INTEGER, b TEXT[])", "lists": "INTEGER[][]"}
    bi.gold.publish(things=Table(columns, {"": f"SELECT {value} AS nested, [[1], [2, 3]] AS lists"}))
    serve(bi.options)
    assert bi.rows("SELECT nested, lists FROM gold.things") == [({"a": 1, "b": ['x"y', None]}, [[1], [2, 3]])]


def test_a_type_that_postgres_cannot_store_exactly_is_rejected_by_name(bi: Bi) -> None:
    bi.gold.publish(things=Table({"at": "TIMESTAMP_NS"}, {"": "SELECT '2026-01-01' AS at"}))
    with pytest.raises(ConfigError, match=r"gold\.things\.at has the type TIMESTAMP_NS.*cast it in the model"):
        serve(bi.options)
    assert as_text('"x"', "BIGINT") == '"x"'
    assert postgres_type("DECIMAL") == "numeric(18,3)"


def test_unusual_text_null_and_floats_arrive_unchanged(bi: Bi) -> None:
    texts = ", ".join(
        "(" + "'" + text.replace("'", "''") + "', " + str(number) + ")" for number, text in enumerate(ODD)
    )
    query = f"SELECT col0 AS id, col1::DOUBLE / 3 AS share FROM (VALUES {texts})"
    floats = "UNION ALL SELECT 'nan', 'nan'::DOUBLE UNION ALL SELECT 'up', 'inf' UNION ALL SELECT 'down', '-inf'"
    tiny = "UNION ALL SELECT 'tiny', 5e-324 UNION ALL SELECT 'none', NULL UNION ALL SELECT 'sum', 0.1::DOUBLE + 0.2"
    columns = {"id": "TEXT", "share": "DOUBLE"}
    for extra in ("", " UNION ALL SELECT 'new', 1"):  # as the first release, and as slices by key
        query_now = f"{query} {floats} {tiny}{extra}"
        bi.gold.publish(odd=Table(columns, {"": query_now}, grain=("id",), not_null=("id",)))
        done = serve(bi.options)
        served, published = (dict(rows) for rows in (bi.rows("SELECT * FROM gold.odd"), bi.gold.rows("FROM gold.odd")))
        assert math.isnan(served.pop("nan"))
        assert math.isnan(published.pop("nan"))
        assert served == published
        assert set(ODD) < served.keys()
    assert done.changes["gold.odd"] == Change(0, 1)


def test_the_character_nul_is_replaced_and_reported(bi: Bi) -> None:
    query = "SELECT 'a' || CHR(0) || 'b' AS id, ['x' || CHR(0)] AS words"
    bi.gold.publish(odd=Table({"id": "TEXT", "words": "TEXT[]"}, {"": query}))
    done = serve(bi.options)
    assert bi.rows("SELECT * FROM gold.odd") == [("a\ufffdb", ["x\ufffd"])]
    assert [warning.split(" contain ")[0] for warning in done.warnings] == [
        "gold.odd.id: 1 values",
        "gold.odd.words: 1 values",
    ]


def test_rows_that_violate_their_grain_are_rejected_and_the_previous_release_stays(bi: Bi) -> None:
    bi.gold.publish(plan=plan())
    serve(bi.options)
    twice = replace(plan(), parts={"": plan().parts[""] + " UNION ALL SELECT 'p1', 0"})
    bi.gold.publish(plan=twice)
    with pytest.raises(
        ServingRefused, match=r"Key \(plan_id\)=\(p1\) already exists.*COPY plan.*keeps its current release"
    ):
        serve(bi.options)
    assert (bi.state(), bi.rows("SELECT COUNT(*) FROM gold.plan")) == (1, [(100,)])


def test_new_column_keeps_the_views_and_grants_of_other_users(bi: Bi) -> None:
    bi.gold.publish(daily=daily("2026-01"), monthly=MONTHLY)
    serve(bi.options)
    bi.rows("CREATE VIEW public.of_france AS SELECT date, plays FROM gold.daily WHERE country = 'fr'")
    bi.rows("CREATE ROLE somebody; GRANT SELECT ON gold.daily TO somebody")

    wider = daily("2026-01*2")
    query = f"SELECT *, plays / 2 AS half FROM ({wider.parts['2026-01']})"
    wider = replace(
        wider,
        columns={**wider.columns, "half": "DECIMAL(10, 2)"},
        parts={"2026-01": query},
        not_null=("date", "plays", "half"),
    )
    bi.gold.publish(daily=wider, monthly=MONTHLY)
    assert serve(bi.options).changes["gold.daily"] == Change(84, 84, True)

    must_be_equal(bi, "daily", "monthly")
    assert bi.rows("SELECT COUNT(*) FROM public.of_france") == [(28,)]
    assert bi.rows("SELECT has_table_privilege('somebody', 'gold.daily', 'SELECT')") == [(True,)]
    ((nullable,),) = bi.rows("SELECT is_nullable FROM information_schema.columns WHERE column_name = 'half'")
    assert nullable == "NO"
    bi.rows("DROP OWNED BY somebody; DROP ROLE somebody")


@pytest.mark.parametrize("change", ["type", "column", "model"])
def test_what_a_view_of_another_user_needs_is_not_dropped(bi: Bi, change: str) -> None:
    bi.gold.publish(daily=daily("2026-01"), plan=plan())
    serve(bi.options)
    bi.rows("CREATE VIEW public.notes AS SELECT note FROM gold.daily")
    columns = dict(daily().columns)
    if change == "column":
        del columns["note"]
    else:
        columns["note"] = "BIGINT"
    other = daily("2026-01", note="7", columns=columns)
    bi.gold.publish(plan=plan("8"), **({} if change == "model" else {"daily": other}))

    with pytest.raises(ConfigError, match=r"gold\.daily .*view notes depends on .*Postgres keeps release 1"):
        serve(bi.options)

    assert bi.state() == 1
    assert bi.rows("SELECT COUNT(*) FROM public.notes") == [(84,)]
    assert bi.rows("SELECT price FROM gold.plan WHERE plan_id = 'p7'")[0][0] == 5.5
    bi.rows("DROP VIEW public.notes")
    serve(bi.options)
    must_be_equal(bi, "plan", *([] if change == "model" else ["daily"]))
    assert bi.rows("SELECT to_regclass('gold.daily') IS NULL") == [(change == "model",)]


def test_changed_grain_changes_the_primary_key(bi: Bi) -> None:
    bi.gold.publish(daily=daily("2026-01"))
    serve(bi.options)
    bi.gold.publish(daily=daily("2026-01", grain=("date", "plays"), not_null=("date", "plays", "note")))
    serve(bi.options)
    found = bi.rows("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'gold.daily'::regclass")
    assert found == [("PRIMARY KEY (date, plays)",)]
    bi.gold.publish(daily=daily("2026-01", grain=(), not_null=("date",)))
    serve(bi.options)
    found = bi.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'gold.daily'::regclass AND attnotnull AND attnum > 0"
    )
    assert found == [("date",)]


def test_a_table_of_another_user_is_not_written_to(bi: Bi) -> None:
    bi.rows("CREATE SCHEMA gold; CREATE TABLE gold.daily (mine INTEGER)")
    bi.gold.publish(daily=daily("2026-01"))
    with pytest.raises(ConfigError, match=r"gold\.daily already exists and is not a Lakemesh table"):
        serve(bi.options)
    assert bi.rows("SELECT * FROM gold.daily") == []
    serve(bi.options.model_copy(update={"serving_schema": 'Gold of "ours"'}))
    assert bi.rows('SELECT COUNT(*) FROM "Gold of ""ours""".daily') == [(84,)]


def test_the_release_of_another_lake_is_not_overwritten(bi: Bi, tmp_path: Path) -> None:
    bi.gold.publish(daily=daily("2026-01"))
    serve(bi.options)
    elsewhere = bi.options.model_copy(update={"published_uri": str(tmp_path / "other")})
    GoldStates(elsewhere, "lake-2").publish(daily=daily("2026-02"))
    with pytest.raises(ConfigError, match="contains a release of another lake, lake-1; set SERVING_SCHEMA"):
        serve(elsewhere)


def test_reading_role_reads_all_and_writes_nothing_after_every_release(bi: Bi) -> None:
    options = bi.options.model_copy(update={"serving_role": READERS})
    bi.gold.publish(daily=daily("2026-01"))
    try:
        for tables in ({}, {"plan": plan()}, {"monthly": MONTHLY}):
            bi.gold.publish(daily=daily("2026-01"), **tables)
            serve(options)
            session = bi.connect()
            with session.cursor() as cursor:
                cursor.execute(f'SET ROLE "{READERS.replace(chr(34), chr(34) * 2)}"')
                for table in ("daily", "lakemesh_state", *tables):
                    cursor.execute(f"SELECT COUNT(*) FROM gold.{table}")
                    for statement in (
                        f"DELETE FROM gold.{table}",
                        f"TRUNCATE gold.{table}",
                        f"DROP TABLE gold.{table}",
                        f"INSERT INTO gold.{table} SELECT * FROM gold.{table}",
                        "CREATE TABLE gold.mine (a INTEGER)",
                    ):
                        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                            cursor.execute(statement)
            session.close()
    finally:
        quoted = READERS.replace('"', '""')
        bi.rows(f'DROP OWNED BY "{quoted}"; DROP ROLE "{quoted}"')


def test_missing_privileges_and_wrong_passwords_are_named(bi: Bi) -> None:
    bi.gold.publish(daily=daily("2026-01"))
    user = f"user_{uuid.uuid4().hex}"
    bi.rows(f"CREATE ROLE {user} LOGIN PASSWORD 'x y'")
    for password, message in (
        ("x y", r"permission denied for database.*granted CREATE on the database"),
        ("wrong-one", r"password authentication failed.*Correct SERVING_DSN"),
    ):
        dsn = dsn_of(bi.server, dbname=bi.database, user=user, password=password)
        with pytest.raises(ConfigError, match=message) as raised:
            serve(bi.options.model_copy(update={"serving_dsn": dsn}))
        assert password not in str(raised.value)
    bi.rows(f"DROP ROLE {user}")


def test_unusable_settings_are_reported_without_the_password(bi: Bi) -> None:
    with pytest.raises(ConfigError, match="SERVING_DSN cannot be read") as raised:
        serve(bi.options.model_copy(update={"serving_dsn": "host=x password=secret dbname"}))
    assert "secret" not in str(raised.value)
    with pytest.raises(RetriableError, match=r"postgresql://127\.0\.0\.1:1/bi, schema gold cannot be reached"):
        serve(bi.options.model_copy(update={"serving_dsn": "postgresql://me:secret@127.0.0.1:1/bi"}))
    with pytest.raises(ConfigError, match="SERVING_DSN is empty"):
        serve(bi.options.model_copy(update={"serving_dsn": ""}))
    with pytest.raises(ConfigError, match="nothing is published yet"):
        serve(bi.options)
    shown = CliRunner().invoke(main, ["publish", "--to", "postgres", "--rollback"])
    assert shown.exit_code == 2
    assert CliRunner().invoke(main, ["publish", "--to", "elsewhere"]).exit_code == 2


def test_second_process_exits_or_waits(bi: Bi) -> None:
    bi.gold.publish(daily=daily("2026-01"))
    other = bi.connect()
    other.autocommit = False
    with other.cursor() as cursor:
        # GIVEN another process that is serving
        cursor.execute("SET application_name = 'lake run of ana@host'")
        serving = threading.Event()
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCKS, lock_key("gold")))

        # THEN a second one names it and exits, and one that may wait follows it
        with pytest.raises(RetriableError, match=r"in use by lake run of ana@host.*; wait for it, or use --wait"):
            serve(bi.options)

        def wait() -> None:
            assert serve(bi.options, 30).changes["gold.daily"].written == 84
            serving.set()

        thread = threading.Thread(target=wait)
        thread.start()
        assert not serving.wait(0.5)
        other.commit()
        assert serving.wait(30)
        thread.join()
    other.close()


def test_reader_sees_one_complete_release_and_never_waits(bi: Bi) -> None:
    # GIVEN two tables and a view that all contain the number of their release
    def tables(number: int) -> dict[str, Table]:
        rows = "FROM RANGE(2000) AS numbers(i)"
        one = Table(
            {"id": "BIGINT", "state": "BIGINT"}, {"": f"SELECT i AS id, {number} AS state {rows}"}, grain=("id",)
        )
        query = "SELECT state, COUNT(*) AS rows FROM gold.one GROUP BY 1"
        return {
            "one": replace(one, not_null=("id",)),
            "two": one,
            "sum": Table({"state": "BIGINT", "rows": "BIGINT"}, query=query),
        }

    bi.gold.publish(**tables(0))
    serve(bi.options)
    seen: list[set[tuple[Any, ...]]] = []
    slowest = [0.0]
    done = threading.Event()

    def read() -> None:
        session = bi.connect()
        with session.cursor() as cursor:
            while not done.is_set():
                started = time.monotonic()
                cursor.execute(
                    "SELECT MIN(state), MAX(state), COUNT(*) FROM gold.one UNION ALL "
                    "SELECT MIN(state), MAX(state), COUNT(*) FROM gold.two UNION ALL "
                    "SELECT MIN(state), MAX(state), SUM(rows) FROM gold.sum"
                )
                seen.append(set(cursor.fetchall()))
                slowest[0] = max(slowest[0], time.monotonic() - started)
        session.close()

    thread = threading.Thread(target=read)
    thread.start()
    # WHEN releases follow each other
    for number in range(1, 6):
        bi.gold.publish(**tables(number))
        serve(bi.options)
    done.set()
    thread.join()

    # THEN each query over all tables saw exactly one of them
    assert all(len(rows) == 1 and next(iter(rows))[2] == 2000 for rows in seen)
    assert {next(iter(rows))[0] for rows in seen} >= {0, 5}
    assert slowest[0] < 5


def test_killed_at_any_point_the_previous_release_stays_and_the_next_one_follows(bi: Bi) -> None:
    size = 20_000

    def table(number: int) -> Table:
        query = f"SELECT i AS id, {number} AS state, 'x' || i AS text FROM RANGE({size}) AS numbers(i)"
        return Table({"id": "BIGINT", "state": "BIGINT", "text": "TEXT"}, {"": query}, grain=("id",), not_null=("id",))

    bi.gold.publish(one=table(1), two=table(1))
    serve(bi.options)
    chance = random.Random(4)
    processes = multiprocessing.get_context("forkserver")  # each starts at once, with the modules loaded
    processes.set_forkserver_preload(["pipeline.serving.serve"])
    states = set()
    for number in range(2, 7):
        bi.gold.publish(one=table(number), two=table(number))
        process = processes.Process(target=serve, args=(bi.options, 30))
        process.start()
        time.sleep(chance.uniform(0.0, 1.0))
        process.kill()
        process.join()
        ((first, count),) = bi.rows("SELECT MIN(state), COUNT(*) FROM gold.one HAVING MIN(state) = MAX(state)")
        assert bi.rows("SELECT MIN(state), MAX(state), COUNT(*) FROM gold.two") == [(first, first, size)]
        assert (first, count) == (bi.state(), size)
        states.add(first)
    serve(bi.options, 30)
    must_be_equal(bi, "one", "two")
    assert bi.state() == 6
    assert len(states) < 6, "none was killed in time"


def test_a_connection_that_is_cut_keeps_the_previous_release(bi: Bi, monkeypatch: pytest.MonkeyPatch) -> None:
    bi.gold.publish(plan=plan())
    serve(bi.options)
    bi.gold.publish(plan=plan("6"))

    write = Rows.replace

    def cut(self: Rows, *arguments: Any) -> Any:
        found = write(self, *arguments)
        bi.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        return found

    monkeypatch.setattr(Rows, "replace", cut)
    with pytest.raises(RetriableError, match="keeps its current release, run this again"):
        serve(bi.options)
    assert bi.state() == 1
    monkeypatch.setattr(Rows, "replace", write)
    assert serve(bi.options).changes == {"gold.plan": Change(1, 1)}


def test_reader_that_locks_a_table_delays_only_its_schema_changes(bi: Bi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.serving.serve.LOCK_SECONDS", 0.2)
    bi.gold.publish(daily=daily("2026-01"), plan=plan())
    serve(bi.options)
    reader = bi.connect()
    reader.autocommit = False
    with reader.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM gold.daily")
        # rows are written alongside it
        bi.gold.publish(daily=daily("2026-01*2"), plan=plan())
        assert serve(bi.options).changes == {"gold.daily": Change(3, 3)}
        # a column is not
        bi.gold.publish(daily=daily("2026-01", columns={**daily().columns, "note": "BIGINT"}, note="1"), plan=plan())
        with pytest.raises(RetriableError, match="kept a lock on one of its tables"):
            serve(bi.options)
        assert bi.state() == 2
        reader.rollback()
    reader.close()
    serve(bi.options)
    must_be_equal(bi, "daily")


def test_release_of_an_older_version_has_keys_from_the_next_one_on(bi: Bi) -> None:
    # GIVEN a manifest of the format before grains were in it
    bi.gold.publish(daily=daily("2026-01"))
    store, key = bi.gold.published.store, manifest_key(1)
    manifest = json.loads(store.get(key)) | {"format": 1}
    for table in manifest["tables"].values():
        for name in ("grain", "time_column", "not_null"):
            del table[name]
    store.put(key, json.dumps(manifest).encode())
    keys = "SELECT COUNT(*) FROM pg_constraint WHERE conrelid = 'gold.daily'::regclass"

    # THEN it is served without keys, and the next release adds them without rewriting rows
    assert serve(bi.options).changes["gold.daily"].written == 84
    assert bi.rows(keys) == [(0,)]
    before = places(bi, "daily")
    bi.gold.publish(daily=daily("2026-01"))
    assert serve(bi.options).changes == {}
    assert bi.rows(keys) == [(1,)]
    assert places(bi, "daily") == before

    # AND a manifest of a newer version is rejected
    store.put(
        manifest_key(2), json.dumps(json.loads(store.get(manifest_key(2))) | {"format": FORMAT_VERSION + 1}).encode()
    )
    with pytest.raises(ConfigError, match="written by a newer Lakemesh"):
        serve(bi.options)


@pytest.mark.s3
def test_releases_on_s3_are_served_too(bi: Bi, s3_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (s3_server | {"PUBLISHED_URI": f"s3://shared/{uuid.uuid4().hex}"}).items():
        monkeypatch.setenv(name, value)
    there = replace(bi, options=read_settings(), gold=GoldStates(read_settings()))
    for months in (("2026-01", "2026-02"), ("2026-01", "2026-02*2")):
        there.gold.publish(daily=daily(*months), monthly=MONTHLY)
        done = serve(there.options)
        must_be_equal(there, "daily", "monthly")
    assert done.changes == {"gold.daily": Change(3, 3), "gold.monthly": Change(3, 3)}
