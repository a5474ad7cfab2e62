"""A copy of the code with its own contracts, and `lake` as a process on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from ingest.settings import PROJECT
from tests.home import FOLDERS

CODE = ("ingest", "pipeline")


def column(name: str, kind: str, **rules: Any) -> dict[str, Any]:
    """A column as written in a contract file."""
    return {"name": name, "type": kind, "description": "x", **rules}


COLUMNS = (column("id", "string", required=True), column("at", "timestamp", required=True))


def bucket_of(feed: str) -> str:
    """The bucket of a feed's objects."""
    return f"raw-{feed.replace('_', '-')}"


class Checkout:
    """A copy of the project with only the feed `clicks`, and its own lake next to it."""

    def __init__(self, folder: Path, with_models: bool = False) -> None:
        self.folder, self.home = folder / "project", folder / "home"
        ignore = shutil.ignore_patterns("__pycache__")
        for name in (*CODE, *(FOLDERS if with_models else ())):
            shutil.copytree(PROJECT / name, self.folder / name, ignore=ignore)
        (self.folder / "external_models").mkdir(exist_ok=True)
        if not with_models:
            for domain in (path for path in (self.folder / "ingest/contracts").iterdir() if path.is_dir()):
                shutil.rmtree(domain)
        else:
            shutil.copy(PROJECT / "config.yaml", self.folder)
        (folder / "dotenv").touch()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LAKE_", "NOTIFY_"))}
        own = {"SQLMESH_DOTENV_PATH": str(folder / "dotenv"), "LAKE_HOME": str(self.home)}
        self.environment = kept | own | {"PYTHONPATH": str(self.folder)}

    def agree(self, *columns: dict[str, Any], version: int = 1, feed: str = "clicks", **fields: Any) -> None:
        """Write the contract of a feed: an id, a time and the given columns."""
        contract = {
            "version": version,
            "kind": "event",
            "owner": "tests",
            "description": "Clicks.",
            "source": {"bucket": bucket_of(feed)},
            "key": ["id"],
            "event_time": "at",
            "freshness_seconds": 60,
            "columns": [*COLUMNS, *columns],
        } | fields
        path = self.folder / "ingest/contracts/web" / f"{feed}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({name: value for name, value in contract.items() if value is not None}))

    def put(self, key: str, *records: dict[str, Any] | bytes, feed: str = "clicks") -> None:
        """Write one landing object of JSON lines; records get an id and a time."""
        lines = []
        for number, item in enumerate(records):
            if isinstance(item, dict):
                item = json.dumps({"id": f"{key}-{number}", "at": "2026-01-02T10:00:00Z"} | item).encode()
            lines.append(item + b"\n")
        path = self.home / "landing" / bucket_of(feed) / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(lines))

    def lake(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `lake`; it must end with the given code, if any, and never with a traceback."""
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=300,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done
