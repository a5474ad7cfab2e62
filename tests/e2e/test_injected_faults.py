"""Injected faults: readers keep their release, the message names the object and the next step, and the lake recovers.

Each test states the rule that it guards and fails without it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlmesh.utils.errors import PlanError

from ingest.ledger.ledger import Ledger
from ingest.storage.store import Store
from pipeline.cli import main
from tests.engagement import cycle, expected, gold, play, seen
from tests.home import Home

BROKEN_TEST = """test_users__nobody:
  model: silver.users
  description: No account comes out although one goes in.
  inputs:
    bronze.users:
      - user_id: u1
        _source_file: raw-users/u.json
        _source_line: 1
        _source_modified_at: '2026-01-01 00:00:00'
  outputs:
    query: []
"""


def lake(*arguments: str) -> Result:
    """Run `lake ARGUMENTS`; an error that is not Lakemesh's own fails the test."""
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_blocking_audit_of_a_model_keeps_the_release_and_names_rows_and_objects(running: Home, branch: Path) -> None:
    """Rule: a model whose audit failed counts as not computed, so nothing of it is published."""
    model = branch / "models/silver/engagement/activity_events.sql"
    text = model.read_text()
    model.write_text(text.replace("accepted_range_non_blocking(", "accepted_range("))
    assert model.read_text() != text
    running.plan()
    before = seen(running)
    running.put("events", "good.json", play("good", "2026-01-02"))
    running.put("events", "bad.json", play("bad", "2026-01-02", duration=-5.0))

    failed = lake("run")

    assert failed.exit_code == 1
    assert "silver.activity_events" in failed.stderr
    assert "accepted_range" in failed.stdout + failed.stderr
    message = " ".join((failed.stdout + failed.stderr).split())
    assert "raw-events/bad.json" in message
    assert "-5.0" in message
    assert seen(running) == before
    again = cycle(running)
    assert (again.outcome, seen(running)) == ("not published", before)

    # WHEN the producer repairs the object
    running.put("events", "bad.json", play("bad", "2026-01-02", duration=5.0))
    assert cycle(running).errors == []
    assert seen(running) == expected(running)


def test_failing_unit_test_stops_the_plan_but_not_the_cycle(running: Home, branch: Path) -> None:
    """Rule: unit tests gate the plan that changes models; a cycle computes what a plan accepted."""
    (branch / "tests").mkdir()
    (branch / "tests/test_users.yaml").write_text(BROKEN_TEST)
    model = branch / "models/silver/engagement/users.sql"
    model.write_text(model.read_text().replace("users.country_code::TEXT", "UPPER(users.country_code)::TEXT"))
    context = running.context()
    try:
        with pytest.raises(PlanError, match="failing test"):
            context.plan("prod", auto_apply=True, no_prompts=True)
    finally:
        running.close(context)
    running.put("events", "late.json", play("late", "2026-01-02"))

    assert cycle(running).outcome == "published"

    assert seen(running) == expected(running)
    assert running.rows("SELECT country_code FROM silver.users") == [("fr",)]


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(100)


def spoil(path: Path) -> None:
    """Damage the file without changing its size and footer."""
    data = bytearray(path.read_bytes())
    data[4:900] = bytes(896)
    path.write_bytes(data)


def bronze_file(home: Home, feed: str, day: str = "") -> Path:
    """A live file of a feed."""
    files = Ledger(Store(home.options.lake_uri), feed).live().bronze_files()
    (path,) = (file.path for file in files if not day or str(file.event_date) == day)
    return Path(home.options.lake_uri) / path


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(Path.unlink, id="gone", marks=pytest.mark.slow),
        pytest.param(cut, id="cut", marks=pytest.mark.slow),
        pytest.param(spoil, id="spoilt"),
    ],
)
def test_damaged_bronze_file_is_named_and_its_feed_is_reloaded(running: Home, harm: Callable[[Path], None]) -> None:
    """Rule: a failed run checks the files that it read; bronze without its own source is no longer trusted."""
    before = seen(running)
    path = bronze_file(running, "events", "2026-01-02")
    harm(path)
    running.put("events", "late.json", play("late", "2026-01-02"))

    failed = lake("run")

    assert failed.exit_code == 1
    assert str(path) in failed.stderr.splitlines()[-1]
    assert "`lake verify events --deep`" in failed.stderr
    assert "`lake ledger rebuild events --force`, then `lake ingest`" in failed.stderr
    assert max(map(len, failed.stderr.splitlines())) < 1000
    assert seen(running) == before
    verified = lake("verify", "events", "--deep")
    assert verified.exit_code == 1
    assert path.name in verified.stdout

    assert lake("ledger", "rebuild", "events", "--force", "--yes").exit_code == 0
    assert cycle(running).errors == []
    assert seen(running) == expected(running) == gold(running)
    assert lake("verify", "events", "--deep").exit_code == 0


def test_damaged_file_of_an_entity_withholds_its_dates_until_it_is_restored(running: Home, tmp_path: Path) -> None:
    """Rule: a position is applied only once the dates that its changes affect are known."""
    path = bronze_file(running, "users")
    shutil.move(path, tmp_path / "kept")
    running.put("users", "moved.json", {"user_id": "u1", "country_code": "de"})

    failed = lake("run")

    assert failed.exit_code == 1
    assert f"{path} is missing. `lake verify users --deep`" in failed.stderr
    assert "state.duckdb" not in failed.stderr
    shutil.move(tmp_path / "kept", path)
    assert cycle(running).errors == []
    assert {country for _, country, *_ in seen(running)} == {"de"}
    assert seen(running) == expected(running)


@pytest.mark.parametrize(
    ("lost", "message"),
    [("warehouse_path", "lacks"), pytest.param("state_path", "no production yet", marks=pytest.mark.slow)],
)
def test_lost_warehouse_or_state_is_named_before_anything_is_computed(running: Home, lost: str, message: str) -> None:
    """Rule: a state that refers to tables which the warehouse lacks is never run, let alone published."""
    before = seen(running)
    Path(getattr(running.options, lost)).unlink()
    running.put("events", "late.json", play("late", "2026-01-02"))

    failed = lake("run")

    assert failed.exit_code == 2
    assert message in failed.stderr
    assert "`lake rebuild`" in failed.stderr
    assert lake("publish").exit_code == 2
    assert seen(running) == before
    assert lake("rebuild", "--yes").exit_code == 0
    assert seen(running) == expected(running)


def test_missing_landing_is_a_usage_error_and_readers_keep_their_release(running: Home) -> None:
    """Rule: a landing whose objects were loaded and that no longer exists is an error, not an empty landing."""
    before, landing = seen(running), running.options_home / "landing"
    landing.rename(running.options_home / "away")

    failed = lake("run")

    assert failed.exit_code == 2
    assert "landing/raw-events does not exist, but 3 of its objects are loaded; check LANDING_URI" in failed.stderr
    assert seen(running) == before
    (running.options_home / "away").rename(landing)
    assert lake("run").exit_code == 0
