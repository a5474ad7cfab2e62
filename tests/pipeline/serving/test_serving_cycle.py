"""Cycles that copy gold of all domains into Postgres, also after Postgres was unreachable."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlmesh.core.console import NoopConsole, set_console

from ingest.contracts.contract import contracts
from ingest.errors import RetriableError
from ingest.settings import read_settings, settings
from pipeline.alerting.alert import Alert, Channel
from pipeline.cli import main
from pipeline.cycle.alerts import alerting
from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.summary import RunSummary
from pipeline.dev.sampling import write_sample
from pipeline.lake import Lake
from pipeline.releases.release import Releases, published
from sample.options import SampleOptions
from tests.engagement import GOLD, play
from tests.home import Home
from tests.postgres_server import Postgres

psycopg2 = pytest.importorskip("psycopg2", reason="PostgreSQL: psycopg2 is not installed, the extra `postgres`")
END = dt.date(2026, 3, 20)


def cycle() -> RunSummary:
    settings.cache_clear()
    return run_cycle(Lake(settings()), (), lambda _: lambda objects, size: None)


def comparable(rows: list[tuple[Any, ...]]) -> list[str]:
    """Rows in a canonical order; NaN equals NaN."""
    return sorted(
        repr(tuple("nan" if isinstance(item, float) and math.isnan(item) else item for item in row)) for row in rows
    )


@pytest.fixture
def bi(postgres_server: Postgres, clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The DSN of a database for BI, also set as SERVING_DSN."""
    set_console(NoopConsole())
    database = f"bi_{uuid.uuid4().hex}"
    postgres_server.sql("postgres", f"CREATE DATABASE {database}")
    given = {name.removeprefix("PG").lower(): value for name, value in postgres_server.variables.items()}
    dsn = str(psycopg2.extensions.make_dsn(**given, dbname=database))
    monkeypatch.setenv("SERVING_DSN", dsn)
    monkeypatch.setenv("LAKE_START", "2026-02-15")  # no years of empty days
    yield dsn
    postgres_server.sql("postgres", f"DROP DATABASE {database} WITH (FORCE)")


def rows_of(dsn: str, query: str) -> list[tuple[Any, ...]]:
    session = psycopg2.connect(dsn)
    try:
        with session.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())
    finally:
        session.close()


def must_match_the_release(dsn: str) -> set[str]:
    """Compare every table of gold with the release and return the names; other layers are not served."""
    releases = Releases(read_settings())
    release = releases.current()
    assert release is not None
    state = release.of_layer("gold")
    assert rows_of(dsn, "SELECT COUNT(*) FROM pg_class WHERE relname IN ('cycles', 'feed_freshness')") == [(0,)]
    with releases.connect() as reader:
        reader.execute("SET threads = 1")  # sums of floats in a view depend on the order: two readings may differ
        for name, table in state.tables.items():
            columns = ", ".join(f'"{column}"' for column, _, _ in table.columns)
            expected = reader.execute(f"SELECT {columns} FROM {name}").fetchall()
            assert comparable(rows_of(dsn, f"SELECT {columns} FROM {name}")) == comparable(expected), name
    assert rows_of(dsn, "SELECT state, positions FROM gold.lakemesh_state") == [(state.number, dict(state.positions))]
    return set(state.tables)


def must_have_operations() -> None:
    """Check that readers of the release find what is tagged `released`, and no text of an error."""
    release = Releases(read_settings()).current()
    assert release is not None
    operations = release.tables.keys() - release.of_layer("gold").tables.keys()
    assert operations == {
        *("ops.audit_results", "ops.constraint_findings", "ops.cycles", "ops.feed_freshness"),
        *("ops.cost_daily", "ops.late_arrivals", "ops.loads"),
        *("ops.quality_daily", "ops.quality_findings", "ops.quarantine_daily", "ops.release_lag_daily"),
        *("ops.share_anomalies", "ops.volume_anomalies", "ops.live_drift"),
    }
    assert published("ops.feed_freshness").count("feed").fetchall() == [(len(contracts()),)]
    columns = {name: set(published(name).columns) for name in operations}
    assert [name for name, found in columns.items() if "errors" in found] == []
    # the catalog leads from a day's quality down to the objects at fault
    assert [name for name, found in columns.items() if "source_file" in found] == ["ops.quality_findings"]


def test_cycles_serve_all_of_gold_and_catch_up_after_an_outage(bi: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN both domains, planned and published
    home = Home()
    write_sample(SampleOptions(end=END, events=300, days=30, accounts=30), lambda objects, size: None, home.options)
    home.ingest()
    home.plan()
    first = cycle()
    assert (first.outcome, first.exit_code, first.unserved) == ("published", 0, "")
    assert first.served is not None
    names = must_match_the_release(bi)
    must_have_operations()
    assert {GOLD, "gold.fct_mrr_daily", "gold.rpt_mrr_monthly", "gold.dim_account", "gold.q1_completion_rate"} <= names
    assert {"gold.fct_sales", "gold.fct_orders", "gold.dim_customer", "gold.rpt_sales_daily"} <= names
    assert {"gold.fct_acquisitions", "gold.rpt_customer_cohorts", "gold.rpt_product_recommendations"} <= names
    assert {"gold.dim_channel", "gold.fct_sessions", "gold.rpt_funnel_daily", "gold.rpt_conversion_daily"} <= names
    assert {"gold.fct_inventory_daily", "gold.rpt_stock_risk", "gold.fct_marketing_daily"} <= names
    assert {"gold.rpt_top_products", "gold.fct_customer_features", "gold.fct_customer_features_known"} <= names
    assert {"gold.fct_customer_monthly", "gold.rpt_churn_risk", "gold.dim_customer_360"} <= names
    assert {name for name, change in first.served.changes.items() if change.whole} == names
    described = "SELECT obj_description(oid) FROM pg_class WHERE relnamespace = 'gold'::regnamespace AND relkind = 'r'"
    assert all(text and text.startswith("One row") for (text,) in rows_of(bi, described))
    ((primary, unique),) = rows_of(
        bi,
        "SELECT COUNT(*) FILTER (WHERE contype = 'p'), COUNT(*) FILTER (WHERE contype = 'u') FROM pg_constraint "
        "WHERE connamespace = 'gold'::regnamespace",
    )
    assert primary + unique == len(names) + 1, "every model has a key, and lakemesh_state has one"
    assert primary > unique > 0

    # WHEN late data arrives while Postgres is unreachable
    home.put("events", "late.json", play("late-1", "2026-03-02", user="nobody"))
    monkeypatch.setenv("SERVING_DSN", "postgresql://me:secret@127.0.0.1:1/bi")
    apart = cycle()

    # THEN readers of the files have it, the cycle names what failed, and Postgres keeps its release
    assert (apart.outcome, apart.state, apart.exit_code, apart.served) == ("published", 2, 1, None)
    assert apart.errors == [apart.unserved]
    assert "cannot be reached" in apart.unserved
    assert "secret" not in apart.unserved
    assert rows_of(bi, "SELECT state FROM gold.lakemesh_state") == [(1,)]

    # AND the next cycle, without new data, writes only what changed
    monkeypatch.setenv("SERVING_DSN", bi)
    again = cycle()
    assert (again.outcome, again.exit_code) == ("unchanged", 0)
    assert again.served is not None
    must_match_the_release(bi)
    daily = again.served.changes[GOLD]
    per_date = dict(rows_of(bi, f"SELECT date::TEXT, COUNT(*) FROM {GOLD} GROUP BY 1"))
    assert (daily.written, daily.whole) == (per_date["2026-03-02"], False)
    assert not any(change.whole for change in again.served.changes.values())
    assert "gold.fct_mrr_daily" not in again.served.changes
    settings.cache_clear()
    shown = CliRunner().invoke(main, ["publish", "--to", "postgres"])
    assert shown.exit_code == 0
    assert "has release 2: 0 tables changed" in shown.stdout


def test_an_outage_of_postgres_has_its_own_alert(home: Home) -> None:
    def alerts_after(*errors: str, unserved: str = "") -> dict[str, str]:
        got: list[Alert] = []
        summary = RunSummary(dt.datetime.now(dt.UTC))
        with alerting(Lake(home.options), summary, lambda: summary.started_at) as alerts:
            alerts.channels.append(Channel("probe", got.append))
            for error in (*errors, *([unserved] if unserved else [])):
                summary.failed(RetriableError(error))
            summary.unserved = unserved
        return {alert.name: alert.event for alert in got if alert.name in ("cycle", "serving")}

    assert alerts_after(unserved="no Postgres") == {"serving": "problem"}
    assert alerts_after("an audit failed", unserved="no Postgres") == {"cycle": "problem"}
    assert alerts_after("an audit failed") == {"serving": "recovery"}
    assert alerts_after() == {"cycle": "recovery"}
