"""Rule: the program `lake` ends with the code of its command and all of its output, whatever threads remain."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PREAMBLE = "import sys, click, pipeline.cli as cli\n"
COMMAND = "@cli.main.command()\ndef tried():\n    {body}\nsys.argv = ['lake', 'tried']\ncli.program()\n"


def run(body: str, stdout: int | None = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    program = PREAMBLE + COMMAND.format(body=body)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", program], stdout=stdout, stderr=subprocess.PIPE, env=buffered, text=True, timeout=60
    )


@pytest.mark.parametrize(("body", "code"), [("pass", 0), ("sys.exit(1)", 1), ("sys.exit(2)", 2), ("sys.exit()", 0)])
def test_it_ends_with_the_code_of_the_command(body: str, code: int) -> None:
    assert run(body).returncode == code


def test_output_is_complete() -> None:
    done = run("sys.stdout.write('x' * 1_000_000); sys.stderr.write('the end')")
    assert (done.returncode, len(done.stdout), done.stderr) == (0, 1_000_000, "the end")


def test_exit_functions_run_and_a_thread_that_never_ends_does_not_matter(tmp_path: Path) -> None:
    body = (
        "import atexit, pathlib, threading, time; "
        f"atexit.register(pathlib.Path({str(tmp_path / 'ended')!r}).touch); "
        "threading.Thread(target=time.sleep, args=(600,)).start()"
    )
    assert run(body).returncode == 0
    assert (tmp_path / "ended").exists()


def test_output_that_cannot_be_written_is_an_error() -> None:
    with Path("/dev/full").open("w") as full:
        done = run("sys.stdout.write('x')", stdout=full.fileno())
    assert (done.returncode, done.stderr) == (1, "error: the output could not be written: No space left on device\n")


def test_a_defect_is_shown_with_its_traceback() -> None:
    done = run("raise ValueError('a defect')")
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: a defect\n")
