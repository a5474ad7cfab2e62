"""Spark as the engine: bronze shows only the live files, and gold equals what plain Python computes.

All tests that use Spark in this process are in this file, so that one Spark serves them.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlglot import exp
from sqlmesh.core.config import Config, load_configs

from ingest.contracts.column import Column
from ingest.contracts.constraint import Constraint
from ingest.contracts.contract import Contract, contracts
from ingest.errors import ConfigError, DamagedLake
from ingest.ledger.ledger import Ledger
from ingest.settings import PROJECT, settings
from ingest.steps.load import ingest_feed
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from ingest.upkeep.compact import compact
from pipeline.cycle.maintain import maintain
from pipeline.cycle.purge import purge
from pipeline.cycle.rebuild import rebuild
from pipeline.lake import Lake
from pipeline.live.board import Closed, ClosedDay
from pipeline.live.event import MINUTE
from pipeline.live.sessions import DaySessions
from pipeline.live.shown import ShownStore
from pipeline.live.window import Counts, Shown
from pipeline.warehouse import operations as on_duckdb
from pipeline.warehouse.bronze import bronze_query
from pipeline.warehouse.duck import connect
from pipeline.warehouse.spark import operations
from pipeline.warehouse.spark.bronze import register, register_files
from pipeline.warehouse.spark.session import configure, install
from tests.duck_adapter import adapter_of
from tests.engagement import cycle, expected, gold, play, plays, seen
from tests.envelopes import column as column_of
from tests.envelopes import customer, customers, envelope, line
from tests.handle import verify_feed
from tests.home import Home, copy_project, switch_rules_off, use_project
from tests.spark.conftest import spark
from tests.spark.engines import plain

ROUNDS = int(os.environ.get("HISTORIES", "1"))
"""The number of random rounds of arrivals, each with a cycle."""


def land(home: Home) -> None:
    """Write a play on each of three days, with its account and its activity."""
    for day in (1, 2, 3):
        home.put("events", f"{day}.json", play(f"e{day}", f"2026-01-0{day}"), play(f"f{day}", f"2026-01-0{day}", "u2"))
    home.put("users", "users.json", {"user_id": "u1", "country_code": "fr"})
    home.put("activities", "activities.json", {"activity_id": "a1", "name": "A", "type": "game"})


def register_bronze() -> None:
    """Register bronze as `before_all` does, without a plan."""
    configure(settings())
    register(warehouse(), Lake(settings()).store, {})


def warehouse() -> Any:
    """The engine adapter, as SQLMesh would use it."""
    return load_configs(None, Config, [PROJECT])[PROJECT].gateways["spark"].connection.create_engine_adapter()


def in_spark(feed: str) -> list[Any]:
    """The rows of a feed, as Spark returns them."""
    return sorted((plain(list(row)) for row in spark().sql(f"SELECT * FROM bronze.{feed}").collect()), key=repr)


def in_duckdb(home: Home, feed: str) -> list[Any]:
    """The rows of a feed, as DuckDB reads them from the live files."""
    contract, lake_uri = contracts()[feed], home.options.lake_uri
    query = bronze_query(contract, lake_uri, Ledger(Store(lake_uri), feed).live_files())
    with connect(home.options) as reader:
        return sorted((plain(list(row)) for row in reader.execute(query).fetchall()), key=repr)


def live_paths(home: Home, feed: str) -> list[Path]:
    lake = Path(home.options.lake_uri)
    return [lake / file.path for file in Ledger(Store(str(lake)), feed).live_files()]


@pytest.mark.parametrize("few", [100, 0], ids=["by_load", "by_name"])
def test_bronze_shows_only_the_live_files(spark_home: Home, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.warehouse.spark.views.MAX_EXCLUDED", few)
    home = spark_home
    register_bronze()
    assert in_spark("events") == []
    land(home)
    home.put("events", "odd.json", {**play("odd", "2026-01-02"), "surprise": {"b": [1, "é'\\"]}}, b"no json")
    home.ingest()
    register_bronze()
    rows = in_duckdb(home, "events")
    assert len(rows) == 7
    assert in_spark("events") == rows

    # files that a load in progress or a crash leaves in the same folder; the second is not even readable
    first = live_paths(home, "events")[0]
    shutil.copy(first, first.with_name("00000000T000000-uncommitted-0.parquet"))
    first.with_name("00000000T000000-torn-0.parquet").write_bytes(b"PAR1 and no more")
    assert in_spark("events") == rows
    register_bronze()
    assert in_spark("events") == rows

    # copy-on-write and compaction keep the replaced files for a while
    home.put("events", "2.json", play("e2", "2026-01-04"))
    for number in range(3):
        home.put("events", f"more{number}.json", play(f"more{number}", "2026-01-01"))
        home.ingest()
    register_bronze()
    rows = in_duckdb(home, "events")
    assert in_spark("events") == rows
    lake = Store(home.options.lake_uri)
    before = set(live_paths(home, "events"))
    compact(lake, Ledger(lake, "events"), dt.datetime.now(dt.UTC))
    assert before - set(live_paths(home, "events"))
    assert in_spark("events") == rows
    register_bronze()
    assert in_spark("events") == rows == in_duckdb(home, "events")


def test_dates_that_a_query_excludes_are_not_read(spark_home: Home) -> None:
    land(spark_home)
    spark_home.ingest()
    register_bronze()
    query = "SELECT event_id FROM bronze.events WHERE event_date BETWEEN DATE '2026-01-02' AND DATE '2026-01-03'"
    frame = spark().sql(query)
    assert sorted(row.event_id for row in frame.collect()) == ["e2", "e3", "f2", "f3"]
    plan = frame._jdf.queryExecution().executedPlan().toString()
    (scan,) = re.findall(r"FileScan parquet .*", plan)
    assert "PartitionFilters: [isnotnull(event_date" in scan
    assert frame_files(frame) == 2  # of three files


def frame_files(frame: Any) -> int:
    """The number of files that the scan of an executed query opened."""
    plan = frame._jdf.queryExecution().executedPlan()
    leaves = plan.collectLeaves()
    return sum(leaves.apply(place).metrics().apply("numFiles").value() for place in range(leaves.size()))


def test_a_missing_live_file_is_an_error_not_fewer_rows(spark_home: Home) -> None:
    land(spark_home)
    spark_home.ingest()
    live_paths(spark_home, "events")[1].unlink()
    with pytest.raises(DamagedLake, match="is missing"):
        register_bronze()


def test_a_spark_that_cannot_read_s3_names_the_missing_package(spark_home: Home) -> None:
    register_bronze()
    with pytest.raises(ConfigError, match="--packages org"):
        register_files(warehouse(), "bronze_files.far", contracts()["events"], "s3://lake", {"event_id": "TEXT"})


def test_only_what_changed_is_registered_again(spark_home: Home) -> None:
    home = spark_home
    land(home)
    home.ingest()
    register_bronze()
    before = {feed: in_spark(feed) for feed in ("events", "users")}
    views = {feed: description(feed) for feed in before}
    register_bronze()
    assert {feed: description(feed) for feed in before} == views
    home.put("events", "4.json", play("e4", "2026-01-04"))
    home.ingest()
    register_bronze()
    assert description("users") == views["users"]
    assert description("events") != views["events"]
    assert in_spark("users") == before["users"]
    assert in_spark("events") == in_duckdb(home, "events") != before["events"]


def description(feed: str) -> list[Any]:
    """The metastore's description of the feed's view, including its creation time."""
    return spark().sql(f"DESCRIBE EXTENDED bronze.{feed}").collect()  # type: ignore[no-any-return]


def test_many_loads_are_split_into_separate_views(spark_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home = spark_home
    monkeypatch.setattr("pipeline.warehouse.spark.views.MAX_TEXT", 1)  # each part has a single load
    for year in (2023, 2024, 2025):
        for day in (1, 2):
            home.put("events", f"{year}-{day}.json", play(f"e{year}-{day}", f"{year}-01-0{day}"))
            home.ingest("events")
    register_bronze()
    parts = part_names()
    assert len(parts) == 6
    assert in_spark("events") == in_duckdb(home, "events")
    home.put("events", "late.json", play("late", "2024-01-02"))
    home.ingest("events")
    register_bronze()
    assert in_spark("events") == in_duckdb(home, "events")
    assert len(in_spark("events")) == 7
    assert parts < part_names()  # the parts of older loads are unchanged


def part_names() -> set[str]:
    """The views that are parts of the feed's view."""
    return {row.viewName for row in spark().sql("SHOW VIEWS IN bronze_files").collect() if "events" in row.viewName}


def test_files_of_an_older_contract_are_read_with_the_new_one(
    spark_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = spark_home
    extra = {"score": 7, "ratio": 0.5, "seen_at": "2026-01-01T12:00:00+02:00", "tags": ["a", "b"]}
    odd = {"score": "7.5", "ratio": "x", "seen_at": "2026-01-01 12:00:00", "tags": 3}
    home.put("events", "1.json", {**play("e1", "2026-01-01"), **extra}, {**play("e2", "2026-01-01"), **odd})
    home.put("events", "2.json", play("e3", "2026-01-01", device="x"), play("e4", "2026-01-02"))
    home.ingest()
    contract = contracts()["events"]
    columns = []
    for column in contract.columns:
        if column.name == "data":
            members = (*column.fields, Column(name="device", type="string", description="x"))
            column = column.model_copy(update={"fields": members})
        columns.append(column)
    columns += [
        Column(name="score", type="integer", description="x"),
        Column(name="ratio", type="double", description="x"),
        Column(name="seen_at", type="timestamp", description="x"),
        Column(name="tags", type="string", repeated=True, description="x"),
    ]
    newer = contract.model_copy(update={"columns": tuple(columns), "version": contract.version + 1})
    known = contracts() | {"events": newer}
    for module in ("pipeline.warehouse.spark.bronze", "tests.spark.test_spark"):
        monkeypatch.setattr(f"{module}.contracts", lambda: known)
    register_bronze()
    rows = in_duckdb(home, "events")
    assert in_spark("events") == rows
    found = {row.event_id: row for row in spark().sql("SELECT * FROM bronze.events").collect()}
    assert (found["e1"].score, found["e1"].ratio, found["e1"].tags) == (7, 0.5, ["a", "b"])
    assert found["e1"].seen_at == dt.datetime(2026, 1, 1, 10)
    assert (found["e2"].score, found["e2"].ratio, found["e2"].tags) == (None, None, None)
    assert found["e3"].data.device == "x"
    assert found["e4"].data.device is None


def test_violations_of_constraints_are_the_same_on_both_engines(
    spark_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = spark_home
    home.put("events", "old.json", play("old", "2026-01-01"))
    home.ingest("events")
    rules = (
        {"column": "data.duration", "range": {"max": 100}},
        {"column": "data.source", "accepted_values": ["home"], "policy": "warn"},
    )
    constraints = tuple(map(Constraint.model_validate, rules))
    known = contracts()["events"].model_copy(update={"version": 2, "constraints": constraints})
    for module in ("spark.bronze", "spark.operations", "operations"):
        monkeypatch.setattr(f"pipeline.warehouse.{module}.contracts", lambda: {"events": known})
    data = {"activity_id": "a1", "completed": True}
    home.put(
        "events",
        "new.json",
        play("long", "2026-01-02") | {"data": data | {"duration": 101}},
        play("marked", "2026-01-02") | {"data": data | {"duration": 1, "source": "shop"}},
        play("good", "2026-01-02") | {"data": data | {"duration": 1, "source": "home"}},
        {"event_id": 5},
    )
    lake = Store(home.options.lake_uri)
    report = ingest_feed(known, Lake(home.options).landing(known), lake, home.options.lake_start)
    assert report.warnings == (("data_source_accepted_values", 1),)
    register_bronze()
    operations.register(warehouse(), lake)
    found = spark().sql("SELECT event_id, _warnings FROM bronze.events ORDER BY event_id").collect()
    assert list(map(plain, map(list, found))) == [
        ["good", None],
        ["marked", ["data_source_accepted_values"]],
        ["old", None],
    ]
    asked = (
        "SELECT * FROM operations.warnings",
        "SELECT feed, source_line, reason, constraint_name FROM operations.quarantine ORDER BY source_line",
    )
    with connect(home.options) as duckdb:
        query = bronze_query(known, lake.uri, Ledger(lake, "events").live_files())
        duckdb.execute("CREATE SCHEMA bronze")
        duckdb.execute(f"CREATE VIEW bronze.events AS {query}")
        for statement in on_duckdb.registration(adapter_of(duckdb), lake):
            duckdb.execute(statement)
        both = [
            ([tuple(row) for row in spark().sql(query).collect()], duckdb.execute(query).fetchall()) for query in asked
        ]
    assert [one for one, _ in both] == [other for _, other in both]
    assert [rows for rows, _ in both] == [
        [("events", "raw-events/new.json", 2, "data_source_accepted_values")],
        [("events", 1, "constraint_violated", "data_duration_range"), ("events", 4, "wrong_type", None)],
    ]


def test_live_windows_are_the_same_on_both_engines(spark_home: Home) -> None:
    lake, now = Store(spark_home.options.lake_uri), dt.datetime(2026, 3, 12, tzinfo=dt.UTC)
    query = "SELECT * FROM operations.live_windows ORDER BY kind, size_seconds, started_at, business_date"

    def both() -> list[list[tuple[Any, ...]]]:
        operations.register(warehouse(), lake)
        with connect(spark_home.options) as duckdb:
            duckdb.execute("CREATE SCHEMA bronze")
            for statement in on_duckdb.registration(adapter_of(duckdb), lake):
                duckdb.execute(statement)
            return [[tuple(row) for row in spark().sql(query).collect()], duckdb.execute(query).fetchall()]

    assert both() == [[], []]
    shown = ShownStore(lake, "d", lambda: now)
    start = int(dt.datetime(2026, 3, 10, 14, tzinfo=dt.UTC).timestamp()) * 1_000_000
    for minute in range(3):
        first = start + minute * MINUTE
        window = Shown(first, MINUTE, Counts(3, 2, 1, 1, 1, 95_000_001), {"country": {"DE": 3}})
        late = {(MINUTE, first - MINUTE): Counts(1)}
        day = ClosedDay(dt.date(2026, 3, 9 - minute), first, DaySessions(5, 2, 4, 50))
        shown.keep(Closed(first, first + MINUTE, (window,), (day,), late, {}))
    before = both()
    assert before[0] == before[1]
    assert len(before[0]) == 9
    shown.join(now.date())
    assert both() == before


def test_wider_types_and_new_members_of_lists_are_the_same_on_both_engines(
    spark_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = spark_home

    def column(name: str, kind: str, *fields: Column, repeated: bool = False) -> Column:
        return Column(name=name, type=kind, description="x", fields=fields, repeated=repeated)

    def agreed(version: int, *columns: Column) -> Contract:
        plain_one = contracts()["events"]
        return plain_one.model_copy(update={"columns": (*plain_one.columns, *columns), "version": version})

    parts = [{"no": 1}, {"no": 2, "to": "z"}]
    lines = [{"a": 1, "b": 7, "at": "x"}, {"a": 2, "c": {"n": 0.5, "d": "2026-01-02"}, "parts": parts}, None]
    kept = {"n": 3, "d": "2026-01-02", "m": "1.5", "lines": lines, "tags": [1, 2.5], "whole": [{"k": 1}, {"k": 2.5}]}
    home.put("events", "1.json", play("e1", "2026-01-01") | kept, play("e2", "2026-01-01") | {"lines": []})
    older = agreed(
        2,
        column("n", "integer"),
        column("d", "date"),
        column("m", "decimal(5, 2)"),
        column(
            "lines",
            "struct",
            column("a", "integer"),
            column("parts", "struct", column("no", "integer"), repeated=True),
            repeated=True,
        ),
    )
    lake = Store(home.options.lake_uri)
    ingest_feed(older, home.landing("events"), lake, home.options.lake_start)
    newer = agreed(
        3,
        column("n", "decimal(21, 2)"),
        column("d", "timestamp"),
        column("m", "decimal(9, 4)"),
        column(
            "lines",
            "struct",
            column("b", "integer"),
            column("c", "struct", column("n", "double"), column("d", "date")),
            column("parts", "struct", column("to", "string"), column("no", "integer"), repeated=True),
            column("a", "double"),
            column("at", "string"),
            repeated=True,
        ),
        column("tags", "integer", repeated=True),
        column("whole", "struct", column("k", "integer"), repeated=True),
    )
    known = contracts() | {"events": newer}
    for module in ("pipeline.warehouse.spark.bronze", "tests.spark.test_spark"):
        monkeypatch.setattr(f"{module}.contracts", lambda: known)
    register_bronze()

    rows = in_duckdb(home, "events")

    assert in_spark("events") == rows
    found = {row.event_id: row.asDict(True) for row in spark().sql("SELECT * FROM bronze.events").collect()}["e1"]
    assert (found["n"], found["m"], found["d"]) == (Decimal(3), Decimal("1.5"), dt.datetime(2026, 1, 2))
    nothing = {"b": None, "c": None, "parts": None, "at": None}
    c, both = {"n": 0.5, "d": dt.date(2026, 1, 2)}, [{"to": None, "no": 1}, {"to": "z", "no": 2}]
    assert found["lines"] == [
        nothing | {"a": 1.0, "b": 7, "at": "x"},
        nothing | {"a": 2.0, "c": c, "parts": both},
        None,
    ]
    assert (found["tags"], found["whole"]) == ([1, None], [{"k": 1}, {"k": None}])


def test_changes_and_counts_that_stand_for_times_are_the_same_on_both_engines(
    spark_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, counts = spark_home, (1_767_323_045_123_456, -1, 253_402_300_799_999_999, 1 << 62)
    landing = Landing(home.options.landing("raw-customers"))
    changes = [
        envelope(after=customer(number, born_on=number - 2, seen_at=count, logged_at=count, joined_at=count // 10**6))
        for number, count in enumerate(counts)
    ]
    left_out = envelope("u", after=customer(9, plan="__debezium_unavailable_value"))
    landing.put("1.json", b"\n".join(map(line, [*changes, left_out, envelope("t", after=None)])))
    lake = Store(home.options.lake_uri)
    ingest_feed(customers(), landing, lake, home.options.lake_start)
    newer = customers(
        column_of("born_on", "date"),
        column_of("seen_at", "timestamp"),
        column_of("logged_at", "timestamp", unit="nanoseconds"),
        column_of("joined_at", "timestamp", unit="seconds"),
        version=2,
    )
    known = contracts() | {"customers": newer}
    for module in ("pipeline.warehouse.spark.bronze", "tests.spark.test_spark"):
        monkeypatch.setattr(f"{module}.contracts", lambda: known)
    register_bronze()

    assert in_spark("customers") == in_duckdb(home, "customers")
    found = {row.id: row for row in spark().sql("SELECT * FROM bronze.customers").collect()}
    assert (found[1].born_on, found[1].seen_at) == (
        dt.date(1969, 12, 31),
        dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
    )
    assert (found[2].seen_at, found[3].seen_at) == (dt.datetime(9999, 12, 31, 23, 59, 59, 999999), None)
    assert found[0].logged_at == dt.datetime(1970, 1, 21, 10, 55, 23, 45123)
    assert (found[9]._unavailable, found[9]._operation) == (["plan"], "update")
    assert found[None]._operation == "truncate"


def test_rows_of_seeds_keep_their_types(spark_home: Home) -> None:
    register_bronze()
    install()
    columns = {
        name: exp.DataType.build(kind, dialect="duckdb")
        for name, kind in {
            "n": "INT",
            "rate": "DECIMAL(18, 6)",
            "at": "TIMESTAMP",
            "day": "DATE",
            "ok": "BOOLEAN",
        }.items()
    }
    rows = pd.DataFrame(
        {
            "ok": [True, None],
            "n": [130.0, None],
            "rate": [0.9212, 1e-05],
            "at": [pd.Timestamp("2025-01-01 10:00:00.5"), pd.NaT],
            "day": [pd.Timestamp("2025-01-01"), pd.NaT],
        }
    )
    adapter = warehouse()
    adapter.create_schema("seeded")
    adapter.create_table("seeded.rates", columns)
    adapter.insert_append("seeded.rates", rows, columns)
    first = (130, Decimal("0.921200"), dt.datetime(2025, 1, 1, 10, 0, 0, 500_000), dt.date(2025, 1, 1), True)
    assert adapter.fetchall("SELECT * FROM seeded.rates ORDER BY n NULLS LAST") == [
        first,
        (None, Decimal("0.000010"), None, None, None),
    ]


def arrive(home: Home, dice: random.Random) -> None:
    """Write objects in random order: plays of any date, sent twice or corrected, overwritten objects, accounts."""
    for number in range(dice.randint(3, 6)):
        day = dt.date(2025, 12, 28) + dt.timedelta(days=dice.randint(0, 12))
        name, user = f"r{dice.randint(0, 5)}", f"u{dice.randint(1, 3)}"
        records = [play(name, str(day), user, duration=float(dice.choice((5, 60, 7200)))) for _ in range(2)]
        home.put("events", f"{dice.choice(('1', 'late', number))}.json", *records)
        if dice.random() < 0.4:
            home.put(
                "users", f"{user}-{dice.random()}.json", {"user_id": user, "country_code": dice.choice(("fr", "us"))}
            )


def test_a_table_by_key_is_computed_as_a_whole(
    spark_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a table of the kind, planned, and then computed after records changed."""
    home, folder = spark_home, copy_project(tmp_path / "project")
    for path in [*folder.glob("models/**/*.sql"), *folder.glob("audits/*.sql")]:
        if path.name != "users.sql" and (path.parent.name != "audits" or "standalone TRUE" in path.read_text()):
            path.unlink()
    config = folder / "config.yaml"  # without the rule that wants what is declared of removed models
    config.write_text(config.read_text().replace("    - personalcolumnsdeclared\n", ""))
    use_project(folder, monkeypatch)
    users = "SELECT user_id, country_code FROM silver.users ORDER BY user_id"
    home.put("users", "1.json", *({"user_id": name, "country_code": "fr"} for name in ("u1", "u2")))
    home.ingest()
    home.plan()
    assert home.rows(users) == [("u1", "fr"), ("u2", "fr")]

    home.put("users", "2.json", {"user_id": "u2", "country_code": "de"}, {"user_id": "u3", "country_code": "it"})
    home.ingest()
    assert home.run() == "SUCCESS"
    assert home.rows(users) == [("u1", "fr"), ("u2", "de"), ("u3", "it")]


@pytest.mark.slow  # minutes: `make spark`
@pytest.mark.timeout(1800)
def test_late_changed_and_vanished_plays_reach_gold(spark_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home = spark_home
    land(home)
    home.ingest()
    home.plan()
    assert gold(home) == expected(home)
    assert cycle(home).outcome == "published"
    assert seen(home) == expected(home)

    home.put("events", "late.json", play("late", "2026-01-02"), play("new", "2026-01-05"))
    home.put("users", "late.json", {"user_id": "u2", "country_code": "us"})
    done = cycle(home)
    assert (done.outcome, done.errors) == ("published", [])
    assert seen(home) == gold(home) == expected(home)

    # all plays of one day move to another: the day must become empty
    home.put("events", "3.json", play("e3", "2026-01-02"))
    done = cycle(home)
    assert (done.outcome, done.errors) == ("published", [])
    assert plays(seen(home)) == {"2026-01-01": 2, "2026-01-02": 4, "2026-01-05": 1}
    assert seen(home) == gold(home) == expected(home)
    assert cycle(home).outcome == "unchanged"

    for seed in range(ROUNDS):
        arrive(home, random.Random(seed))
        assert cycle(home).outcome == "published"
        assert seen(home) == gold(home) == expected(home), f"round {seed}"
    assert home.rows("SELECT outcome, COUNT(*) FROM operations.runs GROUP BY 1 ORDER BY 1") == [
        ("published", 3 + ROUNDS),
        ("unchanged", 1),
    ]
    assert all(not verify_feed(contract, home.options).differences for contract in contracts().values())

    # what is older than the feed's retention expires, and its numbers stay, also where they cannot be computed again
    before = gold(home)
    events = contracts()["events"]
    assert events.personal
    days = (dt.datetime.now(dt.UTC).date() - dt.date(2026, 1, 3)).days
    personal = events.personal.model_copy(update={"retention_days": days})
    monkeypatch.setitem(contracts(), "events", events.model_copy(update={"personal": personal}))
    (expired,), failed, notes = maintain(Lake(home.options), [contracts()["events"]], dt.timedelta(days=1))
    assert (expired.expiry.rows > 0, failed, notes) == (True, [], [])
    done = cycle(home)
    assert (done.outcome, done.errors) == ("published", [])
    assert seen(home) == gold(home) == before
    assert home.rows("SELECT COUNT(*) FROM silver.activity_events WHERE event_date < DATE '2026-01-03'") == [(0,)]
    done = rebuild(Lake(home.options))
    assert (done.outcome, done.errors) == ("published", [])
    assert seen(home) == gold(home) == before


def test_purge_ends_environments_and_drops_their_files(
    spark_home: Home, engagement_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN an environment with a table of its own, a table of no model, and the text of an error
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("LAKE_START", "2026-01-01")
    settings.cache_clear()
    land(spark_home)
    spark_home.ingest()
    spark_home.plan()
    assert cycle(spark_home).state == 1
    branch = shutil.copytree(engagement_project, tmp_path / "branch")
    switch_rules_off(branch)
    model = branch / "models/silver/engagement/activity_events.sql"
    added = "  events.user_id::TEXT AS user_id,\n  events.user_id::TEXT AS player, /* x */"
    model.write_text(model.read_text().replace("  events.user_id::TEXT AS user_id,", added, 1))
    monkeypatch.setattr("tests.home.PROJECT", branch)
    spark_home.plan("dev")
    monkeypatch.setattr("tests.home.PROJECT", engagement_project)
    adapter = warehouse()
    adapter.execute("CREATE TABLE sqlmesh__silver.silver__gone__1 USING PARQUET AS SELECT 'u1' AS user_id")
    adapter.execute("INSERT INTO operations.runs (run_id, errors) VALUES ('r0', 'bad value u1')")
    before, runs = gold(spark_home), spark_home.rows("SELECT COUNT(*) FROM operations.runs")
    assert len(_folders("silver__activity_events__")) == 2

    done = purge(Lake(settings()), "r1", 1)

    assert done.is_complete, done
    said = {place.name: place.removed for place in done.places}
    assert "ended environment dev; `sqlmesh plan dev` builds it again" in said["environments"].done
    assert "Delta" in said["warehouse"].beyond[0]
    schemas = {name for (name,) in spark_home.rows("SHOW SCHEMAS")}
    assert "silver__dev" not in schemas
    assert len(_folders("silver__activity_events__")) == 1
    assert _folders("silver__gone__") == []
    assert gold(spark_home) == before
    assert spark_home.rows("SELECT COUNT(*) FROM operations.runs") == runs
    query = "SELECT errors FROM operations.runs WHERE errors <> ''"
    assert spark_home.rows(query) == [(on_duckdb.ERASED,)]


def _folders(name: str) -> list[str]:
    """Folders of Spark's tables whose names begin so."""
    root = Path(spark().conf.get("spark.sql.warehouse.dir").removeprefix("file:"))
    return sorted(path.name for path in root.glob(f"*/{name}*"))
