"""Definitions that live numbers share with the models."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest

from ingest.settings import PROJECT
from pipeline.live.decode import CLICKS, ORDERS, Decoder, Message
from pipeline.live.event import Click, Order
from pipeline.live.rules import Agents, Rules
from tests.pipeline.live.clicks import click, order

AT = dt.datetime(2026, 3, 10, 14, tzinfo=dt.UTC)
RULES = Rules.of(PROJECT)


def decoded(*values: object, feed: str = CLICKS) -> list[Click | Order | None]:
    written = int(AT.timestamp() * 1e6)
    lines = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
    messages = [Message(feed, "kafka:x/0", number, line, written) for number, line in enumerate(lines)]
    return [item.event for item in Decoder(RULES).decode(messages)]


@pytest.mark.parametrize(
    ("agent", "is_bot"),
    [("Mozilla/5.0", False), ("x Googlebot/2", True), ("CURL/8", True), ("", True), ("  ", True), (None, True)],
)
def test_bots_are_those_of_the_seed_in_any_case_and_without_an_agent(agent: str | None, is_bot: bool) -> None:
    assert Agents(RULES.bots).is_bot(agent) is is_bot


def test_net_revenue_of_an_order_is_at_the_rate_of_its_month_rounded_half_away_from_zero() -> None:
    rates = {"USD": [(dt.date(2026, 3, 1), Decimal("0.90000005")), (dt.date(2026, 4, 1), Decimal("0.8"))]}
    rules = Rules((), rates, "EUR", "Europe/Berlin", 30)
    ten = Decimal("10.00"), Decimal("0.00"), Decimal("0.00")
    assert rules.net_amount(dt.date(2026, 3, 31), "USD", *ten) == 9_000_001  # 9.0000005
    assert rules.net_amount(dt.date(2026, 4, 1), "USD", *ten) == 8_000_000
    assert rules.net_amount(dt.date(2026, 2, 28), "USD", *ten) is None
    assert rules.net_amount(dt.date(2026, 3, 1), "ZZZ", *ten) is None
    assert rules.net_amount(dt.date(2026, 3, 1), "USD", None, *ten[1:]) is None


def test_what_bronze_would_quarantine_does_not_count() -> None:
    found = decoded(click(1, AT), {"event_id": "e2"}, b"no json", click(3, AT, event_type="stray"), click(4, AT))
    assert [item and item.event_id for item in found if item is None or isinstance(item, Click)] == [
        "e1",
        None,
        None,
        None,
        "e4",
    ]


def test_a_click_far_after_its_message_is_quarantined_as_in_bronze() -> None:
    assert decoded(click(1, AT + dt.timedelta(days=2))) == [None]


def test_an_order_has_its_newest_version_by_the_log_and_a_deletion_none() -> None:
    first, second, gone = decoded(
        order(1, AT, "119.00"), order(1, AT, "129.00", 2, "u"), order(1, AT, "129.00", 3, "d"), feed=ORDERS
    )
    assert isinstance(first, Order)
    assert isinstance(second, Order)
    assert isinstance(gone, Order)
    assert first.version < second.version < gone.version
    assert (first.net_amount, second.net_amount) == (95_000_000, 105_000_000)
    assert not gone.exists


def test_the_digest_changes_with_every_definition() -> None:
    others = [
        Rules(("x",), RULES.rates, RULES.currency, RULES.timezone, RULES.timeout_minutes),
        Rules(RULES.bots, {}, RULES.currency, RULES.timezone, RULES.timeout_minutes),
        Rules(RULES.bots, RULES.rates, "USD", RULES.timezone, RULES.timeout_minutes),
        Rules(RULES.bots, RULES.rates, RULES.currency, "UTC", RULES.timeout_minutes),
        Rules(RULES.bots, RULES.rates, RULES.currency, RULES.timezone, 31),
    ]
    assert len({rules.digest() for rules in [RULES, *others]}) == 6
