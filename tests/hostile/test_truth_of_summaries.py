"""The summary of a cycle is true whatever failed: the readers' release, its outcome, one line of JSON per cycle."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ingest.contracts.contract import contracts
from ingest.storage.lock import file_lock
from ingest.storage.store import Store
from tests.hostile.conftest import Lake
from tests.receivers import Receiver

DEFECT = "a defect, please report it with the logged traceback"
STAGES = {
    # what fails, and where: (function, exception, word) -> (outcome, release, beginning of an error)
    ("pipeline.lake:Lake.writable", "KeyError", ""): (
        "failed",
        1,
        f"ingest: unexpected KeyError: 'injected'; {DEFECT}",
    ),
    ("pipeline.cycle.ingest:mark", "KeyError", ""): (
        "not published",
        1,
        "the marking of dates: unexpected KeyError",
    ),
    ("pipeline.cycle.compute:open_project", "ValueError", ""): ("failed", 1, "the project: unexpected ValueError"),
    ("pipeline.warehouse.project:Project.require_tables", "KeyError", ""): (
        "failed",
        1,
        "the run: unexpected KeyError",
    ),
    ("pipeline.warehouse.project:Project.run", "RecursionError", ""): (
        "not published",
        1,
        "the run: unexpected RecursionError",
    ),
    (
        "sqlmesh.core.engine_adapter.duckdb:DuckDBEngineAdapter.insert_overwrite_by_time_partition",
        "KeyError",
        "activity_popularity_daily",
    ): ("not published", 1, "gold.activity_popularity_daily: KeyError: 'injected'"),
    ("pipeline.releases.audits:offenders", "ArithmeticError", ""): ("not published", 1, "audit "),
    ("pipeline.releases.export:write_catalog", "RecursionError", ""): (
        "not published",
        1,
        "the publication: unexpected ",
    ),
    ("pipeline.releases.release:Releases.point_to", "MemoryError", ""): (
        "not published",
        1,
        "the publication: unexpected ",
    ),
    ("pipeline.releases.gate:prune", "KeyError", ""): ("published", 2, "old releases: unexpected KeyError"),
}


@pytest.mark.parametrize("fault", STAGES, ids=lambda fault: fault[0].rpartition(":")[2])
def test_a_failed_stage_is_named_and_the_release_is_that_of_readers(
    fault: tuple[str, str, str], lake: Lake, receiver: Receiver, late_play: Callable[[str], None]
) -> None:
    outcome, state, begins = STAGES[fault]
    late_play("late")
    lake.faults = [fault]

    summary, done = lake.run(NOTIFY_WEBHOOK_URL=receiver.url)

    assert (summary["outcome"], summary["state"], summary["is_state_known"]) == (outcome, state, True), summary[
        "errors"
    ]
    assert lake.state() == state
    assert bool(summary["published_dates"]) == (state == 2)
    assert summary["exit_code"] == done.returncode == 1
    assert any(error.startswith(begins) for error in summary["errors"]), summary["errors"]
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert lines == [f"error: {error}" for error in summary["errors"]]
    (alert,) = (item for item in receiver.got if item["name"] == "cycle")
    assert begins in alert["message"]
    assert not any("loads keep being committed" in error for error in summary["errors"])


NOWHERE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "lakemesh",
    "AWS_SECRET_ACCESS_KEY": "lakemesh-local",
}
"""A store that does not answer."""


def test_a_landing_that_is_down_is_one_error_per_feed(lake: Lake) -> None:
    seen = Store(lake.home.options.lake_uri, lake.home.options)
    seen.put("ledger/_first_seen/invoices", b"2020-01-01T00:00:00+00:00")
    done = lake("run", LANDING_URI="s3://{bucket}", **NOWHERE)
    errors = [line.removeprefix("error: ") for line in done.stderr.splitlines()]
    assert [error.split(":")[0] for error in errors] == list(contracts())
    assert all("check AWS_ENDPOINT_URL and try again" in error for error in errors)
    assert "nothing new to publish: readers have release 1" in done.stdout
    assert (
        "invoices is late: none of its objects is loaded yet, and its landing cannot be listed, the contract promises "
        "2.0 days; ask revenue; objects of it could not"
    ) in " ".join(done.stdout.split())
    assert done.returncode == 1


def test_readers_keep_their_release_while_the_lake_is_down(lake: Lake) -> None:
    done = lake("run", LAKE_URI="s3://lake", **NOWHERE)
    assert done.stdout.splitlines()[0] == "not published: readers keep release 1"
    (error,) = done.stderr.splitlines()
    assert error.startswith("error: s3://lake (")
    assert done.returncode == 1


def test_unreachable_releases_are_not_reported_as_missing(lake: Lake) -> None:
    summary, done = lake.run(PUBLISHED_URI="s3://published", LAKE_URI="s3://lake", **NOWHERE)
    assert (summary["outcome"], summary["state"], summary["is_state_known"]) == ("failed", None, False)
    assert [error.split(" ")[0] for error in summary["errors"]] == ["s3://published", "s3://lake"]
    assert done.returncode == 1
    shown = lake("run", PUBLISHED_URI="s3://published", LAKE_URI="s3://lake", **NOWHERE).stdout
    assert "not published: readers keep their release, whose number cannot be read" in shown


def test_each_cycle_that_cannot_start_is_a_line_of_json(empty_lake: Lake, receiver: Receiver) -> None:
    empty_lake.home.put("users", "u.json", {"user_id": "u1"})
    expected = {
        "LAKE_START: 'soon' is not a date": ({"LAKE_START": "soon"}, 2),
        "PUBLISHED_STATES: ": ({"PUBLISHED_STATES": "all"}, 2),
        "unknown feed user; expected one of": ({}, 2),
        "there is no production yet; run `sqlmesh plan` once": ({"NOTIFY_WEBHOOK_URL": receiver.url}, 2),
    }
    log = ""
    for begins, (variables, code) in expected.items():
        done = empty_lake("run", "--json", *["user"] * begins.startswith("unknown"), **variables)
        log += done.stdout
        assert done.returncode == code
        assert done.stderr.startswith(f"error: {begins}")
    with file_lock(empty_lake.home.options_home / "locks" / "cycle.lock", "busy"):
        done = empty_lake("run", "--json", NOTIFY_WEBHOOK_URL=receiver.url)
    log += done.stdout
    assert done.returncode == 1
    assert "error: another cycle is in progress" in done.stderr

    lines = [json.loads(line) for line in log.splitlines()]
    assert len(lines) == len(expected) + 1
    assert [line["outcome"] for line in lines] == ["failed"] * len(expected) + ["busy"]
    for line, begins in zip(lines, [*expected, "another cycle is in progress"], strict=True):
        assert line["errors"][0].startswith(begins)
    assert lines[3]["ingest"]["feeds"][2]["rows"] == 1, "it loaded, although nothing can be computed yet"
    assert [item["name"] for item in receiver.got].count("cycle") == 1, "a cycle beside another one reports nothing"


def test_publish_prints_one_line_too(lake: Lake) -> None:
    done = lake("publish", "--json")
    (line,) = done.stdout.splitlines()
    assert (json.loads(line)["outcome"], done.returncode) == ("unchanged", 0), done.stderr
