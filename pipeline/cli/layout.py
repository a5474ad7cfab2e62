"""Tables and text for people: data is shown verbatim, never as markup, with control characters escaped."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from ingest.text import printable
from pipeline.process.terminal import plain

if TYPE_CHECKING:
    from ingest.storage.names import NotLoaded


class _Table(Table):
    """A table that escapes its cells."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(*(printable(str(cell)) for cell in cells), **options)


def table(*headers: str, texts: int = 1) -> Table:
    """An empty table without lines.

    Args:
        texts: number of columns at the beginning that are aligned as text, others as numbers.
    """
    made = _Table(box=None, pad_edge=False, header_style="bold")
    for number, header in enumerate(headers):
        made.add_column(header, justify="left" if number < texts else "right", overflow="fold")
    return made


def text(*items: Any) -> str:
    """Lines and tables as one text."""
    out = StringIO()
    console = Console(file=out, width=120, highlight=False, markup=False, emoji=False)
    for item in items:
        console.print(plain(item) if isinstance(item, str) else item)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def ignored(feed: str, reasons: Sequence[NotLoaded]) -> list[str]:
    """Return a line about objects ignored by rule, if there are any."""
    return [f"{feed}: ignored by rule: {'; '.join(map(str, reasons))}"] if reasons else []


def kept_counts(names: Sequence[str], items: Sequence[Any]) -> list[str]:
    """Return the given counts plus those of `dropped`, `erased` and `skipped` that any item has."""
    return [*names, *(name for name in ("dropped", "erased", "skipped") if any(getattr(item, name) for item in items))]
