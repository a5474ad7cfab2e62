"""What lines are parsed to: typed rows, and records for the quarantine."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

SOURCE, LINE, RESCUED = "_source", "_source_line", "_rescued_data"
MAX_DETAIL = 1000


@dataclass(frozen=True, slots=True)
class Reject:
    """A record for the quarantine.

    Attributes:
        source: index of the object in its load.
        reason: unparsable, invalid_utf8, wrong_type, number_out_of_range, duplicate_key, too_deep, too_many_fields,
            line_too_long, missing_required, unknown_field, event_time_in_future, event_time_before_epoch or
            corrupt_object.
        column: dotted path of the offending column, if any; members of lists without their index.
        detail: what was found, as text for people of at most MAX_DETAIL characters.
    """

    source: int
    line: int
    reason: str
    column: str | None
    detail: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Parsed:
    """The outcome of one chunk: rows (contract columns, `_source`, `_source_line`, `_rescued_data`) and rejects."""

    rows: pa.Table
    rejects: list[Reject]
