"""What live windows showed against audited gold: equal without late data, each late event in the drift otherwise."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlmesh.core.console import NoopConsole, set_console

from ingest.settings import settings
from tests.home import Home, copy_project, keep_upstream, switch_rules_off, use_project
from tests.pipeline.live.clicks import Shop, click, order

pytestmark = pytest.mark.long
NOON = dt.datetime(2026, 3, 10, 12, 0, tzinfo=dt.UTC)
Drift = dict[tuple[str, str], tuple[Decimal, ...]]


def at(minutes: float) -> dt.datetime:
    return NOON + dt.timedelta(minutes=minutes)


def item(order_id: int, price: str, moment: dt.datetime, version: int) -> dict[str, Any]:
    """The change event of an order's only item."""
    micros = int(moment.timestamp() * 1e6)
    row = {"order_id": order_id, "line_number": 1, "product_id": 7, "quantity": 1, "unit_price": price}
    source = {"connector": "postgresql", "ts_ms": micros // 1000, "lsn": 1000 + version, "snapshot": "false"}
    return {"op": "c", "before": None, "after": row, "source": source}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A lake with the models that drift is computed from."""
    set_console(NoopConsole())
    (tmp_path / "dotenv").touch()
    for name, value in {
        "LAKE_HOME": str(tmp_path / "home"),
        "LAKE_START": "2026-03-09",
        "SQLMESH_DOTENV_PATH": str(tmp_path / "dotenv"),
    }.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    project = copy_project(tmp_path / "project")
    keep_upstream(project, "ops.live_drift")
    switch_rules_off(project)
    use_project(project, monkeypatch)
    return Home()


def show(shop: Shop, events: list[dict[str, Any]], late: list[dict[str, Any]] = []) -> None:  # noqa: B006  never changed
    """Show a date with these events, and after its windows have closed with late ones."""
    shop.end(at(-30))
    with shop.running():
        shop.wait(lambda state: state["is_ready"])
        for event in events:
            shop.send(event)
        shop.wait(lambda state: state["counters"]["clicks"] == sum("event_id" in event for event in events))
        shop.end(at(121))
        shop.wait(lambda state: state["watermark"] == "2026-03-10T14:00:50Z")
        for event in late:
            shop.send(event, at(122))
        if late:
            shop.wait(lambda state: state["counters"]["late"] == len(late))
        shop.end(at(12 * 60))
        shop.wait(lambda state: state["watermark"] == "2026-03-10T23:59:50Z")


def drift(home: Home) -> Drift:
    """(drift, late, corrected, definition) by size and measure; what does not drift is left out."""
    home.ingest("clickstream", "orders", "order_items")
    home.plan(execution_time="2026-03-12 01:00:00")
    rows = home.rows(
        "SELECT window_size, measure, SUM(shown), SUM(audited), SUM(drift), SUM(late), SUM(corrected), SUM(definition) "
        "FROM ops.live_drift GROUP BY ALL"
    )
    assert {row[0] for row in rows} == {"minute", "hour", "day"}
    assert all(row[3] > 0 for row in rows if row[1] in ("clicks", "orders", "net_amount")), "gold has what was shown"
    return {(row[0], row[1]): row[4:] for row in rows if row[4]}


def test_drift_is_zero_without_late_data_and_has_each_late_event_otherwise(home: Home) -> None:
    kinds = ("view", "view", "add_to_cart", "begin_checkout", "purchase", "search")
    clicks = [click(number, at(number * 0.7), number % 9, kinds[number % 6]) for number in range(120)]
    clicks.append(click(500, at(3), user_agent="Googlebot/2.1"))
    orders = [order(number, at(number * 7), "119.00", number) for number in range(1, 6)]
    items = [item(number, "95.00", at(number * 7), 100 + number) for number in range(1, 6)]
    home.put("clickstream", "a.jsonl", *clicks, clicks[3])
    home.put("orders", "a.jsonl", *orders)
    home.put("order_items", "a.jsonl", *items)
    show(Shop(at(0)), [*[event for event in clicks if event["event_id"] != "e500"], *orders])
    assert drift(home) == {}


def test_drift_says_what_came_late_was_corrected_or_is_defined_another_way(home: Home) -> None:
    clicks = [click(number, at(number), number % 3) for number in range(30)]
    late = [click(100 + number, at(5), 50 + number) for number in range(4)]
    orders = [order(number, at(number), "119.00", number) for number in (1, 2, 3)]
    late_order = order(9, at(4), "119.00", 9)
    home.put("clickstream", "a.jsonl", *clicks, *late)
    home.put("orders", "a.jsonl", *orders, late_order, order(1, at(1), "129.00", 20, "u"))
    # order 3 waits for its item, whose price is another one
    prices = {1: "105.00", 2: "95.00", 3: "1.00", 9: "95.00"}
    home.put("order_items", "a.jsonl", *[item(number, price, at(1), 30 + number) for number, price in prices.items()])
    show(Shop(at(0)), [*clicks, *orders], [*late, late_order])
    assert drift(home) == {
        **{(size, measure): (4, 4, 0, 0) for size in ("minute", "hour") for measure in ("clicks", "views", "visitors")},
        **{(size, "orders"): (1, 1, 0, 0) for size in ("minute", "hour")},
        **{(size, "net_amount"): (10, 95, 10, -95) for size in ("minute", "hour")},
        **{("day", measure): (4, 4, 0, 0) for measure in ("clicks", "visitors", "sessions")},
    }
