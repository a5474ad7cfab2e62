"""An unexpected exception stops only the part it belongs to: it is named and reported, and all else continues."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

import pytest

from ingest.ledger.ledger import Ledger
from ingest.storage.store import Store
from tests.engagement import play
from tests.hostile.conftest import Lake
from tests.receivers import Receiver

PARSE = "ingest.steps.parse:Parser.parse"


def events(lake: Lake, number: int, *bad: int) -> None:
    """Land objects of one play each; those of some numbers contain the word poison."""
    for item in range(number):
        lake.home.put("events", f"{item:02}.json", play(f"{'poison' if item in bad else 'e'}{item}", "2026-01-01"))


def loaded(lake: Lake, feed: str = "events") -> set[str]:
    """Names of the objects of a feed in the ledger."""
    state = Ledger(Store(lake.home.options.lake_uri, lake.home.options), feed).state()
    return {item.source_file.rpartition("/")[2] for item in state.objects.values()}


@pytest.mark.parametrize(
    "kind",
    [
        "RecursionError",
        "KeyError",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("MemoryError", "pyarrow:ArrowInvalid")),
    ],
)
def test_an_object_that_meets_a_defect_is_named_and_all_others_load(empty_lake: Lake, kind: str) -> None:
    events(empty_lake, 40, 7, 23)
    empty_lake.home.put("users", "u.json", {"user_id": "u1"})
    empty_lake.faults = [(PARSE, kind, "poison")]

    done = empty_lake("ingest", "--json")

    summary = json.loads(done.stdout)
    (report,) = (feed for feed in summary["feeds"] if feed["feed"] == "events")
    assert (done.returncode, report["objects"], report["rows"]) == (1, 38, 38)
    assert [name for name, _ in report["stuck"]] == ["raw-events/07.json", "raw-events/23.json"]
    for _, reason in report["stuck"]:
        text = "'injected'" if kind == "KeyError" else "injected"
        assert reason.startswith(f"unexpected {kind.rpartition(':')[2]}: {text}; a defect, please report it")
    assert summary["failed_feeds"] == ["events"]
    assert summary["dates"]["events"] == ["2026-01-01"], "what was loaded is marked"
    assert loaded(empty_lake, "users") == {"u.json"}
    (error,) = summary["errors"]
    assert error.startswith("events: raw-events/07.json and 1 more could not be read")
    assert done.stderr.count("Traceback") == 1, "once, not once for each object"
    assert f"error: {error}" in done.stderr

    # WHEN the defect is fixed, THEN the same command loads them
    empty_lake.faults = []
    assert empty_lake("ingest").returncode == 0
    assert len(loaded(empty_lake)) == 40


def test_a_feed_with_a_defect_in_every_object_is_given_up_in_bounded_time(empty_lake: Lake) -> None:
    for item in range(300):
        empty_lake.home.put("events", f"{item:03}.json", play(f"e{item}", "2026-01-01"))
    empty_lake.home.put("users", "u.json", {"user_id": "u1"})
    empty_lake.faults = [(PARSE, "ZeroDivisionError", "activity_exit")]
    done = empty_lake("ingest", "--json")
    summary = json.loads(done.stdout)
    (report,) = (feed for feed in summary["feeds"] if feed["feed"] == "events")
    assert (done.returncode, report["objects"], len(report["stuck"])) == (1, 0, 300)
    assert "this object, or one of 2 others in its load, causes an unexpected ZeroDivisionError" in str(report)
    assert loaded(empty_lake, "users") == {"u.json"}


@pytest.mark.parametrize(
    "place", ["ingest.steps.load:discover", "ingest.steps.load:Ledger.commit", "pipeline.cycle.ingest:ingest_feed"]
)
def test_a_feed_that_meets_a_defect_does_not_keep_others_from_loading(empty_lake: Lake, place: str) -> None:
    events(empty_lake, 2)
    empty_lake.home.put("users", "u.json", {"user_id": "u1"})
    empty_lake.faults = [(place, "IndexError", "raw-events")]
    done = empty_lake("ingest", "--json")
    summary = json.loads(done.stdout)
    assert done.returncode == 1
    assert summary["errors"] == [
        "events: unexpected IndexError: injected; a defect, please report it with the logged traceback"
    ]
    assert (loaded(empty_lake), loaded(empty_lake, "users")) == (set(), {"u.json"})
    assert summary["is_marked"]


def test_failures_outside_gold_do_not_withhold_it(
    lake: Lake, receiver: Receiver, late_play: Callable[[str], None]
) -> None:
    """A feed, another contract, housekeeping, the record, old releases, Postgres and one channel fail at once."""
    late_play("late")
    lake.faults = [
        ("pipeline.cycle.ingest:ingest_feed", "KeyError", "(Contract(feed='activities'"),
        ("pipeline.cycle.alerts:contract_violations", "OverflowError", "([Contract(feed='users'"),
        ("pipeline.warehouse.project:Project.clean_up", "AttributeError", ""),
        ("pipeline.cycle.compute:record", "TypeError", ""),
        ("pipeline.releases.gate:prune", "ValueError", ""),
        ("pipeline.serving.serve:connect", "UnicodeError", ""),
        ("smtplib:SMTP_SSL", "RuntimeError", ""),
    ]
    variables = {"SMTP_HOST": "127.0.0.1", "SMTP_SENDER": "a@example.org", "SMTP_RECIPIENTS": "b@example.org"}

    summary, done = lake.run(
        NOTIFY_WEBHOOK_URL=receiver.url, SERVING_DSN="host=127.0.0.1 port=1 dbname=bi", **variables
    )

    assert (summary["outcome"], summary["state"], lake.state(), done.returncode) == ("published", 2, 2, 1)
    assert summary["exit_code"] == 1
    defects = {error.split(": unexpected ")[0]: error for error in summary["errors"]}
    assert set(defects) == {
        "activities",
        "the contract of users",
        "housekeeping",
        "the record of the cycle",
        "old releases",
        "serving",
    }
    assert summary["unserved"] == defects["serving"]
    assert done.stderr.count("Traceback") == len(defects)
    assert any("could not be reported by mail: RuntimeError: injected" in warning for warning in summary["warnings"])
    problems = {item["name"]: item["message"] for item in receiver.got}
    assert {"cycle", "serving"} <= set(problems)
    assert "activities: unexpected KeyError: 'injected'" in problems["cycle"]
    assert "freshness/users" not in problems


def test_a_defect_in_alerting_itself_is_an_error(lake: Lake) -> None:
    lake.faults = [("pipeline.cycle.alerts:report", "RecursionError", "")]
    summary, done = lake.run()
    assert (summary["outcome"], done.returncode) == ("unchanged", 1)
    assert [error.split(" injected")[0] for error in summary["errors"]] == ["alerts: unexpected RecursionError:"]


def test_a_loop_continues_after_any_exception(lake: Lake, receiver: Receiver) -> None:
    """The first exception precedes the project, the second occurs in all that follows; each cycle is one line."""
    lake.faults = [("pipeline.warehouse.project:Context", "KeyError", "")]
    with lake.start("run", "--json", "--every", "1s", NOTIFY_WEBHOOK_URL=receiver.url) as loop:
        assert loop.stdout is not None
        lines = [json.loads(loop.stdout.readline()) for _ in range(3)]
        assert loop.poll() is None
        loop.send_signal(signal.SIGTERM)
        loop.communicate(timeout=30)
    for line in lines:
        assert (line["outcome"], line["exit_code"], line["state"]) == ("failed", 1, 1)
        assert line["errors"] == [
            "the project: unexpected KeyError: 'injected'; a defect, please report it with the logged traceback"
        ]
    assert [item["event"] for item in receiver.got if item["name"] == "cycle"] == ["problem"], "once"
    assert loop.returncode == 0
