"""The quality of tables by day, from ops.quality_daily, ops.audit_results and the findings of a release.

Feeds are measured. A table shares the least of what its feeds have, and has audits of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import msgspec

from pipeline.portal.catalog.entries import Audit, Day, Finding, Quality, Result, Table, Violation
from pipeline.releases.release import Release

DAYS = 90
MOST_FINDINGS = 200
WEIGHTS = {"validity": 0.3, "completeness": 0.3, "uniqueness": 0.15, "freshness": 0.15, "audits": 0.1}
"""Weights of the headline. Parts that are unknown on a day leave it, and the others count in proportion."""
GOOD, WARNING = 0.98, 0.95
"""A page shows a share from the first on as good, below it as a warning, and below the second as bad."""
_DAILY, _FINDINGS, _RESULTS = "ops.quality_daily", "ops.quality_findings", "ops.audit_results"
_CONSTRAINTS = "ops.constraint_findings"


def score(day: Day) -> Day:
    """A day with its headline: the weighted mean of the known parts, and the least of them."""
    known = {name: value for name in WEIGHTS if (value := getattr(day, name)) is not None}
    if not known:
        return day
    weight = sum(WEIGHTS[name] for name in known)
    mean = sum(WEIGHTS[name] * value for name, value in known.items()) / weight
    return msgspec.structs.replace(day, score=round(mean, 6), minimum=min(known.values()))


def last_results(release: Release, connection: duckdb.DuckDBPyConnection, before: Iterable[Audit]) -> dict[str, Result]:
    """The last result of each standalone audit, by name.

    Args:
        before: the audits of the catalog before, for those that this release did not have to run.
    """
    found = {audit.name: audit.last for audit in before if audit.last}
    if _RESULTS in release.tables:
        query = f"""
            SELECT audit_name, started_at, row_count, scope FROM {_RESULTS}
            QUALIFY ROW_NUMBER() OVER (PARTITION BY audit_name ORDER BY started_at DESC) = 1
        """
        for name, at, rows, scope in connection.execute(query).fetchall():
            found[name] = Result(at.isoformat(timespec="seconds"), rows, scope)
    for item in release.audits:
        at = release.published_at.replace(tzinfo=None).isoformat(timespec="seconds")
        found[item["name"]] = Result(at, item["rows"], item["scope"])
    return found


def with_quality(
    tables: Mapping[str, Table], release: Release, connection: duckdb.DuckDBPyConnection
) -> dict[str, Table]:
    """The tables with their quality: feeds as measured, others by the feeds that they are computed from."""
    measured = _feeds(release, connection)
    findings = _findings(release, connection)
    violations = _violations(release, connection)
    audits = _audits(release, connection)
    found = {}
    for name, table in tables.items():
        passed = _passed(table, audits)
        if table.kind == "feed":
            days = measured.get(name, {})
            feeds: tuple[str, ...] = ()
        elif table.kind in ("table", "view") and not name.startswith("ops."):
            feeds = tuple(sorted(feed for feed in _sources(table, tables) if feed in measured))
            days = _least([measured[feed] for feed in feeds])
        else:
            found[name] = table
            continue
        dates = sorted(days.keys() | passed.keys())[-DAYS:]
        judged = tuple(
            score(msgspec.structs.replace(days.get(date, Day(date)), audits=passed.get(date))) for date in dates
        )
        known = tuple(day for day in judged if day.score is not None)
        quality = Quality(known, feeds, *findings.get(name, ((), 0)), violations.get(name, ()))
        found[name] = msgspec.structs.replace(table, quality=quality) if known else table
    return found


def _feeds(release: Release, connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Day]]:
    """The measured days of each feed, by its table."""
    if _DAILY not in release.tables:
        return {}
    query = f"""
        SELECT feed, date, validity, completeness, uniqueness, freshness,
            record_count, record_count - good_count, received_count, expected_count
        FROM {_DAILY} QUALIFY ROW_NUMBER() OVER (PARTITION BY feed ORDER BY date DESC) <= {DAYS} ORDER BY feed, date
    """
    found: dict[str, dict[str, Day]] = {}
    for feed, date, *shares, records, bad, received, expected in connection.execute(query).fetchall():
        validity, completeness, uniqueness, freshness = (
            None if share is None else round(float(share), 6) for share in shares
        )
        day = Day(
            str(date),
            validity,
            completeness,
            uniqueness,
            freshness,
            records=records,
            bad=bad,
            received=received,
            expected=expected,
        )
        found.setdefault(f"bronze.{feed}", {})[day.date] = day
    return found


def _findings(release: Release, connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[tuple[Finding, ...], int]]:
    """The newest findings of each feed, by its table, and how many it has."""
    if _FINDINGS not in release.tables:
        return {}
    query = f"""
        SELECT feed, COUNT(*) OVER (PARTITION BY feed), date, source_file, reason, record_count, column_path, first_line
        FROM {_FINDINGS}
        WINDOW newest AS (PARTITION BY feed ORDER BY date DESC, record_count DESC, source_file, reason, column_path)
        QUALIFY ROW_NUMBER() OVER newest <= {MOST_FINDINGS}
        ORDER BY feed, ROW_NUMBER() OVER newest
    """
    found: dict[str, tuple[tuple[Finding, ...], int]] = {}
    for feed, count, date, name, reason, records, column, line in connection.execute(query).fetchall():
        own, _ = found.get(f"bronze.{feed}", ((), 0))
        found[f"bronze.{feed}"] = ((*own, Finding(str(date), name, reason, records, column or "", line)), count)
    return found


def _violations(release: Release, connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[Violation, ...]]:
    """The records of each feed that violate constraints, by its table."""
    if _CONSTRAINTS not in release.tables:
        return {}
    query = f"""
        SELECT feed, constraint_name, policy, SUM(record_count)::BIGINT, MAX(date)
        FROM {_CONSTRAINTS} GROUP BY ALL ORDER BY feed, constraint_name, policy
    """
    found: dict[str, tuple[Violation, ...]] = {}
    for feed, name, policy, records, last in connection.execute(query).fetchall():
        found[f"bronze.{feed}"] = (*found.get(f"bronze.{feed}", ()), Violation(name, policy, records, str(last)))
    return found


def _audits(release: Release, connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, tuple[int, int]]]:
    """How many runs of each standalone audit passed on each date, of how many."""
    if _RESULTS not in release.tables:
        return {}
    query = f"""
        SELECT audit_name, started_at::DATE, COUNT(*) FILTER (row_count = 0), COUNT(*)
        FROM {_RESULTS} GROUP BY ALL
    """
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for name, date, passed, ran in connection.execute(query).fetchall():
        found.setdefault(name, {})[str(date)] = (passed, ran)
    return found


def _passed(table: Table, audits: Mapping[str, Mapping[str, tuple[int, int]]]) -> dict[str, float]:
    """The share of runs of the table's standalone audits that passed, by date."""
    counts: dict[str, tuple[int, int]] = {}
    for audit in table.audits:
        for date, (passed, ran) in audits.get(audit.name, {}).items():
            before = counts.get(date, (0, 0))
            counts[date] = (before[0] + passed, before[1] + ran)
    return {date: round(passed / ran, 6) for date, (passed, ran) in counts.items()}


def _sources(table: Table, tables: Mapping[str, Table]) -> set[str]:
    """The feeds that a table is computed from, directly or through other tables."""
    found: set[str] = set()
    waiting, seen = list(table.reads), set(table.reads)
    while waiting:
        name = waiting.pop()
        other = tables.get(name)
        if other is None:
            continue
        if other.kind == "feed":
            found.add(name)
        new = set(other.reads) - seen
        seen |= new
        waiting += new
    return found


def _least(feeds: Iterable[Mapping[str, Day]]) -> dict[str, Day]:
    """For each date the least of each part over feeds; counts are those of the feeds together."""
    found: dict[str, Day] = {}
    for days in feeds:
        for date, day in days.items():
            old = found.get(date)
            found[date] = day if old is None else _both(old, day)
    return found


def _both(one: Day, other: Day) -> Day:
    def least(name: str) -> Any:
        known = [value for item in (one, other) if (value := getattr(item, name)) is not None]
        return min(known, default=None)

    parts = {name: least(name) for name in WEIGHTS}
    return Day(one.date, **parts, records=one.records + other.records, bad=one.bad + other.bad)
