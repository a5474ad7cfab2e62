"""Requests of erasure, and how far each is carried out."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingest.ledger.tombstones import read_requests
from pipeline.lake import Lake

REPORTS = "erasure/reports"
OPEN = "open"


@dataclass(frozen=True, slots=True)
class Requested:
    """A request, as far as it is carried out.

    Attributes:
        status: `done`, `done, with traces`, `done, not proven` if it was resumed without the identifiers, or `open`.
        is_overdue: whether it is open beyond its deadline.
    """

    name: str
    at: dt.datetime
    because: str
    deadline: dt.date | None
    status: str
    is_overdue: bool


def _status(report: Mapping[str, Any] | None) -> str:
    if not report or report["errors"]:
        return OPEN
    if report["traces"] is None:
        return "done, not proven"
    return "done, with traces" if report["traces"] else "done"


def requests_of(lake: Lake) -> list[Requested]:
    """All requests, oldest first."""
    today = dt.datetime.now(dt.UTC).date()
    reports = {item.key: json.loads(lake.store.get(item.key)) for item in lake.store.list(REPORTS)}
    found: dict[str, Requested] = {}
    for item in read_requests(lake.store).values():
        report = reports.get(f"{REPORTS}/{item.name}.json")
        status = _status(report)
        is_overdue = status == OPEN and item.deadline is not None and item.deadline < today
        found.setdefault(item.name, Requested(item.name, item.at, item.because, item.deadline, status, is_overdue))
    return list(found.values())
