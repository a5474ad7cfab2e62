"""`lake` or `sqlmesh` in its own process, with a kill, a stop or failures at given moments.

    python -m tests.worker [--project FOLDER] [--at MOMENT kill|stop] [--fail FUNCTION EXCEPTION WORD]…
        [--ahead SECONDS] lake|sqlmesh ARGUMENTS…

MOMENT is `before` or `after` and a function, `before:pipeline.cycle.ingest:mark`, or a statement on the state
database, `before:CHECKPOINT`. There the process ends (SIGKILL) or stops (SIGSTOP) until it is continued. A FUNCTION
that is to fail raises an exception (`KeyError`, `ingest.errors:ConfigError`) at each call whose arguments contain WORD,
which may be empty. With --ahead its clock is so many seconds ahead, or behind. It waits only one second for a locked
state, to keep tests short.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import pkgutil
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote

import time_machine

import pipeline.state.duck
from ingest.settings import PROJECT, secrets


def happen(action: str) -> None:
    """Kill or stop this process."""
    os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)


def around(original: Callable[..., Any], when: str, action: str) -> Callable[..., Any]:
    """Wrap a function so that the process is killed or stopped before or after its first call."""
    left = [action]

    def call(*arguments: Any, **options: Any) -> Any:
        if when == "before" and left:
            happen(left.pop())
        result = original(*arguments, **options)
        if when == "after" and left:
            happen(left.pop())
        return result

    return call


class Leak(Exception):  # noqa: N818  a leak, not an error of its own
    """An exception whose text contains all secrets of the settings."""

    def __init__(self, _: str) -> None:
        super().__init__(" | ".join([*secrets().values(), *map(quote, secrets().values())]))


def failing(original: Callable[..., Any], kind: type[BaseException], word: str) -> Callable[..., Any]:
    """Wrap a function so that it fails whenever its arguments contain a word."""

    def call(*arguments: Any, **options: Any) -> Any:
        if word in repr((arguments, options)):
            raise kind("injected")
        return original(*arguments, **options)

    return call


def fail(place: str, kind: str, word: str) -> None:
    """Make a function fail."""
    target, name = located(place)
    error = pkgutil.resolve_name(kind if ":" in kind else f"builtins:{kind}")
    setattr(target, name, failing(getattr(target, name), error, word))


def located(place: str) -> tuple[Any, str]:
    """The module or class of a function, and its name in it."""
    owner, _, name = place.rpartition(".") if "." in place.split(":")[1] else place.rpartition(":")
    return pkgutil.resolve_name(owner), name


class Watched:
    """A connection to the state that kills or stops the process at one statement."""

    def __init__(self, connection: Any, statement: str, when: str, action: str) -> None:
        self._connection, self._statement = connection, statement
        self._met = around(connection.execute, when, action)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *arguments: Any) -> Any:
        return (self._met if statement == self._statement else self._connection.execute)(statement, *arguments)


def prepare(moment: str, action: str) -> None:
    """Arm the kill or stop for that moment."""
    when, _, place = moment.partition(":")
    if ":" not in place:
        opened = pipeline.state.duck._open
        pipeline.state.duck._open = lambda *arguments: Watched(opened(*arguments), place, when, action)
        return
    target, name = located(place)
    setattr(target, name, around(getattr(target, name), when, action))


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--project", default=str(PROJECT))
    parser.add_argument("--at", nargs=2, metavar=("MOMENT", "ACTION"))
    parser.add_argument("--fail", nargs=3, action="append", default=[], metavar=("FUNCTION", "EXCEPTION", "WORD"))
    parser.add_argument("--ahead", type=float, default=0.0)
    parser.add_argument("program", choices=["lake", "sqlmesh"])
    options, arguments = parser.parse_known_args()
    os.environ["STATE_LOCK_SECONDS"] = "1"
    if options.program == "lake":
        from pipeline import cli
        from pipeline.cycle import cycle, ingest  # noqa: F401  what the commands import later
        from pipeline.warehouse import project

        project.PROJECT = Path(options.project)
        command = cli.main
    else:
        from sqlmesh.cli.main import cli as command
    if options.at:
        prepare(*options.at)
    for fault in options.fail:
        fail(*fault)
    place = ["--paths", options.project] if options.program == "sqlmesh" else []
    sys.argv = [options.program, *place, *arguments]
    now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=options.ahead)
    with time_machine.travel(now) if options.ahead else nullcontext():
        command()


if __name__ == "__main__":
    main()
