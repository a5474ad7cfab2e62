"""`lake run` and `lake publish`: readers see only audited releases of gold, each complete."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner
from sqlglot import exp

from ingest.errors import ConfigError, RetriableError
from ingest.settings import settings
from ingest.storage.lock import file_lock
from pipeline.cli import main
from pipeline.cycle.cycle import publish_only, run_cycle
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from pipeline.releases.release import Release, Releases, published
from pipeline.warehouse.project import open_project
from tests.handle import ingest_all
from tests.home import Home, copy_home, template

pytestmark = pytest.mark.usefixtures("engagement")

DAILY = "gold.activity_engagement_metrics"
MONTHLY = "gold.activity_engagement_metrics_monthly"


def event(name: str, day: str, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": name,
        "name": "activity_exit",
        "occurred_at": f"{day} 10:00:00",
        "user_id": "u1",
        "child_id": "c",
        "data": {"activity_id": "a1", "duration": 60, "completed": True, "collection_id": ""},
        "context": {"os": {"name": "iOS", "version": "1"}, "app": {"version": "1"}},
    } | fields


def cycle(home: Home, **options: Any) -> RunSummary:
    return run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None, **options)


def plays(home: Home, number: int | None = None) -> dict[str, int]:
    """Plays by date, as a reader sees them."""
    with Releases(home.options).connect(number) as reader:
        rows = reader.execute(f"SELECT date::TEXT, SUM(activities_played)::INT FROM {DAILY} GROUP BY 1").fetchall()
    return dict(rows)


@pytest.fixture(scope="module")
def planned(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake with two months of data, planned."""
    with template(tmp_path_factory.mktemp("planned"), engagement_project) as home:
        home.put("users", "u.json", {"user_id": "u1", "country_code": "fr"})
        home.put("activities", "a.json", {"activity_id": "a1", "name": "Song", "type": "audiobook"})
        home.put("events", "1.json", event("e1", "2026-01-05"), event("e2", "2026-01-20"), event("e3", "2026-02-03"))
        home.ingest()
        home.plan()
    return home


@pytest.fixture
def running(planned: Home, home: Home) -> Home:
    """The same lake, published once."""
    copy_home(planned, home)
    assert cycle(home).outcome == "published"
    return home


def test_first_cycle_publishes_and_an_idle_one_changes_nothing(running: Home) -> None:
    assert plays(running) == {"2026-01-05": 1, "2026-01-20": 1, "2026-02-03": 1}
    files = {path: path.stat().st_mtime_ns for path in Releases(running.options).store.root.rglob("*")}
    again = cycle(running)
    assert (again.outcome, again.state, again.exit_code) == ("unchanged", 1, 0)
    assert {path: path.stat().st_mtime_ns for path in Releases(running.options).store.root.rglob("*")} == files


def test_late_data_rewrites_only_its_month(running: Home) -> None:
    before = Releases(running.options).get(1)
    running.put("events", "late.json", event("e4", "2026-01-05", user_id="u2"))

    done = cycle(running)

    assert (done.outcome, done.state) == ("published", 2)
    assert done.computed[DAILY].dates == {dt.date(2026, 1, 5)}
    assert done.published_dates[DAILY] == ("2026-01-05",)
    assert plays(running) == {"2026-01-05": 2, "2026-01-20": 1, "2026-02-03": 1}
    after = Releases(running.options).get(2)
    shared = {file.key for file in before.tables[DAILY].files} & {file.key for file in after.tables[DAILY].files}
    assert [key.split("-")[1:3] for key in shared] == [["2026", "02"]]
    assert {feed: number for feed, number in after.positions.items() if number} == {
        "activities": 1,
        "events": 2,
        "users": 1,
    }


def test_tagged_models_of_other_layers_join_releases_but_make_none(running: Home) -> None:
    """Rule: an ops model tagged `released` is published with gold; its own changes never make a release."""
    tables = Releases(running.options).get(1).tables
    assert "ops.share_anomalies" in tables
    assert "ops.play_shares_daily" not in tables
    assert published("ops.share_anomalies").fetchall() == []

    context = running.context()
    snapshot = next(item for name, item in context.snapshots.items() if "share_anomalies" in name)
    context.engine_adapter.execute(
        f"CREATE OR REPLACE VIEW {snapshot.table_name()} AS SELECT DATE '2026-01-05' AS date, 'os_name' AS dimension, "
        "1::BIGINT AS plays, 0.5 AS distance, 'iOS' AS member, 1.0 AS share, 0.5 AS usual_share"
    )
    running.close(context)
    assert cycle(running).outcome == "unchanged"
    assert published("ops.share_anomalies").fetchall() == []

    running.put("events", "late.json", event("e4", "2026-01-05"))
    done = cycle(running)
    assert (done.outcome, "ops.share_anomalies" in done.published_dates) == ("published", False)
    assert published("ops.share_anomalies").count("member").fetchall() == [(1,)]


def test_reader_keeps_its_release_while_newer_ones_are_published(running: Home) -> None:
    with duckdb.connect() as reader:
        reader.execute(Releases(running.options).attach())
        count = f"SELECT SUM(activities_played) FROM lake.{DAILY}"
        assert reader.execute(count).fetchone() == (3,)
        running.put("events", "late.json", event("e4", "2026-01-05"))
        cycle(running)
        assert reader.execute(count).fetchone() == (3,)
    assert sum(plays(running).values()) == 4


def test_views_read_the_tables_of_their_own_release(running: Home) -> None:
    running.put("events", "late.json", event("e4", "2026-01-05"))
    cycle(running)
    for number, total in ((1, 2), (2, 3)):
        rows = published(MONTHLY, number).df()
        assert int(rows[rows["month_date"].astype(str).str.startswith("2026-01")]["activities_played"].sum()) == total


def test_comments_and_types_reach_the_reader(running: Home) -> None:
    with Releases(running.options).connect() as reader:
        rows = reader.execute(
            "SELECT column_name, data_type, comment FROM duckdb_columns() "
            "WHERE database_name = 'lake' AND table_name = 'activity_engagement_metrics'"
        ).fetchall()
    assert {name: kind for name, kind, _ in rows}["date"] == "DATE"
    assert all(comment for _, _, comment in rows)


def test_rollback_withholds_releases_until_an_explicit_publish(running: Home) -> None:
    running.put("events", "late.json", event("e4", "2026-01-05"))
    cycle(running)
    shown = CliRunner().invoke(main, ["publish", "--rollback", "--json"])
    assert json.loads(shown.stdout) == {"state": 1}
    assert sum(plays(running).values()) == 3

    running.put("events", "later.json", event("e5", "2026-01-06"))
    held = cycle(running)
    assert (held.outcome, held.state, held.exit_code) == ("held", 1, 0)
    assert sum(plays(running).values()) == 3
    assert cycle(running).outcome == "held"

    freed = publish_only(Lake(running.options), dt.datetime.now(dt.UTC))
    assert (freed.outcome, freed.state) == ("published", 3)
    assert sum(plays(running).values()) == 5
    Releases(running.options).roll_back(3)  # to the newest one: it pauses as well
    assert cycle(running).outcome == "held"
    assert publish_only(Lake(running.options), dt.datetime.now(dt.UTC)).outcome == "published"
    assert cycle(running).outcome == "unchanged"
    with pytest.raises(ConfigError, match="release 9 is not kept; kept are 1, 2, 3"):
        Releases(running.options).roll_back(9)


def test_failing_audit_keeps_the_previous_release_and_names_its_sources(running: Home) -> None:
    running.put("events", "late.json", event("e4", "2026-01-05"))
    running.ingest()
    assert running.run() == "SUCCESS"
    table = spoil(running, "silver.activity_events_enriched", "DELETE FROM {table} WHERE event_id = 'e4'")

    done = cycle(running)

    assert (done.outcome, done.state, done.exit_code) == ("not published", 1, 1)
    assert sum(plays(running).values()) == 3
    (failing,) = (audit for audit in done.audits if audit.rows and "enriched" in audit.name)
    assert failing.scope == "changed dates"
    assert failing.examples[0]["date"] == dt.date(2026, 1, 5)
    assert failing.sources == ("raw-events/late.json",)
    assert "Readers keep the current release" in done.errors[0]

    # WHEN it is repaired, the next cycle publishes
    repair = "UPDATE lakemesh.settled SET position = 1 WHERE feed = 'events'"
    with duckdb.connect(running.options.state_path) as state:
        state.execute(repair)
    assert cycle(running).outcome == "published", table
    assert sum(plays(running).values()) == 4


def spoil(home: Home, model: str, statement: str) -> str:
    """Change a physical table without SQLMesh."""
    with duckdb.connect(home.options.warehouse_path) as warehouse:
        view = warehouse.execute(
            "SELECT sql FROM duckdb_views() WHERE schema_name || '.' || view_name = ?", [model]
        ).fetchone()[0]
        table = view.split(" FROM ")[-1].rstrip(";")
        warehouse.execute(statement.format(table=table.split(".", 1)[1]))
    return table


def test_nothing_is_published_while_a_date_is_missing(running: Home) -> None:
    running.put("events", "late.json", event("e4", "2026-01-05"))
    running.ingest()
    done = publish_only(Lake(running.options), dt.datetime.now(dt.UTC))
    assert (done.outcome, done.exit_code) == ("not published", 1)
    assert "missing are gold.activity_engagement_metrics 2026-01-05" in done.errors[0]
    assert running.run() == "SUCCESS"
    assert publish_only(Lake(running.options), dt.datetime.now(dt.UTC)).published_dates[DAILY] == ("2026-01-05",)


def test_what_a_manual_plan_computed_is_published_too(running: Home) -> None:
    running.put("events", "late.json", event("e4", "2026-01-05"))
    running.ingest()
    running.plan()
    done = publish_only(Lake(running.options), dt.datetime.now(dt.UTC))
    assert (done.outcome, done.published_dates[DAILY]) == ("published", ("2026-01-05",))
    assert plays(running)["2026-01-05"] == 2


def test_unknown_history_is_published_completely(running: Home) -> None:
    """SQLMesh's janitor merges the interval rows; some may not have been read before."""
    running.put("events", "late.json", event("e4", "2026-01-05"))
    running.ingest()
    running.plan()
    context = running.context()
    context.run_janitor(ignore_ttl=False)
    running.close(context)
    done = publish_only(Lake(running.options), dt.datetime.now(dt.UTC))
    assert done.outcome == "published", done.errors
    assert done.published_dates[DAILY] == ("all",)
    assert plays(running)["2026-01-05"] == 2
    running.put("events", "later.json", event("e5", "2026-01-06"))
    assert cycle(running).published_dates[DAILY] == ("2026-01-06",)


def test_load_committed_during_the_run_is_published_with_all_of_its_dates_or_not_at_all(
    running: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.cycle import compute as run

    opened = run.open_project

    def locked(*_: Any) -> None:
        raise RetriableError("the state is locked")

    def slip(*arguments: Any) -> Any:
        monkeypatch.setattr(run, "open_project", opened)
        running.put("events", "slipped.json", event("s1", "2026-01-05"), event("s2", "2026-02-03"))
        with monkeypatch.context() as patch:  # another host's ingest, which cannot reach this state
            patch.setattr(
                "pipeline.cycle.ingest.mark", lambda *_: (_ for _ in ()).throw(RetriableError("state is locked"))
            )
            assert ingest_all("events").exit_code == 1
        return opened(*arguments)

    monkeypatch.setattr(run, "open_project", slip)
    running.put("events", "late.json", event("e4", "2026-01-05"))

    done = cycle(running)

    assert (done.outcome, done.state) == ("published", 2)
    assert plays(running) == {"2026-01-05": 2, "2026-01-20": 1, "2026-02-03": 1}
    assert Releases(running.options).get(2).positions["events"] == 2, "a cycle reads what it has marked"
    assert cycle(running).state == 3
    assert plays(running) == {"2026-01-05": 3, "2026-01-20": 1, "2026-02-03": 2}
    assert Releases(running.options).get(3).positions["events"] == 3


def test_crash_between_manifest_and_pointer_is_recovered(running: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    running.put("events", "late.json", event("e4", "2026-01-05"))

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as crash:
        crash.setattr(Releases, "point_to", die)
        with pytest.raises(KeyboardInterrupt):
            cycle(running)
    assert sum(plays(running).values()) == 3
    done = cycle(running)
    assert (done.outcome, done.state) == ("published", 2)
    assert sum(plays(running).values()) == 4


def test_cycle_leaves_no_database_open(running: Home) -> None:
    """Between two cycles of `lake run --every` other processes may use the warehouse and the state."""
    cycle(running)
    opened = [str(handle.readlink()) for handle in list(Path("/proc/self/fd").iterdir()) if handle.is_symlink()]
    assert [path for path in opened if path.startswith(str(running.options_home)) and "duckdb" in path] == []


def test_second_cycle_exits_with_a_clear_message(running: Home) -> None:
    with file_lock(running.options_home / "locks" / "cycle.lock", "busy"):
        result = CliRunner().invoke(main, ["run"])
    assert result.exit_code == 1
    assert "another cycle is in progress" in result.stderr


def test_cycle_before_the_first_plan_names_the_next_step(home: Home) -> None:
    home.put("events", "1.json", event("e1", "2026-01-05"))
    result = CliRunner().invoke(main, ["run"])
    assert result.exit_code == 2
    assert "run `sqlmesh plan` once" in result.stderr


def test_summary_is_json_for_machines(running: Home) -> None:
    running.put("events", "late.json", event("e4", "2026-01-05"), b"{")
    started = time.monotonic()
    result = CliRunner().invoke(main, ["run", "--json"])
    summary = json.loads(result.stdout)
    assert sum(summary["seconds"].values()) <= time.monotonic() - started, "no stage contains another"
    assert summary["outcome"] == "published"
    assert summary["ingest"]["dates"]["events"] == ["2026-01-05"]
    assert summary["computed"]["silver.activity_events"]["dates"] == ["2026-01-05"]
    assert set(summary["seconds"]) >= {"ingest", "run", "audit", "publish"}
    assert result.exit_code == 1  # half of the records were bad: the data is kept and published
    assert "quarantined" in result.stderr


def test_old_releases_are_deleted_with_their_files(running: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Releases(running.options)
    for number in range(3):
        running.put("events", f"n{number}.json", event(f"n{number}", "2026-01-05"))
        cycle(running)
    from pipeline.releases.export import prune

    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)
    assert prune(kept, 2, dt.datetime.now(dt.UTC)) == 0  # too young: a reader may use them
    assert prune(kept, 2, later) == 2
    assert kept.numbers() == [3, 4]
    used = {file.key for number in kept.numbers() for table in kept.get(number).tables.values() for file in table.files}
    assert {item.key for item in kept.store.list("tables")} == used
    assert plays(running, 3)["2026-01-05"] == 3


def test_files_of_a_killed_publication_are_deleted_once_their_number_is_taken(
    running: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.put("events", "late.json", event("e4", "2026-01-05"))
    store = Releases(running.options).store

    def files() -> set[str]:
        return {item.key for folder in ("tables", "states") for item in store.list(folder)}

    before = files()
    with monkeypatch.context() as crash:
        crash.setattr(Release, "to_json", lambda _: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            cycle(running)
    left = files() - before
    assert {key.split("/")[0] for key in left} == {"tables", "states"}
    assert CliRunner().invoke(main, ["maintain", "--json"]).exit_code == 0
    assert files() >= left, "a slow publication would still need them"

    assert cycle(running).outcome == "published"
    done = CliRunner().invoke(main, ["maintain", "--json"])
    gone = {key for key in left if key.startswith("tables")}
    assert json.loads(done.stdout)[-1]["publication"]["files"] == len(gone)
    assert not files() & gone
    assert plays(running) == {"2026-01-05": 2, "2026-01-20": 1, "2026-02-03": 1}
    assert plays(running, 1)["2026-01-05"] == 1


@pytest.mark.s3
def test_publication_on_s3_switches_at_once_and_readers_keep_their_release(
    s3_home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PUBLISHED_URI", f"{s3_home.options.lake_uri}/published")
    settings.cache_clear()
    s3_home = Home()
    s3_home.put("users", "u.json", {"user_id": "u1", "country_code": "fr"})
    s3_home.put("activities", "a.json", {"activity_id": "a1", "name": "Song", "type": "audiobook"})
    s3_home.put("events", "1.json", event("e1", "2026-01-05"), event("e2", "2026-02-03"))
    s3_home.ingest()
    s3_home.plan()
    assert cycle(s3_home).outcome == "published"
    count = f"SELECT SUM(activities_played)::INT, (SELECT SUM(activities_played)::INT FROM {MONTHLY}) FROM {DAILY}"
    with Releases(s3_home.options).connect() as early:
        assert early.execute(count).fetchone() == (2, 2)
        s3_home.put("events", "late.json", event("e4", "2026-01-05"))
        assert cycle(s3_home).outcome == "published"
        assert early.execute(count).fetchone() == (2, 2)
    assert "SECRET" not in caplog.text, "statements with credentials are not logged"
    assert plays(s3_home) == {"2026-01-05": 2, "2026-02-03": 1}
    assert published(DAILY).df()["activities_played"].sum() == 3
    assert Releases(s3_home.options).roll_back() == 1
    assert plays(s3_home) == {"2026-01-05": 1, "2026-02-03": 1}
    with open_project(Lake(s3_home.options).state) as project:  # as `lake publish`, which registers nothing
        _, rows = project.engine.select(exp.select("event_id").from_("bronze.events"))
    assert len(rows) == 3


@pytest.mark.parametrize(
    "lost",
    ["warehouse_path", *(pytest.param(name, marks=pytest.mark.slow) for name in ("state_path", "published_uri"))],
)
def test_what_is_lost_is_rebuilt_identically(running: Home, lost: str) -> None:
    running.put("events", "late.json", event("e4", "2026-01-05"))
    cycle(running)
    before = plays(running)
    path = Path(getattr(running.options, lost))
    shutil.rmtree(path) if path.is_dir() else path.unlink()

    command = ["publish", "--json"] if lost == "published_uri" else ["rebuild", "--yes", "--json"]
    result = CliRunner().invoke(main, command)

    assert (result.exit_code, json.loads(result.stdout)["outcome"]) == (0, "published"), result.stderr
    assert plays(running) == before
    assert dict(running.rows(f"SELECT date::TEXT, SUM(activities_played)::INT FROM {DAILY} GROUP BY 1")) == before
    running.put("events", "later.json", event("e5", "2026-01-06"))
    assert cycle(running).published_dates[DAILY] == ("2026-01-06",)
    assert not list(running.options_home.glob("*.before-rebuild"))


def test_interrupted_rebuild_keeps_the_previous_data_until_the_next_one_succeeds(
    running: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = plays(running)
    with monkeypatch.context() as crash:
        crash.setattr("pipeline.cycle.rebuild.audit_and_publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        assert CliRunner().invoke(main, ["rebuild", "--yes"]).exit_code == 1
    assert len(list(running.options_home.glob("*.before-rebuild"))) >= 2
    assert CliRunner().invoke(main, ["rebuild", "--yes"]).exit_code == 0
    assert not list(running.options_home.glob("*.before-rebuild"))
    assert plays(running) == before


def test_rebuild_begins_without_what_sqlmesh_kept_of_the_old_state(running: Home, branch: Path) -> None:
    """Rule: cached snapshots name tables by versions of the old state, which the new one does not have."""
    running.plan()
    before = plays(running)
    kept = branch / ".cache/snapshot"
    some = next(kept.iterdir())
    older = some.with_name(f"{some.name}_of_an_older_state")
    older.touch()

    result = CliRunner().invoke(main, ["rebuild", "--yes", "--json"])

    assert (result.exit_code, json.loads(result.stdout)["outcome"]) == (0, "published"), result.stderr
    assert not older.exists()
    assert list(kept.iterdir())
    assert plays(running) == before
