"""What roles see, for people."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.cli.layout import table as _table
from pipeline.cli.layout import text as _text


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
