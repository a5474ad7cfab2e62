"""What roles see, and what looks personal, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ingest.text import printable
from pipeline.cli.layout import table as _table
from pipeline.cli.layout import text as _text

if TYPE_CHECKING:
    from pipeline.access.audit_log import Event
    from pipeline.checks.personal import Suspect
    from pipeline.cycle.subject_export import SubjectExport


def show_access(rows: Sequence[dict[str, str]]) -> str:
    """Format what roles see: the tables, and of each the columns that are not clear."""
    if not rows:
        return "no role is defined: whoever can read the releases reads everything"
    listed = _table("role", "table", "rows", "groups", "columns that are not clear", texts=5)
    for role, name in dict.fromkeys((row["role"], row["table"]) for row in rows):
        own = [row for row in rows if (row["role"], row["table"]) == (role, name)]
        masked = ", ".join(f"{row['column']} {row['shown']}" for row in own if row["shown"] != "clear")
        listed.add_row(role, name, own[0]["rows"], own[0]["groups"], masked)
    return _text(listed)


def show_suspects(suspects: Sequence[Suspect]) -> str:
    """Format what looks personal, with the class that is proposed."""
    if not suspects:
        return "nothing looks more personal than its contract says"
    listed = _table("column", "where", "class now", "looks like, by", "class proposed", "values", "distinct", texts=5)
    for item in suspects:
        found, name = item.finding, f"{item.feed}.{item.column}" if item.column else f"{item.feed} (text)"
        looks, proposed = f"{found.label}, {found.by}", f"{found.class_} of {found.subject}"
        listed.add_row(
            name, item.place, item.declared or "unknown", looks, proposed, f"{item.values:,}", f"{item.distinct:.0%}"
        )
    hint = 'class them in their contracts (docs/privacy.md), or say there why not: not_personal: "<reason>"'
    return _text(listed, hint)


def unclassed(suspect: Suspect) -> str:
    """Say that a column of a contract looks personal, and what to do."""
    found = suspect.finding
    return (
        f"{suspect.feed}.{suspect.column} has no class, but {found.by} is that of a column with the {found.label}; add "
        f'`class: {found.class_}, subject: {found.subject}`, or the reason why it is none: `not_personal: "…"`'
    )


def show_log(events: Sequence[Event]) -> str:
    """Format the audit log."""
    if not events:
        return "the audit log is empty"
    listed = _table("entry", "at, UTC", "by", "what", "about", texts=5)
    for event in events:
        about = "; ".join(f"{name} {_shown(value)}" for name, value in event.about.items() if name != "digests")
        listed.add_row(str(event.number), f"{event.at:%Y-%m-%d %H:%M:%S}", event.by, event.what, about)
    return _text(listed)


def _shown(value: Any) -> str:
    """Details of an entry; of many reads, who read what how often."""
    if not (isinstance(value, list) and value and isinstance(value[0], dict) and "reads" in value[0]):
        return str(value)
    reads = (
        f"{item['by']} as {item['role'] or 'no role'}: {item['how']} of {', '.join(item['of']) or 'no table'}, "
        f"{item['reads']:,} times, {item['rows']:,} rows"
        for item in value
    )
    return "; ".join(reads)


def show_export(done: SubjectExport) -> str:
    """Format what was exported about a person: counts, no value."""
    identifiers = ", ".join(f"{count:,} {name}" for name, count in done.identifiers.items())
    if done.is_empty:
        where = "no feed, no quarantine" + (f" and no table of release {done.release}" if done.release else "")
        return f"nothing is known about the person with {identifiers}: {where} has a record; no folder was made"
    listed = _table("of", "records", "rejected")
    for feed in dict.fromkeys([*done.feeds, *done.rejected]):
        listed.add_row(feed, f"{done.feeds.get(feed, 0):,}", f"{done.rejected.get(feed, 0):,}")
    for name, count in done.tables.items():
        listed.add_row(name, f"{count:,}", "")
    lines = [f"by {identifiers}: {printable(done.folder)}/summary.json and the files beside it"]
    if done.for_review:
        lines.append(
            f"{done.for_review:,} records of others mention the person, or may: for_review.csv lists the places; look "
            "at them, and take the file out of what you hand over"
        )
    for column in done.related:
        lines.append(
            f"{column} has a further identifier in rows of the person, see summary.json; if it is the person's, export "
            "again with it as one more --subject"
        )
    if done.release is None:
        lines.append("nothing is published yet, so no table was searched")
    return _text(listed, *lines)
