"""What the read-only commands print."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ingest.text import printable
from pipeline.cli.layout import ignored, kept_counts
from pipeline.cli.layout import table as _table
from pipeline.cli.layout import text as _text
from pipeline.cli.show_ingest import show_dates

if TYPE_CHECKING:  # each command imports its dependencies when it runs: SQLMesh alone takes a second
    from pipeline.checks.message import MessageHistory
    from pipeline.checks.status import FeedStatus
    from pipeline.checks.trace import ObjectHistory
    from pipeline.checks.verify import FeedVerdict


def show_status(feeds: Sequence[FeedStatus], now: dt.datetime) -> str:
    """Format the status of the feeds."""
    counted = ["objects", *kept_counts(("rows", "quarantined"), feeds), "files"]
    table = _table("feed", "waiting", "bytes", "oldest", *counted, "last commit", "full sweep")
    days = _table("feed", "loaded on", "rows", "quarantined")
    for feed in feeds:
        numbers = (getattr(feed, name) for name in counted)
        table.add_row(
            feed.feed,
            f"{feed.waiting:,}",
            f"{feed.waiting_bytes:,}",
            _ago(now, feed.oldest_waiting_at),
            *(f"{number:,}" for number in numbers),
            _ago(now, feed.last_commit_at),
            _ago(now, feed.last_sweep_at),
        )
        for day in feed.days:
            days.add_row(feed.feed, str(day.ingest_date), f"{day.rows:,}", f"{day.quarantined:,}")
    lines = [line for feed in feeds for line in ignored(feed.feed, feed.ignored)]
    topics = [feed for feed in feeds if feed.topic and not feed.topic.note]
    waiting = _table("feed", "topic", "partitions", "lag in messages", "lag in seconds", texts=2)
    for feed in topics:
        if topic := feed.topic:
            lag = "-" if topic.seconds is None else f"{topic.seconds:,.1f}"
            waiting.add_row(feed.feed, topic.topic, f"{topic.partitions:,}", f"{topic.messages:,}", lag)
    unread: dict[str, list[str]] = {}
    for feed in feeds:
        if feed.topic and feed.topic.note:
            unread.setdefault(feed.topic.note, []).append(feed.feed)
    lines += [f"topics are not read, {note}: {', '.join(names)}" for note, names in unread.items()]
    return _text(table, *([waiting] if topics else []), *lines, "", days)


def _ago(now: dt.datetime, then: dt.datetime | None) -> str:
    if then is None:
        return "-"
    seconds = max(0, int((now - then).total_seconds()))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def show_history(history: ObjectHistory) -> str:
    """Format the history of one object."""
    items: list[Any] = [printable(f"{history.source_file} ({history.feed}): {history.state}")]
    if history.listed:
        listed = history.listed
        items.append(f"in the landing: {listed.size:,} bytes of {listed.modified_at}, etag {listed.etag}")
    counted = kept_counts(("records", "rows", "quarantined"), [step.version for step in history.steps])
    table = _table("entry", "committed", "load", "etag", "bytes", *counted, "event dates")
    for step in history.steps:
        item = step.version
        numbers = (item.size, *(getattr(item, name) for name in counted))
        dates = show_dates([day for day, _ in item.event_dates])
        texts = (f"{step.committed_at:%Y-%m-%d %H:%M:%S}", item.load_id, item.etag, *(f"{n:,}" for n in numbers), dates)
        table.add_row(str(step.position), *texts)
    items += [table] * bool(history.steps)
    items += [printable(f"file: {path}") for path in history.files]
    for bad in history.bad_lines:
        where = f" in {bad.column}" if bad.column else ""
        items.append(printable(f"line {bad.line}: {bad.reason}{where}: {bad.detail or ''}"))
        items.append(printable(f"  {bad.raw[:200]}"))
    return _text(*items)


def show_message(message: MessageHistory) -> str:
    """Format what became of one message."""
    items: list[Any] = [printable(f"{message.source_file} offset {message.offset:,} ({message.feed}): {message.state}")]
    if message.load_id:
        items.append(f"load {message.load_id}, entry {message.position} of {message.committed_at:%Y-%m-%d %H:%M:%S}")
    items += [printable(f"file: {path}") for path in message.files]
    for bad in message.bad_lines:
        where = f" in {bad.column}" if bad.column else ""
        items.append(printable(f"{bad.reason}{where}: {bad.detail or ''}"))
        items.append(printable(f"  {bad.raw[:200]}"))
    return _text(*items)


def show_verdicts(verdicts: Sequence[FeedVerdict]) -> str:
    """Format the result of `lake verify`."""
    records = kept_counts(("records", "rows", "quarantined"), verdicts)
    messages = ("messages",) if any(item.messages for item in verdicts) else ()
    counted = ("objects", *messages, *records, "files", "waiting", "retired", "gone", "orphans")
    table = _table("feed", *counted, "verdict")
    for item in verdicts:
        numbers = (f"{getattr(item, name):,}" for name in counted)
        table.add_row(item.feed, *numbers, "differs" if item.differences else "agrees")
    lines = [line for item in verdicts for line in ignored(item.feed, item.ignored)]
    lines += [printable(f"{item.feed}: {line}") for item in verdicts for line in item.differences]
    lines += [printable(f"{item.feed}: accepted gap: {line}") for item in verdicts for line in item.gaps]
    lines += [
        f"{item.feed}: {item.rejudged:,} records loaded under an older contract would be judged differently by the "
        "current one; `lake quarantine replay` loads those that it accepts"
        for item in verdicts
        if item.rejudged
    ]
    return _text(table, *lines)
