"""A small lake that is ready for its first release, and the command by which a scheduler elsewhere runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.settings import PROJECT
from ingest.storage.lock import file_lock
from pipeline.releases.release import CURRENT
from tests.conftest import SETTINGS
from tests.home import copy_project, keep_domain

SECONDS = 900
"""How long a scheduler may take for one run on a busy machine."""


class Scheduled:
    """A lake with a sample of engagement, planned and without a release; more data waits in the landing.

    Attributes:
        project: the project that it is computed by.
        home: its LAKE_HOME.
        command: a program that runs `lake` on it, with none of the scheduler's environment.
    """

    def __init__(self, folder: Path) -> None:
        self.project, self.home, self.command = folder / "project", folder / "home", folder / "lake"
        copy_project(self.project)
        keep_domain(self.project, "engagement")
        (folder / "dotenv").touch()
        own = {"LAKE_PROJECT": self.project, "LAKE_HOME": self.home, "SQLMESH_DOTENV_PATH": folder / "dotenv"}
        values = " ".join(f"{name}='{value}'" for name, value in (own | {"PYTHONPATH": PROJECT}).items())
        self.command.write_text(f"#!/bin/sh\nexport {values}\nexec '{sys.executable}' -m pipeline \"$@\"\n")
        self.command.chmod(0o700)
        self.dotenv = folder / "dotenv"
        sqlmesh = [
            str(Path(sys.executable).with_name("sqlmesh")),
            "plan",
            "--auto-apply",
            "--no-prompts",
            "--skip-tests",
        ]
        environment = (
            _without_settings() | {name: str(value) for name, value in own.items()} | {"PYTHONPATH": str(PROJECT)}
        )
        for command in (
            [self.command, "sample", "--events", "300", "--days", "3", "--accounts", "0"],
            [self.command, "ingest"],
            sqlmesh,
            [self.command, "sample", "--events", "100", "--days", "3", "--accounts", "0", "--seed", "2"],
        ):
            done = subprocess.run(
                command, cwd=self.project, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr

    def release(self) -> str:
        """The pointer to the release that readers get; empty before the first."""
        path = self.home / "published" / CURRENT
        return path.read_text() if path.exists() else ""

    @contextmanager
    def beside_another_cycle(self) -> Iterator[None]:
        """Let another cycle be in progress while the body runs."""
        with file_lock(self.home / "locks" / "cycle.lock", "busy"):
            yield

    @contextmanager
    def with_setting(self, line: str) -> Iterator[None]:
        """Let the lake have one more setting while the body runs."""
        self.dotenv.write_text(f"{line}\n")
        try:
            yield
        finally:
            self.dotenv.write_text("")

    @contextmanager
    def with_an_object_that_cannot_be_loaded(self) -> Iterator[None]:
        """Let a pipe lie in the landing while the body runs: a cycle then ends with 1, whatever else it does."""
        path = self.home / "landing" / "raw-events" / "pipe"
        os.mkfifo(path)
        try:
            yield
        finally:
            path.unlink()


class Environment:
    """The environment of a scheduler.

    Args:
        name: of the scheduler, as in `make airflow`.
        variables: of every command in it.
    """

    def __init__(self, name: str, lake: Scheduled, variables: dict[str, str]) -> None:
        self.programs = programs(name)
        own = {
            "LAKEMESH_PROJECT": str(lake.project),
            "LAKEMESH_COMMAND": str(lake.command),
            "LAKEMESH_RETRY_SECONDS": "1",
        }
        self.variables = _without_settings() | own | variables

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs to its end."""
        return subprocess.run(
            [self.programs / program, *arguments],
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )


def programs(name: str) -> Path:
    """The folder of a scheduler's programs; skips the test if it has no environment."""
    folder = Path(os.environ.get(f"{name.upper()}_VENV", PROJECT / f".venv-{name}")) / "bin"
    if not (folder / name).exists():
        pytest.skip(f"{name} has no environment: make {name}")
    return folder


def _without_settings() -> dict[str, str]:
    """The variables of this process but for settings and for where it finds its packages."""
    own = (*SETTINGS, "PYTHONPATH", "VIRTUAL_ENV", "LAKEMESH_")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}
