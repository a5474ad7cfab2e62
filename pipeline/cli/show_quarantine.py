"""What `lake quarantine` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ingest.text import printable
from pipeline.cli.layout import table as _table
from pipeline.cli.layout import text as _text
from pipeline.cli.show_ingest import show_dates

if TYPE_CHECKING:  # each command imports its dependencies when it runs: SQLMesh alone takes a second
    from ingest.ledger.quarantine import BadRecord, Group
    from pipeline.cycle.quarantine import ReplaySummary


def show_quarantine(found: Mapping[str, Sequence[Group]]) -> str:
    """Format the quarantine by reason and column."""
    table = _table("feed", "reason", "column", "records", "objects")
    for feed, items in found.items():
        for group in items:
            table.add_row(feed, group.reason, group.column or "", f"{group.records:,}", f"{group.objects:,}")
    return _text(table)


def show_replay(summary: ReplaySummary) -> str:
    """Format the result of `lake quarantine replay`."""
    table = _table("feed", "tried", "replayed")
    for feed, done in summary.feeds.items():
        table.add_row(feed, f"{done.tried:,}", f"{done.replayed:,}")
    items: list[Any] = [table]
    items += [f"{feed}: touched {show_dates(dates)}" for feed, dates in summary.dates.items() if dates]
    if summary.models:
        items.append("to recompute with `sqlmesh run`: " + ", ".join(summary.models))
    return _text(*items)


def show_bad_record(feed: str, record: BadRecord, detail: str, text: str, most: int = 400) -> str:
    """Format one rejected record; detail and text as returned by `masking.detail_and_text`."""
    place = f"{feed} {record.source_file} line {record.line}"
    fault = " ".join(part for part in (record.reason, record.column) if part)
    lines = [printable(f"{place}: {fault}: {detail}")]
    lines += [printable(f"  discarded: {record.discarded}")] if record.discarded is not None else []
    return "\n".join([*lines, f"  {printable(text[:most])}" + (" …" if len(text) > most else "")])


def show_discarded(done: Mapping[str, int]) -> str:
    """Format the result of `lake quarantine discard`."""
    table = _table("feed", "discarded")
    for feed, records in done.items():
        table.add_row(feed, f"{records:,}")
    return _text(table)
