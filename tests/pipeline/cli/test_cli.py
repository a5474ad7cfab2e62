"""The command line: exit codes, one clear line per error, and machine-readable output."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ingest.contracts.contract import contracts
from ingest.settings import PROJECT, Settings, settings
from ingest.storage.store import Store
from pipeline.cli import main
from tests.home import Home

Lake = Callable[..., Result]


@pytest.fixture
def lake(clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Run `lake ARGUMENTS` with changed environment variables, as a new process would see them."""

    def run(*arguments: str, **variables: str) -> Result:
        with monkeypatch.context() as environment:
            for name, value in variables.items():
                environment.setenv(name, value)
            settings.cache_clear()
            result = CliRunner().invoke(main, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run


@pytest.fixture
def landing(clean_settings: Path) -> Path:
    """A landing with one empty bucket folder."""
    (clean_settings / "landing" / "raw-users").mkdir(parents=True)
    return clean_settings / "landing"


def test_empty_landing_succeeds_at_once(lake: Lake, landing: Path) -> None:
    for contract in contracts().values():
        (landing / contract.source.bucket).mkdir(parents=True, exist_ok=True)
    result = lake("ingest", "--json")
    assert result.exit_code == 0
    feeds = {feed["feed"]: feed["objects"] for feed in json.loads(result.stdout)["feeds"]}
    assert feeds == dict.fromkeys(contracts(), 0)
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"LAKE_START": "soon"}, "LAKE_START: 'soon' is not a date; expected for instance 2021-01-31"),
        ({"LANDING_URI": "s3://raw"}, "LANDING_URI: 's3://raw' lacks the placeholder {bucket}"),
        ({"LAKE_URI": "gs://lake"}, "LAKE_URI: 'gs://lake' has the scheme 'gs'; expected a folder or s3://bucket"),
        ({"LAKE_HOME": "/dev/null/home"}, "/dev/null/home: Not a directory; expected a folder that this user can"),
        ({"STATE_PATH": "/dev/null/state.duckdb"}, "/dev/null: File exists; expected a folder that this user can"),
    ],
)
def test_invalid_setting_is_one_line_and_exit_2(
    lake: Lake, landing: Path, variables: dict[str, str], message: str
) -> None:
    result = lake("ingest", **{"LANDING_URI": f"{landing}/{{bucket}}"} | variables)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1


def test_unknown_feed_is_one_line_and_exit_2(lake: Lake) -> None:
    result = lake("ingest", "clicks")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: unknown feed clicks; expected one of accounts, activities, clickstream, customers, events, inventory, "
        "invoices, marketing_spend, order_items, orders, payments, products, refunds, shipments, subscriptions, "
        "users\n",
    )


def test_unreachable_endpoint_is_one_line_per_feed_and_exit_1(lake: Lake) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "nobody-at-all", "AWS_SECRET_ACCESS_KEY": "nothing-at-all"}
    result = lake("ingest", LANDING_URI="s3://{bucket}", AWS_ENDPOINT_URL="http://127.0.0.1:9", **keys)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) == len(contracts())
    begins = "error: activities: s3://raw-activities (/): no valid response from the store; check AWS_ENDPOINT"
    assert lines[0].startswith(begins)


@pytest.mark.s3
def test_missing_bucket_is_named_and_does_not_block_other_feeds(lake: Lake, s3_server: dict[str, str]) -> None:
    result = lake("ingest", "events", **s3_server | {"LANDING_URI": "s3://no-{bucket}", "LAKE_URI": "s3://shared/cli"})
    assert result.exit_code == 2
    reason = "s3://no-raw-events: no such bucket; create it or fix LANDING_URI / LAKE_URI"
    assert result.stderr == f"error: events: {reason}\n"


@pytest.mark.s3
@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_wrong_credentials_are_one_line_and_exit_2(lake: Lake, s3_server: dict[str, str], name: str) -> None:
    result = lake("ingest", "events", **s3_server | {"LAKE_URI": "s3://shared/cli", name: "wrong-and-long-enough"})
    assert result.exit_code == 2
    assert "access refused; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the key's rights" in result.stderr
    assert result.stderr.count("\n") == 1
    assert "wrong-and-long-enough" not in result.stderr


@pytest.mark.s3
def test_store_without_conditional_writes_is_reported_and_locked(lake: Lake, s3_server: dict[str, str]) -> None:
    Store("s3://shared/raw-users", Settings.model_validate(s3_server)).put("a.json", b'{"user_id": "u1"}')
    result = lake(
        "ingest", "users", **s3_server | {"LAKE_URI": "s3://shared/cli", "LANDING_URI": "s3://shared/{bucket}"}
    )
    assert result.exit_code == 0
    assert "note: s3://shared/cli ignores conditional writes: only one ingester at a time" in result.stdout


def test_rows_older_than_the_history_are_counted(lake: Lake, home: Home) -> None:
    old = {"event_id": "e1", "name": "activity_exit", "occurred_at": "2020-12-31 23:59:59", "user_id": "u1", "data": {}}
    home.put("events", "old.json", old, old | {"occurred_at": "2021-01-01 00:00:00"})
    result = lake("ingest")
    assert result.exit_code == 0
    assert "note: events: 1 rows are older than LAKE_START 2021-01-01" in " ".join(result.stdout.split())


def test_bad_records_are_counted_by_reason(lake: Lake, home: Home) -> None:
    home.put("events", "bad.json", b"{", b"[]", {"event_id": "e1"})
    result = lake("ingest", "--json")
    assert result.exit_code == 1
    assert "events: 3 of 3 records are quarantined, more than the contract's max_quarantined_share" in result.stderr
    events = next(feed for feed in json.loads(result.stdout)["feeds"] if feed["feed"] == "events")
    assert events["quarantined"] == 3
    assert sum(count for _, count in events["reasons"]) == 3


def test_contracts_are_shown_and_checked(lake: Lake) -> None:
    result = lake("contracts", "show", "users")
    assert result.exit_code == 0
    assert "engagement/users" in result.stdout
    assert "from raw-users/*, late after 172,800 s" in result.stdout
    assert "engagement/events" not in result.stdout
    declared = json.loads(lake("contracts", "show", "--json").stdout)
    assert {contract["feed"] for contract in declared} >= {"events", "users", "activities"}


def test_outdated_external_models_are_exit_1_until_written(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "external_models").mkdir()
    monkeypatch.setattr(sys.modules["pipeline.cli.contracts"], "PROJECT", tmp_path)
    assert lake("contracts").exit_code == 1
    assert lake("contracts", "--write").exit_code == 0
    written = (tmp_path / "external_models" / "bronze.yaml").read_text(encoding="utf-8")
    assert written == (PROJECT / "external_models" / "bronze.yaml").read_text(encoding="utf-8")
    assert lake("contracts").exit_code == 0


def test_module_and_help_work_as_a_process() -> None:
    shown = subprocess.run([sys.executable, "-m", "pipeline", "--help"], capture_output=True, text=True, check=True)
    assert all(command in shown.stdout for command in ("contracts", "ingest", "sample"))
    every_day = shown.stdout.split("Every day:\n")[1].split("\n\n")[0].splitlines()
    verbs = ["run", "status", "why", "quarantine", "verify", "publish", "portal", "maintain"]
    assert [line.split()[0] for line in every_day] == verbs
    assert set(main.list_commands(click.Context(main))) == set(main.commands)
    wrong = subprocess.run([sys.executable, "-m", "pipeline", "nonsense"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2


@pytest.mark.parametrize("variables", [{"LAKE_START": "soon"}, {"LAKE_HOME": "/dev/null/home"}])
def test_invalid_setting_is_one_line_in_sqlmesh_too(
    clean_settings: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    command = [str(Path(sys.executable).with_name("sqlmesh")), "plan", "--no-prompts"]
    shown = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert shown.returncode == 1
    assert [line for line in shown.stdout.splitlines() if line.startswith("Error: ")] == shown.stdout.splitlines()[-1:]
    assert "Traceback" not in shown.stdout + shown.stderr


def test_dry_run_lists_pending_objects_and_loads_nothing(lake: Lake, home: Home) -> None:
    home.put("users", "a.json", {"user_id": "u1"})
    home.put("activities", "b.json", {"activity_id": "a1"})
    shown = lake("ingest", "users", "--dry-run")
    assert (shown.exit_code, shown.stdout.split()) == (0, ["18", "raw-users/a.json"])
    assert [json.loads(line)["object"] for line in lake("ingest", "--dry-run", "--json").stdout.splitlines()] == [
        "raw-activities/b.json",
        "raw-users/a.json",
    ]
    loaded = {feed["feed"]: feed["objects"] for feed in json.loads(lake("ingest", "--json").stdout)["feeds"]}
    assert {feed: objects for feed, objects in loaded.items() if objects} == {"activities": 1, "users": 1}
    assert lake("ingest", "--dry-run").stdout == ""


def test_rejected_overwrites_are_one_line_and_exit_1(lake: Lake, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    strict = contracts()["users"].model_copy(update={"overwritten": "refuse"})
    monkeypatch.setattr("pipeline.cycle.ingest.select", lambda _: [strict])
    home.put("users", "a.json", {"user_id": "u1"})
    assert lake("ingest", "users").exit_code == 0
    home.put("users", "a.json", {"user_id": "u2"})
    result = lake("ingest", "users")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("error: users: 1 overwritten objects are refused by the contract")
    assert lake("ingest", "--dry-run").stdout.split()[-1] == "raw-users/a.json"


def test_ingest_imports_neither_sqlmesh_nor_sqlglot_nor_pandas(home: Home) -> None:
    home.put("activities", "a.json", {"activity_id": "a1", "name": "A", "type": "game", "subtype": "x"})
    code = (
        "import sys\n"
        "from pipeline.cli import main\n"
        "try: main(['ingest', 'activities'])\n"
        "except SystemExit as end: print(end.code, {'sqlmesh', 'sqlglot', 'pandas', 'boto3'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert done.stdout.splitlines()[-1] == "0 set()"
