"""Record of past cycles in the warehouse, read by the models in models/ops."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.settings import Settings
from ingest.storage.folders import make_folder
from pipeline.cycle.summary import RunSummary
from pipeline.process.redact import redact

if TYPE_CHECKING:  # a cycle that finds nothing opens no engine
    from pipeline.warehouse.engine import Engine

_TABLE = "operations.runs"


def record(engine: Engine, summary: RunSummary) -> None:
    """Append a cycle to the record."""
    from pipeline.warehouse.operations import AUDITS, RUNS

    if not engine.adapter.table_exists(_TABLE):
        return
    cycle = _row(summary)
    engine.insert(_TABLE, RUNS, [cycle])
    audits = [(cycle[0], item.name, item.scope, item.rows, item.blocks) for item in summary.audits]
    engine.insert("operations.audits", AUDITS, audits)


def record_later(options: Settings, summary: RunSummary) -> None:
    """Keep the record of a cycle that did not open the warehouse, for `insert_waiting` of a later one."""
    path = _waiting(options)
    make_folder(path.parent, options.lake_folder_mode)
    run_id, started_at, *rest = _row(summary)
    with path.open("a", encoding="utf-8") as file:
        # on a line of its own, even after one that a crash cut
        file.write("\n" + json.dumps([run_id, started_at.isoformat(), *rest]) + "\n")
        file.flush()
        os.fsync(file.fileno())


def insert_waiting(engine: Engine, options: Settings) -> None:
    """Append the cycles of `record_later` to the record. A crash in between doubles none."""
    path = _waiting(options)
    from sqlglot import exp

    from pipeline.warehouse.operations import RUNS

    cycles = [cycle for cycle in _read(path) if len(cycle) == len(RUNS)]  # others are of another version
    if not cycles or not engine.adapter.table_exists(_TABLE):
        return

    ids = [exp.Literal.string(cycle[0]) for cycle in cycles]
    _, known = engine.select(exp.select("run_id").from_(_TABLE).where(exp.column("run_id").isin(*ids)))
    recorded = {run_id for (run_id,) in known}
    engine.insert(_TABLE, RUNS, [cycle for cycle in cycles if cycle[0] not in recorded])
    path.unlink()


def forget_errors(options: Settings) -> int:
    """Remove the texts of errors from the kept cycles, since they may quote values; returns of how many."""
    from pipeline.warehouse.operations import ERASED, RUNS

    path, place = _waiting(options), list(RUNS).index("errors")
    cycles = [list(cycle) for cycle in _read(path)]
    found = [cycle for cycle in cycles if len(cycle) > place and cycle[place] not in ("", ERASED)]
    for cycle in found:
        cycle[place] = ERASED
    if found:
        draft = path.with_suffix(".draft")
        lines = (json.dumps([run_id, started_at.isoformat(), *rest]) for run_id, started_at, *rest in cycles)
        draft.write_text("".join(f"\n{line}\n" for line in lines), encoding="utf-8")
        draft.replace(path)
    return len(found)


def _row(summary: RunSummary) -> tuple[Any, ...]:
    """The values of RUNS."""
    feeds = summary.ingest.feeds if summary.ingest else []
    return (
        summary.run_id,
        summary.started_at.replace(tzinfo=None),
        summary.outcome,
        summary.exit_code,
        summary.state,
        sum(len(feed.loads) for feed in feeds),
        sum(feed.rows for feed in feeds),
        sum(len(done.dates) for done in summary.computed.values()),
        sum(summary.seconds.values()),
        redact("\n".join(summary.errors)),
    )


def _waiting(options: Settings) -> Path:
    return Path(options.lake_home) / "cycles.jsonl"


def _read(path: Path) -> Iterator[tuple[Any, ...]]:
    """The kept cycles; a line that a crash cut is skipped."""
    with suppress(FileNotFoundError):
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                run_id, started_at, *rest = json.loads(line)
                yield (run_id, dt.datetime.fromisoformat(started_at), *rest)
