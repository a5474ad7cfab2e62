"""`lake erase`: a person is nowhere afterwards, whenever it was killed; others lose nothing.

KILLS sets how often it is killed at a random moment, besides the known ones.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner, Result

from ingest.ledger.tombstones import Request, write_tombstones
from ingest.settings import PROJECT, settings
from pipeline.checks.traces.find import find_traces
from pipeline.checks.traces.places import places_of
from pipeline.checks.traces.value import Value
from pipeline.cli import main
from pipeline.cycle.cycle import run_cycle
from pipeline.lake import Lake
from tests.engagement import play
from tests.home import Home, copy_home, template

KEY = "a secret of many characters"
PERSON, CHILD, OTHER = "person-1-of-many", "child-1-of-many", "person-2-of-many"
ASKED = ("erase", "--subject", f"user_id={PERSON}", "--because", "a letter", "--request", "r1", "--yes")
MOMENTS = (
    "after:pipeline.cycle.erase:write_tombstones",
    "before:pipeline.cycle.erase:forget_landed",
    "before:pipeline.cycle.erase:run_cycle",
    "before:pipeline.cycle.erase:clean",
    "before:pipeline.cycle.erase:purge",
    "after:pipeline.cycle.purge:withdraw",
)


@pytest.fixture(scope="module")
def opened(engagement_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A lake with two persons, a child, and a payer, with a release."""
    with template(tmp_path_factory.mktemp("opened"), engagement_project) as home:
        days = [f"2026-01-0{day} 10:00:00" for day in range(1, 6)]
        for number, user in enumerate((PERSON, OTHER)):
            records = [play(f"{user}-{day}", day, user) | {"child_id": CHILD} for day in days]
            home.put("events", f"{number}.json", *records, {"event_id": "bad", "user_id": user, "occurred_at": "soon"})
            home.put("users", f"{number}.json", {"user_id": user, "country_code": "fr", "invited": [PERSON]})
        home.put("events", f"by-user/{PERSON}.json", play("e1", days[0], PERSON), play("e2", days[1], OTHER))
        home.put("users", f"user_id={PERSON}/{OTHER}.json", {"user_id": OTHER, "country_code": "de"})
        account = {
            "created_at": days[0],
            "updated_at": days[0],
            "name": "Ann of the Hills",
            "email": "ann@hills.example",
        }
        home.put("accounts", "a.json", {"account_id": "account-1-of-many", "user_id": PERSON, **account})
        home.ingest()
        home.plan()
        assert run_cycle(Lake(settings()), (), lambda _: lambda objects, size: None).outcome == "published"
        yield home


@pytest.fixture
def erasing(opened: Home, home: Home, engagement: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy with the key, and a temporary folder of its own, which the proof searches too."""
    monkeypatch.setenv("LAKE_ERASURE_KEY", KEY)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    settings.cache_clear()
    return copy_home(opened, Home())


def lake(*arguments: str) -> Result:
    settings.cache_clear()
    return CliRunner().invoke(main, arguments)


def traces(*texts: str) -> list[str]:
    handle = Lake(settings())
    values = [Value(f"value {number}", text, group="one") for number, text in enumerate(texts)]
    scan = find_traces(places_of(handle.options, handle.store, handle.releases, rewritten=True), values)
    return [trace.place for trace in scan.traces]


def unnamed(row: str) -> str:
    """A row without names of objects that have the person, or had."""
    return re.sub(rf"raw-\w+/([^'\"]*{PERSON}[^'\"]*|erased-[0-9a-f]{{32}}\.json)", "somewhere", row)


def tables(home: Home) -> dict[str, Counter[str]]:
    """The rows of every table of the warehouse that readers or models see."""
    with duckdb.connect(home.options.warehouse_path, read_only=True) as warehouse:
        query = "SELECT schema || '.' || name FROM (SHOW ALL TABLES) WHERE schema IN ('silver', 'gold')"
        names = [name for (name,) in warehouse.execute(query).fetchall()]
        return {name: Counter(map(repr, warehouse.execute(f"FROM {name}").fetchall())) for name in names}


def test_a_person_is_nowhere_afterwards_and_others_lose_nothing(erasing: Home) -> None:
    said = [PERSON, "account-1-of-many", "Ann of the Hills", "ann@hills.example"]
    before = tables(erasing)
    assert {"lake", "releases", "warehouse"} <= set(traces(*said))
    dry = lake("erase", "--subject", f"user_id={PERSON}", "--dry-run", "--json")
    assert dry.exit_code == 0, dry.output
    preview = {item["feed"]: (item["rows"], item["rejected"]) for item in json.loads(dry.stdout)["feeds"]}
    assert (preview["events"], preview["users"], preview["accounts"]) == ((6, 1), (1, 0), (1, 0))
    assert tables(erasing) == before

    done = lake(*ASKED)

    assert (done.exit_code, done.stderr) == (0, ""), done.output
    assert "everything was searched: no trace" in done.stdout
    assert PERSON not in done.output
    assert traces(*said) == []
    after = tables(erasing)
    assert after.keys() == before.keys()
    for name, rows in after.items():
        assert not any(PERSON in row for row in rows), name
        others, left = ({unnamed(row) for row in found if OTHER in unnamed(row)} for found in (before[name], rows))
        assert others == left, name
    (request,) = json.loads(lake("erase", "--list", "--json").stdout)["requests"]
    assert (request["name"], request["because"], request["status"]) == ("r1", "a letter", "done")
    logged = [event for event in Lake(settings()).audit_log.events() if event.what == "subject_erased"]
    assert [event.about["request"] for event in logged] == ["r1"]
    assert lake("verify", "--deep").exit_code == 0
    proof = lake("erase", "--prove", "r1", "--subject", f"user_id={PERSON}", "--value", "ann@hills.example")
    assert (proof.exit_code, "no trace" in proof.stdout) == (0, True), proof.output

    again = lake("erase", "--subject", f"user_id={PERSON}", "--because", "once more", "--yes")
    assert again.exit_code == 0, again.output
    assert tables(erasing) == after


def test_what_cannot_be_done_is_refused_before_anything_changes(erasing: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tables(erasing)
    subject = ("--subject", f"user_id={PERSON}")
    assert lake("erase", *subject, "--hold", "court-7", "--because", "a lawsuit").exit_code == 0
    for arguments, said in (
        (ASKED, "under the legal hold court-7"),
        (("erase", "--subject", "phone=1", "--because", "x", "--yes"), "no contract has an identifier phone"),
        (("erase", *subject, "--yes"), "no reason given"),
        (("erase", "--because", "x", "--yes"), "no person is named"),
        (("erase", *subject, "--because", "x", "--request", "A/B", "--yes"), "is no id of a request"),
        (("erase", *subject, "--prove", "r9"), "no request r9"),
        (("erase", "--resume", "--list"), "expected one of"),
        (("erase", "--release", "court-8"), "no hold court-8"),
        (("erase", *subject, "--hold", "court-7", "--because", "x"), "there is a hold court-7 already"),
    ):
        done = lake(*arguments)
        assert done.exit_code == 2, (arguments, done.output)
        assert said in done.stderr, done.stderr
        assert PERSON not in done.stderr
    monkeypatch.setenv("LAKE_ERASURE_KEY", "short")
    assert "expected a secret of at least 16" in lake(*ASKED).stderr
    monkeypatch.setenv("LAKE_ERASURE_KEY", KEY)
    assert tables(erasing) == before
    assert "hold court-7" in lake("erase", "--list").stdout
    asked = Request("late", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "a letter", dt.date(2026, 1, 31))
    write_tombstones(Lake(settings()).store, KEY, asked, {"user_id": ["person-3-of-many"]})
    overdue = lake("erase", "--list", "--json")
    (request,) = json.loads(overdue.stdout)["requests"]
    assert (overdue.exit_code, request["status"], request["is_overdue"]) == (1, "open", True)
    assert lake("erase", "--release", "court-7").exit_code == 0
    assert lake(*ASKED).exit_code == 0
    assert lake("erase", "--prove", "r1", "--subject", f"user_id={OTHER}").exit_code == 2


def test_a_file_of_requests(erasing: Home, tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text(f'{{"user_id": "{PERSON}"}}\n\n{{"child_id": ["{CHILD}"]}}\n')
    done = lake("erase", "--requests", str(file), "--because", "letters", "--deadline", "2026-01-31", "--yes", "--json")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["identifiers"] == {"account_id": 1, "child_id": 1, "user_id": 1}
    assert sum(feed["deleted"] for feed in summary["feeds"]) == 12  # the other's events are the child's too
    assert lake("erase", "--subject", f"user_id={OTHER}", "--hold", "court-7", "--because", "a lawsuit").exit_code == 0
    file.write_text(f'{{"user_id": "{OTHER}"}}\n{{"account_id": "account-9-of-many"}}\n')
    partly = lake("erase", "--requests", str(file), "--because", "letters", "--yes", "--json")
    assert (partly.exit_code, json.loads(partly.stdout)["identifiers"]) == (2, {"account_id": 1})
    assert "person 1 of 2 is under the legal hold court-7 (a lawsuit), and was not erased" in partly.stderr
    file.write_text('{"user_id": "x"}\nno json\n')
    refused = lake("erase", "--requests", str(file), "--because", "letters", "--yes")
    assert (refused.exit_code, "line 2 is no request" in refused.stderr) == (2, True)


def test_an_erasure_that_was_killed_goes_on(opened: Home, erasing: Home, engagement: Path, tmp_path: Path) -> None:
    """At each moment, and then, by KILLS, at random ones: the same tables, and nothing left."""
    kills = int(os.environ.get("KILLS", "0"))
    dice = random.Random(3)
    expected = None
    for moment in (None, *(MOMENTS if kills else MOMENTS[2:4]), *range(kills)):
        home = erasing.options_home
        if moment is not None:
            subprocess.run(["rm", "-rf", str(home)], check=True)
            copy_home(opened, erasing)
        worker = [sys.executable, "-m", "tests.worker", "--project", str(engagement)]
        at = ["--at", str(moment), "kill"] if isinstance(moment, str) else []
        process = subprocess.Popen([*worker, *at, "lake", *ASKED], cwd=PROJECT, stderr=subprocess.PIPE, text=True)
        if isinstance(moment, int):
            time.sleep(dice.uniform(1, 12))
            process.kill()
        _, errors = process.communicate()
        if moment is None:
            assert process.returncode == 0, errors
        else:
            assert process.returncode in ((-signal.SIGKILL,) if isinstance(moment, str) else (-signal.SIGKILL, 0)), (
                errors
            )
            resumed = [*worker, "lake", *(("erase", "--resume") if moment != 0 else ASKED)]
            done = subprocess.run(resumed, cwd=PROJECT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (moment, done.stdout, done.stderr)
        settings.cache_clear()
        if moment in MOMENTS[1:]:
            (request,) = json.loads(lake("erase", "--list", "--json").stdout)["requests"]
            assert request["status"] == "done, not proven"
        found = tables(erasing)
        expected = expected or found
        if Lake(settings()).tombstones.read(again=True):  # a kill may have come before anything was done
            assert found == expected, moment
            assert traces(PERSON, "account-1-of-many", "ann@hills.example") == [], moment
