"""status, verify, why, replay, discard, erase, maintain and rebuild know messages of a topic as they know objects."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.contracts.contract import contracts
from ingest.ledger.quarantine import Selection
from pipeline.checks.message import find_message, message_history
from pipeline.checks.status import feed_status
from pipeline.checks.verify import FeedVerdict, verify_feed
from pipeline.cycle.ingest import ingest_all
from pipeline.cycle.maintain import maintain_feed
from pipeline.cycle.quarantine import discard_all, replay_all
from pipeline.cycle.recover import rebuild_ledgers
from tests.connect_server import Broker
from tests.home import Home
from tests.shop_stream import FEED, TOPIC, Shop, click, shop_of


@pytest.fixture
def shop(broker: Broker, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with shop_of(broker, monkeypatch, 2) as made:
        yield made


def verify(shop: Shop, deep: bool = False) -> FeedVerdict:
    lake, contract = shop.lake, contracts()[FEED]
    landing, start = lake.landing(contract), lake.options.lake_start
    Path(landing.uri).mkdir(parents=True, exist_ok=True)
    return verify_feed(
        contract, landing, lake.store, lake.connect, lake.records(), start, deep, lake.tombstones, lake.kafka
    )


def ingest(shop: Shop, **options: bool) -> None:
    summary = ingest_all(shop.lake, (FEED,), lambda _: lambda objects, size: None, **options)
    assert [error for error in summary.errors if "are quarantined" not in error] == []


def why(shop: Shop, partition: int, offset: int) -> str:
    lake, found = shop.lake, find_message(f"{TOPIC}/{partition}/{offset}")
    assert found is not None
    return message_history(*found, lake.kafka, lake.store, lake.connect).state


def negative() -> bytes:
    """A click that violates a constraint."""
    return json.dumps(click(event_type="view", price=-1)).encode()


def test_status_shows_the_lag_in_messages_and_seconds(shop: Shop) -> None:
    def topic() -> object:
        lake, contract = shop.lake, contracts()[FEED]
        return feed_status(contract, lake.landing(contract), lake.store, kafka=lake.kafka).topic

    shop.send(7)
    before = topic()
    assert (before.messages, before.partitions, before.note, before.gaps) == (7, 2, "", ())
    assert 0 <= before.seconds < 60
    ingest(shop)
    assert (topic().messages, topic().seconds) == (0, None)


def test_verify_agrees_and_names_each_difference(shop: Shop) -> None:
    shop.send(50, b"no json", negative())
    ingest(shop)
    shop.send(10)
    ingest(shop)
    for deep in (False, True):
        found = verify(shop, deep)
        assert found.differences == []
        assert (found.messages, found.records, found.rows, found.quarantined) == (62, 62, 60, 2)

    lake = shop.lake  # a message is changed in bronze
    path = next(file.path for file in lake.ledger(FEED).live_files())
    import pyarrow.parquet as pq

    place = Path(lake.store.uri, path)
    table = pq.read_table(place, partitioning=None)
    column = table.column_names.index("visitor_id")
    changed = table.set_column(column, table.field(column), [["somebody"] * len(table)])
    pq.write_table(changed, place, compression="zstd")
    size = place.stat().st_size
    (last,) = [file for file in lake.ledger(FEED).live_files() if file.path == path]
    from ingest.ledger.entry import Entry

    ledger = lake.ledger(FEED)
    moved = replace(last, bytes=size, path=path.replace(".parquet", "-changed.parquet"))
    shutil.move(place, Path(lake.store.uri, moved.path))
    ledger.commit(Entry("L", dt.datetime.now(dt.UTC), added=(moved,), removed=(path,)), ledger.position())
    found = verify(shop, deep=True)
    assert any(line.startswith("row only in the lake") for line in found.differences), found.differences
    assert any(line.startswith("row only in the topic") for line in found.differences)


def test_why_says_what_became_of_a_message(shop: Shop) -> None:
    shop.send(1, b"no json", partition=0)
    assert why(shop, 0, 0) == "waiting"
    ingest(shop)
    assert why(shop, 0, 0) == "loaded"
    assert why(shop, 0, 1) == "quarantined"
    assert why(shop, 0, 2) == "not written yet; the topic ends at offset 2"
    assert find_message("raw-events/a.json") is None


def test_rejected_messages_are_replayed_and_discarded_as_those_of_objects(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.send(3, b"no json", negative(), negative(), b'{"broken":\n')
    ingest(shop)
    contract = contracts()[FEED]
    monkeypatch.setitem(contracts(), FEED, contract.model_copy(update={"constraints": (), "version": 2}))
    done = replay_all(shop.lake, (FEED,), Selection())
    assert (done.feeds[FEED].tried, done.feeds[FEED].replayed) == (4, 2)
    assert len(shop.ids()) == 5
    found = verify(shop)
    assert (found.differences, found.rows, found.quarantined, found.messages) == ([], 5, 2, 7)
    assert discard_all(shop.lake, (FEED,), "no records", Selection())[0] == {FEED: 2}
    assert verify(shop, deep=True).differences == []
    shop.send(1)
    ingest(shop)
    assert verify(shop).differences == []


def test_small_files_are_joined_and_what_a_killed_load_left_is_cleaned(shop: Shop) -> None:
    for _ in range(6):
        shop.send(5)
        ingest(shop)
    lake = shop.lake
    before = lake.ledger(FEED).live_files()
    left = Path(lake.store.uri, before[0].path)
    shutil.copy(left, left.with_name("20260101T000000-000000000000-0.parquet"))
    done = maintain_feed(lake, contracts()[FEED], dt.timedelta(0))
    assert len(lake.ledger(FEED).live_files()) == 1
    assert done.cleaning.kept == ()
    assert done.cleaning.files == 1, "the joined files stay for readers, what a killed load left goes"
    assert sorted(shop.ids()) == sorted(shop.sent)
    shop.send(5)
    ingest(shop)
    assert sorted(shop.ids()) == sorted(shop.sent)
    assert verify(shop, deep=True).differences == []


def test_a_rebuilt_ledger_takes_its_positions_from_bronze_and_quarantine(shop: Shop) -> None:
    for number in range(4):
        shop.send(20, *[b"bad"] * number)
        ingest(shop)
    lake = shop.lake
    shutil.rmtree(Path(lake.store.uri, "ledger", FEED))
    with pytest.raises(AssertionError, match="rebuild"):
        ingest(shop)
    done, _ = rebuild_ledgers(shop.lake, (FEED,))
    assert done[0].feed == FEED
    offsets = shop.lake.ledger(FEED).state().next_offsets
    assert 0 < sum(offsets.values()) < 86, "the last load is read again"
    ingest(shop)
    assert sorted(shop.ids()) == sorted(shop.sent)
    found = verify(shop, deep=True)
    assert (found.differences, found.rows, found.quarantined) == ([], 80, 6)


def test_an_accepted_gap_is_named_by_verify_which_agrees(shop: Shop) -> None:
    shop.send(5)
    ingest(shop)
    shop.create(2)
    shop.send(5)
    lake, contract = shop.lake, contracts()[FEED]
    status = feed_status(contract, lake.landing(contract), lake.store, kafka=lake.kafka)
    assert status.topic is not None
    assert "now is id" in status.topic.gaps[0]
    with pytest.raises(AssertionError):
        ingest(shop)
    ingest(shop, accept_gap=True)
    found = verify(shop, deep=True)
    assert found.differences == []
    assert found.rows == 10
    assert len(found.gaps) == 2
