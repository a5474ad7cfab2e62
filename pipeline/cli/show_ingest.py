"""What `lake ingest`, `lake contracts show` and `lake sample` print."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipeline.cli.layout import ignored
from pipeline.cli.layout import table as _table
from pipeline.cli.layout import text as _text

if TYPE_CHECKING:  # each command imports its dependencies when it runs: SQLMesh alone takes a second
    from ingest.contracts.contract import Contract
    from pipeline.cycle.ingest import IngestSummary
    from sample.options import SampleOptions
    from sample.write import SampleSummary


def show_dates(dates: Sequence[dt.date], most: int = 3) -> str:
    """Format a few dates individually, and more as a count with first and last."""
    if len(dates) <= most:
        return ", ".join(map(str, dates)) or "none"
    return f"{len(dates)} dates from {dates[0]} to {dates[-1]}"


def show_ingest(
    summary: IngestSummary, marked: str = "to recompute with `sqlmesh run`", with_feeds: bool = True
) -> str:
    """Format the summary of `lake ingest`.

    Args:
        marked: labels the models whose dates are marked.
        with_feeds: with a row of numbers for each feed.
    """
    items: list[Any] = [_feeds(summary)] if with_feeds else []
    for feed in summary.feeds:
        if feed.reasons:
            items.append(
                f"quarantined in {feed.feed}: " + ", ".join(f"{name} {count:,}" for name, count in feed.reasons)
            )
        if feed.skipped:
            items.append(f"skipped in {feed.feed}: " + ", ".join(f"{name} {count:,}" for name, count in feed.skipped))
        if feed.warnings:
            named = ", ".join(f"{name} {count:,}" for name, count in feed.warnings)
            items.append(f"loaded with a warning in {feed.feed}: {named}")
        items += ignored(feed.feed, feed.ignored)
        if feed.scope == "recent":
            items.append(f"{feed.feed}: only folders of recent days were listed; --full lists everything")
        if feed.scope == "hinted":
            items.append(f"{feed.feed}: {feed.hinted:,} hinted objects were looked up, {feed.absent:,} do not exist")
        if feed.messages:
            items.append(
                f"{feed.feed}: {feed.messages:,} messages, {feed.nulls:,} of them without a value, and {feed.gaps:,} "
                "offsets without a message"
            )
        if feed.dropped:
            items.append(f"{feed.feed}: {feed.dropped:,} objects are dropped versions; their records are not loaded")
        if feed.changed_meanwhile:
            items.append(f"{feed.feed}: {feed.changed_meanwhile:,} objects changed during the read, left for next time")
    items += [f"{feed}: touched {show_dates(dates)}" for feed, dates in summary.dates.items() if dates]
    if summary.models:
        items.append(f"{marked}: " + ", ".join(summary.models))
    items += [f"note: {note}" for note in summary.notes]
    return _text(*items)


def _feeds(summary: IngestSummary) -> Any:
    """The numbers of each feed."""
    table = _table("feed", "objects", "bytes", "records", "rows", "quarantined", "replaced", "position")
    for feed in summary.feeds:
        numbers = (feed.objects, feed.bytes, feed.records, feed.rows, feed.quarantined, feed.replaced, feed.position)
        table.add_row(feed.feed, *(f"{number:,}" for number in numbers))
    return table


def show_contracts(contracts: Sequence[Contract]) -> str:
    """Format contracts, one table each."""
    items: list[Any] = []
    for contract in contracts:
        dated = f", dated by {contract.event_time}" if contract.event_time else ""
        dated += f", first versions hold from {contract.created_at}" if contract.created_at else ""
        items.append(
            f"\n{contract.name} v{contract.version} ({contract.kind}{dated}), owner {contract.owner}, key "
            f"{', '.join(contract.key)}\n"
            f"from {_places(contract)}, late after {contract.freshness_seconds:,} s\n"
            f"{contract.description}"
        )
        table = _table("column", "type", "rules", "class", "description")
        classes = contract.classes()
        for path, column in contract.walk():
            class_, subject = classes[path]
            kind = column.type + ("[]" if column.repeated else "") + (f" in {column.unit}" if column.unit else "")
            owned = f"{class_}: {subject}" if class_.is_personal else ""
            table.add_row(path, kind, "required" if column.required else "", owned, column.description)
        items.append(table)
        if contract.constraints:
            rules = _table("constraint", "column", "expected", "if violated")
            for item in contract.constraints:
                rules.add_row(item.name, item.column, item.expected, item.policy)
            items.append(rules)
    return _text(*items)


def _places(contract: Contract) -> str:
    """What a feed reads: its objects, its topic, or both."""
    source = contract.source
    places = [f"{source.bucket}/{source.prefix}*"] * bool(source.bucket)
    places += [f"topic {source.kafka.topic}"] if source.kafka else []
    return " and ".join(places)


def show_sample(summary: SampleSummary, options: SampleOptions) -> str:
    """Format the summary of `lake sample`."""
    first = options.end - dt.timedelta(days=options.days - 1)
    if not summary.objects + summary.overwritten:
        return _text(f"the sample from {first} to {options.end} already exists: {summary.existing:,} objects")
    counts = {name: count for name, count in asdict(summary.tally).items() if count}
    items = [f"{first} to {options.end}: {summary.objects:,} objects written, {summary.bytes:,} bytes"]
    items += [f"{summary.overwritten:,} objects overwritten"] * bool(summary.overwritten)
    items += [f"{summary.existing:,} objects already existed"] * bool(summary.existing)
    return _text(*items, "records: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()))
