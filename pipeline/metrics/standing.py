"""What a reader should know about the numbers of a release: which it is, and how far it is complete and audited."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from pipeline.metrics.definition import Metric
from pipeline.metrics.query import covered
from pipeline.releases.release import Release


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a release, for the metrics of one query.

    Attributes:
        positions: the ledger position of each feed that the release contains.
        complete_to: the last date that the metrics' tables have, of a periodic table the last day of its last period:
            models compute whole days, once the feeds that they read are complete. If several tables are read, the
            earliest; None if one is empty.
        audits: audits that the release passed.
    """

    release: int
    published_at: dt.datetime
    positions: Mapping[str, int]
    complete_to: dt.date | None
    audits: tuple[dict[str, Any], ...]


def standing(
    release: Release,
    connection: duckdb.DuckDBPyConnection,
    definitions: Mapping[str, Metric],
    names: Sequence[str],
) -> Standing:
    """The standing of a release for some metrics.

    Raises:
        ConfigError: the release lacks a metric's table.
    """
    ends = [covered(connection, definitions, [name])[1] for name in names]
    known = [end for end in ends if end is not None]
    complete_to = min(known) if known and len(known) == len(ends) else None
    return Standing(release.number, release.published_at, release.positions, complete_to, release.audits)
