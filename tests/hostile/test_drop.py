"""`lake drop`: a wrong object's records vanish at once, stay out and stay explained; new content of its key loads."""

from __future__ import annotations

import csv
import datetime as dt
import errno
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ingest.contracts.contract import contracts
from ingest.contracts.source import Retire
from ingest.errors import ConflictError, RetriableError
from ingest.ledger.dropped import read_dropped
from ingest.ledger.entry import Entry
from ingest.ledger.files import LAYERS
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import Selection
from ingest.ledger.sources import LoadedObject
from ingest.settings import PROJECT
from ingest.steps.discard import discard
from ingest.steps.drop import Drop, drop
from ingest.steps.load import ingest_feed
from ingest.steps.replay import Replay, replay
from ingest.storage.store import Store
from ingest.upkeep.retire import plan_retirement
from pipeline.checks.verify import FeedVerdict
from pipeline.cli import main
from pipeline.cycle.maintain import maintain_feed
from pipeline.cycle.recover import rebuild_ledgers
from pipeline.lake import Lake
from pipeline.warehouse.bronze import bronze_query
from pipeline.warehouse.duck import connect
from pipeline.warehouse.operations import registration
from tests.duck_adapter import adapter_of
from tests.engagement import cycle, expected, play, seen
from tests.handle import feed_status, ingest_all, object_history, verify_feed
from tests.home import Home, copy_home, template

EVENTS = contracts()["events"]
BECAUSE = "sent by the staging system"
FORMAT_1 = Path(__file__).parents[1] / "data/ledger_format_1"


def lake(*arguments: str, at: str = "") -> subprocess.CompletedProcess[str]:
    """Run `lake …` as a process, killed at a moment of tests/worker.py if one is given."""
    program = ["-m", "tests.worker", "--at", at, "kill", "lake"] if at else ["-m", "pipeline"]
    return subprocess.run(
        [sys.executable, *program, *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
    )


def dropped(*keys: str, because: str = BECAUSE) -> dict[str, Any]:
    """Run `lake drop --json` and return its output."""
    done = lake("drop", *keys, "--because", because, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def store(home: Home) -> Store:
    return Store(home.options.lake_uri, home.options)


def ledger(home: Home, feed: str = "events") -> Ledger:
    return Ledger(store(home), feed)


def rows(home: Home, feed: str = "events") -> list[str]:
    """The first key column of every visible row."""
    contract = contracts()[feed]
    query = bronze_query(contract, home.options.lake_uri, ledger(home, feed).live_files())
    with connect(home.options) as reader:
        return [key for (key,) in reader.execute(f'SELECT "{contract.key[0]}" FROM ({query}) ORDER BY ALL').fetchall()]


def verdict(home: Home, feed: str = "events") -> FeedVerdict:
    found = verify_feed(contracts()[feed], home.options, deep=True)
    assert found.differences == []
    return found


def known(home: Home, name: str, feed: str = "events") -> LoadedObject:
    return ledger(home, feed).state().objects[name]


def path(home: Home, feed: str, key: str) -> Path:
    root = home.landing(feed).root
    assert root is not None
    return root / key


def put_csv_gz(home: Home, key: str, *users: str) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["user_id", "country_code"], *([user, "fr"] for user in users)])
    home.landing("users").put(key, gzip.compress(text.getvalue().encode()))


@pytest.fixture
def loaded(home: Home) -> Home:
    """A wrong object on two dates, with three bad lines, and a correct one in the same files."""
    home.put(
        "events", "wrong.json", play("w1", "2026-01-01"), b"{", play("w2", "2026-01-02"), b"[]", b'{"event_id": 1}'
    )
    home.put("events", "right.json", play("r1", "2026-01-01"), b"{", play("r2", "2026-01-03"))
    home.ingest()
    return home


WRONG = "raw-events/wrong.json"


def drop_here(home: Home, *names: str) -> Drop:
    """Drop in this process, without marking dates."""
    return drop(store(home), ledger(home), names or [WRONG], BECAUSE, dt.datetime.now(dt.UTC))


def test_records_of_objects_of_several_feeds_vanish_in_one_commit_each(loaded: Home) -> None:
    put_csv_gz(loaded, "wrong.csv.gz", "x1", "x2")
    put_csv_gz(loaded, "right.csv.gz", "u1")
    loaded.landing("events").put("broken.json.gz", gzip.compress(b"{}\n" * 999)[:-20])
    loaded.ingest()
    assert lake("quarantine", "discard", "events", "--reason", "unparsable", "--because", "noise").returncode == 0
    before = {feed: ledger(loaded, feed).position() for feed in ("events", "users")}
    wrong = [WRONG, "raw-users/wrong.csv.gz", "raw-events/broken.json.gz"]

    done = dropped(*wrong)

    assert {feed["feed"]: len(feed["objects"]) for feed in done["feeds"]} == {"events": 2, "users": 1}
    assert done["dates"]["events"] == ["2026-01-01", "2026-01-02"]
    for feed, position in before.items():
        assert ledger(loaded, feed).position() == position + 1
    assert (rows(loaded), rows(loaded, "users")) == (["r1", "r2"], ["u1"])
    item = known(loaded, WRONG)
    assert (item.records, item.rows, item.quarantined, item.dropped, item.event_dates) == (5, 0, 0, 5, ())
    assert item.is_conserved
    found = verdict(loaded)
    assert (found.records, found.rows, found.quarantined, found.dropped, found.waiting) == (9, 2, 1, 6, 0)
    assert verdict(loaded, "users").dropped == 2
    assert feed_status(EVENTS, loaded.options).dropped == 6
    for name in wrong:
        assert object_history(name, loaded.options).state.endswith(f": {BECAUSE}")
    shown = lake("why", WRONG)
    assert f": {BECAUSE}" in shown.stdout.splitlines()[0]
    assert "dropped" in shown.stdout.splitlines()[2]
    again = dropped(*wrong)
    assert (again["dates"], [len(feed["empty"]) for feed in again["feeds"]]) == ({}, [2, 1])
    assert ledger(loaded).position() == before["events"] + 1


def test_dropped_version_does_not_load_again_and_new_content_does(loaded: Home) -> None:
    content = path(loaded, "events", "wrong.json").read_bytes()
    dropped(WRONG)
    assert loaded.ingest().feeds[0].objects == 0

    # WHEN the same bytes arrive under a new etag
    loaded.landing("events").put("wrong.json", content)
    ingested = lake("ingest", "events")
    assert ingested.returncode == 0, ingested.stderr
    assert "1 objects are dropped versions; their records are not loaded" in ingested.stdout
    assert (rows(loaded), known(loaded, WRONG).dropped) == (["r1", "r2"], 5)
    assert object_history(WRONG, loaded.options).state.endswith(f": {BECAUSE}")

    # WHEN new content arrives
    loaded.put("events", "wrong.json", play("n1", "2026-01-04"), b"{")
    assert object_history(WRONG, loaded.options).state.endswith("; overwritten, its new version waits")
    assert [str(day) for day in loaded.ingest().dates["events"]] == ["2026-01-04"]
    assert (rows(loaded), known(loaded, WRONG).dropped) == (["n1", "r1", "r2"], 0)
    assert (verdict(loaded).records, object_history(WRONG, loaded.options).state) == (5, "loaded")

    # WHEN the producer sends the wrong version again
    loaded.landing("events").put("wrong.json", content)
    assert [str(day) for day in loaded.ingest().dates["events"]] == ["2026-01-04"]
    assert (rows(loaded), known(loaded, WRONG).dropped, verdict(loaded).waiting) == (["r1", "r2"], 5, 0)


def test_object_that_is_gone_from_the_landing_can_be_dropped(loaded: Home) -> None:
    path(loaded, "events", "wrong.json").unlink()
    dropped(WRONG)
    assert rows(loaded) == ["r1", "r2"]
    assert object_history(WRONG, loaded.options).state.endswith(f": {BECAUSE}; gone from the landing")
    found = verdict(loaded)
    assert (found.gone, found.dropped) == (1, 5)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            ["raw-events/new.json"],
            "raw-events/new.json was never loaded, so there is nothing to drop; delete it from the",
        ),
        ([WRONG, "raw-events/never.json"], "raw-events/never.json is not in any ledger; expected bucket/key"),
        (["wrong.json"], "wrong.json is not in any ledger; expected bucket/key"),
        (["raw-events//..", WRONG], "raw-events//.. is not in any ledger"),
        ([], "Missing argument 'KEY...'"),
    ],
)
def test_invalid_arguments_are_an_error_and_drop_nothing(loaded: Home, keys: list[str], message: str) -> None:
    loaded.put("events", "new.json", play("n1", "2026-01-01"))
    done = CliRunner().invoke(main, ["drop", *keys, "--because", BECAUSE, "--yes"])
    assert (done.exit_code, ledger(loaded).position()) == (2, 1)
    assert message in " ".join(done.stderr.split())


def test_drop_requires_a_reason_and_a_confirmation(loaded: Home) -> None:
    assert CliRunner().invoke(main, ["drop", WRONG, "--yes"]).exit_code == 2
    assert "no reason given" in CliRunner().invoke(main, ["drop", WRONG, "--because", " ", "--yes"]).stderr
    assert lake("drop", WRONG, "--because", BECAUSE).returncode == 1
    assert ledger(loaded).position() == 1


@pytest.mark.parametrize(
    "moment",
    [
        "before:ingest.steps.drop:rewrite_without",
        "after:ingest.steps.drop:rewrite_without",
        "after:ingest.steps.drop:record_dropped",
        "after:ingest.ledger.ledger:Ledger.commit",
        "before:pipeline.cycle.drop:mark",
    ],
)
def test_killed_drop_is_atomic_and_the_same_command_completes_it(loaded: Home, moment: str) -> None:
    killed = lake("drop", WRONG, "--because", BECAUSE, "--yes", at=moment)
    assert killed.returncode == -9, killed.stderr
    assert rows(loaded) in (["r1", "r2"], ["r1", "r2", "w1", "w2"])
    assert verdict(loaded).records == 8

    dates = dropped(WRONG)["dates"]["events"]

    assert (rows(loaded), known(loaded, WRONG).dropped) == (["r1", "r2"], 5)
    assert dates == ["2026-01-01", "2026-01-02"]
    assert verdict(loaded).dropped == 5
    maintain_feed(Lake(loaded.options), EVENTS, dt.timedelta(0))
    assert (rows(loaded), verdict(loaded).orphans) == (["r1", "r2"], 0)


@pytest.mark.parametrize(("operation", "number"), [("stage", 1), ("stage", 3), ("publish", 1), ("open", 4), ("put", 1)])
def test_full_disk_at_any_point_drops_nothing_and_leaves_no_file(
    loaded: Home, monkeypatch: pytest.MonkeyPatch, operation: str, number: int
) -> None:
    files = {item.key for layer in LAYERS for item in store(loaded).list(f"{layer}/events")}
    original, calls = getattr(Store, operation), iter(range(1, 100))

    def fail(self: Store, *arguments: Any) -> Any:
        if next(calls) == number:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, *arguments)

    with monkeypatch.context() as fault:
        fault.setattr(Store, operation, fail)
        with pytest.raises(RetriableError):
            drop_here(loaded)
    assert (rows(loaded), read_dropped(store(loaded), "events")) == (["r1", "r2", "w1", "w2"], {})
    assert files == {item.key for layer in LAYERS for item in store(loaded).list(f"{layer}/events")}
    assert [item.source_file for item in drop_here(loaded).objects] == [WRONG]


def test_commit_whose_answer_was_lost_keeps_its_files_and_its_note(
    loaded: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Ledger.commit

    def no_answer(self: Ledger, entry: Entry, seen: int) -> int:
        original(self, entry, seen)
        raise RetriableError("no answer")

    with monkeypatch.context() as lost:
        lost.setattr(Ledger, "commit", no_answer)
        with pytest.raises(RetriableError, match="no answer"):
            drop_here(loaded)
    assert rows(loaded) == ["r1", "r2"]
    assert object_history(WRONG, loaded.options).state.endswith(f": {BECAUSE}")
    assert drop_here(loaded).empty == (WRONG,)


def before_the_commit(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Any]) -> None:
    """Let another writer commit first, once."""
    real = Ledger.commit

    def meanwhile(self: Ledger, entry: Entry, seen: int) -> int:
        monkeypatch.setattr(Ledger, "commit", real)
        happens()
        return real(self, entry, seen)

    monkeypatch.setattr(Ledger, "commit", meanwhile)


def test_drop_plans_again_after_another_writer_of_the_same_files(loaded: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded.put("events", "right.json", play("r3", "2026-01-03"))
    before_the_commit(monkeypatch, loaded.ingest)
    assert [item.source_file for item in drop_here(loaded).objects] == [WRONG]
    assert rows(loaded) == ["r3"]
    assert len(read_dropped(store(loaded), "events")[WRONG]) == 1
    assert verdict(loaded).dropped == 5


def test_concurrent_discard_and_replay_restore_nothing(loaded: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before_the_commit(monkeypatch, lambda: drop_here(loaded))
    assert discard(store(loaded), ledger(loaded), dt.datetime.now(dt.UTC), "noise", Selection()) == 1
    columns = tuple(column.model_copy(update={"required": False}) for column in EVENTS.columns)
    lenient = EVENTS.model_copy(update={"columns": columns, "version": EVENTS.version + 1})
    loaded.put("events", "later.json", {"event_id": "l1", "occurred_at": "2026-01-01T10:00:00Z"})
    loaded.ingest()
    before_the_commit(monkeypatch, lambda: drop_here(loaded, "raw-events/later.json"))
    assert replay(lenient, store(loaded), ledger(loaded), dt.datetime.now(dt.UTC)) == Replay()
    assert rows(loaded) == ["r1", "r2"]
    found = verdict(loaded)
    assert (found.quarantined, found.dropped) == (1, 6)


def test_version_that_was_loaded_meanwhile_is_left_alone(loaded: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded.put("events", "wrong.json", play("n1", "2026-01-04"))
    before_the_commit(monkeypatch, loaded.ingest)
    assert drop_here(loaded) == Drop("events", replaced=(WRONG,))
    assert rows(loaded) == ["n1", "r1", "r2"]
    assert read_dropped(store(loaded), "events") == {}


def test_endless_conflict_and_a_lake_that_differs_end_with_a_clear_error(
    loaded: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as conflict:
        conflict.setattr(Ledger, "commit", lambda *_: (_ for _ in ()).throw(ConflictError("first")))
        with pytest.raises(RetriableError, match="nothing was dropped, run it again"):
            drop_here(loaded)
    assert read_dropped(store(loaded), "events") == {}
    (file,) = (path for path in ledger(loaded).state().files if path.startswith("quarantine/"))
    shutil.copy(Path(loaded.options.lake_uri) / file, loaded.options_home / "kept.parquet")
    (Path(loaded.options.lake_uri) / file).unlink()
    done = lake("drop", WRONG, "--because", BECAUSE, "--yes")
    assert done.returncode == 1
    assert "nothing was dropped, `lake verify events --deep` names the file" in done.stderr
    assert known(loaded, WRONG).dropped == 0


def test_concurrent_ingesters_and_maintenance_lose_nothing(loaded: Home) -> None:
    """Six concurrent processes: every record is there once, except those of the wrong objects."""
    for number in range(20):
        lines = [play(f"k{number}-{line}", f"2026-01-0{1 + line % 4}") for line in range(30)]
        loaded.put("events", f"{'bad' if number % 2 else 'good'}-{number:02}.json", *lines, b"{")
    loaded.ingest()
    bad = [f"raw-events/bad-{number:02}.json" for number in range(1, 20, 2)]
    for number in range(0, 20, 4):
        loaded.put("events", f"good-{number:02}.json", play(f"n{number}", "2026-01-01"))
    drops = [["drop", *bad[start::3], "--because", BECAUSE, "--yes"] for start in range(3)]
    commands = [*drops, ["ingest", "events"], ["maintain", "events"], ["quarantine", "replay", "events"]]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "pipeline", *command],
            cwd=PROJECT,
            env=os.environ | {"STATE_LOCK_SECONDS": "120"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    errors = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running[:3]] == [0, 0, 0], errors
    loaded.ingest()
    found = verdict(loaded)
    assert (found.dropped, found.waiting) == (10 * 31, 0)
    kept = [f"k{number}-{line}" for number in range(2, 20, 4) for line in range(30)]
    assert rows(loaded) == sorted(["r1", "r2", "w1", "w2", *kept, *(f"n{number}" for number in range(0, 20, 4))])


@pytest.mark.parametrize("is_gone", [False, True], ids=["landing has it", "landing has it no more"])
@pytest.mark.parametrize("steps", [["rebuild", "ingest"], ["refused", "rebuild", "ingest"]], ids="-".join)
def test_object_stays_dropped_when_the_ledger_is_rebuilt(loaded: Home, is_gone: bool, steps: list[str]) -> None:
    loaded.put("events", "wrong.json", play("w3", "2026-01-02"))  # the previous version is still in the lake
    loaded.ingest()
    loaded.landing("events").put("wrong.json", path(loaded, "events", "wrong.json").read_bytes())
    loaded.ingest()  # seen again
    drop_here(loaded)
    if is_gone:
        path(loaded, "events", "wrong.json").unlink()
    for entry in (Path(loaded.options.lake_uri) / "ledger/events").rglob("*.parquet"):
        entry.unlink()
    loaded.options_home.joinpath("state.duckdb").unlink()  # as if the lake were copied elsewhere
    for step in steps:
        if step == "rebuild":
            rebuild_ledgers(Lake(loaded.options), ("events",), force=True)
        elif step == "refused":
            assert ingest_all("events").lost == ("events",)
        else:
            loaded.ingest()
    assert rows(loaded) == ["r1", "r2"]
    found = verdict(loaded)
    assert (found.waiting, found.gone) == (0, int(is_gone))
    assert (known(loaded, WRONG).dropped, found.dropped) == (1, 1)
    assert object_history(WRONG, loaded.options).state.startswith("dropped on ")
    assert loaded.ingest().dates == {}


def test_dropped_source_is_never_retired(loaded: Home) -> None:
    rule = Retire(after_days=1, action="delete")
    contract = EVENTS.model_copy(update={"source": EVENTS.source.model_copy(update={"retire": rule})})
    drop_here(loaded)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)
    plan = plan_retirement(contract, loaded.landing("events"), store(loaded), later)
    assert [version.key for version in plan] == ["right.json"]


def test_contract_that_refuses_overwrites_accepts_new_content_of_a_dropped_object(loaded: Home) -> None:
    contract = EVENTS.model_copy(update={"overwritten": "refuse"})
    drop_here(loaded)
    loaded.put("events", "wrong.json", play("n1", "2026-01-04"))
    loaded.put("events", "right.json", play("n2", "2026-01-04"))
    report = ingest_feed(contract, loaded.landing("events"), store(loaded), loaded.options.lake_start)
    assert (report.objects, report.refused, rows(loaded)) == (1, 1, ["n1", "r1", "r2"])


def test_dropped_records_of_a_compacted_file_leave_it(home: Home) -> None:
    for number in range(5):
        home.put("events", f"{number}.json", play(f"e{number}", "2026-01-01"), b"{")
        home.ingest()
    maintain_feed(Lake(home.options), EVENTS, dt.timedelta(0))
    dropped("raw-events/3.json")
    assert rows(home) == ["e0", "e1", "e2", "e4"]
    maintain_feed(Lake(home.options), EVENTS, dt.timedelta(0))
    found = verdict(home)
    assert (rows(home), found.quarantined, found.dropped) == (["e0", "e1", "e2", "e4"], 4, 2)


@pytest.mark.parametrize("entries_of_format_2", [0, 1, 3])
def test_operations_read_entries_of_both_formats(home: Home, entries_of_format_2: int) -> None:
    shutil.copytree(FORMAT_1, Path(home.options.lake_uri))
    log = ledger(home)
    for number in range(entries_of_format_2):
        item = log.state().objects["b/x"]
        gone = replace(item, rows=0, quarantined=0, dropped=item.records, event_dates=(), etag=str(number))
        log.commit(Entry(f"2026010{number}T000000-{number:012}", item.modified_at, (gone,)), log.position())
    assert log.first_of_format(2, range(1, log.position() + 1)) == 3
    with connect(home.options) as warehouse:
        for statement in registration(adapter_of(warehouse), Lake(home.options).store):
            warehouse.execute(statement)
        found = warehouse.execute(
            "SELECT position, records, rows + quarantined, dropped, erased + skipped FROM operations.objects "
            "WHERE feed = 'events' ORDER BY ALL"
        ).fetchall()
    assert found == [
        *((position, 2, 2, 0, 0) for position in (1, 2, 3)),
        *((4 + number, 2, 0, 2, 0) for number in range(entries_of_format_2)),
    ]


def test_sums_of_objects_combine_a_checkpoint_and_later_entries() -> None:
    state = Ledger(Store(str(FORMAT_1)), "events").state()
    assert state.objects.sums("records", "rows", "dropped") == {"records": 6, "rows": 3, "dropped": 0}
    state.objects.update([replace(state.objects["b/x"], rows=0, quarantined=0, dropped=2)])
    assert state.objects.sums("records", "rows", "dropped") == {"records": 6, "rows": 2, "dropped": 2}


@pytest.fixture(scope="module")
def published(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Production after its first cycle, with a wrong object in it."""
    with template(tmp_path_factory.mktemp("published"), engagement_project) as home:
        home.put("users", "users.json", {"user_id": "u1", "country_code": "fr"})
        home.put("activities", "activities.json", {"activity_id": "a1", "name": "A", "type": "game"})
        home.put("events", "right.json", play("r1", "2026-01-01"), play("r2", "2026-01-02"))
        home.put("events", "wrong.json", play("w1", "2026-01-01"))
        home.ingest()
        home.plan()
        assert cycle(home).outcome == "published"
    return home


@pytest.mark.usefixtures("engagement")
def test_readers_lose_the_wrong_numbers_with_the_next_cycle(published: Home, home: Home) -> None:
    copy_home(published, home)
    with_wrong = seen(home)
    done = dropped(WRONG)
    assert done["dates"]["events"] == ["2026-01-01"]
    path(home, "events", "wrong.json").unlink()

    assert cycle(home).outcome == "published"

    assert seen(home) == expected(home) != with_wrong
