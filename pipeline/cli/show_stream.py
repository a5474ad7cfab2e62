"""What `lake stream` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.cli.layout import table, text

if TYPE_CHECKING:
    from ingest.records.report import FeedReport
    from pipeline.cycle.stream import Streamed


def show_load(report: FeedReport) -> str:
    """Format what one call committed, as one line."""
    bad = f", {report.quarantined:,} quarantined" if report.quarantined else ""
    loads = f" in {len(report.loads):,} loads" if len(report.loads) > 1 else ""
    found = f"{report.messages:,} messages, {report.rows:,} rows{bad}{loads}"
    return f"{report.feed}: {found}, position {report.position:,}"


def show_streamed(done: Sequence[Streamed]) -> str:
    """Format what a stream did."""
    found = table("feed", "loads", "messages", "rows", "quarantined")
    for own in done:
        found.add_row(own.feed, *(f"{number:,}" for number in (own.loads, own.messages, own.rows, own.quarantined)))
    return text(found)
