"""Files on this host beside lake, warehouse and releases that may have values of records: for an erasure."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ingest.settings import Settings
from ingest.storage.names import DRAFT
from pipeline.cycle.record import forget_errors
from pipeline.process.removed import Removed
from pipeline.process.temporary import delete_dead
from pipeline.releases.release import Releases

YOUNG_SECONDS = 60.0
"""Age from which a draft is one of a killed process: a draft is written at once."""


def clean_home(options: Settings, folders: Iterable[Path], cache: Path | None) -> Removed:
    """Delete reports, logs, caches, drafts and temporary folders, and the texts of errors that wait to be recorded.

    `alerts.json`, `usage.jsonl`, `up_to_date.json` and the audit log have names, times and digests, and no values of
    records.

    Args:
        folders: in whose `logs` SQLMesh writes its logs.
        cache: folder of SQLMesh's cache; None if it is not known.
    """
    reports = _delete((Path(options.lake_home) / "reports").rglob("*"))
    logs = _delete(path for folder in folders for path in (folder / "logs").glob("sqlmesh_*.log"))
    cached = _delete(cache.rglob("*")) if cache else 0
    done = {
        f"deleted {reports} reports of {options.lake_home}/reports; `lake report` makes them again": reports,
        f"deleted {logs} logs of SQLMesh": logs,
        f"deleted {cached} files of SQLMesh's cache": cached,
        "removed the texts of errors from cycles.jsonl": forget_errors(options),
    }
    beyond = (
        "copies elsewhere: reports that were sent or written with --out, alerts that were sent, the output of commands "
        "that a scheduler keeps",
    )
    return Removed(tuple(text for text, count in done.items() if count), beyond=beyond) + delete_dead()


def delete_drafts(published: Releases) -> Removed:
    """Delete the drafts that killed processes left among releases on a local disk."""
    root = published.store.root
    if root is None:
        return Removed(
            beyond=(
                f"{published.store.uri}: noncurrent versions and unfinished uploads, if the bucket keeps any, "
                "are its lifecycle rules' to expire",
            )
        )
    old = time.time() - YOUNG_SECONDS
    count = _delete(path for path in root.rglob(f"{DRAFT}*") if path.lstat().st_mtime < old)
    return Removed((f"{root}: deleted {count} drafts of killed processes",) if count else ())


def _delete(paths: Iterable[Path]) -> int:
    """Delete files, not folders, and return how many there were."""
    count = 0
    for path in list(paths):
        with suppress(FileNotFoundError):
            if path.is_symlink() or path.is_file():
                path.unlink()
                count += 1
    return count
