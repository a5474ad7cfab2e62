"""Rules: with LAKE_LOG=json each line of stderr is one JSON object that says where it happened, without secrets."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import click
import pytest

from ingest.settings import PROJECT
from pipeline.process.log import JsonFormatter, JsonLines, located, note_event, redact_handlers
from tests.home import Home


def formatted(message: str, *arguments: object, **options: Any) -> dict[str, Any]:
    """A record as JSON, without time, level and logger."""
    record = logging.LogRecord("a.logger", logging.INFO, "path", 1, message, arguments, options.get("exc_info"))
    line = JsonFormatter().format(record)
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    assert (found.pop("level"), found.pop("logger")) == ("INFO", "a.logger")
    assert found.pop("ts").endswith("+00:00")
    return found


def test_fields_of_an_event_are_fields_of_the_line() -> None:
    line = formatted("committed feed=%s load=%s entry=%d objects=%d%s", "events", "l1", 2, 8, " skipped_null=3")
    assert line == {
        "event": "committed",
        "feed": "events",
        "load": "l1",
        "entry": 2,
        "objects": 8,
        "skipped_null": "3",
    }
    assert formatted("event=clock_behind state=%s milliseconds=%s", "s", 5) == {
        "event": "clock_behind",
        "state": "s",
        "milliseconds": 5,
    }
    assert formatted("bronze of %s is read", "users") == {"message": "bronze of users is read"}
    assert formatted("100 % done") == {"message": "100 % done"}
    assert formatted("a %(name)s", {"name": "mapping"})["message"] == "a mapping"


def test_tracebacks_and_hostile_text_stay_on_one_line() -> None:
    line = formatted("event=unexpected place=%s\n%s", "users", "Traceback …\n  File 1")
    assert (line["event"], line["place"], line["traceback"]) == ("unexpected", "users", "Traceback …\n  File 1")
    try:
        raise ValueError("no\nway")
    except ValueError:
        assert formatted("it failed", exc_info=sys.exc_info())["traceback"].endswith("ValueError: no\nway")
    assert formatted('%s"}\n{"level": "fake', "\x1b[31m")["message"] == '\x1b[31m"}\n{"level": "fake'


def test_no_secret_is_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", 'p@ss "w0rd"')
    lines = [
        formatted('the server refused p@ss "w0rd"'),
        formatted("event=login password=%s", "short"),
        formatted("event=connected address=%s", "postgresql://bi:pw@host/bi"),
    ]
    assert lines[0]["message"] == "the server refused ***"
    assert lines[1]["password"] == "***"
    assert lines[2]["address"] == "postgresql://bi:***@host/bi"


def test_lines_of_all_threads_say_where_the_process_is() -> None:
    found: list[dict[str, Any]] = []
    with located(run="r1"):
        with located(stage="run", feed="users"):
            thread = threading.Thread(target=lambda: found.append(formatted("from a thread of SQLMesh")))
            thread.start()
            thread.join()
        found.append(formatted("after"))
    found.append(formatted("outside"))
    assert found == [
        {"message": "from a thread of SQLMesh", "run": "r1", "stage": "run", "feed": "users"},
        {"message": "after", "run": "r1"},
        {"message": "outside"},
    ]


def test_an_event_keeps_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pipeline.process.log"):
        note_event("cycle", outcome="published", release=None, **{"house-keeping_seconds": 0.5})
    (record,) = caplog.records
    found = json.loads(JsonFormatter().format(record))
    wanted = {"event": "cycle", "outcome": "published", "release": None, "house_keeping_seconds": 0.5}
    assert {name: found[name] for name in wanted} == wanted


def test_whatever_is_written_becomes_json_and_json_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    below = io.StringIO()
    stream = JsonLines(below)
    monkeypatch.setattr(sys, "stderr", stream)
    click.echo("error: users: refused", err=True)
    click.echo("warning: late", err=True)
    print("note: in", "parts", file=sys.stderr, flush=True)
    print('{"level": "INFO", "message": "json"}', file=sys.stderr)
    print("\n\n", file=sys.stderr)
    sys.stderr.write("cut")
    stream.finish()
    lines = [json.loads(line) for line in below.getvalue().splitlines()]
    assert [(line["level"], line["message"]) for line in lines] == [
        ("ERROR", "error: users: refused"),
        ("WARNING", "warning: late"),
        ("INFO", "note: in parts"),
        ("INFO", "json"),
        ("INFO", "cut"),
    ]


def test_handlers_of_sqlmesh_write_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    below = io.StringIO()
    handler = logging.StreamHandler(below)
    handler.setFormatter(logging.Formatter("%(asctime)s - %(message)s"))
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    redact_handlers(as_json=True)
    logging.getLogger("sqlmesh.core.scheduler").warning("Evaluating %s password=%s", "a model", "hunter2")
    found = json.loads(below.getvalue())
    assert found["logger"] == "sqlmesh.core.scheduler"
    assert "hunter2" not in below.getvalue()
    redact_handlers(as_json=False)
    logging.getLogger("sqlmesh").warning("plain")
    assert json.loads(below.getvalue().splitlines()[-1])["message"] == "plain", "what is JSON stays JSON"


def test_every_line_of_a_command_is_json(home: Home) -> None:
    home.put("users", "1.json", {"user_id": "u1"}, b"{")
    program = [sys.executable, "-m", "pipeline", "ingest", "users", "--json"]
    done = subprocess.run(
        program, capture_output=True, text=True, env=os.environ | {"LAKE_LOG": "json"}, cwd=Path(PROJECT)
    )
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    (committed,) = [line for line in lines if line.get("event") == "committed"]
    assert (committed["feed"], committed["objects"]) == ("users", 1)
    (load,) = json.loads(done.stdout)["feeds"][0]["loads"]
    assert committed["load"] == load
    (error,) = [line for line in lines if line["level"] == "ERROR"]
    assert error["message"].startswith("error: users: 1 of 2 records are quarantined")
