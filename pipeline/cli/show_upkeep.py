"""What `lake maintain`, `lake drop` and `lake ledger` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.cli.layout import table as _table
from pipeline.cli.layout import text as _text
from pipeline.cli.show_ingest import show_dates

if TYPE_CHECKING:  # each command imports its dependencies when it runs: SQLMesh alone takes a second
    from ingest.upkeep.clean import Cleaning
    from pipeline.cycle.drop import DropSummary
    from pipeline.cycle.maintain import Maintenance
    from pipeline.cycle.recover import Recovery
    from pipeline.cycle.summary import RunSummary


def show_maintenance(
    done: Sequence[Maintenance], swept: Cleaning | None = None, audited: RunSummary | None = None
) -> str:
    """Format the result of `lake maintain`.

    Args:
        swept: deleted leftovers of publications.
        audited: the pass of all audits, if it was due.
    """
    table = _table("feed", "files joined", "into", "deleted", "bytes freed")
    for feed in done:
        numbers = (feed.compaction.before, feed.compaction.after, feed.cleaning.files, feed.cleaning.bytes)
        table.add_row(feed.feed, *(f"{number:,}" for number in numbers))
    items: list[Any] = [table]
    for feed in done:
        if feed.expiry.before:
            items.append(
                f"{feed.feed}: {feed.expiry.rows:,} rows and {feed.expiry.rejected:,} rejected records of before "
                f"{feed.expiry.before} expired"
                + (f"; a legal hold keeps {feed.expiry.spared:,}" if feed.expiry.spared else "")
            )
    for feed in done:
        if feed.retirement.action:
            action, retired = feed.retirement.action, feed.retirement
            items.append(f"{feed.feed}: {retired.objects:,} source objects, {retired.bytes:,} bytes: {action}")
        if not feed.retirement.conditional:
            items.append(
                f"note: the store of {feed.feed} has no conditional deletes; its producers should not overwrite objects"
            )
        if feed.retirement.changed:
            items.append(f"{feed.feed}: {feed.retirement.changed:,} were overwritten or deleted meanwhile, left alone")
    if swept and swept.files:
        items.append(f"killed publications: {swept.files:,} files deleted, {swept.bytes:,} bytes freed")
    if audited and not audited.errors:
        items.append("all audits passed over whole tables")
    return _text(*items)


def show_drop(summary: DropSummary) -> str:
    """Format the result of `lake drop`."""
    table = _table("object", "feed", "rows", "quarantined")
    items: list[Any] = [table]
    for done in summary.feeds:
        for item in done.objects:
            table.add_row(item.source_file, done.feed, f"{item.rows:,}", f"{item.quarantined:,}")
        items += [f"{name} has no rows and no rejected records: nothing to drop" for name in done.empty]
    items += [f"{feed}: touched {show_dates(dates)}" for feed, dates in summary.dates.items() if dates]
    if summary.models:
        items.append("to recompute with `sqlmesh run`: " + ", ".join(summary.models))
    return _text(*items)


def show_recovery(done: Sequence[Recovery]) -> str:
    """Format the result of `lake ledger rebuild`."""
    table = _table("feed", "to reload", "recovered", "records", "files", "old log")
    for item in done:
        numbers = (item.reload, item.objects, item.records, item.files)
        table.add_row(item.feed, *(f"{number:,}" for number in numbers), item.kept_as)
    lines = [
        f"{item.feed}: {path} cannot be read and is left out; its rows of objects gone from the landing can only be "
        "restored from a backup"
        for item in done
        for path in item.left_out
    ]
    return _text(table, *lines, "run `lake ingest`: it reloads the landing, and all dates count as changed")
