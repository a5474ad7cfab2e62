"""A process that runs for long and is stuck, or never started, is named; one that is at work is not."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.settings import read_settings, settings
from pipeline.cli import main
from pipeline.cli.every import repeat
from pipeline.process.heartbeat import beat, overdue


def test_a_process_is_overdue_once_its_time_has_passed(clean_settings: Path) -> None:
    options = read_settings()
    now = dt.datetime.now(dt.UTC)
    assert list(overdue(options, (), now)) == [], "nothing runs, so nothing is late"
    beat(options, "stream", 600)
    beat(options, "run", 60)
    assert list(overdue(options, (), now)) == []
    (late,) = overdue(options, (), now + dt.timedelta(seconds=300))
    assert late.startswith("run: was due at ")
    assert len(list(overdue(options, (), now + dt.timedelta(seconds=900)))) == 2
    assert list(overdue(options, ("stream",), now + dt.timedelta(seconds=300))) == [], "only those that are named"
    assert (clean_settings / "alive").stat().st_mode & 0o777 == 0o700


def test_health_fails_for_what_never_ran_is_late_or_cannot_be_read(clean_settings: Path) -> None:
    run = CliRunner().invoke
    assert run(main, ["health"]).exit_code == 0
    missing = run(main, ["health", "stream"])
    assert (missing.exit_code, missing.stderr) == (1, f"error: stream: has never run with LAKE_HOME={clean_settings}\n")
    beat(settings(), "stream", 60)
    assert run(main, ["health", "stream"]).exit_code == 0
    beat(settings(), "stream", -1)
    assert "start it again" in run(main, ["health"]).stderr
    (clean_settings / "alive" / "stream").write_text("soon")
    assert run(main, ["health", "stream"]).exit_code == 1


def test_repeated_commands_note_each_turn_and_go_on_after_a_failure(
    clean_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    turns: list[int] = []

    def body(number: int) -> int:
        (clean_settings / "alive" / "run").unlink()  # each turn notes its own
        turns.append(number)
        if number == 2:
            raise KeyboardInterrupt
        return 1

    with pytest.raises(KeyboardInterrupt):
        repeat("run", 60, body)
    assert turns == [0, 1, 2]


def test_maintenance_repeats_until_it_is_asked_to_end(clean_settings: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "maintain", "events", "--every", "1s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            headings = 0
            for line in process.stdout:
                headings += line.startswith("feed ")
                if headings == 2:
                    break
            assert list(overdue(read_settings(), ["maintain"], dt.datetime.now(dt.UTC))) == []
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
