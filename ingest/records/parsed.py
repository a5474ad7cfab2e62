"""What lines are parsed to: typed rows, and records for the quarantine."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

SOURCE, LINE, RESCUED = "_source", "_source_line", "_rescued_data"
MAX_DETAIL = 1000


@dataclass(frozen=True, slots=True)
class Reject:
    """A rejected record on its way into quarantine.

    Attributes:
        source: index of the object in its load.
        line: line of the record in the object, counted from 1; 0 if the whole object is rejected.
        reason: unparsable, invalid_utf8, wrong_type, number_out_of_range, duplicate_key, too_deep, too_many_fields,
            line_too_long, missing_required, unknown_field, event_time_in_future, event_time_before_epoch,
            not_an_envelope, unknown_position, changed_key, constraint_violated or corrupt_object.
        column: dotted path of the offending column, if any; members of lists without their index.
        detail: human-readable text about what was found, at most MAX_DETAIL characters; of a constraint first its name
            and a colon.
        raw: bytes of the record, cut off if the line is too long; empty if the whole object is rejected.
    """

    source: int
    line: int
    reason: str
    column: str | None
    detail: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Skip:
    """A record that is counted and never becomes a row.

    Attributes:
        source, line: as of Reject.
        kind: tombstone, transaction, heartbeat, message or schema_change.
    """

    source: int
    line: int
    kind: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """The outcome of one chunk: rejects, skips, rows, and (source, line) of records of persons who are forgotten.

    Rows have the columns of `row_schema`, `_source`, `_source_line` and `_rescued_data`.
    """

    rows: pa.Table
    rejects: list[Reject]
    skipped: list[Skip] = field(default_factory=list)
    erased: list[tuple[int, int]] = field(default_factory=list)
