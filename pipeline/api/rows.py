"""Rows of one table: columns, filters, order and pages."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from ingest.text import printable
from pipeline.api.problems import Kind, Problem
from pipeline.metrics.filters import Filter
from pipeline.releases.release import ReleaseTable
from pipeline.warehouse.engine import DIALECT

NEXT = "_next_"
"""Prefix of the columns from which the next page's cursor is made; they are cut off the answer."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a request asks for.

    Attributes:
        columns: by name; empty for all.
        where: conditions, all of which hold.
        order: columns, with `-` before one for descending.
        limit: most rows.
        after: what the cursor of the page before says; None for the first page.
    """

    columns: tuple[str, ...] = ()
    where: tuple[Filter, ...] = ()
    order: tuple[str, ...] = ()
    limit: int = 1000
    after: Cursor | None = None

    def digest(self, table: str) -> str:
        """What tells requests apart whose cursors do not fit each other."""
        about = json.dumps([table, [str(item) for item in self.where], self.order])
        return hashlib.sha256(about.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ends.

    Attributes:
        release: number of the release that all pages are read from.
        digest: of the request.
        keys: values of the ordering columns in the last row, as text; empty for a table that is paged by position.
        skip: rows before the next page, behind those keys.
    """

    release: int
    digest: str
    keys: tuple[str | None, ...]
    skip: int

    def text(self) -> str:
        """What clients send back."""
        data = json.dumps([self.release, self.digest, self.keys, self.skip], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(data).decode().rstrip("=")


def parse_cursor(text: str) -> Cursor:
    """Read a cursor.

    Raises:
        Problem: it is none of ours.
    """
    try:
        data = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        release, digest, keys, skip = data
        is_valid = isinstance(keys, list) and all(key is None or isinstance(key, str) for key in keys)
        if not (type(release) is type(skip) is int and isinstance(digest, str) and is_valid):
            raise ValueError
        if not (0 < release < 1 << 62 and 0 <= skip < 1 << 62):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise Problem(Kind.BAD_REQUEST, "the cursor is not one that this server made; start without one") from None
    return Cursor(release, digest, tuple(keys), skip)


def ordering(table: ReleaseTable, page: Page) -> list[tuple[str, bool]]:
    """The columns that order the rows in exactly one way, each with whether it descends."""
    found: dict[str, bool] = {}
    for item in page.order:
        found.setdefault(item.removeprefix("-"), item.startswith("-"))
    rest = table.grain or tuple(name for name, _, _ in table.columns)
    return [*found.items(), *((name, False) for name in rest if name not in found)]


def check(table: ReleaseTable, page: Page) -> None:
    """Refuse columns that the table lacks, and a cursor of another request.

    Raises:
        Problem: there is one.
    """
    known = {name for name, _, _ in table.columns}
    for name in (*page.columns, *(item.dimension for item in page.where), *(c.removeprefix("-") for c in page.order)):
        if name not in known:
            raise Problem(
                Kind.BAD_REQUEST,
                f"{table.name} has no column '{printable(name)}'; it has {', '.join(sorted(known))}",
            )
    after = page.after
    keys = len(ordering(table, page)) if table.grain else 0
    if after is not None and (after.digest != page.digest(table.name) or len(after.keys) != keys):
        raise Problem(
            Kind.BAD_REQUEST, "the cursor is of another request; repeat table, where and order, or start without one"
        )


def select(table: ReleaseTable, page: Page) -> str:
    """The SQL of a page, with one row more than it may have, which says whether there is another page."""
    order = ordering(table, page)
    names = page.columns or tuple(name for name, _, _ in table.columns)
    shown = [exp.column(name, quoted=True) for name in names]
    if table.grain:
        for place, (name, _) in enumerate(order):
            value = exp.cast(exp.column(name, quoted=True), "VARCHAR")
            shown.append(exp.alias_(value, f"{NEXT}{place}", quoted=True))
    where = [item.sql() for item in page.where]
    if page.after is not None and page.after.keys:
        where.append(_from(table, order, page.after.keys))
    sorting = [exp.Ordered(this=exp.column(name, quoted=True), desc=down, nulls_first=False) for name, down in order]
    query = exp.select(*shown, copy=False).from_(exp.to_table(table.name), copy=False)
    query = query.where(*where, copy=False).order_by(*sorting, copy=False).limit(page.limit + 1, copy=False)
    if page.after is not None:
        query = query.offset(page.after.skip, copy=False)
    return str(query.sql(DIALECT))


def _from(table: ReleaseTable, order: Sequence[tuple[str, bool]], keys: Sequence[str | None]) -> exp.Expression:
    """The condition that a row does not stand before these keys."""
    kinds = {name: kind for name, kind, _ in table.columns}
    found: exp.Expression = exp.true()
    for (name, is_descending), key in reversed(list(zip(order, keys, strict=True))):
        column = exp.column(name, quoted=True)
        if key is None:  # NULL comes last
            found = exp.and_(exp.Is(this=column, expression=exp.Null()), found)
            continue
        value = exp.cast(exp.Literal.string(key), exp.DataType.build(kinds[name], dialect=DIALECT))
        later = exp.LT(this=column, expression=value) if is_descending else exp.GT(this=column, expression=value)
        is_null = exp.Is(this=column.copy(), expression=exp.Null())
        same = exp.EQ(this=column.copy(), expression=value.copy())
        found = exp.or_(later, is_null, exp.and_(same, found))
    return found


def following(page: Page, table: ReleaseTable, release: int, last: dict[str, Any], is_repeated: int) -> Cursor:
    """The cursor of the next page.

    Args:
        last: the last row that the page has, with the columns named NEXT.
        is_repeated: rows at its end with the same keys as the last one.
    """
    if not table.grain:
        before = page.after.skip if page.after else 0
        return Cursor(release, page.digest(table.name), (), before + page.limit)
    keys = tuple(last[f"{NEXT}{place}"] for place in range(len(ordering(table, page))))
    is_same = page.after is not None and page.after.keys == keys
    skip = is_repeated + (page.after.skip if page.after is not None and is_same else 0)
    return Cursor(release, page.digest(table.name), keys, skip)
