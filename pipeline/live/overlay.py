"""What the current release knows: closed business dates, and minutes of earlier weeks."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass
from typing import Any

import duckdb

from ingest.errors import LakemeshError
from pipeline.live.business import microseconds
from pipeline.live.event import DAY
from pipeline.live.unusual import WEEKS, Usual
from pipeline.releases.release import Releases

LOG = logging.getLogger(__name__)
SHOWN_DAYS = 14
_DAYS = f"""
SELECT days.business_date, days.sessions, days.purchase_sessions, days.visitors, days.clicks,
  COALESCE(orders.orders, 0), COALESCE(orders.net_amount, 0)
FROM gold.rpt_conversion_daily AS days
LEFT JOIN (
  SELECT business_date, COUNT(*) AS orders, SUM(net_amount_reporting) AS net_amount
  FROM gold.fct_orders GROUP BY business_date
) AS orders ON days.business_date = orders.business_date
ORDER BY days.business_date DESC LIMIT {SHOWN_DAYS}
"""
_MINUTES = """
SELECT EPOCH_US(started_at), views, carts, 0 FROM gold.rpt_clicks_minutely WHERE date >= $since
UNION ALL
SELECT EPOCH_US(started_at), 0, 0, orders FROM gold.rpt_orders_minutely WHERE started_at >= $since
"""
_COVERED = "SELECT MIN(date), MAX(date) FROM gold.rpt_clicks_minutely WHERE date >= $since"


@dataclass(frozen=True, slots=True)
class Overlay:
    """What a release says beside live numbers.

    Attributes:
        release: its number; 0 if there is none.
        days: its newest business dates, newest first.
    """

    release: int = 0
    days: tuple[dict[str, Any], ...] = ()
    usual: Usual | None = None


def read_overlay(releases: Releases, today: dt.date, timezone: str, before: Overlay) -> Overlay:
    """What the current release says; what is known already if it is the same one.

    A table that a release lacks, or a store that does not answer, leaves out what it would say.
    """
    try:
        number = int(releases.pointer().get("state", 0))
        if number == before.release:
            return before
        with releases.connect(number) as connection:
            return Overlay(number, _days(connection), _usual(connection, today, timezone))
    except LakemeshError as error:
        LOG.warning("event=no_overlay because=%s", error)
        return before


def _days(connection: duckdb.DuckDBPyConnection) -> tuple[dict[str, Any], ...]:
    names = ("date", "sessions", "purchase_sessions", "visitors", "clicks", "orders", "net_amount")
    rows = _rows(connection, _DAYS, {})
    return tuple(dict(zip(names, (str(row[0]), *row[1:6], float(row[6])), strict=True)) for row in rows)


def _usual(connection: duckdb.DuckDBPyConnection, today: dt.date, timezone: str) -> Usual | None:
    since = {"since": today - dt.timedelta(weeks=WEEKS, days=1)}
    covered = _rows(connection, _COVERED, since)
    if not covered or covered[0][0] is None:
        return None
    first, last = (microseconds(dt.datetime.combine(day, dt.time(), dt.UTC)) for day in covered[0])
    minutes: dict[int, dict[str, int]] = {}
    for start, views, carts, orders in _rows(connection, _MINUTES, since):
        found = minutes.setdefault(start, {"views": 0, "carts": 0, "orders": 0})
        found["views"] += views
        found["carts"] += carts
        found["orders"] += orders
    return Usual(minutes, first, last + DAY, timezone)


def _rows(connection: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(query, parameters).fetchall() if parameters else connection.execute(query).fetchall()
    except duckdb.CatalogException as error:
        LOG.warning("event=release_lacks_table because=%s", str(error).splitlines()[0])
        return []
