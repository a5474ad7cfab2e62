"""Messages of a real broker become rows, each once; the ledger entry commits their offsets."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from contextlib import closing
from pathlib import Path

import pytest

from ingest.errors import ConflictError
from ingest.ledger.ledger import Ledger
from ingest.ledger.tombstones import Request, TombstoneStore, write_tombstones
from ingest.limits import Limits
from ingest.steps.erase import erase
from ingest.steps.topic import TopicFeed
from ingest.topics.topic import identity
from tests.connect_server import Broker
from tests.ingest.conftest import START
from tests.kafka import COLUMNS, Topic, click, contract


def test_each_message_is_a_row_with_its_offset_and_time(topic: Topic) -> None:
    at = int(dt.datetime(2026, 1, 20, 12, tzinfo=dt.UTC).timestamp() * 1000)
    topic.send([click(1), click(2)], timestamp=at)
    topic.send([click(3)], partition=1, timestamp=at + 1)

    report = topic.load()

    assert (report.messages, report.records, report.rows, report.gaps) == (3, 3, 3, 0)
    rows = topic.bronze()
    assert [(row["event_id"], row["_source_file"], row["_source_line"]) for row in rows] == [
        ("c1", f"kafka:{topic.name}/0", 0),
        ("c2", f"kafka:{topic.name}/0", 1),
        ("c3", f"kafka:{topic.name}/1", 0),
    ]
    assert [row["_source_modified_at"] for row in rows] == [
        dt.datetime(2026, 1, 20, 12),
        dt.datetime(2026, 1, 20, 12),
        dt.datetime(2026, 1, 20, 12, 0, 0, 1000),
    ]
    state = topic.ledger.state()
    assert {place[2]: offset for place, offset in state.next_offsets.items()} == {0: 2, 1: 1}
    assert len({row["_source_etag"] for row in rows}) == 1
    assert {"/".join(place[:2]) for place in state.next_offsets} == {rows[0]["_source_etag"]}


def test_ids_of_topics_are_those_of_kafkas_own_tools(broker: Broker, tmp_path: Path) -> None:
    """Of a dozen ids, some have characters that differ between the alphabets of base64."""
    topics = [Topic(broker, tmp_path) for _ in range(12)]
    for topic in topics:
        topic.send([click(1)])  # which waits until the broker knows the topic
    ids = [identity(topic.connection, topic.name)[1] for topic in topics]
    assert [found for found in ids if not re.fullmatch(r"[A-Za-z0-9_-]{22}", found)] == []
    assert len(set(ids)) == 12


def test_what_is_loaded_is_not_loaded_again_and_nothing_new_commits_nothing(topic: Topic) -> None:
    topic.send([click(1)])
    first = topic.load()
    assert topic.load() == first.__class__("clicks", position=first.position)
    topic.send([click(2)])
    assert topic.load().rows == 1
    assert topic.ids() == ["c1", "c2"]
    assert topic.ledger.position() == 2


def test_aborted_and_open_transactions_are_not_read(topic: Topic) -> None:
    topic.transact([click(1), click(2)])
    topic.transact([click(3)], commit=False)
    topic.transact([click(4)])
    waiting = topic.producer(transactional__id=f"open-{topic.name}")
    waiting.init_transactions(30)
    waiting.begin_transaction()
    waiting.produce(topic.name, click(5), partition=0)
    waiting.flush(20)
    topic.send([click(6)])  # committed, and after one that is open: it waits

    report = topic.load()

    assert topic.ids() == ["c1", "c2", "c4"]
    assert (report.messages, report.gaps) == (3, 4), "three markers and an aborted message"
    waiting.commit_transaction(30)
    topic.load()
    assert topic.ids() == ["c1", "c2", "c4", "c5", "c6"]


def test_bad_messages_are_quarantined_with_what_they_were(topic: Topic) -> None:
    values = [
        b"no json",
        click(1),
        b"",
        b"  ",
        b"\0\0\0\0\7garbage",
        json.dumps(json.loads(click(2)), indent=2).encode(),
        b'{"event_id": "c3",\n',
        click(4, occurred_at="2100-01-01 00:00:00"),
        None,
        b'{"event_id": 5}',
        b"\xff\xfe",
    ]
    topic.send(values)

    report = topic.load()

    assert topic.ids() == ["c1", "c2"]
    assert (report.messages, report.records, report.rows, report.quarantined, report.nulls) == (11, 10, 2, 8, 1)
    found = {row["_source_line"]: (row["reason"], row["raw"]) for row in topic.quarantine()}
    assert sorted(found) == [0, 2, 3, 4, 6, 7, 9, 10]
    assert all(raw == values[line] for line, (_, raw) in found.items()), found
    assert [found[line][0] for line in (0, 2, 3, 4, 6)] == ["unparsable"] * 5
    assert found[7][0] == "event_time_in_future"
    (span,) = topic.ledger.state().ranges.values()
    assert span.is_conserved


def test_a_load_is_bounded_and_the_next_one_continues(topic: Topic) -> None:
    for partition in (0, 1):
        topic.send((click(number) for number in range(partition, 3000, 2)), partition=partition)
    report = topic.load(limits=Limits(load_bytes=20_000))
    assert len(report.loads) > 1
    assert sorted(topic.ids()) == sorted(f"c{number}" for number in range(3000))
    assert all(span.is_conserved for span in topic.ledger.state().ranges.values())


def test_of_two_loads_of_the_same_offsets_one_is_committed(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    topic.send([click(1), click(2)])
    original, raced = Ledger.commit, []

    def commit(ledger: Ledger, entry: object, seen: int) -> int:
        if not raced:  # another ingester is faster
            raced.append(entry)
            topic.load()
            with pytest.raises(ConflictError):
                original(ledger, entry, seen)
            raise ConflictError("lost")
        return original(ledger, entry, seen)

    monkeypatch.setattr(Ledger, "commit", commit)
    topic.load()
    assert topic.ids() == ["c1", "c2"]
    assert topic.ledger.position() == 1
    left = list(topic.store.list("bronze"))
    assert len(left) == len(topic.ledger.state().files), "the loser deleted its files"


def test_next_offsets_survive_checkpoints(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.ledger.ledger.CHECKPOINT_ENTRIES", 2)
    for number in range(5):
        topic.send([click(number)])
        topic.load()
    assert topic.ids() == [f"c{number}" for number in range(5)]
    (span,) = topic.ledger.state().ranges.values()
    assert (span.first_offset, span.last_offset, span.records) == (0, 4, 5)
    assert span.is_conserved


def test_one_consumer_reads_load_after_load(topic: Topic) -> None:
    feed = TopicFeed(topic.contract, topic.connection, topic.store, START)
    with closing(topic.connection.consumer()) as consumer:
        for number in range(4):
            topic.send([click(2 * number)], partition=0)
            topic.transact([click(2 * number + 1)], partition=1)
            started = time.monotonic()
            assert feed.load(consumer).rows == 2
            assert time.monotonic() - started < 5
    assert sorted(topic.ids()) == sorted(f"c{number}" for number in range(8))


def test_a_person_is_taken_out_of_messages_and_out_of_later_loads(topic: Topic) -> None:
    personal = {"name": "who", "type": "string", "class": "direct", "subject": "user", "identifies": "user_id"}
    columns = [*COLUMNS, personal | {"description": "Who it was."}]
    topic.contract = contract(topic.name, columns=columns)
    topic.send([click(1, who="anna"), click(2, who="ben"), click(3, who="anna", amount="x"), click(4, who="anna")])
    topic.load()
    now, key = dt.datetime.now(dt.UTC), "a secret of the tests"
    write_tombstones(topic.store, key, Request("r1", now, "asked"), {"user_id": ["anna"]})
    stones = TombstoneStore(topic.store, key)

    done = erase(topic.contract, topic.store, topic.ledger, stones, now)

    assert (done.deleted, done.rejected, done.lines) == (2, 1, ())
    assert topic.ids() == ["c2"]
    (span,) = topic.ledger.state().ranges.values()
    assert (span.records, span.rows, span.quarantined, span.erased) == (4, 1, 0, 3)
    assert span.is_conserved
    topic.send([click(5, who="anna"), click(6, who="ben")])
    report = topic.load(tombstones=stones)
    assert (report.rows, report.erased) == (1, 1)
    assert topic.ids() == ["c2", "c6"]
