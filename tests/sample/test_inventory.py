"""The movements of the shop's stocks: levels that follow from each other, and from what is ordered and comes back."""

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
from sample.captured import shop_days
from sample.generate import batches
from sample.movements import LOCATIONS
from sample.objects import INVENTORY, SampleObject, Tally
from sample.options import SampleOptions
from sample.shop import Shop
from sample.trouble import MOVEMENT_FORMS, broken_movement

OPTIONS = SampleOptions(dt.date(2026, 3, 31), events=1, days=31, orders=310, accounts=0)
TROUBLED = replace(OPTIONS, late=0.1, duplicates=0.1, malformed=0.1, unknown_fields=0.1)
Record = dict[str, Any]


@cache
def objects(options: SampleOptions) -> list[SampleObject]:
    return [item for batch in batches(options) if batch.bucket == INVENTORY for item in batch.draw()]


@cache
def movements() -> list[Record]:
    found = [json.loads(line) for item in objects(OPTIONS) for line in item.body.splitlines()]
    return sorted(found, key=lambda movement: movement["movement_id"])


@cache
def by_stock() -> dict[tuple[int, str], list[Record]]:
    """The movements of each product and location, in order."""
    found: dict[tuple[int, str], list[Record]] = defaultdict(list)
    for movement in movements():
        found[movement["product_id"], movement["location"]].append(movement)
    return found


def parsed(body: bytes) -> tuple[int, int]:
    """The number of rows and of rejected records that the contract makes of an object."""
    found = Parser(contracts()["inventory"], [dt.datetime(2026, 6, 1, tzinfo=dt.UTC)]).parse([Piece(0, 1, body)])
    return len(found.rows), len(found.rejects)


def test_every_movement_is_read_by_its_contract_and_counted() -> None:
    tally = sum((item.tally for item in objects(OPTIONS)), Tally())
    assert [sum(found) for found in zip(*(parsed(item.body) for item in objects(OPTIONS)), strict=True)] == [
        tally.movements,
        0,
    ]
    assert tally == Tally(movements=len(movements()))
    assert len({movement["movement_id"] for movement in movements()}) == len(movements())


def test_level_is_that_before_and_what_moved() -> None:
    for found in by_stock().values():
        times = [movement["moved_at"] for movement in found]
        assert times == sorted(times)
        level = 0
        for movement in found:
            level += movement["quantity"]
            assert movement["level"] == level
    assert {location for _, location in by_stock()} == set(LOCATIONS)
    assert all(found[0]["movement_type"] == "receipt" for found in by_stock().values())


def test_pieces_that_left_are_those_that_customers_have() -> None:
    """Sales and returns of an order add up to its items less refunds, to nothing if it is cancelled or deleted."""
    shop = Shop(OPTIONS)
    assert list(shop.days())
    rows = shop.database.rows
    kept: Counter[tuple[int, int]] = Counter()
    products = {(item["order_id"], item["line_number"]): item["product_id"] for item in rows["order_items"].values()}
    for item in rows["order_items"].values():
        kept[item["order_id"], item["product_id"]] += item["quantity"]
    for refund in rows["refunds"].values():
        kept[refund["order_id"], products[refund["order_id"], refund["line_number"]]] -= refund["quantity"]
    is_open = {number for (number,), row in rows["orders"].items() if row["status"] != "cancelled"}
    moved: Counter[tuple[int, int]] = Counter()
    for movement in movements():
        if movement["movement_type"] in ("sale", "return"):
            moved[movement["order_id"], movement["product_id"]] -= movement["quantity"]
    corrected = {number for (name, (number, *_)), found in shop.database.history.items() if name == "refunds"
                 for number in {found[0].row["order_id"] if found[0].row else 0} if len(found) > 1}  # fmt: skip
    compared = 0
    for (order, product), pieces in moved.items():
        if order not in corrected:
            assert pieces == (kept[order, product] if order in is_open else 0), (order, product)
            compared += 1
    assert compared > 300


def test_stocks_run_low_are_oversold_and_filled_again() -> None:
    kinds = Counter(movement["movement_type"] for movement in movements())
    assert set(kinds) == {"receipt", "sale", "return", "transfer", "adjustment"}
    assert kinds["sale"] > kinds["return"] > kinds["adjustment"] > 5
    assert sum(movement["level"] < 0 for movement in movements()) > 5
    assert sum(movement["level"] == 0 for movement in movements()) > 5
    assert all(movement["quantity"] < 0 for movement in movements() if movement["movement_type"] == "sale")
    transfers: Counter[str] = Counter()
    for movement in movements():
        if movement["movement_type"] == "transfer":
            transfers[movement["moved_at"]] += movement["quantity"]
    assert set(transfers.values()) == {0}, "what leaves one place comes to another"
    moments = Counter((m["product_id"], m["location"], m["moved_at"]) for m in movements())
    assert max(moments.values()) > 1, "movements of one moment"


def test_trouble_has_the_rates_of_the_options() -> None:
    tally = sum((item.tally for item in objects(TROUBLED)), Tally())
    rows, rejects = (sum(found) for found in zip(*(parsed(item.body) for item in objects(TROUBLED)), strict=True))
    assert (rows, rejects) == (tally.movements + tally.repeated, tally.broken)
    for count in (tally.delayed, tally.repeated, tally.broken, tally.extended):
        assert count == pytest.approx(0.1 * tally.movements, rel=0.3)
    sent = [json.loads(line) for item in objects(replace(TROUBLED, malformed=0)) for line in item.body.splitlines()]
    plain = {movement["movement_id"]: movement for movement in movements()}
    assert all(plain[record["movement_id"]].items() <= record.items() for record in sent)


@pytest.mark.parametrize("form", range(MOVEMENT_FORMS))
def test_each_broken_form_is_rejected(form: int) -> None:
    line = json.dumps(movements()[0])
    bad = broken_movement(line, form).encode("utf-8", "surrogateescape")
    assert parsed(bad + b"\n" + line.encode() + b"\n") == (1, 1)


def test_objects_of_a_date_do_not_depend_on_the_last_one_and_are_known_before() -> None:
    shorter = replace(TROUBLED, end=dt.date(2026, 3, 20), days=20, orders=200)
    longer, found = ({item.key: item.body for item in objects(options)} for options in (TROUBLED, shorter))
    assert {key: longer[key] for key in found} == found
    for batch in batches(shorter):
        if batch.bucket == INVENTORY:
            assert [item.key for item in batch.draw()] == batch.keys


def test_there_is_no_stock_without_a_shop() -> None:
    closed = replace(OPTIONS, orders=0)
    assert objects(closed) == []
    assert not list(shop_days(closed))
