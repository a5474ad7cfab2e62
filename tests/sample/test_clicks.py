"""The clicks of the shop's visitors: sessions that fit its orders, in every channel and on every device, and bots."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from ingest.contracts.contract import contracts
from ingest.records.parts import Piece
from ingest.steps.parse import Parser
from sample.generate import batches, generate
from sample.objects import CLICKS, SampleObject, Tally
from sample.options import SampleOptions
from sample.shop import Shop
from sample.steps import TYPES

OPTIONS = SampleOptions(dt.date(2026, 1, 24), events=1, days=14, orders=420, accounts=0)
TROUBLED = replace(OPTIONS, late=0.1, duplicates=0.1, malformed=0.1, unknown_fields=0.1)
TIMEOUT = dt.timedelta(minutes=30)
Click = dict[str, Any]


@cache
def objects(options: SampleOptions) -> list[SampleObject]:
    return [item for item in generate(options) if item.bucket == CLICKS]


@cache
def clicks() -> list[Click]:
    return [json.loads(line) for item in objects(OPTIONS) for line in item.body.splitlines()]


@cache
def sessions() -> list[list[Click]]:
    """The clicks of each session, in order: no two neighbours lie 30 minutes or more apart."""
    of_visitor: dict[str, list[Click]] = defaultdict(list)
    for click in sorted(clicks(), key=lambda click: (click["occurred_at"], TYPES.index(click["event_type"]))):
        of_visitor[click["visitor_id"]].append(click)
    found = []
    for visited in of_visitor.values():
        found.append(visited[:1])
        for click in visited[1:]:
            if at(click) - at(found[-1][-1]) >= TIMEOUT:
                found.append([])
            found[-1].append(click)
    return found


def at(click: Click) -> dt.datetime:
    return dt.datetime.fromisoformat(click["occurred_at"])


def is_bot(click: Click) -> bool:
    agent = (click["user_agent"] or "bot").lower()
    return any(word in agent for word in ("bot", "curl", "python", "headless"))


def parsed(options: SampleOptions) -> tuple[int, int]:
    """The number of rows and of rejected records that the contract makes of the objects."""
    rows = rejects = 0
    for item in objects(options):
        found = Parser(contracts()["clickstream"], [dt.datetime(2026, 1, 25, tzinfo=dt.UTC)]).parse(
            [Piece(0, 1, item.body)]
        )
        rows += len(found.rows)
        rejects += len(found.rejects)
    return rows, rejects


def test_every_click_is_read_by_its_contract_and_counted() -> None:
    read, tally = parsed(OPTIONS), sum((item.tally for item in objects(OPTIONS)), Tally())
    assert read == (tally.clicks, 0)
    assert len({click["event_id"] for click in clicks()}) == tally.clicks
    assert tally == Tally(clicks=tally.clicks)


def test_trouble_has_the_rates_of_the_options() -> None:
    read, tally = parsed(TROUBLED), sum((item.tally for item in objects(TROUBLED)), Tally())
    assert read == (tally.clicks + tally.repeated, tally.broken)
    for count in (tally.delayed, tally.repeated, tally.broken, tally.extended):
        assert count == pytest.approx(0.1 * tally.clicks, rel=0.2)


def test_late_clicks_arrive_days_later_and_copies_are_exact() -> None:
    ids: Counter[str] = Counter()
    lines: dict[str, set[bytes]] = defaultdict(set)
    late = 0
    for item in objects(replace(TROUBLED, malformed=0)):
        arrived = dt.date(*map(int, item.key[:10].split("/")))
        for line in item.body.splitlines():
            click = json.loads(line)
            ids[click["event_id"]] += 1
            lines[click["event_id"]].add(line)
            late += (arrived - at(click).date()).days > 1
    assert late > 100
    assert max(ids.values()) == 2
    assert all(len(found) == 1 for found in lines.values())


def test_objects_of_a_date_do_not_depend_on_the_last_one_and_are_known_before() -> None:
    shorter = replace(TROUBLED, end=dt.date(2026, 1, 20), days=10, orders=300)
    longer, found = ({item.key: item.body for item in objects(options)} for options in (TROUBLED, shorter))
    assert {key: longer[key] for key in found} == found
    for batch in batches(shorter):
        if batch.bucket == CLICKS:
            assert [item.key for item in batch.draw()] == batch.keys


def test_there_are_about_twelve_sessions_per_order_of_four_clicks() -> None:
    assert len(sessions()) / OPTIONS.orders == pytest.approx(12, rel=0.1)
    assert len(clicks()) / len(sessions()) == pytest.approx(4, rel=0.1)
    assert {click["event_type"] for click in clicks()} == set(TYPES)
    many = sum(item.tally.clicks for item in objects(replace(OPTIONS, sessions_per_order=60)))
    assert many == pytest.approx(5 * len(clicks()), rel=0.15)


def test_a_tenth_of_the_clicks_is_of_bots_which_buy_nothing() -> None:
    bots = [click for click in clicks() if is_bot(click)]
    assert len(bots) / len(clicks()) == pytest.approx(0.1, abs=0.02)
    assert 0 < sum(click["user_agent"] is None for click in bots) < 0.1 * len(bots)
    assert {click["event_type"] for click in bots} == {"view", "search"}
    assert not any(click["customer_id"] for click in bots)


def test_purchases_are_of_orders_at_their_time_and_of_their_customer() -> None:
    shop = Shop(OPTIONS)
    list(shop.days())
    first = dt.date.fromordinal(OPTIONS.first_day)
    orders = {
        order: history[0].row
        for (table, (order, *_)), history in shop.database.history.items()
        if table == "orders" and history[0].row and history[0].row["ordered_at"].date() >= first
    }
    bought = {click["order_id"]: click for click in clicks() if click["event_type"] == "purchase"}
    assert bought.keys() <= orders.keys()
    assert len(bought) / len(orders) == pytest.approx(0.9, abs=0.05)
    for order, click in bought.items():
        row = orders[order]
        assert (at(click), click["customer_id"]) == (row["ordered_at"].replace(tzinfo=None), row["customer_id"])
    assert any(click["customer_id"] is None for click in bought.values()), "guests"


def test_a_customer_is_known_from_the_login_on() -> None:
    logins = 0
    for session in sessions():
        numbers = [click["customer_id"] for click in session]
        known = [number for number in numbers if number is not None]
        if len(set(known)) == 1:  # two sessions that overlap may be of two visits
            logins += numbers[0] is None
    assert logins > 50


def test_carts_are_filled_from_views_and_some_orders_have_none() -> None:
    kinds = [[click["event_type"] for click in session] for session in sessions()]
    buying = [session for session in kinds if session[-1] == "purchase"]
    express = [session for session in buying if "add_to_cart" not in session]
    assert 0.04 < len(express) / len(buying) < 0.2
    assert any("begin_checkout" in session and "purchase" not in session for session in kinds), "abandoned"
    assert any("remove_from_cart" in session for session in kinds)
    added = [click for click in clicks() if click["event_type"] == "add_to_cart"]
    assert all(click["product_id"] and click["quantity"] >= 1 and float(click["price"]) > 0 for click in added)


def test_some_sessions_pass_midnight() -> None:
    passing = [session for session in sessions() if at(session[0]).date() != at(session[-1]).date()]
    assert len(passing) > 10


def test_channels_devices_and_countries_are_many() -> None:
    first = [session[0] for session in sessions()]
    campaigns = {(click["utm_source"], click["utm_medium"]) for click in first}
    assert {medium for _, medium in campaigns} >= {
        "cpc",
        "email",
        "paid_social",
        "affiliate",
        "display",
        "social",
        None,
    }
    assert ("partner", None) in campaigns
    hosts = {click["referrer"].split("/")[2] for click in first if click["referrer"]}
    assert hosts >= {"www.google.com", "l.instagram.com", "blog.example.org"}
    assert {click["device"] for click in clicks()} == {"desktop", "mobile", "tablet"}
    assert len({click["country_code"] for click in clicks()}) == 7
    assert {click["currency"] for click in clicks()} == {"EUR", "USD", None}
    visitors = Counter(session[0]["visitor_id"] for session in sessions())
    assert max(visitors.values()) > 3, "some come back"


def test_there_are_no_clicks_without_a_shop() -> None:
    assert objects(replace(OPTIONS, orders=0)) == []
