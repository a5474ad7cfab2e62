"""`lake` as a process, on a copy of the code whose only feed has columns of every type."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import yaml

from ingest.contracts.contract import load_contract
from ingest.ledger.ledger import Ledger
from ingest.settings import PROJECT
from ingest.storage.store import Store
from pipeline.warehouse.bronze import bronze_query

CONTRACT = """
version: 1
kind: event
owner: tests
description: Readings of meters.
source: {bucket: raw-readings}
key: [id]
event_time: at
freshness_seconds: 60
max_quarantined_share: 1
columns:
  - {name: id, type: string, required: true, description: x}
  - {name: at, type: timestamp, required: true, description: x}
  - {name: value, type: double, description: x}
  - {name: values, type: double, repeated: true, description: x}
  - {name: count, type: integer, description: x}
  - {name: price, type: "decimal(5, 2)", description: x}
  - {name: day, type: date, description: x}
  - name: place
    type: struct
    description: x
    fields:
      - {name: height, type: double, description: x}
      - {name: code, type: string, description: x}
  - name: parts
    type: struct
    repeated: true
    description: x
    fields:
      - {name: weight, type: double, description: x}
      - {name: number, type: integer, description: x}
"""


def reading(name: str, fields: str = "") -> bytes:
    """A line: a good record, with further fields as JSON text."""
    more = f", {fields}" if fields else ""
    return f'{{"id": "{name}", "at": "2026-11-01T10:00:00Z"{more}}}\n'.encode()


@dataclass(frozen=True)
class Bad:
    """A quarantined record."""

    object: str
    line: int
    reason: str
    column: str | None
    detail: str
    raw: bytes


class Readings:
    """A lake of readings below a folder to which only processes write."""

    def __init__(self, folder: Path) -> None:
        self.project, self.home = folder / "project", folder / "home"
        for name in ("ingest", "pipeline"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PROJECT / name, self.project / name, ignore=ignored)
        for domain in (path for path in (self.project / "ingest/contracts").iterdir() if path.is_dir()):
            shutil.rmtree(domain)
        self.contract = self.project / "ingest/contracts/meters/readings.yaml"
        self.contract.parent.mkdir(parents=True)
        self.contract.write_text(CONTRACT)
        (folder / "dotenv").touch()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LAKE_", "NOTIFY_"))}
        own = {"SQLMESH_DOTENV_PATH": str(folder / "dotenv"), "LAKE_HOME": str(self.home)}
        self.environment = kept | own | {"PYTHONPATH": str(self.project)}

    def put(self, key: str, data: bytes) -> None:
        """Write an object of the landing."""
        path = self.home / "landing/raw-readings" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def change(self, **fields: Any) -> None:
        """Change fields of the contract."""
        contract = yaml.safe_load(self.contract.read_text()) | fields
        self.contract.write_text(yaml.safe_dump(contract))

    def lake(self, *arguments: str, code: int = 0) -> tuple[str, float]:
        """Run `lake`, which must end with that code and no traceback; return its output and CPU time in seconds."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def rows(self, columns: str = "*") -> list[dict[str, Any]]:
        """The visible rows."""
        state = Ledger(self._store, "readings").state()
        query = bronze_query(load_contract(self.contract), self._store.uri, state.bronze_files())
        found: list[dict[str, Any]] = (
            duckdb.sql(f"SELECT {columns} FROM ({query}) ORDER BY _source_file, _source_line")
            .to_arrow_table()
            .to_pylist()
        )
        return found

    def bad(self) -> list[Bad]:
        """The quarantined records."""
        state = Ledger(self._store, "readings").state()
        files = [f"{self._store.uri}/{path}" for path in state.files if path.startswith("quarantine/")]
        query = (
            'SELECT _source_file, _source_line, reason, "column", detail, raw '
            f"FROM READ_PARQUET({files}) ORDER BY _source_file, _source_line"
        )
        return [Bad(row[0].split("/", 1)[1], *row[1:]) for row in (duckdb.sql(query).fetchall() if files else ())]

    @property
    def _store(self) -> Store:
        return Store(str(self.home / "lake"))
