"""Human-readable output of the commands, and their progress bars.

Names and contents of objects are data: shown verbatim, never as markup, with terminal control characters escaped.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from ingest.text import printable
from pipeline.access.masking import masked_row
from pipeline.cli.layout import table as _table
from pipeline.cli.layout import text as _text

if TYPE_CHECKING:  # each command imports its dependencies when it runs: SQLMesh alone takes a second
    from ingest.contracts.contract import Contract
    from ingest.ledger.quarantine import BadRecord, Group
    from ingest.records.report import Progress as Report
    from ingest.storage.names import NotLoaded
    from ingest.upkeep.clean import Cleaning
    from pipeline.checks.status import FeedStatus
    from pipeline.checks.trace import ObjectHistory
    from pipeline.checks.verify import FeedVerdict
    from pipeline.cycle.drop import DropSummary
    from pipeline.cycle.ingest import IngestSummary
    from pipeline.cycle.maintain import Maintenance
    from pipeline.cycle.quarantine import ReplaySummary
    from pipeline.cycle.recover import Recovery
    from pipeline.cycle.summary import RunSummary
    from pipeline.portal.publication import Written
    from pipeline.releases.release import Release, Releases
    from pipeline.serving.serve import Served
    from sample.options import SampleOptions
    from sample.write import SampleSummary


class IngestProgress:
    """Progress bars on a terminal, no output elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            console=Console(file=stream, markup=False, highlight=False, emoji=False),
            transient=True,
            disable=not stream.isatty(),
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.stop()

    def feed(self, name: str) -> Report:
        """Return a progress callback for one feed; see `ingest_feed`."""
        task = self._bars.add_task(name, total=None, rate="")
        done = 0

        def report(objects: int, size: int) -> None:
            nonlocal done
            if self._bars.disable:
                return
            if objects < 0:
                self._bars.update(task, total=-objects)
                return
            done += size
            seconds = self._bars.tasks[task].elapsed or 0
            rate = f"{done / seconds / 1e6:.1f} MB/s" if seconds else ""
            self._bars.update(task, advance=objects, rate=rate)

        return report


class CycleProgress(IngestProgress):
    """Progress of a whole cycle: one bar per feed, then one for the models."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._models: TaskID | None = None

    def model(self, name: str, batches: int, total: int) -> None:
        """Show the progress of computing models; see `RunConsole`."""
        if self._models is None:
            self._models = self._bars.add_task("models", total=total, rate="")
        self._bars.update(self._models, advance=batches, total=total, rate=name)


def show_dates(dates: Sequence[dt.date], most: int = 3) -> str:
    """Format a few dates individually, and more as a count with first and last."""
    if len(dates) <= most:
        return ", ".join(map(str, dates)) or "none"
    return f"{len(dates)} dates from {dates[0]} to {dates[-1]}"


def show_ingest(summary: IngestSummary, marked: str = "to recompute with `sqlmesh run`") -> str:
    """Format the summary of `lake ingest`; `marked` labels the models whose dates are marked."""
    table = _table("feed", "objects", "bytes", "records", "rows", "quarantined", "replaced", "position")
    for feed in summary.feeds:
        numbers = (feed.objects, feed.bytes, feed.records, feed.rows, feed.quarantined, feed.replaced, feed.position)
        table.add_row(feed.feed, *(f"{number:,}" for number in numbers))
    items: list[Any] = [table]
    for feed in summary.feeds:
        if feed.reasons:
            items.append(
                f"quarantined in {feed.feed}: " + ", ".join(f"{name} {count:,}" for name, count in feed.reasons)
            )
        items += _ignored(feed.feed, feed.ignored)
        if feed.scope == "recent":
            items.append(f"{feed.feed}: only folders of recent days were listed; --full lists everything")
        if feed.scope == "hinted":
            items.append(f"{feed.feed}: {feed.hinted:,} hinted objects were looked up, {feed.absent:,} do not exist")
        if feed.dropped:
            items.append(f"{feed.feed}: {feed.dropped:,} objects are dropped versions; their records are not loaded")
        if feed.changed_meanwhile:
            items.append(f"{feed.feed}: {feed.changed_meanwhile:,} objects changed during the read, left for next time")
    items += [f"{feed}: touched {show_dates(dates)}" for feed, dates in summary.dates.items() if dates]
    if summary.models:
        items.append(f"{marked}: " + ", ".join(summary.models))
    items += [f"note: {note}" for note in summary.notes]
    return _text(*items)


def show_contracts(contracts: Sequence[Contract]) -> str:
    """Format contracts, one table each."""
    items: list[Any] = []
    for contract in contracts:
        dated = f", dated by {contract.event_time}" if contract.event_time else ""
        items.append(
            f"\n{contract.name} v{contract.version} ({contract.kind}{dated}), owner {contract.owner}, key "
            f"{', '.join(contract.key)}\n"
            f"from {contract.source.bucket}/{contract.source.prefix}*, late after {contract.freshness_seconds:,} s\n"
            f"{contract.description}"
        )
        table = _table("column", "type", "rules", "class", "description")
        for path, column in contract.walk():
            kind = column.type + ("[]" if column.repeated else "")
            owned = f"{column.class_}: {column.subject}" if column.is_personal else ""
            table.add_row(path, kind, "required" if column.required else "", owned, column.description)
        items.append(table)
    return _text(*items)


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


def show_status(feeds: Sequence[FeedStatus], now: dt.datetime) -> str:
    """Format the status of the feeds."""
    counted = ["objects", *_counted(("rows", "quarantined"), feeds), "files"]
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
    return _text(table, *(line for feed in feeds for line in _ignored(feed.feed, feed.ignored)), "", days)


def _ignored(feed: str, reasons: Sequence[NotLoaded]) -> list[str]:
    """Return a line about objects ignored by rule, if there are any."""
    return [f"{feed}: ignored by rule: {'; '.join(map(str, reasons))}"] if reasons else []


def _counted(names: Sequence[str], items: Sequence[Any]) -> list[str]:
    """Return the given counts plus those of `dropped`, `erased` and `skipped` that any item has."""
    return [*names, *(name for name in ("dropped", "erased", "skipped") if any(getattr(item, name) for item in items))]


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
    counted = _counted(("records", "rows", "quarantined"), [step.version for step in history.steps])
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


def show_verdicts(verdicts: Sequence[FeedVerdict]) -> str:
    """Format the result of `lake verify`."""
    records = _counted(("records", "rows", "quarantined"), verdicts)
    counted = ("objects", *records, "files", "waiting", "retired", "gone", "orphans")
    table = _table("feed", *counted, "verdict")
    for item in verdicts:
        numbers = (f"{getattr(item, name):,}" for name in counted)
        table.add_row(item.feed, *numbers, "differs" if item.differences else "agrees")
    lines = [line for item in verdicts for line in _ignored(item.feed, item.ignored)]
    lines += [printable(f"{item.feed}: {line}") for item in verdicts for line in item.differences]
    lines += [
        f"{item.feed}: {item.rejudged:,} records loaded under an older contract would be judged differently by the "
        "current one; `lake quarantine replay` loads those that it accepts"
        for item in verdicts
        if item.rejudged
    ]
    return _text(table, *lines)


def show_maintenance(done: Sequence[Maintenance], swept: Cleaning | None = None) -> str:
    """Format the result of `lake maintain`; `swept` counts deleted leftovers of publications."""
    table = _table("feed", "files joined", "into", "deleted", "bytes freed")
    for feed in done:
        numbers = (feed.compaction.before, feed.compaction.after, feed.cleaning.files, feed.cleaning.bytes)
        table.add_row(feed.feed, *(f"{number:,}" for number in numbers))
    items: list[Any] = [table]
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
    return _text(*items)


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


def run_as_dict(summary: RunSummary) -> dict[str, Any]:
    """Convert the summary of a cycle for `--json`, with sorted dates and masked audit examples."""
    found = asdict(summary)
    for name, done in summary.computed.items():
        found["computed"][name]["dates"] = sorted(map(str, done.dates))
    for audit in found["audits"]:
        audit["examples"] = list(map(masked_row, audit["examples"]))
    return found


def show_run(summary: RunSummary) -> str:
    """Format the summary of `lake run` and `lake publish`."""
    items: list[Any] = []
    if summary.ingest:
        items.append(show_ingest(summary.ingest, "marked for recomputation"))
    for name, done in summary.computed.items():
        failed = f", {done.failed_audits} audits found rows" if done.failed_audits else ""
        items.append(f"computed {name}: {show_dates(sorted(done.dates))}{failed}")
    waiting: dict[str, list[str]] = {}
    for name, dates in summary.held.items():
        waiting.setdefault(show_dates(dates), []).append(name)
    items += [f"waiting for complete feeds: {dates} of {', '.join(names)}" for dates, names in waiting.items()]
    items += [printable(f"late: {promise}") for promise in summary.broken_promises.values()]
    items += [printable(f"warning: {warning}") for warning in summary.warnings]
    for audit in summary.audits:
        if audit.rows:
            sources = f"; from {', '.join(audit.sources)}" if audit.sources else ""
            items.append(printable(f"audit {audit.name} ({audit.scope}): {audit.rows:,} rows{sources}"))
            items += [printable(f"  {masked_row(example)}") for example in audit.examples]
    passed = sum(not audit.rows for audit in summary.audits)
    items += [f"{passed} standalone audits passed"] * bool(passed)
    words = {
        "published": f"published release {summary.state}",
        "unchanged": f"nothing new to publish: readers have release {summary.state}",
        "held": f"readers stay on release {summary.state} after a rollback; `lake publish` resumes publishing",
    }
    items.append(words.get(summary.outcome, f"not published: {_kept(summary)}"))
    items += [show_pages(summary.pages)] if summary.pages and summary.pages.files else []
    items += [show_served(summary.served)] if summary.served else []
    items.append(", ".join(f"{name} {seconds:.1f} s" for name, seconds in summary.seconds.items()))
    return _text(*items)


def _kept(summary: RunSummary) -> str:
    """Describe what readers have after a cycle that published nothing."""
    if not summary.is_state_known:
        return "readers keep their release, whose number cannot be read"
    return f"readers keep release {summary.state}" if summary.state else "there is no release yet"


def show_pages(written: Written) -> str:
    """Format what was written of the portal."""
    return f"pages of release {written.release}: {len(written.files)} files written, see `lake portal`"


def show_served(served: Served) -> str:
    """Format what was written to Postgres."""
    changes = served.changes.values()
    written, deleted = (sum(getattr(change, name) for change in changes) for name in ("written", "deleted"))
    lines = [
        f"{served.place} has release {served.state}: {len(served.changes)} tables changed ({written:,} rows written, "
        f"{deleted:,} deleted), {served.unchanged} unchanged"
    ]
    return "\n".join([*lines, *(f"warning: {warning}" for warning in served.warnings)])


def show_releases(
    releases: Sequence[Release], current: int | None, published: Releases, with_pages: Collection[int] = ()
) -> str:
    """Format the releases, with the statement that attaches the current one.

    Args:
        with_pages: numbers of those that `lake portal` opens.
    """
    table = _table("release", "published at", "tables", "rows", "files", "pages", "ledger positions")
    for release in releases:
        mark = "*" if release.number == current else " "
        tables = release.tables.values()
        positions = ", ".join(f"{feed} {position}" for feed, position in sorted(release.positions.items()))
        files = sum(len(item.files) for item in tables)
        pages = "yes" if release.number in with_pages else "no"
        numbers = (len(tables), f"{sum(item.rows for item in tables):,}", files, pages)
        at = f"{release.published_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(f"{mark}{release.number}", at, *map(str, numbers), positions)
    return _text(table, *([published.attach()] if current else []))


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
