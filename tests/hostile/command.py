"""`lake` as an operator starts it: its own process, on a lake below one folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ingest.settings import PROJECT

_OWN = ("AWS_", "LAKE_", "LANDING_", "PG", "SERVING_", "STATE_", "WAREHOUSE_", "NOTIFICATIONS_", "PUBLISHED_")


@dataclass(frozen=True)
class Done:
    """The result of a process."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> Any:
        """The parsed output of `--json`."""
        return json.loads(self.out)


@dataclass
class Lakehouse:
    """A lake that only processes access.

    Attributes:
        home: LAKE_HOME.
        variables: further environment variables.
        project: the folder whose code and contracts are used.
    """

    home: Path
    variables: dict[str, str] = field(default_factory=dict)
    project: Path = PROJECT

    def bucket(self, name: str = "raw-events") -> Path:
        """The folder of a local landing bucket, created if it is missing."""
        folder = self.home / "landing" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def lake(self, *arguments: str, preexec_fn: Callable[[], object] | None = None) -> Done:
        """Run `lake ARGUMENTS` to its end; a process that hangs fails the test."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
        dotenv = self.home.with_name(f"{self.home.name}.env")
        dotenv.touch()
        own = {"LAKE_HOME": str(self.home), "SQLMESH_DOTENV_PATH": str(dotenv)}
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=self.project,
            env=kept | own | self.variables,
            capture_output=True,
            check=False,
            timeout=120,
            preexec_fn=preexec_fn,
        )
        return Done(
            done.returncode, done.stdout.decode(), done.stderr.decode()
        )  # the output is text, whatever names it contains

    def with_source(self, feed: str, **fields: Any) -> Lakehouse:
        """The same lake under a project whose contract changes the feed's source."""
        folder = self.home.with_name(f"{self.home.name}-project")
        for name in ("ingest", "pipeline", "sample"):
            target, ignored = folder / name, shutil.ignore_patterns("*.pyc")
            shutil.copytree(PROJECT / name, target, ignore=ignored, dirs_exist_ok=True)
        (path,) = folder.glob(f"ingest/contracts/*/{feed}.yaml")
        contract = yaml.safe_load(path.read_text(encoding="utf-8"))
        contract["source"] |= fields
        path.write_text(yaml.safe_dump(contract), encoding="utf-8")
        return Lakehouse(self.home, self.variables, folder)


def line(event_id: str) -> bytes:
    """A good record of the feed `events`."""
    event = {"event_id": event_id, "name": "activity_exit", "occurred_at": "2026-11-01T10:00:00Z", "user_id": "u"}
    return json.dumps(event | {"data": {"duration": 1}}).encode() + b"\n"


def counts(reasons: list[dict[str, Any]]) -> dict[str, int]:
    """Objects by rule or reason, from the ignored or unloadable ones of `--json`."""
    return {item["reason"]: item["objects"] for item in reasons}
