"""Tables and text for people: data is shown verbatim, never as markup, with control characters escaped."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table

from ingest.text import printable
from pipeline.process.terminal import plain


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
