"""Record of what cycles and commands used, for the model ops.cost_daily.

    <LAKE_HOME>/usage.jsonl    until the next cycle that opens the warehouse moves it to operations.usage

A process keeps what it used when it ends, after its last stage, so that all of it counts and no cycle waits for it.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.errors import RetriableError
from ingest.settings import Settings
from ingest.storage.folders import make_folder
from ingest.storage.lock import file_lock

if TYPE_CHECKING:  # a cycle that finds nothing opens no engine
    from pipeline.warehouse.engine import Engine

WAIT_SECONDS = 5.0
_TABLE = "operations.usage"
_Row = tuple[str, str, str, float]
"""Kind, item, price and quantity, see pipeline/cycle/usage.py."""


def keep(options: Settings, rows: Sequence[_Row], run_id: str = "") -> None:
    """Keep what was used until now for `insert_kept` of a later cycle.

    Args:
        run_id: of the cycle.

    Raises:
        Busy: another process moves the record for longer than WAIT_SECONDS.
        RetriableError: it cannot be written.
    """
    if not rows:
        return
    now = dt.datetime.now(dt.UTC)
    entry = [run_id or f"{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}", now.replace(tzinfo=None).isoformat(), rows]
    path = _path(options)
    with suppress(OSError):  # a home that cannot be made is what the command itself reports
        make_folder(path.parent, options.lake_folder_mode)
    if not path.parent.is_dir():
        return
    try:
        with _locked(options), path.open("a", encoding="utf-8") as file:
            # on a line of its own, even after one that a crash cut
            file.write("\n" + json.dumps(entry) + "\n")
    except OSError as error:
        raise RetriableError(f"{path}: {error.strerror or error}; what this process used is not recorded") from error


def insert_kept(engine: Engine, options: Settings) -> None:
    """Move what was kept to the warehouse. A crash in between doubles none.

    Raises:
        Busy: another process writes the record for longer than WAIT_SECONDS.
    """
    path = _path(options)
    if not path.exists() or not engine.adapter.table_exists(_TABLE):
        return
    from sqlglot import exp

    from pipeline.warehouse.operations import USAGE

    with _locked(options):
        entries = list(_read(path))
        ids = [exp.Literal.string(run_id) for run_id, _, _ in entries]
        recorded: set[str] = set()
        if ids:
            query = exp.select("run_id").distinct().from_(_TABLE).where(exp.column("run_id").isin(*ids))
            recorded = {run_id for (run_id,) in engine.select(query)[1]}
        engine.insert(
            _TABLE,
            USAGE,
            [(run_id, at, *row) for run_id, at, rows in entries if run_id not in recorded for row in rows],
        )
        path.unlink()


def _path(options: Settings) -> Path:
    return Path(options.lake_home) / "usage.jsonl"


def _locked(options: Settings) -> Any:
    path = Path(options.lake_home) / "locks" / "usage.lock"
    return file_lock(path, f"another process writes {_path(options)}", WAIT_SECONDS)


def _read(path: Path) -> Iterator[tuple[str, dt.datetime, list[_Row]]]:
    """The kept entries; a line that a crash cut is skipped."""
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(ValueError, TypeError):
            run_id, at, rows = json.loads(line)
            yield (
                str(run_id),
                dt.datetime.fromisoformat(at),
                [(str(kind), str(item), str(price), float(quantity)) for kind, item, price, quantity in rows],
            )
