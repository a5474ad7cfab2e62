"""How erasures are shown; never a value of a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ingest.ledger.holds import Hold
from pipeline.cli.layout import table, text
from pipeline.cycle.erase import EraseSummary
from pipeline.cycle.erase_requests import Requested
from pipeline.cycle.erase_target import Preview

SHOWN = 3
"""Objects that are named; JSON has all."""


def show_preview(identifiers: Mapping[str, int], feeds: Sequence[Preview]) -> str:
    """What an erasure would do."""
    listed = table("feed", "on_erasure", "objects", "rows", "files", "quarantined", texts=3)
    for item in feeds:
        counts = (item.rows, item.files, item.rejected)
        listed.add_row(item.feed, item.policy, item.source, *(f"{count:,}" for count in counts))
    return text(f"identifiers: {_counts(identifiers)}", listed)


def show_erasure(summary: EraseSummary) -> str:
    """What an erasure did."""
    found = table("feed", "deleted", "changed", "quarantined", "files")
    for item in summary.feeds:
        if item.position:
            counts = (item.deleted, item.changed, item.rejected, item.files)
            found.add_row(item.feed, *(f"{count:,}" for count in counts))
    lines: list[str] = []
    for landed in summary.landed:
        lines += [f"object {name}: rewritten" for name in landed.rewritten]
        lines += [f"object {name}: deleted" for name in landed.deleted]
        for why, names in _by_reason(landed.left).items():
            more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
            lines.append(f"{len(names):,} objects have the person still: {', '.join(names[:SHOWN])}{more}; {why}")
    lines += [f"kept: {line}" for line in summary.kept]
    lines += [f"removed: {line}" for line in summary.purged]
    lines += [f"out of reach: {line}" for line in summary.beyond]
    if summary.release is not None:
        lines.append(f"release {summary.release} is without the person")
    if summary.traces is not None:
        lines += [f"found: {line}" for line in summary.traces]
        lines.append("everything was searched: " + (f"{len(summary.traces)} traces" if summary.traces else "no trace"))
    head = f"request {summary.request}: {_counts(summary.identifiers)}"
    return text(head, *([found] if found.row_count else []), *lines)


def _by_reason(left: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, why in left:
        found.setdefault(why, []).append(name)
    return found


def show_requests(requests: Sequence[Requested], holds: Iterable[Hold]) -> str:
    """All requests and holds."""
    listed = table("request", "since", "deadline", "status", "because", texts=5)
    for item in requests:
        listed.add_row(item.name, f"{item.at:%Y-%m-%d}", str(item.deadline or ""), item.status, item.because)
    lines = [f"hold {item.name} since {item.at:%Y-%m-%d}: {item.because}" for item in holds]
    return text(*([listed] if requests else ["no requests"]), *lines)


def _counts(identifiers: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in identifiers.items()) or "none"
