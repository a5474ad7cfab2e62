"""Rule: what is due by the calendar alone, over unchanged inputs, is not computed, with the same result."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlmesh.core.dialect import parse
from sqlmesh.core.model import Model, load_sql_based_model
from sqlmesh.core.snapshot import Snapshot, SnapshotChangeCategory
from sqlmesh.core.snapshot.evaluator import SnapshotEvaluator

from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.summary import RunSummary
from pipeline.invalidation.unchanged import _reads_bronze
from pipeline.lake import Lake
from pipeline.releases.release import Releases
from pipeline.state import interval_log
from pipeline.warehouse.timeless import is_timeless
from tests.engagement import play
from tests.home import Home, copy_home, template, use_project

DAY = dt.timedelta(days=1)
USERS = """MODEL (
  name gold.{name},
  kind {kind}
  cron '@daily',
  owner engagement,
  description 'One row per number of users, so one.',
  grain users,
  tags (gold, engagement),
  audits (not_null(columns := users))
);

SELECT
  COUNT(*)::BIGINT AS users /* Users */
FROM silver.users AS users
"""
CHILD = USERS.format(name="rpt_users", kind="FULL, /* One row */")
VIEW = USERS.format(name="rpt_users_now", kind="VIEW,")
FROM_USERS = "silver.users"


def cycle(home: Home, days: int = 0) -> RunSummary:
    """Run a cycle some days from now."""
    now = dt.datetime.now(dt.UTC) + days * DAY
    return run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None, now=lambda: now)


@pytest.fixture(scope="module")
def project(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of engagement, and one that reads silver.users alone."""
    folder = shutil.copytree(engagement_project, tmp_path_factory.mktemp("project") / "unchanged")
    (folder / "models" / "gold" / "engagement" / "rpt_users.sql").write_text(CHILD, encoding="utf-8")
    (folder / "models" / "gold" / "engagement" / "rpt_users_now.sql").write_text(VIEW, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def released(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake that is published."""
    with template(tmp_path_factory.mktemp("released"), project) as home:
        home.put("users", "u.json", {"user_id": "u1", "country_code": "fr"})
        home.put("activities", "a.json", {"activity_id": "a1", "name": "Song", "type": "audiobook"})
        home.put("events", "1.json", play("e1", str((dt.datetime.now(dt.UTC) - 3 * DAY).date())))
        home.ingest()
        home.plan()
        assert cycle(home).outcome == "published"
    return home


@pytest.fixture
def lake(released: Home, home: Home, project: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of it, where the models of the next days are due."""
    use_project(project, monkeypatch)
    return copy_home(released, home)


def users(home: Home) -> int:
    """The number of users in gold."""
    ((count,),) = home.rows("SELECT users FROM gold.rpt_users")
    return int(count)


def test_the_next_day_computes_what_its_events_change(lake: Home) -> None:
    lake.put("events", "2.json", play("e2", str((dt.datetime.now(dt.UTC) - 2 * DAY).date())))
    done = cycle(lake, 1)
    assert (done.outcome, done.errors) == ("published", [])
    assert {"gold.rpt_users", "silver.activities", "silver.users"} <= set(done.unchanged)
    assert not set(done.unchanged) & set(done.computed)
    assert "gold.rpt_users" not in done.published_dates
    assert "gold.activity_engagement_metrics" in done.published_dates
    with Lake(lake.options).state.open() as state:
        (name,) = (name for name, _ in interval_log.last_computed(state) if '"rpt_users"' in name)
        rows = state.rows("SELECT is_removed, last_altered_ts FROM sqlmesh._intervals WHERE name = ?", [name])
    assert (False, None) in rows or len(rows) == 1  # compaction joins the mark with what was computed
    first, second = (Releases(lake.options).get(number).tables["gold.rpt_users_now"] for number in (1, 2))
    assert first.files == second.files, "a view over unpublished tables is not exported again either"
    again = cycle(lake, 2)
    assert {"gold.rpt_users", "silver.activities", "silver.users"} <= set(again.unchanged)
    assert lake.run() == "NOTHING_TO_DO"


def test_a_changed_entity_computes_what_reads_it_and_nothing_else(lake: Home) -> None:
    lake.put("users", "2.json", {"user_id": "u2", "country_code": "de"})
    done = cycle(lake, 1)
    assert {"gold.rpt_users", FROM_USERS} <= set(done.computed)
    assert "silver.activities" in done.unchanged
    assert users(lake) == 2
    with Releases(lake.options).connect() as reader:
        assert reader.execute("SELECT users FROM gold.rpt_users_now").fetchall() == [(2,)]


def test_a_change_that_was_marked_days_ago_is_computed(lake: Home) -> None:
    """The interval that a change removed is the last one, as if the day had only become due."""
    lake.put("users", "2.json", {"user_id": "u2", "country_code": "de"})
    lake.ingest()
    assert {"gold.rpt_users", FROM_USERS} <= set(cycle(lake, 3).computed)
    assert users(lake) == 2


def test_a_parent_computed_later_by_hand_is_noticed(lake: Home) -> None:
    lake.put("users", "2.json", {"user_id": "u2", "country_code": "de"})
    lake.ingest()
    context = lake.context()
    context.run(skip_janitor=True, select_models=[FROM_USERS, "gold.rpt_users"])
    lake.close(context)
    context = lake.context()
    parent = next(item for name, item in context.snapshots.items() if '"users"' in name)
    context.engine_adapter.execute(f"DELETE FROM {parent.table_name()} WHERE user_id = 'u2'")
    later = int(dt.datetime.now().timestamp() * 1000) + 1
    context.state_sync.add_interval(parent, "2026-01-01", "2026-01-01", last_altered_ts=later)
    lake.close(context)
    assert "gold.rpt_users" in cycle(lake, 1).computed
    assert users(lake) == 1


def test_a_parent_whose_audit_failed_is_computed_again_with_its_children(
    lake: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = SnapshotEvaluator.audit

    def failing(self: SnapshotEvaluator, snapshot: Snapshot, **options: Any) -> Any:
        if '"users"' in snapshot.name:
            raise RuntimeError("no memory")
        return audit(self, snapshot, **options)

    lake.put("users", "2.json", {"user_id": "u2", "country_code": "de"})
    with monkeypatch.context() as patch:
        patch.setattr(SnapshotEvaluator, "audit", failing)
        failed = cycle(lake, 1)
    assert (failed.outcome, users(lake)) == ("not published", 1)
    assert lake.rows("SELECT COUNT(*) FROM silver.users") == [(2,)], "the rows were written before"
    done = cycle(lake, 1)
    assert {"gold.rpt_users", FROM_USERS} <= set(done.computed)
    assert users(lake) == 2


@pytest.fixture
def branch(lake: Home, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project that a test may change."""
    return use_project(shutil.copytree(project, tmp_path / "branch"), monkeypatch)


def plan(home: Home, environment: str, changed: str, choice: SnapshotChangeCategory) -> None:
    """Apply a plan with a category for the one model that was changed."""
    context = home.context()
    builder = context.plan_builder(environment, skip_tests=True, include_unmodified=True)
    modified = [item for item in builder.build().directly_modified if f'"{changed}"' in item.name]
    for name in modified:
        builder = builder.set_choice(builder.build().context_diff.snapshots[name], choice)
    context.apply(builder.build())
    home.close(context)


def no_rows(branch: Path) -> None:
    """Change silver.users so that it is empty."""
    path = branch / "models" / "silver" / "engagement" / "users.sql"
    path.write_text(path.read_text(encoding="utf-8").rstrip().rstrip(";") + "\nLIMIT 0\n", encoding="utf-8")


def test_a_new_version_of_the_parent_reaches_the_child(lake: Home, branch: Path) -> None:
    no_rows(branch)
    plan(lake, "prod", "users", SnapshotChangeCategory.NON_BREAKING)
    assert users(lake) == 1, "a change that is not breaking computes no child"
    assert "gold.rpt_users" in cycle(lake, 1).computed
    assert users(lake) == 0


def test_a_version_of_the_parent_that_is_older_than_the_child_reaches_it_too(
    lake: Home, branch: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_rows(branch)
    plan(lake, "dev", "users", SnapshotChangeCategory.NON_BREAKING)
    use_project(project, monkeypatch)
    lake.put("users", "2.json", {"user_id": "u2", "country_code": "de"})
    lake.ingest()
    context = lake.context()
    context.run(skip_janitor=True, select_models=["gold.rpt_users"])
    lake.close(context)
    assert users(lake) == 2, "computed after the version of the environment"
    use_project(branch, monkeypatch)
    lake.plan()
    assert users(lake) == 2
    assert "gold.rpt_users" in cycle(lake, 1).computed
    assert users(lake) == 0


def test_a_forward_only_change_is_computed(lake: Home, branch: Path) -> None:
    path = branch / "models" / "gold" / "engagement" / "rpt_users.sql"
    path.write_text(CHILD.replace("COUNT(*)", "(COUNT(*) + 100)"), encoding="utf-8")
    lake.plan(forward_only=True)
    assert "gold.rpt_users" in cycle(lake, 1).computed
    assert users(lake) == 101


def test_a_state_of_an_older_version_is_computed_once(lake: Home) -> None:
    """What was removed from it, and lost with a compaction, is not known."""
    with Lake(lake.options).state.open() as state:
        state.execute("DELETE FROM lakemesh.reached")
    assert cycle(lake, 1).unchanged == []
    assert "gold.rpt_users" in cycle(lake, 2).unchanged


def model(query: str, kind: str = "FULL", audits: str = "") -> Model:
    text = f"MODEL (name db.m, kind {kind}, cron '@daily'{audits});\n{query}"
    return load_sql_based_model(parse(text, default_dialect="duckdb"), dialect="duckdb")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT a FROM db.p AS p", True),
        ("SELECT a FROM db.p AS p WHERE b > DATE '2026-01-01'", True),
        ("SELECT a, @execution_ts AS at FROM db.p AS p", False),
        ("SELECT a FROM db.p AS p WHERE b < CURRENT_DATE", False),
        ("SELECT a, now() AS at FROM db.p AS p", False),
        ("SELECT a, CURRENT_TIMESTAMP AS at FROM db.p AS p", False),
        ("SELECT a, random() AS at FROM db.p AS p", False),
        ("SELECT a, uuid() AS at FROM db.p AS p", False),
        ("SELECT a, today() AS at FROM db.p AS p", False),
        ("SELECT a, LOCALTIMESTAMP AS at FROM db.p AS p", False),
        ("SELECT a, transaction_timestamp() AS at FROM db.p AS p", False),
        ("SELECT a, AGE(b) AS age FROM db.p AS p", False),
        ("SELECT a FROM db.p AS p USING SAMPLE 10", False),
        ("SELECT a FROM db.p AS p JOIN READ_CSV('a.csv') AS c ON c.a = p.a", False),
        ("SELECT a FROM db.p AS p JOIN READ_PARQUET('a.parquet') AS c ON c.a = p.a", False),
        ("SELECT a, @IF(@runtime_stage = 'evaluating', @execution_ts, '') AS at FROM db.p AS p", False),
    ],
)
def test_what_depends_on_the_time_is_recognised(query: str, expected: bool) -> None:
    assert is_timeless(model(query)) is expected


def test_an_audit_over_another_table_or_the_time_counts_too() -> None:
    query = "SELECT a FROM db.p AS p"
    assert is_timeless(model(query, audits=", audits (not_null(columns := a))"))
    inline = "AUDIT (name other); SELECT * FROM @this_model AS m JOIN db.elsewhere AS e ON e.a = m.a;"
    text = f"MODEL (name db.m, kind FULL, audits (other));\n{query};\n{inline}"
    assert not is_timeless(load_sql_based_model(parse(text, default_dialect="duckdb"), dialect="duckdb"))


def test_a_view_over_bronze_keeps_its_intervals_and_is_computed() -> None:
    assert _reads_bronze(model("SELECT a FROM bronze.users AS u", "VIEW"))
    assert not _reads_bronze(model("SELECT a FROM silver.users AS u", "VIEW"))
