"""The shop's sample as messages and as rows of a database is the one of the landing."""

from __future__ import annotations

import datetime as dt
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from ingest.contracts.contract import contracts
from ingest.settings import Settings, settings
from pipeline.cycle.ingest import ingest_all
from pipeline.dev.sampling import write_sample
from pipeline.lake import Lake
from pipeline.warehouse.bronze import bronze_query
from sample.options import SampleOptions
from tests.connect_server import Broker
from tests.home import Home
from tests.postgres_server import Postgres

OPTIONS = SampleOptions(end=dt.date(2026, 1, 31), days=2, events=1, orders=12, sessions_per_order=2.0)
FEEDS = ("orders", "customers", "clickstream")


def rows(options: Settings, feed: str) -> list[tuple[object, ...]]:
    """The rows of bronze without their lineage."""
    lake, contract = Lake(options), contracts()[feed]
    names = ", ".join(column.name for column in contract.columns)
    query = bronze_query(contract, lake.store.uri, lake.ledger(feed).live_files())
    with lake.connect() as connection:
        return sorted(connection.execute(f"SELECT {names} FROM ({query})").fetchall(), key=repr)


def test_messages_have_the_rows_of_the_landing_and_are_written_once(
    broker: Broker, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sample(OPTIONS, lambda objects, size: None)
    home.ingest(*FEEDS)
    expected = {feed: rows(home.options, feed) for feed in FEEDS}
    assert all(expected.values())

    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker.address)
    settings.cache_clear()
    written = write_sample(OPTIONS, lambda objects, size: None, to="kafka")
    again = write_sample(OPTIONS, lambda objects, size: None, to="kafka")
    assert (written.objects > 0, again.objects) == (True, 0)
    assert not Path(settings().landing("raw-shop-orders")).exists()
    assert Path(settings().landing("raw-shop-inventory")).exists(), "it has no topic"
    summary = ingest_all(Lake(settings()), FEEDS, lambda _: lambda objects, size: None)
    assert summary.errors == []
    assert {feed: rows(settings(), feed) for feed in FEEDS} == expected


def test_the_database_has_the_current_rows(home: Home, postgres_server: Postgres) -> None:
    psycopg2 = pytest.importorskip("psycopg2", reason="PostgreSQL: psycopg2 is not installed, the extra `postgres`")
    database = f"shop_{uuid.uuid4().hex}"
    postgres_server.sql("postgres", f"CREATE DATABASE {database}")
    of = postgres_server.variables
    place = {"host": of["PGHOST"], "port": of["PGPORT"], "user": of["PGUSER"], "password": of["PGPASSWORD"]}
    dsn = psycopg2.extensions.make_dsn(**place, dbname=database)
    write_sample(OPTIONS, lambda objects, size: None, to="postgres", dsn=dsn)
    with closing(psycopg2.connect(dsn)) as session, session.cursor() as cursor:
        cursor.execute("SELECT order_id, status, total_amount, updated_at FROM orders ORDER BY 1")
        found = cursor.fetchall()
        cursor.execute("SELECT COUNT(*), COUNT(birth_date), COUNT(interests) FROM customers")
        customers, births, interests = cursor.fetchone()
    assert len(found) >= 12
    assert len({status for _, status, _, _ in found}) > 1
    assert all(isinstance(at, dt.datetime) for *_, at in found)
    assert 0 < births <= customers
    assert interests > 0
