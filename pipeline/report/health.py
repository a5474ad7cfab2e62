"""Pipeline health, as far as a release tells it: itself, and the tables of ops that it holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import duckdb

from pipeline.releases.release import Release
from pipeline.report import words
from pipeline.report.span import Span, short

OLD = dt.timedelta(hours=36)
"""A release of that age lacks a day that is over."""
SHOWN = 3
"""Feeds, reasons and audits that are named; others are counted."""


class State(StrEnum):
    """Whether somebody should look; a note says nothing of that."""

    NOTE = "note"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the health.

    Attributes:
        name: identifies it in JSON.
        text: for people.
        values: for machines.
    """

    name: str
    label: str
    state: State
    text: str
    values: Mapping[str, Any] = field(default_factory=dict)


def health(
    release: Release,
    connection: duckdb.DuckDBPyConnection,
    span: Span,
    complete: Mapping[str, dt.date | None],
    now: dt.datetime,
    withheld: bool = False,
    is_current: bool = True,
) -> list[Fact]:
    """The health of a release.

    Args:
        connection: to the release.
        span: that the report is about.
        complete: the last complete day of each section with a metric of the report's period, by title.
        withheld: whether newer releases are kept from readers, after a rollback.
        is_current: whether it is the release that readers get.
    """
    found = [_release(release, now, withheld, is_current), _complete(span, complete), _audits(release, connection)]
    asked = (
        ("ops.feed_freshness", _feeds),
        ("ops.volume_anomalies", lambda own: _arrivals(own, span)),
        ("ops.quarantine_daily", lambda own: _quarantine(own, span)),
        ("ops.cycles", lambda own: _cycles(own, release.published_at)),
        ("ops.release_lag_daily", _lag),
    )
    for table, ask in asked:
        if table in release.tables:
            found += ask(connection)
    if not any(table in release.tables for table, _ in asked):
        text = 'this release holds no tables of operations; "lake status" shows feeds and quarantine'
        found.append(Fact("operations", "Operations", State.NOTE, text))
    return found


def _release(release: Release, now: dt.datetime, withheld: bool, is_current: bool) -> Fact:
    age = now - release.published_at
    at = release.published_at.astimezone(dt.UTC)
    text = f"release {release.number}, published {at:%a} {short(at.date())} {at:%H:%M} UTC"
    state = State.GOOD
    if not is_current:
        state, text = State.NOTE, f"{text}; readers get another one"
    elif age > OLD:
        text = f"{text}, {_age(age.total_seconds())} ago"
        if not withheld:
            state, text = State.BAD, f"{text}: no cycle has published since"
    if withheld:
        state, text = max(state, State.WARNING, key=list(State).index), f"{text}; newer releases are withheld"
    values = {"number": release.number, "published_at": at.isoformat(), "current": is_current, "withheld": withheld}
    return Fact("release", "Release", state, text, values)


def _complete(span: Span, complete: Mapping[str, dt.date | None]) -> Fact:
    late = [title for title, day in complete.items() if day is None or day < span.last]
    days = {title: f"{day:%a} {short(day)}" if day else "nothing yet" for title, day in complete.items()}
    same = len(set(days.values())) == 1
    text = next(iter(days.values())) if same else "; ".join(f"{title} to {day}" for title, day in days.items())
    state = State.WARNING if late else State.GOOD
    values = {"sections": {title: str(day or "") for title, day in complete.items()}}
    return Fact("complete", "Complete to", state, text, values)


def _audits(release: Release, connection: duckdb.DuckDBPyConnection) -> Fact:
    text = f"{len(release.audits)} passed before the release"
    values: dict[str, Any] = {"passed": len(release.audits), "found": {}}
    if "ops.audit_results" in release.tables:
        query = """SELECT audit_name, row_count FROM ops.audit_results
            WHERE row_count > 0 AND run_id = (SELECT MAX_BY(run_id, started_at) FROM ops.audit_results) ORDER BY 1"""
        if found := dict(connection.execute(query).fetchall()):
            named = _named([f"{name} ({rows:,} rows)" for name, rows in found.items()])
            text = f"{text}; the last cycle recorded here found rows in {named}"
            return Fact("audits", "Audits", State.WARNING, text, values | {"found": found})
    return Fact("audits", "Audits", State.GOOD, text, values)


def _feeds(connection: duckdb.DuckDBPyConnection) -> Iterator[Fact]:
    query = "SELECT feed, age_seconds, freshness_seconds, is_late FROM ops.feed_freshness ORDER BY feed"
    rows = connection.execute(query).fetchall()
    late = [(feed, age, limit) for feed, age, limit, is_late in rows if is_late]
    values = {"feeds": len(rows), "late": {feed: age for feed, age, _ in late}}
    if not late:
        yield Fact("feeds", "Feeds", State.GOOD, f"all {len(rows)} in time at the release", values)
        return
    texts = [
        f"{feed} ({'nothing yet' if age is None else f'{_age(age)} old'}"
        f"{'' if limit is None else f', {_age(limit)} allowed'})"
        for feed, age, limit in late
    ]
    yield Fact("feeds", "Feeds", State.BAD, f"late at the release: {_named(texts)}", values)


def _arrivals(connection: duckdb.DuckDBPyConnection, span: Span) -> Iterator[Fact]:
    query = """SELECT feed, event_date, row_count, usual_count FROM ops.volume_anomalies
        WHERE event_date BETWEEN ? AND ? ORDER BY event_date, feed"""
    rows = connection.execute(query, [span.first, span.last]).fetchall()
    texts = [f"{feed} {short(day)}: {rows:,} rows, usually {usual:,.0f}" for feed, day, rows, usual in rows]
    values = {"unusual": [[feed, str(day), rows, usual] for feed, day, rows, usual in rows]}
    if texts:
        yield Fact("arrivals", "Arrivals", State.WARNING, _named(texts), values)
    else:
        yield Fact("arrivals", "Arrivals", State.GOOD, "as many rows as usual", values)


def _quarantine(connection: duckdb.DuckDBPyConnection, span: Span) -> Iterator[Fact]:
    query = """SELECT feed, reason, column_path, SUM(open_count)::BIGINT,
            (SUM(open_count) FILTER (WHERE ingest_date >= ?))::BIGINT
        FROM ops.quarantine_daily GROUP BY ALL HAVING SUM(open_count) > 0 ORDER BY 4 DESC, 1, 2, 3"""
    rows = connection.execute(query, [span.first]).fetchall()
    count, new = sum(row[3] for row in rows), sum(row[4] or 0 for row in rows)
    values = {"open": count, "new": new, "reasons": [list(row[:4]) for row in rows]}
    if not count:
        yield Fact("quarantine", "Quarantine", State.GOOD, "no record waits for a fix", values)
        return
    texts = [
        f"{feed} {reason}{f' {words.named(column)}' if column else ''} ({number:,})"
        for feed, reason, column, number, _ in rows
    ]
    text = f"{count:,} records wait for a fix, {new:,} of them since {short(span.first)}: {_named(texts)}"
    yield Fact("quarantine", "Quarantine", State.WARNING if new else State.GOOD, text, values)


def _cycles(connection: duckdb.DuckDBPyConnection, published_at: dt.datetime) -> Iterator[Fact]:
    """The cycles of the day before the release: it was made by one of them, which it does not know yet."""
    since = published_at.astimezone(dt.UTC).replace(tzinfo=None) - dt.timedelta(days=1)
    query = """SELECT COUNT(*), COUNT(*) FILTER (WHERE NOT is_success), MEDIAN(duration_seconds),
            MAX_BY(outcome, started_at) FROM ops.cycles WHERE started_at >= ?"""
    ((count, failed, seconds, outcome),) = connection.execute(query, [since]).fetchall()
    values = {"count": count, "failed": failed, "median_seconds": seconds, "last_outcome": outcome}
    if not count:
        yield Fact("cycles", "Cycles", State.NOTE, "none is recorded in the day before the release", values)
        return
    each = "" if seconds is None else f", {_age(seconds)} each"
    text = f"{count:,} in the day before the release, {failed or 'none'} failed{each}; last: {outcome}"
    yield Fact("cycles", "Cycles", State.WARNING if failed else State.GOOD, text, values)


def _lag(connection: duckdb.DuckDBPyConnection) -> Iterator[Fact]:
    query = """SELECT release_date, MAX(p90_landing_seconds) FROM ops.release_lag_daily
        WHERE p90_landing_seconds IS NOT NULL GROUP BY 1 ORDER BY 1 DESC LIMIT 1"""
    for day, seconds in connection.execute(query).fetchall():
        text = f"90 % of the rows released on {short(day)} were published within {_age(seconds)} of landing"
        yield Fact("lag", "Lag", State.NOTE, text, {"date": str(day), "p90_landing_seconds": seconds})


def _named(texts: Sequence[str]) -> str:
    more = len(texts) - SHOWN
    return ", ".join(texts[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _age(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size * 1.5:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.0f} s"
