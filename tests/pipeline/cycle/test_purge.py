"""The purge of an erasure: nothing behind bronze has the person afterwards, and everything else is as before."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlmesh import Context

from ingest.errors import Busy, ConfigError
from ingest.settings import PROJECT, settings
from ingest.storage.lock import file_lock
from pipeline.cycle.purge import purge
from pipeline.lake import Lake
from pipeline.releases.catalog import write_catalog
from pipeline.releases.erasures import recorded
from pipeline.releases.release import Releases, catalog_key
from pipeline.releases.roles import settings_of
from pipeline.state.aside import LOST
from pipeline.state.rewrite import DRAFT
from tests.engagement import GOLD, cycle, play
from tests.home import Home, copy_home, switch_rules_off, template, use_project

pytestmark = pytest.mark.usefixtures("project")

PERSON = "person-5f0c77aa91"
MODEL = "models/silver/engagement/activity_events.sql"
COLUMN = "  events.user_id::TEXT AS user_id,"
WITHOUT = 2
"""Number of the first release without the person."""
IN_PROCESS = """
import sys
from pathlib import Path
from pipeline.warehouse import project
project.PROJECT = Path(sys.argv[1])
import pipeline.cycle.purge, pipeline.warehouse.environments
from ingest.settings import settings
from pipeline.lake import Lake
from tests.worker import prepare
if sys.argv[2]:
    prepare(sys.argv[2], "kill")
found = pipeline.cycle.purge.purge(Lake(settings()), "request-1", 2)
for place in found.places:
    print(place, file=sys.stderr)
sys.exit(found.exit_code)
"""
MOMENTS = (
    "before:pipeline.releases.withdraw:record",
    "after:pipeline.releases.withdraw:record",
    "before:pipeline.releases.withdraw:sweep",
    "before:pipeline.cycle.purge:prune",
    "before:sqlmesh.core.context:GenericContext._cleanup_environments",
    "after:sqlmesh.core.context:GenericContext._cleanup_environments",
    "before:pipeline.warehouse.environments:_drop_others",
    "after:pipeline.warehouse.environments:_drop_others",
    "after:pipeline.warehouse.duck_engine:DuckEngine.forget",
    "before:pipeline.state.rewrite:_require_equal",
    "before:pipeline.state.rewrite:_fsync",
    "before:pipeline.cycle.purge:clean_home",
)


ROLES = """
roles:
  - {name: analyst, description: Analysts., owner: platform, tables: [gold.*], minimum_group_size: 1}
"""


def user(name: str, country: str = "fr") -> dict[str, Any]:
    return {"user_id": name, "country_code": country}


@pytest.fixture(scope="module")
def folder(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of engagement, and a role that sees their gold."""
    found = shutil.copytree(engagement_project, tmp_path_factory.mktemp("project") / "engagement")
    (found / "access").mkdir()
    (found / "access" / "roles.yaml").write_text(ROLES)
    return found


@pytest.fixture
def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use that project for all plans, runs and cycles."""
    return use_project(folder, monkeypatch)


@pytest.fixture(scope="module")
def erased(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two releases, the second without the person, an environment with tables of its own, and one without."""
    place = tmp_path_factory.mktemp("erased")
    branch = shutil.copytree(folder, place / "branch")
    switch_rules_off(branch)
    model = branch / MODEL
    model.write_text(model.read_text().replace(COLUMN, f"{COLUMN}\n  events.user_id::TEXT AS player, /* x */", 1))
    with template(place, folder) as home:
        home.put("activities", "a.json", {"activity_id": "a1", "name": "Song", "type": "audiobook"})
        home.put("users", "u.json", user("u1"), user(PERSON, "it"))
        home.put("events", "1.json", play("e1", "2026-01-05"), play("e2", "2026-02-03"))
        home.put("events", "2.json", play("e3", "2026-01-05", PERSON), play("e4", "2026-01-20"))
        home.ingest()
        home.plan()
        assert cycle(home).state == 1
        plan(branch, "dev")
        home.plan("same", include_unmodified=True)
        # what an erasure does to bronze, by other means: both objects without the person
        home.put("users", "u.json", user("u1"))
        home.put("events", "2.json", play("e4", "2026-01-20"))
        assert cycle(home).state == WITHOUT
    return home


def plan(folder: Path, environment: str) -> None:
    context = Context(paths=str(folder))
    try:
        context.plan(environment, auto_apply=True, no_prompts=True, skip_tests=True)
    finally:
        Home.close(context)


@pytest.fixture
def home(erased: Home, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy, with leftovers of killed processes and of a rebuild; temporary files are in a folder of their own."""
    copy_home(erased, home)
    place, options = home.options_home, home.options
    for published in (Releases(options), Releases(settings_of(options, "analyst"))):
        write_catalogs(published, tmp_path / "catalog.duckdb")
    (place / "reports").mkdir()
    (place / "reports" / "daily").write_text(PERSON)
    for path in (options.warehouse_path, options.state_path):
        Path(path + LOST).write_text(PERSON)
        Path(path + DRAFT).write_text(PERSON)
        Path(path + ".tmp").mkdir()
        (Path(path + ".tmp") / "spill").write_text(PERSON)
    (place / "cycles.jsonl").write_text(f'\n["r1", "2026-01-01T00:00:00", "failed", 1, 1, 0, 0, 0, 0.5, "{PERSON}"]\n')
    draft = place / "published" / "tables" / f".lakemesh-draft-{'0' * 32}"
    draft.write_text(PERSON)
    os.utime(draft, (0, 0))
    (place / "published" / "tables" / GOLD / f"{1:020d}-all-00000000.parquet").write_text(PERSON)
    with duckdb.connect(options.warehouse_path) as warehouse:
        warehouse.execute(f"CREATE TABLE sqlmesh__silver.silver__gone__1 AS SELECT '{PERSON}' AS user_id")
        warehouse.execute(f"INSERT INTO operations.runs (run_id, errors) VALUES ('r0', 'bad value {PERSON}')")
    temporary = tmp_path / "tmp"
    (temporary / "lakemesh-killed").mkdir(parents=True)
    spilled = temporary / "lakemesh-killed" / "spill"
    spilled.write_text(PERSON)
    for path in (spilled, spilled.parent):
        os.utime(path, (0, 0))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    settings.cache_clear()
    return home


def write_catalogs(published: Releases, path: Path) -> None:
    """Write the catalogs of copied releases again: the paths in a catalog are absolute."""
    for number in published.numbers():
        path.unlink(missing_ok=True)
        write_catalog(published, path, published.get(number))
        published.store.put(catalog_key(number), path.read_bytes())
    published.point_to(WITHOUT)


def in_process(project: Path, moment: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", IN_PROCESS, str(project), moment]
    environment = os.environ | {"STATE_LOCK_SECONDS": "1", "PYTHONPATH": os.environ.get("PYTHONPATH") or str(PROJECT)}
    return subprocess.run(command, env=environment, cwd=PROJECT, text=True, capture_output=True, check=False)


def places_of(home: Home, folders: tuple[str, ...] = ("landing", "lake")) -> set[str]:
    """Files behind bronze with the person's bytes."""
    found = set()
    for root in (home.options_home, home.options_home.parent / "tmp"):
        for path in root.rglob("*"):
            if (
                path.is_file()
                and path.relative_to(root).parts[0] not in folders
                and PERSON.encode() in path.read_bytes()
            ):
                found.add(path.relative_to(root).as_posix())
    return found


def shown(home: Home) -> tuple[Any, ...]:
    """What must not change: what readers see, and production."""
    with Releases(home.options).connect() as reader:
        tables = sorted(Releases(home.options).current().tables)  # type: ignore[union-attr]
        released = {name: sorted(map(repr, reader.execute(f"FROM {name}").fetchall())) for name in tables}
    with duckdb.connect(home.options.warehouse_path, read_only=True) as warehouse:
        return released, sorted(map(repr, warehouse.execute(f"FROM {GOLD}").fetchall()))


def test_purge_removes_the_person_from_every_place_behind_bronze(home: Home) -> None:
    # GIVEN the person's bytes in the warehouse, its copies, reports, drafts and temporary files
    before = places_of(home)
    assert {"warehouse.duckdb", f"warehouse.duckdb{LOST}", f"state.duckdb{DRAFT}", "reports/daily"} <= before
    assert {"cycles.jsonl", "lakemesh-killed/spill", "state.duckdb.tmp/spill"} <= before
    same = shown(home)

    # WHEN
    done = purge(Lake(home.options), "request-1", WITHOUT)

    # THEN nothing has them, and readers and production are as before
    assert (done.exit_code, done.is_complete) == (0, True), done
    assert places_of(home) == set()
    assert shown(home) == same
    published = Releases(home.options)
    assert (published.numbers(), published.pointer()["state"]) == ([WITHOUT], WITHOUT)
    stored = {item.key for item in published.store.list("tables")}
    assert stored == {file.key for table in published.get(WITHOUT).tables.values() for file in table.files}
    assert [(item.request, item.withdrawn) for item in recorded(published.store)] == [("request-1", (1,))]
    # AND neither has a role
    role = Releases(settings_of(home.options, "analyst"))
    assert (role.numbers(), role.pointer()["state"]) == ([WITHOUT], WITHOUT)
    with role.connect() as reader:
        assert reader.execute(f"SELECT COUNT(*) > 0 FROM {GOLD}").fetchone() == (True,)
    # AND it says so, without the person
    said = {place.name: place.removed for place in done.places}
    assert "ended environment dev; `sqlmesh plan dev` builds it again" in said["environments"].done
    assert [line for line in said["environments"].done if "silver.silver__gone__1" in line.replace("sqlmesh__", "")]
    assert PERSON not in repr(done)
    # AND a further cycle and a further purge find nothing to do
    assert cycle(home).outcome == "unchanged"
    again = purge(Lake(home.options), "request-1", WITHOUT)
    assert again.is_complete
    assert [place.removed.done for place in again.places if place.name == "environments"] == [()]


def test_an_environment_over_tables_of_production_stays_and_others_can_be_planned_again(
    home: Home, erased: Home
) -> None:
    assert purge(Lake(home.options), "request-1", WITHOUT).is_complete

    context = home.context()
    try:
        assert {item.name for item in context.state_reader.get_environments()} == {"prod", "same"}
        tables = {
            name for (name,) in context.engine_adapter.fetchall("SELECT table_schema FROM information_schema.tables")
        }
    finally:
        home.close(context)
    assert "gold__same" in tables
    assert not {"gold__dev", "silver__dev"} & tables
    plan(Path(erased.options_home).parent / "branch", "dev")
    query = "SELECT event_id, player FROM silver__dev.activity_events ORDER BY 1"
    assert home.rows(query) == [("e1", "u1"), ("e2", "u1"), ("e4", "u1")]
    assert home.rows("SELECT COUNT(*) FROM gold__same.activity_engagement_metrics") == [(3,)]


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_purge_leaves_a_working_lake_and_the_next_call_finishes(home: Home, project: Path, moment: str) -> None:
    same = shown(home)

    killed = in_process(project, moment)

    # THEN
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert shown(home) == same
    done = in_process(project)
    assert done.returncode == 0, done.stderr
    assert places_of(home) == set()
    assert shown(home) == same
    assert Releases(home.options).numbers() == [WITHOUT]
    home.put("events", "3.json", play("e9", "2026-01-05"))
    done_again = cycle(home)
    assert (done_again.outcome, done_again.computed[GOLD].dates) == ("published", {dt.date(2026, 1, 5)})


def test_a_killed_purge_withdraws_on_the_next_call_although_a_newer_release_came(home: Home, project: Path) -> None:
    assert in_process(project, "before:pipeline.releases.withdraw:record").returncode == -signal.SIGKILL
    home.put("events", "3.json", play("e9", "2026-02-03"))
    assert cycle(home).state == 3

    done = in_process(project)

    assert done.returncode == 0, done.stderr
    assert Releases(home.options).numbers() == [2, 3]
    assert places_of(home) == set()


def test_rollback_past_an_erasure_is_refused_with_its_id(home: Home) -> None:
    published = Releases(home.options)
    assert purge(Lake(home.options), "request-1", WITHOUT).is_complete

    with pytest.raises(ConfigError, match=r"withdrawn on .* by erasure request-1.*oldest release without it is 2"):
        published.roll_back()
    with pytest.raises(ConfigError, match=r"release 1 was withdrawn on .* by erasure request-1"):
        published.roll_back(1)
    assert published.pointer() == {**published.pointer(), "state": WITHOUT, "held": False}


def test_readers_that_were_rolled_back_keep_their_release_until_it_is_published_again(home: Home) -> None:
    published = Releases(home.options)
    published.roll_back()

    done = purge(Lake(home.options), "request-1", WITHOUT)

    assert done.exit_code == 2
    failed = {place.name: str(place.error) for place in done.places if place.error}
    assert list(failed) == ["releases", "releases of role analyst"]
    assert "readers get release 1, which is from before erasure request-1; publish release 2" in failed["releases"]
    assert (published.numbers(), recorded(published.store)) == ([1, 2], [])
    published.point_to(WITHOUT)  # `lake publish`
    assert purge(Lake(home.options), "request-1", WITHOUT).is_complete
    assert places_of(home) == set()


def test_purge_waits_for_other_processes_and_says_which_file_they_use(home: Home, project: Path) -> None:
    # GIVEN a reader of the warehouse in another process
    code = "import sys, time, duckdb; c = duckdb.connect(sys.argv[1], read_only=True); print(1, flush=True)"
    command = [sys.executable, "-c", f"{code}; time.sleep(60)", home.options.warehouse_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "1\n"
        try:
            # WHEN
            done = in_process(project)
        finally:
            reader.kill()
    # THEN what needs it fails, and what does not is done
    assert done.returncode == 1, done.stderr
    assert "warehouse.duckdb is in use by another process" in done.stderr
    assert Releases(home.options).numbers() == [WITHOUT]
    assert "warehouse.duckdb" in places_of(home)
    assert "reports/daily" not in places_of(home)
    # AND the next call finishes
    assert in_process(project).returncode == 0
    assert places_of(home) == set()


def test_purge_and_a_cycle_exclude_each_other(home: Home) -> None:
    with (
        file_lock(home.options_home / "locks" / "cycle.lock", "busy"),
        pytest.raises(Busy, match="another cycle is in progress"),
    ):
        purge(Lake(home.options), "request-1", WITHOUT)
    assert Releases(home.options).numbers() == [1, WITHOUT]


def test_reader_that_has_a_withdrawn_release_open_sees_what_readers_see_when_one_is_pruned(home: Home) -> None:
    with Releases(home.options).connect(1) as reader:
        assert purge(Lake(home.options), "request-1", WITHOUT).is_complete
        with pytest.raises(duckdb.IOException, match=r"No files found|No such file"):
            reader.execute(f"SELECT SUM(activities_played) FROM {GOLD}")


def test_a_release_that_is_not_kept_purges_nothing(home: Home) -> None:
    with pytest.raises(ConfigError, match="release 9 is not kept"):
        purge(Lake(home.options), "request-1", 9)
    assert Releases(home.options).numbers() == [1, WITHOUT]
