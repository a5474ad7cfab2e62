"""Record of past cycles in the warehouse, read by the models in models/ops."""

from __future__ import annotations

import uuid

from pipeline.cycle.summary import RunSummary
from pipeline.process.redact import redact
from pipeline.warehouse.engine import Engine
from pipeline.warehouse.operations import AUDITS, RUNS


def record(engine: Engine, summary: RunSummary) -> None:
    """Append a cycle to the record."""
    if not engine.adapter.table_exists("operations.runs"):
        return
    run_id = f"{summary.started_at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
    feeds = summary.ingest.feeds if summary.ingest else []
    cycle = (
        run_id,
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
    engine.insert("operations.runs", RUNS, [cycle])
    audits = [(run_id, item.name, item.scope, item.rows, item.blocks) for item in summary.audits]
    engine.insert("operations.audits", AUDITS, audits)
