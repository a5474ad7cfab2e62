"""A report as plain text, for readers without HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from pipeline.report.page import Page

WIDTH = 78


def render_text(page: Page) -> str:
    """The text of a page, with lines of at most WIDTH characters where values allow it."""
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    yield page.title
    yield page.period
    yield ""
    yield from wrap(f"{page.summary}; {page.verdict.text}.", WIDTH)
    if page.problems:
        yield f"{page.problems.text.capitalize()}."
    for group in page.groups:
        heads = (group.title, "", *(f"vs {head}" for head in group.heads))
        rows = [
            (f"{row.label} ({row.note})" if row.note else row.label, row.value, *(cell.text for cell in row.changes))
            for row in group.rows
        ]
        yield ""
        yield from _table(heads, rows)
    yield from ("", "WHAT IS UNUSUAL")
    for item in page.unusual:
        yield from wrap(item.text, WIDTH, initial_indent="- ", subsequent_indent="  ")
    if not page.unusual:
        yield f"{page.verdict.text.capitalize()}."
    if page.moved:
        yield from ("", "WHAT MOVED")
    for moved in page.moved:
        yield f"{moved.title}: {moved.change.text} vs {moved.against}"
        yield from _table(moved.heads, moved.rows, "  ")
    yield from ("", "PIPELINE")
    for line in page.health:
        start = f"{line.label:<12} {line.state.text:<7} "
        yield from wrap(line.text, WIDTH, initial_indent=start, subsequent_indent=" " * len(start))
    for note in page.notes:
        yield ""
        yield from wrap(note, WIDTH)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "") -> Iterator[str]:
    """Lines of aligned columns: texts first, then numbers."""
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    for row in (heads, *rows):
        numbers = (text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))
        yield (indent + "  ".join((row[0].ljust(widths[0]), *numbers))).rstrip()
