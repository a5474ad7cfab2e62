"""Back-ups of a lake with models: drills elsewhere, restores that go on, and nobody who was forgotten comes back."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import time_machine
from click.testing import CliRunner, Result

import tests.home
from ingest.settings import PROJECT, settings
from pipeline.backup.place import Backups
from pipeline.checks.traces.find import find_traces
from pipeline.checks.traces.places import places_of
from pipeline.checks.traces.value import Value
from pipeline.cli import main
from pipeline.lake import Lake
from tests.engagement import cycle, expected, play, seen
from tests.home import Home, copy_home, template

KEY = "a secret of many characters"
PERSON, OTHER = "person-1-of-many", "person-2-of-many"


@pytest.fixture(scope="module")
def released(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A lake with plays of two persons, and a release."""
    with template(tmp_path_factory.mktemp("released"), engagement_project) as home:
        for number, user in enumerate((PERSON, OTHER)):
            records = [play(f"{user}-{day}", f"2026-01-0{day}", user, duration=0.1 * day) for day in range(1, 6)]
            home.put("events", f"{number}.json", *records, b"{broken")
            home.put("users", f"{number}.json", {"user_id": user, "country_code": "fr"})
        home.put("activities", "activities.json", {"activity_id": "a1", "name": "A", "type": "game"})
        home.ingest()
        home.plan()
        assert cycle(home).outcome == "published"
    return home


@pytest.fixture
def source(released: Home, home: Home, engagement: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of it, with a temporary folder of its own."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("LANDING_URI", f"{home.options.lake_home}/landing/{{bucket}}")
    settings.cache_clear()
    return copy_home(released, Home())


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "back-ups")


@pytest.fixture
def elsewhere(source: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function after which the settings name an empty lake elsewhere."""

    def moved() -> Home:
        monkeypatch.setenv("LAKE_HOME", str(tmp_path / "elsewhere"))
        settings.cache_clear()
        return Home()

    return moved


def lake(*arguments: str) -> Result:
    settings.cache_clear()
    return CliRunner().invoke(main, arguments)


def done(*arguments: str) -> Any:
    """The JSON that a command prints, which has to succeed."""
    result = lake(*arguments, "--json")
    assert (result.exit_code, result.exception) == (0, None) or isinstance(result.exception, SystemExit), result.output
    assert result.exit_code == 0, result.output + result.stderr
    return json.loads(result.stdout)


def tree(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def traces(text: str) -> set[str]:
    handle = Lake(settings())
    places = places_of(handle.options, handle.store, handle.releases, rewritten=True)
    return {trace.place for trace in find_traces(places, [Value("person", text, group="one")]).traces}


def test_a_drill_rebuilds_every_table_elsewhere_and_leaves_nothing(source: Home, place: str) -> None:
    """Loads since the release do not disturb it, and what it compares was computed again."""
    source.put("events", "late.json", play("late", "2026-01-02", OTHER))
    source.put("events", "0.json", play(f"{PERSON}-1", "2026-01-01", PERSON, duration=9.0))
    source.ingest()
    done("backup", "--to", place)
    before = tree(source.options.lake_home) | tree(place)
    found = done("drill", "--from", place)
    assert found["differences"] == []
    names = {item["name"] for item in found["tables"]}
    assert {"gold.activity_engagement_metrics", "gold.rpt_retention", "gold.fct_active_users_daily"} <= names
    rows = {item["name"]: item["before"]["rows"] for item in found["tables"]}
    assert rows["gold.activity_engagement_metrics"] == 5
    assert set(found["seconds"]) == {"restore", "rebuild", "compare"}
    assert found["recovery_seconds"] == pytest.approx(sum(found["seconds"].values()), abs=0.01)
    assert 0 < found["recovery_point_seconds"] < 3600
    assert tree(source.options.lake_home) | tree(place) == before
    assert not [path for path in Path(tempfile.gettempdir()).iterdir() if "drill" in path.name]
    assert os.environ["LAKE_HOME"] == source.options.lake_home


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_drill_has_the_days_of_the_release_whatever_is_complete_later(
    source: Home, place: str, is_complete: bool
) -> None:
    """A day is complete once an object was written after its end; deadlines pass between a release and its drill."""
    today = dt.datetime.now(dt.UTC).date()
    midnight = dt.datetime.combine(today + dt.timedelta(days=1), dt.time(), dt.UTC)
    source.put("events", "late.json", play("late", "2026-01-02", OTHER), play("new", str(today), OTHER))
    if is_complete:
        source.put("events", "next.json", play("next", "2026-01-03", OTHER))
        written = midnight.timestamp() + 1
        os.utime(Path(source.options.lake_home, "landing/raw-events/next.json"), (written, written))
    with time_machine.travel(midnight + dt.timedelta(minutes=1)):
        assert cycle(source).outcome == "published"
    with Lake(source.options).releases.connect() as reader:
        newest = reader.execute("SELECT MAX(date) FROM gold.rpt_active_users").fetchone()
    assert newest == (today if is_complete else today - dt.timedelta(days=1),)
    done("backup", "--to", place)
    with time_machine.travel(midnight + dt.timedelta(days=3)):
        found = done("drill", "--from", place)
    assert found["differences"] == []
    rows = {item["name"]: item["before"]["rows"] for item in found["tables"]}
    assert rows["gold.activity_engagement_metrics"] == 5 + is_complete


def test_a_drill_names_the_table_that_cannot_be_rebuilt(source: Home, place: str, tmp_path: Path) -> None:
    release = Lake(source.options).releases.newest()
    assert release is not None
    (file, *_) = release.tables["gold.activity_engagement_metrics"].files
    path, other = Path(source.options.published_uri, file.key), tmp_path / "other.parquet"
    change = "REPLACE (total_time_spent + 0.001 AS total_time_spent)"
    duckdb.sql(f"COPY (SELECT * {change} FROM '{path}') TO '{other}' (FORMAT parquet)")
    other.replace(path)
    done("backup", "--to", place)
    result = lake("drill", "--from", place)
    assert result.exit_code == 1
    assert "gold.activity_engagement_metrics" in result.stdout
    assert "gold.rpt_retention" not in result.stdout
    assert "recovery time: " in result.stdout


def test_damage_ends_a_drill(source: Home, place: str) -> None:
    done("backup", "--to", place)
    item = Backups(place, source.options).get().of("state")[0]
    Path(place, item.object).write_bytes(b"damaged")
    result = lake("drill", "--from", place)
    assert (result.exit_code, item.sha256 in result.stderr) == (1, True), result.output


def test_a_restored_lake_with_its_warehouse_goes_on(source: Home, place: str, elsewhere: Any) -> None:
    done("backup", "--to", place, "--warehouse")
    home = elsewhere()
    restored = done("restore", "--from", place)
    assert (restored["has_state"], restored["has_warehouse"], restored["has_release"]) == (True, True, True)
    assert not any("lake rebuild" in step for step in restored["next"])
    assert seen(home) == seen(source)
    source.put("events", "new.json", play("new", "2026-01-03", OTHER))
    summary = cycle(home)
    assert (summary.outcome, summary.state, summary.errors) == ("published", 2, [])
    assert Lake(home.options).ledger("events").position() == 2
    assert sum(row[0] for row in seen(home).values()) == 11


def test_a_restored_lake_without_its_warehouse_is_rebuilt(source: Home, place: str, elsewhere: Any) -> None:
    done("backup", "--to", place)
    home = elsewhere()
    restored = done("restore", "--from", place)
    assert "lake rebuild" in restored["next"][0]
    assert seen(home) == seen(source)
    result = lake("run")
    assert "run `lake rebuild`" in result.stderr
    assert lake("rebuild", "--yes").exit_code == 0
    source.put("events", "new.json", play("new", "2026-01-03", OTHER))
    assert cycle(home).errors == []
    assert sum(row[0] for row in seen(home).values()) == 11


def test_who_was_forgotten_after_the_backup_does_not_come_back(
    source: Home, place: str, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_ERASURE_KEY", KEY)
    for _ in range(2):
        done("backup", "--to", place)
    assert PERSON.encode() in b"".join(Path(place, item.object).read_bytes() for item in _bronze(place))
    asked = ("--subject", f"user_id={PERSON}", "--because", "a letter", "--request", "r1", "--yes")
    beyond = done("erase", *asked)["beyond"]
    assert any(f"`lake backup --to {place}` deletes those of before the erasure" in line for line in beyond)

    # the back-up knows of it, although no other one was taken since
    home = elsewhere()
    monkeypatch.setenv("LAKE_ERASURE_KEY", "")
    refused = lake("restore", "--from", place)
    assert (refused.exit_code, "LAKE_ERASURE_KEY" in refused.stderr) == (2, True), refused.output
    monkeypatch.setenv("LAKE_ERASURE_KEY", KEY)
    restored = done("restore", "--from", place)
    assert (len(restored["tombstones"]), restored["has_release"]) == (1, False)
    assert any("lake erase --resume" in step for step in restored["next"])
    live = [path for feed in ("events", "users") for path in Lake(home.options).ledger(feed).live().files]
    assert not any(PERSON.encode() in Path(home.options.lake_uri, path).read_bytes() for path in live)
    assert lake("rebuild", "--yes").exit_code == 0
    assert sum(row[0] for row in seen(home).values()) == 5
    resumed = lake("erase", "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert traces(PERSON) == set()
    assert "lake" in traces(OTHER)

    # the next back-up of the lake deletes those of before
    monkeypatch.setenv("LAKE_HOME", source.options.lake_home)
    assert done("backup", "--to", place)["withdrawn"]["numbers"] == [1, 2]
    assert [row["number"] for row in done("backup", "--to", place, "--list")] == [3]
    for path in Path(place, "objects").rglob("*"):
        assert path.is_dir() or PERSON.encode() not in path.read_bytes(), path
    assert done("backup", "--to", place)["withdrawn"]["numbers"] == []


def _bronze(place: str) -> list[Any]:
    return [item for item in Backups(place, settings()).get().of("lake") if item.key.startswith("bronze/")]


@pytest.mark.parametrize("which", ["some", pytest.param("all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_a_kill_at_any_write_leaves_no_half_of_it(
    verb: str, which: str, source: Home, place: str, tmp_path: Path
) -> None:
    if verb == "restore":
        done("backup", "--to", place)
    command = [sys.executable, "-m", "tests.backup_kills", verb, str(tmp_path / "kills"), place, which]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=550, check=False)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 40


def test_a_backup_beside_a_stopped_load_lacks_it_and_beside_a_run_waits(source: Home, place: str) -> None:
    source.put("events", "new.json", play("new", "2026-01-03", OTHER))
    worker = [sys.executable, "-m", "tests.worker", "--project", str(tests.home.PROJECT)]
    moments = {
        "after:ingest.steps.write:LoadWriter.finish": "ingest",
        "before:pipeline.warehouse.project:Project.run": "run",
    }
    for moment, command in moments.items():
        with subprocess.Popen([*worker, "--at", moment, "stop", "lake", command], cwd=PROJECT) as process:
            try:
                os.waitpid(process.pid, os.WUNTRACED)
                result = lake("backup", "--to", place, "--wait", "0", "--json")
            finally:
                process.kill()
        if command == "ingest":
            assert json.loads(result.stdout)["about"]["positions"]["events"] == 1
        else:
            assert (result.exit_code, "in use" in result.stderr) == (1, True), result.output
    assert Backups(place, source.options).numbers() == [1]
    assert expected(source)
