"""What the release says beside live numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import duckdb
import pytest

from pipeline.live.business import microseconds
from pipeline.live.overlay import SHOWN_DAYS, _days, _usual

TODAY = dt.date(2026, 3, 31)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA gold")
        yield connection


def test_days_have_sessions_and_orders_newest_first(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE TABLE gold.rpt_conversion_daily AS "
        "SELECT (DATE '2026-03-01' + n::INT) AS business_date, n AS sessions, "
        "1 AS purchase_sessions, 2 AS visitors, 3 AS clicks FROM range(20) AS days(n)"
    )
    connection.execute(
        "CREATE TABLE gold.fct_orders AS SELECT * FROM (VALUES (DATE '2026-03-20', 10.5::DECIMAL(18, 6)), "
        "(DATE '2026-03-20', 2), (DATE '2026-03-10', 7)) AS orders(business_date, net_amount_reporting)"
    )
    found = _days(connection)
    assert len(found) == SHOWN_DAYS
    expected = {"sessions": 19, "purchase_sessions": 1, "visitors": 2, "clicks": 3, "orders": 2, "net_amount": 12.5}
    assert found[0] == {"date": "2026-03-20"} | expected
    assert found[1]["orders"] == 0


def test_usual_rates_follow_from_the_minutes_of_the_release(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE TABLE gold.rpt_clicks_minutely AS "
        "SELECT minute::DATE AS date, minute AS started_at, 4 AS views, 1 AS carts "
        "FROM (SELECT TIMESTAMP '2026-02-01' + INTERVAL 1 MINUTE * n AS minute FROM range(57 * 1440) AS minutes(n))"
    )
    connection.execute(
        "CREATE TABLE gold.rpt_orders_minutely AS SELECT TIMESTAMP '2026-03-24 11:58:00' AS started_at, 3 AS orders"
    )
    usual = _usual(connection, TODAY, "UTC")
    assert usual is not None
    until = microseconds(dt.datetime(2026, 3, 31, 12, tzinfo=dt.UTC))
    assert (usual.of(until, "views"), usual.of(until, "carts"), usual.of(until, "orders")) == (20.0, 5.0, 0.0)


def test_a_release_without_these_tables_says_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    assert _days(connection) == ()
    assert _usual(connection, TODAY, "UTC") is None
