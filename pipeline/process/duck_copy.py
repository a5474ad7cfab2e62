"""A consistent copy of a DuckDB file, byte by byte, while nobody else has it open."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ingest.errors import RetriableError
from ingest.retry import while_busy
from pipeline.process import duck


@contextmanager
def copied(path: Path, copy: Path, wait_seconds: float) -> Iterator[bool]:
    """Copy a DuckDB file, and keep other processes out of it while the body runs.

    Args:
        copy: the file to write; it does not exist.
        wait_seconds: how long to wait for another process that has it open.

    Returns:
        Whether there is such a file.

    Raises:
        RetriableError: another process has it open, or the disk is full.
    """
    if not path.exists():
        yield False
        return
    try:
        connection = while_busy(lambda: duckdb.connect(str(path)), duck.is_locked, wait_seconds)
    except duckdb.Error as error:
        raise duck.unavailable(f"{path} is in use, or cannot be read", error) from None
    with connection:
        with duck.translate_errors(str(path), "; it is unchanged", (duckdb.Error,)):
            connection.execute("CHECKPOINT")
        # by a process of its own: the kernel ends this one's lock on a file when any of its descriptors is closed
        done = subprocess.run(["cp", "--", str(path), str(copy)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RetriableError(f"{path} cannot be copied: {done.stderr.strip()}; free disk space and run this again")
        yield True
