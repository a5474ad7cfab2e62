"""Figures, profiles and quality of a release made by hand, in one DuckDB database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import duckdb
import msgspec
import pytest

from ingest.contracts.classes import Class
from pipeline.access.classes import Classed
from pipeline.access.privacy import Group, Privacy
from pipeline.portal.catalog import figures as module
from pipeline.portal.catalog.entries import Audit, Column, Day, Result, Table, Violation
from pipeline.portal.catalog.figures import with_figures
from pipeline.portal.catalog.quality import last_results, score, with_quality
from pipeline.releases.release import Release, ReleaseFile, ReleaseTable
from pipeline.warehouse.classes import Classes
from pipeline.warehouse.lineage import Lineage

NOW = dt.datetime(2026, 1, 3, 6, tzinfo=dt.UTC)


def _table(name: str, classes: dict[str, str], **fields: object) -> Table:
    columns = tuple(Column(column, kind, class_=class_) for column, (kind, class_) in _kinds(classes).items())
    return Table(name, "table", "One row.", "shop", "me", columns, **fields)  # type: ignore[arg-type]


def _kinds(classes: dict[str, str]) -> dict[str, tuple[str, str]]:
    return {
        name: ("DATE" if name == "date" else "BIGINT" if name == "n" else "TEXT", kind)
        for name, kind in classes.items()
    }


def _released(
    name: str, *keys: str, rows: int = 6, columns: tuple[str, ...] = ("date", "person", "country", "os", "n")
) -> ReleaseTable:
    files = tuple(
        ReleaseFile(f"tables/{name}/{key}", part, rows, 100) for part, key in (key.split(":") for key in keys)
    )
    return ReleaseTable(name, "1", "", tuple((column, "TEXT", "") for column in columns), files)


def _release(*tables: ReleaseTable, audits: tuple[dict[str, object], ...] = ()) -> Release:
    return Release(2, NOW, "lake", {}, 0, {table.name: table for table in tables}, audits)


def _classes(least: int = 2, size: str | None = None) -> Classes:
    groups = {"gold.plays": Group(size, "", "here")} if size else {}
    return Classes({"gold.plays": {"country": Classed(Class.QUASI)}}, Privacy({}, groups), Lineage({}), least)


PLAYS = {"date": "none", "person": "direct", "country": "quasi", "os": "none", "n": "none"}
FIRST = f"2026-01:{1:020d}-2026-01-aa.parquet"


@pytest.fixture
def reader() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA gold; CREATE SCHEMA ops")
        connection.execute(
            "CREATE TABLE gold.plays AS SELECT * FROM (VALUES"
            "(DATE '2026-01-01', 'ann@x', 'fr', 'ios', 1), (DATE '2026-01-01', 'bob@x', 'fr', 'ios', 2),"
            "(DATE '2026-01-02', 'cid@x', 'mc', 'android', 3), (DATE '2026-01-02', NULL, NULL, '', 4)"
            ") AS t(date, person, country, os, n)"
        )
        yield connection


def test_profiles_show_no_value_of_a_person_and_no_small_group(reader: duckdb.DuckDBPyConnection) -> None:
    tables = [_table("gold.plays", PLAYS, time_column="date")]
    (found,) = with_figures(tables, _release(_released("gold.plays", FIRST)), reader, "uri", {}, _classes())
    profiles = {column.name: column.profile for column in found.columns}
    assert profiles["person"] == module.Profile(1, 3), "counts alone"
    assert profiles["country"] == module.Profile(1, 2, None, None, (("fr", 2),)), "mc is one row"
    assert profiles["os"] == module.Profile(0, 3, "", "ios", (("ios", 2), ("", 1), ("android", 1)))
    assert profiles["n"] is not None
    assert (profiles["n"].low, profiles["n"].high) == ("1", "4")
    assert b"@x" not in msgspec.json.encode(found)
    assert b"mc" not in msgspec.json.encode(found)
    figures = found.figures
    assert figures is not None
    assert (figures.rows, figures.bytes, figures.first, figures.last, figures.changed_in) == (
        6,
        100,
        "2026-01-01",
        "2026-01-02",
        1,
    )
    assert found.released


def test_a_group_is_as_large_as_what_its_rows_count(reader: duckdb.DuckDBPyConnection) -> None:
    release = _release(_released("gold.plays", FIRST))
    (found,) = with_figures([_table("gold.plays", PLAYS)], release, reader, "uri", {}, _classes(3, "n"))
    country = next(column for column in found.columns if column.name == "country")
    assert country.profile is not None
    assert country.profile.top == (("fr", 2), ("mc", 1)), "three plays each"


def test_a_profile_is_computed_again_only_for_other_files(reader: duckdb.DuckDBPyConnection) -> None:
    tables = [_table("gold.plays", PLAYS, time_column="date")]
    release = _release(_released("gold.plays", FIRST))
    (once,) = with_figures(tables, release, reader, "uri", {}, _classes())
    reader.execute("DROP TABLE gold.plays")
    (again,) = with_figures(tables, release, reader, "uri", {"gold.plays": once}, _classes())
    assert again == once
    other = _release(_released("gold.plays", f"2026-01:{2:020d}-2026-01-bb.parquet"))
    with pytest.raises(duckdb.CatalogException):
        with_figures(tables, other, reader, "uri", {"gold.plays": once}, _classes())
    reclassed = [_table("gold.plays", PLAYS | {"os": "direct"})]
    with pytest.raises(duckdb.CatalogException):
        with_figures(reclassed, release, reader, "uri", {"gold.plays": once}, _classes())


def test_of_a_large_table_the_newest_files_are_profiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROFILED_ROWS", 10)
    table = _released("gold.plays", "2026-01:a", "2026-03:c", "2026-02:b", rows=4)
    files = module._files(table, {})
    assert module._newest(table, files, "s3://x") == (
        "READ_PARQUET(['s3://x/tables/gold.plays/c', 's3://x/tables/gold.plays/b'], hive_partitioning = FALSE)",
        8,
    )


def test_a_view_over_a_table_that_the_release_lacks_has_the_files_of_the_others() -> None:
    view = replace(_released("gold.both"), query="SELECT * FROM gold.plays, gold.gone")
    tables = {"gold.plays": _released("gold.plays", FIRST)}
    assert [file.key for file in module._files(view, tables)] == [tables["gold.plays"].files[0].key]


def test_a_model_ahead_of_its_release_has_profiles_of_what_is_there(reader: duckdb.DuckDBPyConnection) -> None:
    tables = [_table("gold.plays", PLAYS | {"brand_new": "none"})]
    (found,) = with_figures(tables, _release(_released("gold.plays", FIRST)), reader, "uri", {}, _classes())
    assert found.columns[-1].profile is None
    assert found.columns[0].profile is not None


def test_the_headline_is_the_weighted_mean_of_what_is_known() -> None:
    day = score(Day("2026-01-01", validity=0.9, completeness=None, freshness=1.0))
    assert day.score == pytest.approx((0.3 * 0.9 + 0.15 * 1.0) / 0.45, abs=1e-6)
    assert day.minimum == 0.9
    assert score(Day("2026-01-01")).score is None


def test_a_table_shares_the_least_of_its_feeds_and_has_audits_of_its_own(reader: duckdb.DuckDBPyConnection) -> None:
    reader.execute(
        "CREATE TABLE ops.quality_daily AS SELECT * FROM (VALUES"
        "('events', DATE '2026-01-01', 0.8, NULL, 1.0, 1.0, 10, 8, 7, NULL),"
        "('users', DATE '2026-01-01', 0.9, 0.5, NULL, 1.0, 20, 18, 9, 18.0)"
        ") AS t(feed, date, validity, completeness, uniqueness, freshness, record_count, good_count, received_count,"
        "expected_count)"
    )
    reader.execute(
        "CREATE TABLE ops.quality_findings AS SELECT 'events' AS feed, DATE '2026-01-01' AS date,"
        "'raw/a' AS source_file, 'wrong_type' AS reason, 'data.n' AS column_path, 2 AS record_count, 7 AS first_line"
    )
    reader.execute(
        "CREATE TABLE ops.audit_results AS SELECT * FROM (VALUES"
        "('assert_x', TIMESTAMP '2026-01-01 05:00:00', 0, 'all dates'),"
        "('assert_x', TIMESTAMP '2026-01-01 06:00:00', 3, 'all dates')) AS t(audit_name, started_at, row_count, scope)"
    )
    feeds = {name: Table(name, "feed", "", "shop", "me", ()) for name in ("bronze.events", "bronze.users")}
    silver = Table("silver.x", "table", "", "shop", "me", (), reads=("bronze.events", "bronze.users"))
    gold = Table("gold.y", "view", "", "shop", "me", (), reads=("silver.x",), audits=(Audit("assert_x"),))
    names = ("ops.quality_daily", "ops.quality_findings", "ops.audit_results")
    release = _release(*(_released(name) for name in names))
    tables = with_quality(feeds | {"silver.x": silver, "gold.y": gold}, release, reader)
    events, shared = tables["bronze.events"].quality, tables["gold.y"].quality
    assert events is not None
    assert shared is not None
    assert [(item.object, item.records, item.line) for item in events.findings] == [("raw/a", 2, 7)]
    assert (events.days[0].records, events.days[0].bad, events.days[0].received) == (10, 2, 7)
    assert shared.feeds == ("bronze.events", "bronze.users")
    (day,) = shared.days
    assert (day.validity, day.completeness, day.uniqueness, day.freshness, day.audits) == (0.8, 0.5, 1.0, 1.0, 0.5)
    assert day.minimum == 0.5
    results = last_results(release, reader, ())
    assert results["assert_x"] == Result("2026-01-01T06:00:00", 3, "all dates")


def test_of_many_findings_the_newest_are_listed_and_all_are_counted(reader: duckdb.DuckDBPyConnection) -> None:
    reader.execute(
        "CREATE TABLE ops.quality_daily AS SELECT 'events' AS feed, DATE '2026-01-01' AS date, 0.8 AS validity,"
        "NULL AS completeness, NULL AS uniqueness, NULL AS freshness, 10 AS record_count, 8 AS good_count,"
        "7 AS received_count, NULL AS expected_count"
    )
    reader.execute(
        "CREATE TABLE ops.quality_findings AS SELECT 'events' AS feed, DATE '2026-01-01' + i::INT AS date,"
        "'raw/a' AS source_file, 'wrong_type' AS reason, NULL AS column_path, 1 AS record_count, 7 AS first_line "
        "FROM RANGE(203) AS r(i)"
    )
    release = _release(*(_released(name) for name in ("ops.quality_daily", "ops.quality_findings")))
    tables = with_quality({"bronze.events": Table("bronze.events", "feed", "", "shop", "me", ())}, release, reader)
    quality = tables["bronze.events"].quality
    assert quality is not None
    assert (len(quality.findings), quality.finding_count) == (200, 203)
    assert (quality.findings[0].date, quality.findings[-1].date) == ("2026-07-22", "2026-01-04")


def test_a_feed_lists_the_records_that_violate_constraints_by_policy(reader: duckdb.DuckDBPyConnection) -> None:
    reader.execute(
        "CREATE TABLE ops.quality_daily AS SELECT 'events' AS feed, DATE '2026-01-01' AS date, 0.8 AS validity,"
        "NULL AS completeness, NULL AS uniqueness, NULL AS freshness, 10 AS record_count, 8 AS good_count,"
        "7 AS received_count, NULL AS expected_count"
    )
    reader.execute(
        "CREATE TABLE ops.constraint_findings AS SELECT * FROM (VALUES"
        "('events', 'n_range', 'quarantine', DATE '2026-01-02', 2),"
        "('events', 'n_range', 'quarantine', DATE '2025-01-02', 3),"
        "('events', 'n_range', 'warn', DATE '2026-01-01', 4), ('users', 'n_range', 'warn', DATE '2026-01-01', 5)"
        ") AS t(feed, constraint_name, policy, date, record_count)"
    )
    release = _release(*(_released(name) for name in ("ops.quality_daily", "ops.constraint_findings")))
    tables = with_quality({"bronze.events": Table("bronze.events", "feed", "", "shop", "me", ())}, release, reader)
    quality = tables["bronze.events"].quality
    assert quality is not None
    assert quality.violations == (
        Violation("n_range", "quarantine", 5, "2026-01-02"),
        Violation("n_range", "warn", 4, "2026-01-01"),
    )


def test_audits_of_the_release_itself_are_the_newest_and_older_ones_are_kept(reader: duckdb.DuckDBPyConnection) -> None:
    release = _release(audits=({"name": "assert_x", "scope": "changed dates", "rows": 0},))
    old = Audit("assert_y", last=Result("2025-12-31T00:00:00", 0))
    assert last_results(release, reader, (old,)) == {
        "assert_x": Result("2026-01-03T06:00:00", 0, "changed dates"),
        "assert_y": Result("2025-12-31T00:00:00", 0),
    }
    assert (
        with_quality({"gold.y": _table("gold.y", {"n": "none"})}, replace(release, tables={}), reader)["gold.y"].quality
        is None
    )
