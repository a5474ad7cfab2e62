"""A lost ledger stops the writers of its feed until it is rebuilt; then bronze and gold are as before."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import tests.home
from ingest.contracts.contract import contracts
from ingest.ledger import ledger as ledger_module
from ingest.ledger.identity import PLACES
from ingest.ledger.ledger import Ledger
from ingest.settings import PROJECT
from ingest.steps.load import ingest_feed
from ingest.steps.sweep import record_sweep
from ingest.storage.store import Store
from pipeline.cli import main
from pipeline.cycle.cycle import run_cycle
from pipeline.lake import Lake
from pipeline.releases.release import Release, Releases, manifest_key
from pipeline.state.opening import state_database
from pipeline.state.state import applied_positions
from pipeline.warehouse.bronze import bronze_query
from pipeline.warehouse.duck import connect
from tests.home import Home, copy_home, template

EVENTS = contracts()["events"]
LAST = 4
"""The position of the feed events in the prepared home."""


def event(name: str, day: str = "2026-01-02") -> dict[str, Any]:
    data = {"activity_id": "a1", "duration": 60.0, "completed": True, "collection_id": ""}
    return {
        "event_id": name,
        "name": "activity_exit",
        "occurred_at": f"{day} 10:00:00",
        "user_id": "u1",
        "data": data,
        "context": {"os": {"name": "iOS", "version": "1"}, "app": {"version": "1"}},
    }


def user(name: str) -> dict[str, Any]:
    return {"user_id": name, "country_code": "fr"}


def lake(*command: str) -> subprocess.CompletedProcess[str]:
    """Run `lake` as its own process."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *command], cwd=PROJECT, capture_output=True, text=True, check=False
    )


def here(*command: str) -> Result:
    """Run `lake` in this process, for the many orders of steps."""
    return CliRunner().invoke(main, list(command), catch_exceptions=False)


def prepare(home: Home) -> Home:
    """Load two feeds with a history; the events of gone.json and old.json are only in the lake."""
    home.put("users", "1.json", user("u1"), user("u2"))
    home.put("activities", "1.json", {"activity_id": "a1", "name": "x", "type": "game"})
    home.put("events", "old.json", event("o1"), event("o2", "2026-01-03"))
    home.ingest()
    home.put("events", "kept.json", event("k1"), b"", event("k2"))
    home.ingest()
    home.put("events", "kept.json", event("k1"), b"", event("k3"))
    home.ingest()
    home.put("events", "gone.json", event("g1"), b"[]", event("g2", "2026-01-04"))
    home.ingest()
    for name in ("old.json", "gone.json"):
        (Path(home.options.landing("raw-events")) / name).unlink()
    return home


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with template(tmp_path_factory.mktemp("prepared"), PROJECT) as home:
        yield prepare(home)


@pytest.fixture
def lived(prepared: Home, home: Home) -> Home:
    return copy_home(prepared, home)


def folder(home: Home) -> Path:
    return Path(home.options.lake_uri) / "ledger"


def bronze(home: Home) -> list[tuple[Any, ...]]:
    """(object, line, event) of every visible row."""
    files = Ledger(Store(home.options.lake_uri), "events").live_files()
    query = bronze_query(EVENTS, home.options.lake_uri, files)
    with connect(home.options) as reader:
        return reader.execute(f"SELECT _source_file, _source_line, event_id FROM ({query}) ORDER BY ALL").fetchall()


EXPECTED = [
    ("raw-events/gone.json", 1, "g1"),
    ("raw-events/gone.json", 3, "g2"),
    ("raw-events/kept.json", 1, "k1"),
    ("raw-events/kept.json", 3, "k3"),
    ("raw-events/old.json", 1, "o1"),
    ("raw-events/old.json", 2, "o2"),
]


def entries(home: Home, feed: str = "events") -> list[Path]:
    return sorted((folder(home) / feed).glob("0*.parquet"))


def lose_folder(home: Home) -> None:
    shutil.rmtree(folder(home))


def lose_folder_and_identity(home: Home) -> None:
    shutil.rmtree(folder(home))
    (Path(home.options.lake_uri) / "_lake_id").unlink()


def lose_folder_and_state(home: Home) -> None:
    lose_folder_and_identity(home)
    Path(home.options.state_path).unlink()


def lose_logs(home: Home) -> None:
    for path in [*entries(home), *entries(home, "users"), *entries(home, "activities")]:
        path.unlink()


def lose_log(home: Home) -> None:
    shutil.rmtree(folder(home) / "events")


def lose_end(home: Home) -> None:
    entries(home)[-1].unlink()
    (folder(home) / "events" / "_sweep").unlink()


def lose_middle(home: Home) -> None:
    entries(home)[1].unlink()


def lose_all_but_checkpoint(home: Home) -> None:
    ledger = Ledger(Store(home.options.lake_uri), "events")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_module, "CHECKPOINT_ENTRIES", 1)
        assert ledger.checkpoint(ledger.state())
    Path(home.options.state_path).unlink()
    for path in [*entries(home), folder(home) / "events" / "_sweep"]:
        path.unlink()


def lose_all_but_sweep(home: Home) -> None:
    Path(home.options.state_path).unlink()
    for path in entries(home):
        path.unlink()


def lose_all_but_release(home: Home) -> None:
    identity = (folder(home) / "_lake_id").read_text()
    state = Release(7, dt.datetime.now(dt.UTC), identity, {"events": LAST, "users": 1, "activities": 1}, 1, {})
    Releases(home.options).store.put(manifest_key(7), state.to_json())
    Path(home.options.state_path).unlink()
    lose_end(home)


@pytest.mark.parametrize("loss", [lose_folder, lose_folder_and_identity, lose_folder_and_state])
def test_documented_steps_recover_a_lost_ledger(lived: Home, loss: Callable[[Home], None]) -> None:
    identity = (folder(lived) / "_lake_id").read_text()
    loss(lived)

    rebuilt = lake("ledger", "rebuild", "--yes", "--json")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert {item["feed"]: item["objects"] for item in json.loads(rebuilt.stdout)}["events"] == 2
    loaded = lake("ingest")

    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert bronze(lived) == EXPECTED
    checked = lake("verify", "--deep")
    assert checked.returncode == 0, checked.stdout
    named = {(Path(lived.options.lake_uri) / place).read_text() for place in PLACES}
    assert len(named) == 1
    if loss is not lose_folder_and_state:  # without the state, the identity is recorded nowhere
        assert named == {identity}


@pytest.mark.parametrize(
    "loss", [lose_log, lose_end, lose_middle, lose_all_but_checkpoint, lose_all_but_sweep, lose_all_but_release]
)
def test_a_log_that_lost_entries_has_no_writers(lived: Home, loss: Callable[[Home], None]) -> None:
    loss(lived)
    before = sorted(Path(lived.options.lake_uri).rglob("*.parquet"))
    lived.put("events", "new.json", event("n1"))
    lived.put("users", "new.json", user("u3"))

    loaded = lake("ingest", "--json")

    # THEN all other feeds are loaded, and the error of this one states what to do
    assert loaded.returncode == 2
    (error,) = json.loads(loaded.stdout)["errors"]
    assert "ledger/events" in error
    assert "restore the ledger from its backup, or run `lake ledger rebuild events`" in error
    assert {feed["feed"]: feed["objects"] for feed in json.loads(loaded.stdout)["feeds"]}["users"] == 1
    for command in (
        ("ingest", "events", "--hinted"),
        ("ingest", "events", "--full"),
        ("maintain", "--grace-hours", "0"),
        ("quarantine", "replay"),
        ("quarantine", "discard", "--all", "--because", "x"),
    ):
        stopped = here(*command)
        assert (stopped.exit_code, "lake ledger rebuild events" in stopped.stderr) == (2, True), command
    checked = here("verify")
    assert checked.exit_code == 1, checked.stdout
    assert "lake ledger rebuild events" in checked.stdout.replace("\n", " ")
    kept = [path for path in before if "/users/" not in str(path)]
    assert [path for path in sorted(Path(lived.options.lake_uri).rglob("*.parquet")) if path in kept] == kept

    assert here("ledger", "rebuild", "events", "--yes").exit_code == 0
    assert here("ingest").exit_code == 0
    assert bronze(lived) == sorted([*EXPECTED, ("raw-events/new.json", 1, "n1")])
    assert here("verify", "--deep").exit_code == 0
    assert here("maintain", "--grace-hours", "0").exit_code == 0
    assert len(bronze(lived)) == len(EXPECTED) + 1


STEPS = (("ingest",), ("ledger", "rebuild", "--yes"), ("ledger", "rebuild", "users", "--yes"), ("maintain",))
ORDERS = [next(order for order in permutations(STEPS) if order[0] == first) for first in STEPS]
"""One order that begins with each step; tests/torture.py tries all others."""


@pytest.mark.parametrize(
    ("number", "loss"),
    list(enumerate([lose_folder, lose_folder_and_identity, lose_folder_and_state, lose_logs, lose_end])),
)
def test_steps_recover_in_any_order(prepared: Home, home: Home, number: int, loss: Callable[[Home], None]) -> None:
    for order in (ORDERS[number % 4], ORDERS[(number + 1) % 4]):
        shutil.rmtree(home.options_home, ignore_errors=True)
        copy_home(prepared, home)
        loss(home)
        codes = [here(*command).exit_code for command in order]
        assert set(codes) <= {0, 1, 2}
        last = [here("ledger", "rebuild", "--yes"), here("ingest"), here("maintain", "--grace-hours", "0")]
        assert [step.exit_code for step in last] == [0, 0, 0], (order, [step.stderr for step in last])
        assert bronze(home) == EXPECTED, order
        checked = here("verify")
        assert checked.exit_code == 0, (order, checked.stdout)
        assert here("ingest").exit_code == 0
        with state_database(home.options).open() as state:
            position = Ledger(Store(home.options.lake_uri), "events").position()
            assert applied_positions(state)["events"] == position, order


def test_lake_that_lost_only_its_identity_gets_it_back(lived: Home) -> None:
    identity = (folder(lived) / "_lake_id").read_text()
    (folder(lived) / "_lake_id").unlink()
    assert here("ingest").exit_code == 0
    assert (folder(lived) / "_lake_id").read_text() == identity

    for place in PLACES:
        (Path(lived.options.lake_uri) / place).unlink()
    lived.put("events", "new.json", event("n1"))
    stopped = here("ingest")
    assert (stopped.exit_code, "ledger/_lake_id is missing" in stopped.stderr) == (2, True)
    assert here("verify").exit_code == 1
    assert here("ledger", "rebuild", "--yes").exit_code == 0
    assert here("ingest").exit_code == 0
    assert (folder(lived) / "_lake_id").read_text() == identity
    assert Ledger(Store(lived.options.lake_uri), "events").position() == LAST + 1, "the log itself was whole"


def test_another_lake_at_the_same_address_is_named(lived: Home) -> None:
    lived.ingest()
    expected = (folder(lived) / "_lake_id").read_text()
    for place in PLACES:
        (Path(lived.options.lake_uri) / place).write_text("another")
    for command in (("ingest",), ("ledger", "rebuild", "--yes")):
        refused = here(*command)
        assert refused.exit_code == 2
        assert f"(identity another, expected {expected})" in refused.stderr


def test_log_that_was_restarted_without_the_state_is_recognised(lived: Home) -> None:
    """A process without access to the state, as during `sqlmesh ui`, has loaded more entries than there were before."""
    lose_folder(lived)
    for number in range(LAST + 2):
        lived.put("events", f"new{number}.json", event(f"n{number}"))
        ingest_feed(EVENTS, lived.landing("events"), Store(lived.options.lake_uri), lived.options.lake_start)

    stopped = here("ingest", "events")

    assert stopped.exit_code == 2
    assert f"has another entry {LAST} than the one that was applied" in stopped.stderr
    assert here("ledger", "rebuild", "--yes").exit_code == 0
    assert here("ingest").exit_code == 0
    new = [(f"raw-events/new{number}.json", 1, f"n{number}") for number in range(LAST + 2)]
    assert bronze(lived) == sorted([*EXPECTED, *new])


@pytest.mark.parametrize("harm", ["gone", "cut", "damaged"])
def test_only_copy_of_a_row_is_never_deleted(lived: Home, harm: str) -> None:
    """Where nothing records how long the log was, the data files show it."""
    lose_end(lived)
    Path(lived.options.state_path).unlink()
    shutil.rmtree(Path(lived.options.lake_uri) / "settled")
    (orphan,) = (Path(lived.options.lake_uri) / "bronze/events").glob("*/event_date=2026-01-04/*.parquet")
    if harm == "cut":  # as a killed writer leaves it: no row of it can be read
        orphan.write_bytes(orphan.read_bytes()[:-100])
    elif harm == "damaged":
        data = bytearray(orphan.read_bytes())
        data[4:-2000] = bytes(len(data) - 2004)
        orphan.write_bytes(data)
    os.utime(orphan, (0, 0))

    assert here("ingest").exit_code == 0
    checked = here("verify", "events")
    maintained = here("maintain", "events", "--grace-hours", "0")

    assert (checked.exit_code, maintained.exit_code) == (1, 1), "the file of the other date is there in any case"
    assert "only copy of rows" in checked.stdout
    assert "it is kept" in maintained.stderr
    assert orphan.exists() == (harm != "cut")
    rebuilt = here("ledger", "rebuild", "events", "--yes")
    assert rebuilt.exit_code == 0
    assert ("cannot be read and is left out" in rebuilt.stdout.replace("\n", " ")) == (harm == "damaged")
    assert here("ingest").exit_code == 0
    expected = [row for row in EXPECTED if harm == "gone" or row[2] != "g2"]
    assert bronze(lived) == expected


def test_new_lake_and_killed_first_load_need_no_recovery(home: Home) -> None:
    home.put("events", "a.json", event("a1"))
    killed = ["tests.worker", "--at", "before:ingest.ledger.ledger:Ledger.commit", "kill", "lake", "ingest", "events"]
    assert subprocess.run([sys.executable, "-m", *killed], cwd=PROJECT, check=False).returncode == -signal.SIGKILL
    cut = next(Path(home.options.lake_uri).rglob("bronze/**/*.parquet"))
    cut.with_name("20260101T000000-0123456789ab-0.parquet").write_bytes(cut.read_bytes()[:200])

    done = lake("ingest")

    assert (done.returncode, done.stderr) == (0, "")
    assert [row[2] for row in bronze(home)] == ["a1"]
    assert lake("verify").returncode == 0
    assert here("maintain", "--grace-hours", "0").exit_code == 0
    assert len(list(Path(home.options.lake_uri).rglob("bronze/**/*.parquet"))) == 1


def test_feed_that_never_had_data_does_not_keep_others_from_being_rebuilt(lived: Home) -> None:
    lose_folder(lived)
    done = lake("ledger", "rebuild", "--yes")
    assert done.returncode == 0, done.stderr
    assert re.search(r"invoices\W.*(is|are) complete", done.stderr)
    named = here("ledger", "rebuild", "invoices", "--yes")
    assert (named.exit_code, "is complete" in named.stderr) == (2, True)


def test_rebuilt_log_starts_beyond_every_known_position(lived: Home) -> None:
    lose_log(lived)
    assert here("ledger", "rebuild", "events", "--yes").exit_code == 0
    ledger = Ledger(Store(lived.options.lake_uri), "events")
    first = ledger.first()
    assert first > LAST
    assert ledger.state(LAST).files == {}
    record_sweep(ledger.store, EVENTS, lived.landing("events"), dt.datetime.now(dt.UTC), 2 * first)
    assert here("ingest", "events").exit_code == 2, "a sweep of a longer log"
    assert here("ledger", "rebuild", "events", "--yes").exit_code == 0
    assert ledger.first() > 2 * first
    assert here("ingest").exit_code == 0
    assert bronze(lived) == EXPECTED


def gold(home: Home) -> list[tuple[Any, ...]]:
    """The rows that readers get."""
    with Releases(home.options).connect() as reader:
        return reader.execute(
            "SELECT date, country_code, activity_type, SUM(activities_played)::INT, SUM(capped_time_spent) "
            "FROM lake.gold.activity_engagement_metrics GROUP BY ALL ORDER BY ALL"
        ).fetchall()


def cycle(home: Home) -> Any:
    return run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None)


@pytest.mark.usefixtures("engagement")
def test_readers_get_the_same_gold(home: Home) -> None:
    prepare(home)
    home.plan()
    assert cycle(home).outcome == "published"
    before = gold(home)
    assert sum(row[3] for row in before) == len(EXPECTED)
    lose_log(home)
    home.put("events", "new.json", event("n1"))
    home.put("activities", "1.json", {"activity_id": "a1", "name": "x", "type": "song"})

    # WHEN a scheduled cycle runs before the operator acts
    command = [sys.executable, "-m", "tests.worker", "--project", str(tests.home.PROJECT), "lake", "run"]
    scheduled = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

    # THEN the lost feed stays as it was, and the changes of the others are published
    assert scheduled.returncode == 2, scheduled.stderr
    assert scheduled.stderr.count("\nerror: ") == 1
    assert "`lake ledger rebuild events`" in scheduled.stderr
    assert "published release 2" in scheduled.stdout
    assert gold(home) == (news := [(day, country, "song", *sums) for day, country, _, *sums in before])

    # WHEN the rest is lost as well, and then rebuilt
    shutil.rmtree(folder(home))
    (Path(home.options.landing("raw-events")) / "new.json").unlink()
    assert cycle(home).exit_code == 2
    assert here("rebuild", "--yes").exit_code == 2, "nor is the warehouse made anew from what is left of bronze"
    assert gold(home) == news
    assert here("ledger", "rebuild", "--yes").exit_code == 0
    done = cycle(home)

    assert (done.outcome, done.errors) == ("published", [])
    assert gold(home) == news
    assert here("verify", "--deep").exit_code == 0
