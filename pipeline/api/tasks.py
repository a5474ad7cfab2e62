"""What workers compute, and what they answer: values that travel between processes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One request.

    Attributes:
        kind: table, metrics, sql or health.
        role: whose release is read; empty for the release of everything.
        release: its number.
        digest: changes when a release with that number is written again, as after a change of a role's rules.
        format: of the answer, see formats.py.
        rows: most rows.
        bytes: most bytes of the answer's body.
        cut: whether an answer with more rows is cut, rather than refused.
        arguments: of the kind.
    """

    kind: str
    role: str
    release: int
    digest: str
    format: str = "json"
    rows: int
    bytes: int
    cut: bool = False
    arguments: dict[str, Any] = {}


class Outcome(msgspec.Struct, kw_only=True):
    """What a worker answers.

    Attributes:
        problem: slug of the problem; empty for an answer.
        detail: of the problem.
        body: in the task's format.
        rows: number of rows in it.
        tables: that were read.
        complete_to: last date that all of them have.
        next: cursor of the next page; empty if this is the last one.
        is_cut: whether rows are left out.
    """

    problem: str = ""
    detail: str = ""
    body: bytes = b""
    rows: int = 0
    tables: list[str] = []
    complete_to: dt.date | None = None
    next: str = ""
    is_cut: bool = False
