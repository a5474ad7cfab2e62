"""The process: what it shows, keeps and rebuilds, over messages of this process and a lake of its own."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from ingest.errors import ConfigError
from ingest.settings import settings
from pipeline.live.board import Restored
from pipeline.live.event import MINUTE
from pipeline.live.process import ALERTS
from pipeline.live.shown import ShownStore
from pipeline.warehouse.live_windows import current, windows_query
from tests.pipeline.live.clicks import Shop, click, order, own_home  # noqa: F401  a fixture

NOW = dt.datetime(2026, 3, 10, 14, 0, tzinfo=dt.UTC)
pytestmark = pytest.mark.usefixtures("own_home")


def at(minutes: float) -> dt.datetime:
    return NOW + dt.timedelta(minutes=minutes)


def shown(shop: Shop) -> list[tuple[Any, ...]]:
    """(kind, size, start, clicks, views, carts, visitors, orders, net amount) of what was kept and is not empty."""
    query = windows_query(shop.lake.store)
    names = "kind, size_seconds, started_at, clicks, views, carts, visitors, orders, net_amount::DOUBLE"
    return duckdb.sql(
        f"SELECT {names} FROM ({query}) WHERE clicks > 0 OR orders > 0 ORDER BY kind, size_seconds, started_at"
    ).fetchall()


def start(minutes: float) -> dt.datetime:
    return at(minutes).replace(tzinfo=None)


def test_today_has_clicks_and_orders_and_closed_minutes_are_kept() -> None:
    shop = Shop(at(10))
    with shop.running():
        shop.end(at(0))
        shop.wait(lambda state: state["is_ready"])
        for number, (minute, kind) in enumerate(
            [(0.5, "view"), (1.2, "view"), (1.4, "add_to_cart"), (1.5, "purchase")]
        ):
            shop.send(click(number, at(minute), number // 2, kind))
        shop.send(click(1, at(1.2), 0))
        shop.send(click(9, at(1.2), user_agent="Googlebot/2.1"))
        shop.send({"event_id": "no visitor", "occurred_at": at(1).isoformat()}, at(1))
        shop.send(order(1, at(1.5), "119.00"))
        shop.wait(lambda state: state["today"]["orders"] == 1 and state["today"]["clicks"] == 4)
        shop.end(at(3.5))
        state = shop.wait(lambda state: state["watermark"] == "2026-03-10T14:03:20Z")
    today = state["today"]
    assert (today["views"], today["carts"], today["visitors"]) == (2, 1, 2)
    assert (today["net_amount"], today["sessions"], today["purchase_sessions"]) == (95.0, 2, 1)
    assert state["counters"] == {"clicks": 4, "duplicates": 1, "bots": 1, "old": 0, "late": 0}
    assert shown(shop) == [
        ("window", 60, start(0), 1, 1, 0, 1, 0, 0.0),
        ("window", 60, start(1), 3, 1, 1, 2, 1, 95.0),
    ]


def test_a_late_click_is_in_today_but_not_in_its_minute_and_is_kept_as_late() -> None:
    shop = Shop(at(10))
    with shop.running():
        shop.end(at(0))
        shop.wait(lambda state: state["is_ready"])
        shop.send(click(1, at(1)))
        shop.end(at(5))
        shop.wait(lambda state: state["watermark"] == "2026-03-10T14:04:50Z")
        shop.send(click(2, at(1.1)), at(5))
        shop.wait(lambda state: state["today"]["clicks"] == 2 and state["counters"]["late"] == 1)
        shop.end(at(7))
        shop.wait(lambda state: state["watermark"] == "2026-03-10T14:06:50Z")
    assert shown(shop) == [("late", 60, start(1), 1, 1, 0, 0, 0, 0.0), ("window", 60, start(1), 1, 1, 0, 1, 0, 0.0)]


def test_another_process_continues_what_a_killed_one_showed() -> None:
    events = [click(number, at(number / 7), number % 5) for number in range(100)]
    whole = Shop(at(20))
    with whole.running():
        whole.end(at(-1))
        whole.wait(lambda state: state["is_ready"])
        for event in events:
            whole.send(event)
        whole.wait(lambda state: state["today"]["clicks"] == 100)
        whole.end(at(20))
        whole.wait(lambda state: state["watermark"] == "2026-03-10T14:19:50Z")
    expected = shown(whole)
    assert len(expected) == 15

    for item in list(whole.lake.store.list("live")):
        whole.lake.store.delete([item.key])
    first = Shop(at(9))
    with first.running():
        first.end(at(-1))
        first.wait(lambda state: state["is_ready"])
        for event in events[:50]:
            first.send(event)
        first.wait(lambda state: state["today"]["clicks"] == 50)
        first.end(at(7))
        first.wait(lambda state: state["watermark"] == "2026-03-10T14:06:50Z")
    # WHEN another one reads everything again from the start, as after a kill
    second = Shop(at(20))
    for event in events[:50]:
        second.send(event)
    with second.running():
        second.wait(lambda state: state["today"]["clicks"] == 50)
        for event in events[50:]:
            second.send(event)
        second.wait(lambda state: state["today"]["clicks"] == 100)
        second.end(at(20))
        state = second.wait(lambda state: state["watermark"] == "2026-03-10T14:19:50Z")
    assert shown(second) == expected
    assert state["today"]["visitors"] == 5


def test_what_bronze_has_is_there_before_the_topic_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.home import Home

    home = Home()
    home.put("clickstream", "a.jsonl", *[click(number, at(-60)) for number in range(5)])
    home.put("orders", "o.jsonl", order(1, at(-60), "119.00"), order(1, at(-60), "129.00", 2, "u"))
    home.ingest("clickstream", "orders")
    shop = Shop(at(0))
    with shop.running():
        shop.send(click(3, at(-60)))  # the topic has one of them too
        shop.send(click(6, at(-1)))
        state = shop.wait(lambda state: state["today"]["clicks"] == 6 and state["today"]["orders"])
    assert state["counters"]["duplicates"] == 1
    assert (state["today"]["orders"], state["today"]["net_amount"]) == (1, 105.0)


def test_two_processes_over_one_lake_name_the_file_that_both_would_write() -> None:
    one, other = Shop(at(10)), Shop(at(10))
    for shop in (one, other):
        shop.end(at(0))
    watermark = "2026-03-10T14:02:50Z"

    def close(shop: Shop) -> None:
        shop.end(at(3))
        shop.wait(lambda state: state["watermark"] == watermark)

    def both() -> None:
        with other.running():
            other.wait(lambda state: state["is_ready"])
            with one.running():
                one.wait(lambda state: state["is_ready"])
                close(one)
            close(other)

    with pytest.raises(ConfigError, match="another `lake live` shows this lake"):
        both()


def test_dates_that_are_over_are_joined_and_single_files_go_a_day_later() -> None:
    shop = Shop(at(10))
    with shop.running():
        shop.end(at(0))
        shop.wait(lambda state: state["is_ready"])
        for minute in (1, 3, 5):
            shop.send(click(minute, at(minute)))
            shop.end(at(minute + 1.5))
            shop.wait(lambda state, minute=minute: state["watermark"] == f"2026-03-10T14:0{minute + 1}:20Z")
    before = shown(shop)
    store = shop.lake.store
    pieces = sorted(item.key for item in store.list("live"))
    assert len(pieces) == 4
    kept = ShownStore(store, "d", shop.now)
    assert kept.join(NOW.date()) == 0
    restored = kept.restore(NOW.date())
    assert kept.join(NOW.date() + dt.timedelta(days=1)) == 1
    assert shown(shop) == before
    assert kept.restore(NOW.date()) == restored
    assert sorted(item.key for item in store.list("live")) == sorted([*pieces, "live/shown/2026-03-10.parquet"])
    kept.join(NOW.date() + dt.timedelta(days=2))
    assert [item.key for item in store.list("live")] == ["live/shown/2026-03-10.parquet"]
    assert shown(shop) == before


def test_what_an_earlier_date_left_open_is_not_shown_later() -> None:
    shop = Shop(at(10))
    with shop.running():
        shop.end(at(0))
        shop.wait(lambda state: state["is_ready"])
        shop.send(click(1, at(1)))
        shop.end(at(3))
        shop.wait(lambda state: state["watermark"] == "2026-03-10T14:02:50Z")
    restored = ShownStore(shop.lake.store, "d", shop.now).restore(NOW.date() + dt.timedelta(days=1))
    midnight = int(dt.datetime(2026, 3, 11, tzinfo=dt.UTC).timestamp()) * 1_000_000
    assert restored.until == midnight
    assert ShownStore(shop.lake.store, "d", shop.now).restore(NOW.date() + dt.timedelta(days=2)) == Restored(0)
    assert midnight % MINUTE == 0


def test_a_file_says_what_it_is_and_names_no_person() -> None:
    shop = Shop(at(10))
    with shop.running():
        shop.end(at(0))
        shop.wait(lambda state: state["is_ready"])
        shop.send(click(1, at(1), visitor=4711))
        shop.end(at(3))
        shop.wait(lambda state: state["watermark"] == "2026-03-10T14:02:50Z")
    (key,) = current(item.key for item in shop.lake.store.list("live"))[-1:]
    table = pq.read_table(io.BytesIO(shop.lake.store.get(key)))
    chain = json.loads(table.schema.metadata[b"lakemesh.live"])
    assert chain["positions"] == {"kafka:clicks/0": 1}
    members = {(row["dimension"], row["member"]) for row in table.to_pylist() if row["dimension"]}
    assert members == {("country", "DE"), ("device", "mobile"), ("product", "7")}
    assert b"4711" not in shop.lake.store.get(key)


def test_alerts_of_live_rates_are_kept_apart_from_those_of_cycles(own_home: Path) -> None:  # noqa: F811
    from pipeline.alerting.alert import Alert, Channel
    from pipeline.alerting.report import is_silent, report

    sent: list[Alert] = []
    channels = [Channel("test", sent.append)]
    report({"live/views": "7 views"}, channels, settings(), NOW, file=ALERTS)
    assert is_silent(settings(), (), dt.datetime.now(dt.UTC))
    report({}, channels, settings(), NOW)
    report({}, channels, settings(), NOW, file=ALERTS)
    assert [(item.name, item.event) for item in sent] == [("live/views", "problem"), ("live/views", "recovery")]
    assert (own_home / ALERTS).exists()


def test_an_unusual_rate_is_shown_alerted_once_and_its_recovery_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.alerting.alert import Alert, Channel
    from pipeline.live import process
    from pipeline.live.overlay import Overlay
    from pipeline.live.unusual import Usual

    # GIVEN 20 views in each minute of the four weeks before, and far more in some minutes of today
    week = 7 * 86400 * 1_000_000
    first = int(at(-60).timestamp()) * 1_000_000
    minutes = {
        start - weeks * week: {"views": 20}
        for weeks in range(1, 5)
        for start in range(first, first + 120 * MINUTE, MINUTE)
    }
    usual = Usual(minutes, min(minutes), max(minutes) + MINUTE, "Europe/Berlin")
    monkeypatch.setattr(process, "read_overlay", lambda *_: Overlay(7, (), usual))
    monkeypatch.setattr(process, "SIDE_SECONDS", 0.05)
    sent: list[Alert] = []
    shop = Shop(at(40))
    monkeypatch.setattr(type(shop.lake), "alerts", [Channel("test", sent.append)])
    with shop.running():
        shop.end(at(-14))
        shop.wait(lambda state: state["is_ready"] and state["release"] == 7)
        number = 0
        for minute in range(-14, 22):
            for _ in range(100 if 5 <= minute < 10 else 20):
                number += 1
                shop.send(click(number, at(minute) + dt.timedelta(milliseconds=number % 60_000), number % 9))
            shop.end(at(minute + 1) + dt.timedelta(seconds=10))
            state = shop.wait(lambda state, n=number: state["counters"]["clicks"] == n)
            shop.wait(lambda state, m=minute: state["watermark"] == f"{at(m + 1):%Y-%m-%dT%H:%M:%SZ}")
            if minute == 4:  # at first minutes without clicks were unusual too
                shop.wait(lambda state: not state["unusual"] and len(sent) in (0, 2))
                sent.clear()
            if minute == 9:
                state = shop.wait(lambda state: state["unusual"])
                (found,) = state["unusual"]
                assert (found["measure"], found["usual"]) == ("views", 100.0)
                usually = "more than the usual 100 of these minutes of the week, since 2026-03-10 14:07 UTC"
                assert found["text"].endswith(usually)
                shop.wait(lambda _: sent)
        shop.wait(lambda state: not state["unusual"] and len(sent) == 2)
    assert [(item.name, item.event) for item in sent] == [("live/views", "problem"), ("live/views", "recovery")]
