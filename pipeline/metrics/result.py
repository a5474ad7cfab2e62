"""The result of a query for programs: CSV, and values for JSON."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from decimal import Decimal
from io import StringIO
from typing import Any

from ingest.text import printable
from pipeline.metrics.query import Answer, Column
from pipeline.metrics.standing import Standing


def as_csv(answer: Answer) -> str:
    """The rows as CSV with a header, values exact, unknown ones empty; totals are left out."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(column.name for column in answer.columns)
    writer.writerows([_exact(value) for value in row] for row in answer.rows)
    return out.getvalue()


def _exact(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return printable(value) if isinstance(value, str) else value


def as_dict(answer: Answer, standing: Standing) -> dict[str, Any]:
    """The result of a query for `--json`: rows by column name, amounts as exact text."""
    names = [column.name for column in answer.columns]
    return {
        "release": standing.release,
        "published_at": standing.published_at,
        "positions": standing.positions,
        "complete_to": standing.complete_to,
        "audits": standing.audits,
        "columns": [_without_empty(column) for column in answer.columns],
        "rows": [dict(zip(names, row, strict=True)) for row in answer.rows],
        "totals": answer.totals,
        "refused_totals": answer.refused,
        "sql": answer.sql,
    }


def _without_empty(column: Column) -> Mapping[str, Any]:
    fields: Sequence[str] = ("name", "label", "role", "metric", "format", "unit")
    return {name: getattr(column, name) for name in fields if getattr(column, name)}
