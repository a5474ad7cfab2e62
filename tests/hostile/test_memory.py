"""An ingest stays below its documented memory; an object that would exceed it is quarantined with that limit."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.limits import MEMORY_BYTES
from ingest.settings import PROJECT
from tests.hostile.command import line

EVENT = {"event_id": "e", "name": "activity_exit", "occurred_at": "2026-11-01T10:00:00Z", "user_id": "u"}


def zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)


def parquet(rows: int, **columns: pa.Array) -> bytes:
    """Events in Parquet, with dictionary-encoded texts and further columns."""
    plain = {name: pa.DictionaryArray.from_arrays([0] * rows, [value]) for name, value in EVENT.items()}
    plain["event_id"] = pa.array([f"e{number}" for number in range(rows)])
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({**plain, **columns}), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def same_text(rows: int, size: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays([0] * rows, ["x" * size])


BOMBS: dict[str, Callable[[], bytes]] = {
    "one text of 4 MB in 400 rows": lambda: parquet(400, extra=same_text(400, 4 << 20)),
    "240 MB of an array": lambda: zstd(b"[" + b"1," * (120 << 20) + b"1]"),
    "4 million empty objects": lambda: zstd(b"{}\n" * 4_000_000),
    "6 million empty objects": lambda: zstd(b"{}\n" * 6_000_000),
    "300 MB of line breaks": lambda: gzip.compress(b"\n" * (300 << 20)),
    "lists of one text": lambda: parquet(
        200, extra=pa.ListArray.from_arrays(list(range(0, 20_001, 100)), same_text(20_000, 100_000))
    ),
    "300,000 numbers in an array": lambda: b"[" + b"1," * 300_000 + b"1]",
}


LONG = ("4 million empty objects",)
"""Objects whose records are all quarantined, which takes a minute."""
MEASURED = """
import atexit, pathlib, runpy, sys

place = pathlib.Path(sys.argv[1])
atexit.register(lambda: place.write_text(pathlib.Path("/proc/self/status").read_text()))
sys.argv = ["lake", "ingest", "events", "--json"]
runpy.run_module("pipeline", run_name="__main__", alter_sys=True)
"""
"""`lake ingest`, which records its own peak: the system's figure for a child includes that of its parent."""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell the peak of a process")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in BOMBS]
)
def test_memory_is_bounded_for_every_object(tmp_path: Path, name: str) -> None:
    bucket = tmp_path / "home/landing/raw-events"
    bucket.mkdir(parents=True)
    (bucket / "bomb.json").write_bytes(BOMBS[name]())
    (bucket / "good.json").write_bytes(line("good"))
    (tmp_path / "dotenv").touch()
    own = {"LAKE_HOME": str(tmp_path / "home"), "SQLMESH_DOTENV_PATH": str(tmp_path / "dotenv")}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path / "status")],
        cwd=PROJECT,
        env=os.environ | own,
        capture_output=True,
        check=False,
        timeout=300,
    )
    (feed,) = json.loads(done.stdout)["feeds"]
    (peak,) = (
        int(row.split()[1]) * 1024 for row in (tmp_path / "status").read_text().splitlines() if row.startswith("VmHWM")
    )
    assert peak < MEMORY_BYTES, f"{peak / 1e6:.0f} MB"
    assert feed["objects"] == 2
    assert feed["rows"] >= 1, "the object beside it is loaded"
    assert feed["records"] == feed["rows"] + feed["quarantined"]


def test_object_over_a_limit_is_quarantined_with_that_limit(tmp_path: Path) -> None:
    bucket = tmp_path / "home/landing/raw-events"
    bucket.mkdir(parents=True)
    (bucket / "lines.json").write_bytes(zstd(b"{}\n" * 6_000_000))
    (bucket / "bytes.json").write_bytes(zstd(b" " * (300 << 20)))
    (bucket / "texts.parquet").write_bytes(parquet(400, extra=same_text(400, 4 << 20)))
    (tmp_path / "dotenv").touch()
    own = {"LAKE_HOME": str(tmp_path / "home"), "SQLMESH_DOTENV_PATH": str(tmp_path / "dotenv")}

    def lake(*arguments: str) -> str:
        command = [sys.executable, "-m", "pipeline", *arguments]
        return subprocess.run(
            command, cwd=PROJECT, env=os.environ | own, capture_output=True, check=False, timeout=300
        ).stdout.decode()

    lake("ingest", "events")
    found = json.loads(lake("quarantine", "show", "events", "--json", "--raw", "--limit", "1000"))
    details = {item["source_file"]: item["detail"] for item in found}
    assert "more lines than" in details["raw-events/lines.json"]
    assert "unpacks to more than 1,000 times" in details["raw-events/bytes.json"]
    assert (
        "268,435,456 bytes" in details["raw-events/texts.parquet"] or "at most" in details["raw-events/texts.parquet"]
    )
