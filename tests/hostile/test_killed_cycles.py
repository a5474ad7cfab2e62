"""A process that is killed or terminated keeps no lock and leaves no child: `lake run`, also while it forks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tests.home
from ingest.errors import Busy
from ingest.settings import PROJECT
from ingest.storage.lock import file_lock
from tests.conftest import settings_of
from tests.engagement import play
from tests.hostile.conftest import Lake
from tests.postgres_server import Postgres

FORKS = {"MAX_FORK_WORKERS": "2"}
"""In tests SQLMesh parses in one process, as in `lake`; here it forks, as it does by default."""


def children(process: int) -> list[int]:
    """The processes that a process forked, without the programs that it started, which end by themselves."""
    found = []
    program = command_of(process)
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        child = int(path.parent.name)
        if int(fields[1]) == process and command_of(child) == program:
            found.append(child)
    return found


def first_children(parent: subprocess.Popen[str]) -> list[int]:
    """Wait until a process has forked, and return what it forked."""
    while not (found := children(parent.pid)):
        assert parent.poll() is None, f"it ended without a child: {parent.communicate()}"
        time.sleep(0.02)
    return found


def command_of(process: int) -> bytes:
    """The command line of a process; empty once it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def wait_until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for a condition, a function without arguments."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)


def is_alive(process: int) -> bool:
    """Whether a process is running, and not a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_a_cycle_that_is_killed_while_it_forks_blocks_no_later_one(lake: Lake) -> None:
    cache = Path(tests.home.PROJECT) / ".cache"
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        shutil.rmtree(cache, ignore_errors=True)
        with lake.start("run", **FORKS) as cycle:
            forked = first_children(cycle)
            cycle.send_signal(number)
            cycle.communicate(timeout=30)
            assert cycle.returncode in (-number, 1)
            with file_lock(lake.home.options_home / "locks" / "cycle.lock", "still locked"):
                pass
            wait_until(lambda processes=forked: not any(map(is_alive, processes)), 5)

    summary, done = lake.run(**FORKS)
    assert (summary["outcome"], done.returncode) == ("unchanged", 0), done.stderr


def test_lake_itself_does_not_fork(lake: Lake) -> None:
    script = "import pipeline, sqlmesh.core.constants; print(sqlmesh.core.constants.MAX_FORK_WORKERS)"
    variables = {name: value for name, value in os.environ.items() if name != "MAX_FORK_WORKERS"}
    for wanted, extra in (("1", {}), ("3", {"MAX_FORK_WORKERS": "3"})):
        shown = subprocess.run(
            [sys.executable, "-c", script], cwd=PROJECT, env=variables | extra, capture_output=True, text=True
        )
        assert shown.stdout.strip() == wanted, shown.stderr


FORKED = """
import os, sys, threading, time
from pathlib import Path
import ingest.storage.lock
from ingest.storage.lock import file_lock
kind, path = sys.argv[1:]
if kind == "no prctl":
    ingest.storage.lock._ended_by_kernel = lambda: False
def fork():
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
with file_lock(Path(path), "busy"):
    if kind == "thread":
        threading.Thread(target=fork).start()
    else:
        fork()
    print("forked", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["prctl", "no prctl", "thread"])
def test_a_lock_and_forked_children_end_with_their_process(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with subprocess.Popen(
        [sys.executable, "-c", FORKED, kind, str(path)], cwd=PROJECT, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        wait_until(lambda: children(parent.pid))
        (child,) = children(parent.pid)
        time.sleep(0.2)  # a thread of the child watches its parent
        assert is_alive(child), "it ends with its parent, not with the thread that forked it"
        with pytest.raises(Busy, match="taken"), file_lock(path, "taken"):
            pass
        parent.kill()
        parent.wait()
        with file_lock(path, "still taken"):
            pass
        wait_until(lambda: not is_alive(child), 5)


def test_a_forked_child_does_not_close_a_descriptor_that_is_no_longer_a_lock(tmp_path: Path) -> None:
    """The number of a descriptor that was closed meanwhile belongs to another file."""
    script = """
import os, sys
from ingest.storage.lock import not_inherited
one, two = (os.open(path, os.O_RDWR | os.O_CREAT) for path in sys.argv[1:])
with not_inherited(one):
    os.close(one)
    assert os.dup2(two, one) == one
    if os.fork() == 0:
        os.write(one, b"from the child")
        os._exit(0)
    os.wait()
"""
    paths = [str(tmp_path / name) for name in ("one", "two")]
    subprocess.run([sys.executable, "-c", script, *paths], cwd=PROJECT, check=True)
    assert (tmp_path / "two").read_bytes() == b"from the child"


@pytest.fixture
def postgres_state(clean_settings: Path, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A new database for the state; the settings point to it."""
    database = f"killed_{os.getpid()}"
    with settings_of(monkeypatch, clean_settings.parent, postgres_server, database):
        yield database
    postgres_server.sql("postgres", f"DROP DATABASE {database} WITH (FORCE)")


SESSION = """
import os, sys, time
from ingest.settings import settings
from pipeline.state.opening import state_database
from pipeline.process.postgres import connect
session = connect(settings())
state = state_database(settings())
with state.cycle_lock(0), state.compute_lock():
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    print("forked", flush=True)
    time.sleep(60)
"""


def test_a_session_of_postgres_ends_with_its_process(postgres_state: str, postgres_server: Postgres) -> None:
    """A forked child shares the socket: for the server the session would continue, with its locks."""
    query = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 1818323813"

    def locks() -> str:
        return postgres_server.sql(postgres_state, query).strip()

    with subprocess.Popen([sys.executable, "-c", SESSION], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "forked\n"
        assert locks() == "2"
        parent.kill()
        parent.wait()
        wait_until(lambda: locks() == "0", 5)


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "before:pipeline.cycle.ingest:mark"),
        (signal.SIGTERM, "before:pipeline.warehouse.project:Project.run"),
    ],
)
def test_a_terminated_cycle_reports_it(lake: Lake, number: signal.Signals, moment: str) -> None:
    lake.stops_at = moment
    with lake.start("run", "--json") as cycle:
        out, err = terminate(cycle, number)
    assert cycle.returncode == 1
    assert err.strip() == "interrupted: nothing half done is visible, run it again"
    assert '"outcome": "failed"' in out
    assert out.count("\n") == 1
    assert not (lake.home.options_home / "alerts.json").exists()


def terminate(process: subprocess.Popen[str], number: signal.Signals) -> tuple[str, str]:
    """Send a signal to a process once it has stopped, continue it, and return its output."""
    wait_until(lambda: os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)[0] == process.pid)
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    return process.communicate(timeout=30)


def test_a_loop_terminated_between_cycles_succeeds(lake: Lake) -> None:
    with lake.start("run", "--json", "--every", "1h") as loop:
        assert loop.stdout is not None
        assert '"outcome": "unchanged"' in loop.stdout.readline()
        loop.send_signal(signal.SIGTERM)
        out, err = loop.communicate(timeout=30)
    assert (loop.returncode, out) == (0, "")
    assert "stopped: nothing half done is visible, the next start continues" in err
    assert "Traceback" not in err


def test_a_loop_terminated_during_a_cycle_gives_it_up(lake: Lake) -> None:
    lake.stops_at = "before:pipeline.cycle.ingest:mark"
    with lake.start("run", "--every", "1h") as loop:
        _, err = terminate(loop, signal.SIGTERM)
    assert loop.returncode == 0
    assert "stopped: nothing half done is visible" in err


def test_a_terminated_ingest_removes_its_files(empty_lake: Lake) -> None:
    empty_lake.home.put("events", "a.json", play("a", "2026-01-01"))
    empty_lake.stops_at = "after:ingest.steps.write:LoadWriter.finish"
    with empty_lake.start("ingest") as ingest:
        _, err = terminate(ingest, signal.SIGTERM)
    assert ingest.returncode == 1
    assert err.strip() == "interrupted: nothing half done is visible, run it again"
    assert not list(empty_lake.home.options_home.rglob("*.parquet"))

    empty_lake.stops_at = ""
    assert empty_lake("ingest").returncode == 0


def test_a_command_that_ignores_termination_is_killed(empty_lake: Lake) -> None:
    """A library swallows the interrupt and continues."""
    script = """
import time, sys
from pipeline.process.interrupt import interruptible
import pipeline.process.interrupt
pipeline.process.interrupt.GRACE_SECONDS = 1.0
with interruptible():
    print("ready", flush=True)
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""
    for signals in (1, 2):
        with subprocess.Popen(
            [sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as stubborn:
            assert stubborn.stdout is not None
            stubborn.stdout.readline()
            time.sleep(0.3)
            began = time.monotonic()
            for _ in range(signals):
                stubborn.send_signal(signal.SIGTERM)
                time.sleep(0.2)
            _, err = stubborn.communicate(timeout=30)
            assert stubborn.returncode == 1
            assert ("ended 1 seconds after SIGTERM" in err) == (signals == 1)
            assert time.monotonic() - began < 5
