"""What cycles left alone, or computed by key or by date, equals a rebuild after random histories of all domains.

Records of engagement, revenue and the shop arrive late, again, or in another order; objects are overwritten and
dropped; files are compacted and deleted; days pass; loads, plain `sqlmesh run` and cycles alternate; cycles fail, are
blocked by audits, or are killed; persons are erased. HISTORIES sets how many histories there are, HISTORY the number of the first, ROUNDS
their length.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ingest.settings import settings
from tests.domain_world import Domains
from tests.home import Home, copy_home, copy_project, keep_domain, switch_rules_off, template, use_project

ROUNDS = int(os.environ.get("ROUNDS", "1"))
FIRST, HISTORIES = int(os.environ.get("HISTORY", "1")), int(os.environ.get("HISTORIES", "1"))
START = "2026-01-30"
"""Of the lake: one month is complete when histories begin."""
NEVER_EMPTY = (
    *("silver.current_orders", "silver.sessions", "silver.business_dates", "gold.fct_sales", "gold.fct_orders"),
    *("gold.rpt_sales_daily", "gold.fct_sessions", "gold.rpt_funnel_daily", "gold.fct_inventory_daily"),
    *("gold.fct_marketing_daily", "gold.rpt_stock_risk", "gold.fct_customer_monthly", "gold.rpt_customer_segments"),
    *("gold.dim_customer_360", "gold.fct_invoices", "gold.fct_mrr_daily", "gold.activity_engagement_metrics"),
)

REVENUE_BY_KEY = {"invoices", "subscriptions", "fct_invoices", "fct_revenue_recognition", "fct_mrr_monthly"}
SHOP_BY_KEY = {"orders", "current_orders", "fct_sales", "fct_orders", "fct_customer_monthly"}


def identifying_columns(world: Domains) -> Iterator[tuple[str, str, set[str]]]:
    """(table, column, values) of each column of silver and gold that is called as an identifier."""
    with duckdb.connect(world.home.options.warehouse_path, read_only=True) as warehouse:
        query = "SELECT schema || '.' || name, UNNEST(column_names) FROM (SHOW ALL TABLES) WHERE schema IN ('silver', 'gold')"
        for name, column in warehouse.execute(query).fetchall():
            if column in ("user_id", "account_id", "customer_id"):
                rows = warehouse.execute(f"SELECT DISTINCT {column}::TEXT FROM {name}").fetchall()
                yield name, column, {value for (value,) in rows}


@pytest.fixture(scope="module")
def all_domains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's SQLMesh side without standalone audits: random records need not reconcile with each other."""
    folder = copy_project(tmp_path_factory.mktemp("project") / "domains")
    keep_domain(folder, "engagement", "revenue", "shop", "identity")
    for path in (folder / "audits").glob("*.sql"):
        if "standalone TRUE" in path.read_text():
            path.unlink()
    switch_rules_off(folder)
    return folder


@pytest.fixture(scope="module")
def opened(all_domains: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A lake with records of all feeds, planned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_START", START)
        with template(tmp_path_factory.mktemp("opened"), all_domains) as home:
            world = Domains(home, 0)
            world.open()
            home.ingest()
            home.plan(execution_time=world.now)
        yield home


@pytest.mark.parametrize("seed", range(FIRST, FIRST + HISTORIES))
def test_tables_are_those_of_a_rebuild(
    opened: Home, all_domains: Path, home: Home, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_START", START)
    monkeypatch.setenv("LAKE_ERASURE_KEY", "a secret of many characters")
    settings.cache_clear()
    use_project(all_domains, monkeypatch)
    world = Domains(copy_home(opened, Home()), seed)
    world.resume()
    arrivals = {
        world.day: 4,
        world.trade: 4,
        world.changes: 8,
        world.observations: 8,
        world.records: 4,
        world.user: 1,
        world.activity: 1,
        world.events: 3,
        world.again: 1,
        world.overwrite: 2,
        world.drop: 1,
        world.repeat: 2,
        world.rewrite: 3,
        world.withdraw: 1,
        world.read_again: 0.5,
        world.maintain: 1,
        world.load: 2,
        world.erase: 0.5,
    }
    computations = {world.cycle: 4, world.run: 1, world.fail: 2, world.block: 1}
    killed = world.dice.randrange(max(ROUNDS, 2))
    for number in range(ROUNDS):
        for act in world.dice.choices(list(arrivals), list(arrivals.values()), k=world.dice.randrange(3, 12)):
            act()
        (compute,) = world.dice.choices(list(computations), list(computations.values()))
        (world.kill if number == killed else compute)()
    for act in (world.trade, world.catch_up, world.observations, world.records, world.load, world.erase):
        act()
    for act in (world.trade, world.catch_up, world.observations, world.day, world.cycle):
        act()

    assert world.left_alone, "nothing was left alone, so nothing is shown"
    assert world.by_key & REVENUE_BY_KEY, "revenue was computed as a whole, so nothing is shown"
    assert world.by_key & SHOP_BY_KEY or world.is_read_again, "the shop was computed as a whole, so nothing is shown"
    found = world.tables()
    assert [name for name in NEVER_EMPTY if not found[name]] == []
    expected = world.rebuilt()
    assert found.keys() == expected.keys()
    for name, rows in found.items():
        assert rows == expected[name], name
    assert world.forgotten
    for name, column, values in identifying_columns(world):
        gone = {value for identifier, value in world.forgotten if identifier == column}
        assert not gone & values, (name, column)
