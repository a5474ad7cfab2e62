"""What a topic no longer has is never skipped silently: the load stops, or the gap is recorded with its count."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pytest

from ingest.errors import OffsetsLost, RetriableError
from ingest.ledger.gaps import Fault, Gap
from ingest.ledger.sources import OffsetRange
from ingest.topics.continuation import Span, continuation
from ingest.topics.topic import Topic as Found
from ingest.topics.topic import TopicPartition
from tests.ingest.conftest import START
from tests.kafka import Topic, broker_or_skip, click


def recorded(topic: Topic) -> list[Gap]:
    """The gaps in the entries of the ledger."""
    return [gap for _, entry in topic.ledger.entries(0) for gap in entry.gaps]


def test_expired_offsets_stop_the_load_and_an_accepted_gap_counts_them(topic: Topic) -> None:
    topic.send(click(number) for number in range(5))
    topic.load()
    topic.send(click(number) for number in range(5, 20))
    topic.delete_before(0, 12)

    with pytest.raises(OffsetsLost, match="begins at offset 12, but was read up to 5: 7 offsets expired unread"):
        topic.load()

    assert topic.ids() == [f"c{number}" for number in range(5)], "nothing was loaded beyond the gap"
    assert topic.ledger.position() == 1
    report = topic.load(accept_gap=True)
    assert (report.rows, len(report.accepted)) == (8, 1)
    (gap,) = recorded(topic)
    assert (gap.fault, gap.next_offset, gap.resumes_at, gap.missing) == (Fault.EXPIRED, 5, 12, 7)
    assert topic.ids() == [f"c{number}" for number in (*range(5), *range(12, 20))]
    (span,) = topic.ledger.state().ranges.values()
    assert (span.first_offset, span.last_offset, span.gaps) == (0, 19, 7)
    assert span.is_conserved
    topic.load()
    assert topic.ledger.position() == 2, "the gap is accepted once"


def test_a_gap_without_messages_behind_it_is_recorded_too(topic: Topic) -> None:
    topic.send([click(1)])
    topic.load()
    topic.send([click(2), click(3)])
    topic.delete_before(0, 3)
    topic.load(accept_gap=True)
    assert [gap.missing for gap in recorded(topic)] == [2]
    topic.send([click(4)])
    topic.load()
    assert topic.ids() == ["c1", "c4"]


def test_a_topic_that_was_made_again_stops_the_load_and_both_ids_are_named(topic: Topic) -> None:
    topic.send([click(1), click(2), click(3)])
    topic.load()
    ((cluster, before, _),) = topic.ledger.state().next_offsets
    topic.delete()
    topic.create()
    topic.send([click(number) for number in range(10, 20)])

    with pytest.raises(OffsetsLost) as caught:
        topic.load()

    assert before in str(caught.value)
    assert cluster in str(caught.value)
    after = str(caught.value).split(" now is id ")[1].split()[0]
    assert after != before
    topic.load(accept_gap=True)
    assert len(topic.ids()) == 13, "the new topic is read from its start"
    (gap,) = recorded(topic)
    assert (gap.fault, gap.topic_id, gap.next_offset, gap.missing) == (Fault.REPLACED, before, 3, None)
    assert {place[1] for place in topic.ledger.state().next_offsets} == {after}
    topic.send([click(20)])
    topic.load()
    assert len(topic.ids()) == 14


def test_an_added_partition_is_read_from_its_start(topic: Topic) -> None:
    topic.send([click(1)])
    topic.load()
    topic.extend(3)
    topic.send([click(2), click(3)], partition=2)
    topic.load()
    assert topic.ids() == ["c1", "c2", "c3"]


def test_an_added_partition_whose_start_expired_stops_the_load(topic: Topic) -> None:
    topic.send([click(1)])
    topic.load()
    topic.extend(3)
    topic.send([click(2), click(3)], partition=2)
    topic.delete_before(2, 1)
    with pytest.raises(OffsetsLost, match="/2 begins at offset 1, but was read up to 0: 1 offsets expired"):
        topic.load()


def test_a_topic_that_was_never_read_begins_with_its_oldest_message(topic: Topic) -> None:
    topic.send(click(number) for number in range(5))
    topic.delete_before(0, 2)
    report = topic.load()
    assert topic.ids() == ["c2", "c3", "c4"]
    assert report.begins == (f"{topic.name}/0 begins at offset 2",)


def test_a_topic_that_is_replaced_while_it_is_read_commits_nothing(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic.send([click(1)])
    monkeypatch.setattr("ingest.steps.topic_load.identity", lambda connection, name: ("other", "other"))
    with pytest.raises(RetriableError, match="was replaced while it was read"):
        topic.load()
    assert topic.ledger.position() == 0
    assert list(topic.store.list("bronze")) == []


PLACE = ("cluster", "id", 0)


def found(*partitions: tuple[int, int, int], identity: tuple[str, str] = ("cluster", "id")) -> Found:
    """A topic by first, stable and end offset of its partitions."""
    return Found("clicks", *identity, tuple(TopicPartition(n, *offsets) for n, offsets in enumerate(partitions)))


def read_up_to(offset: int, topic_id: str = "id") -> OffsetRange:
    return OffsetRange(
        "cluster", topic_id, "clicks", 0, 0, offset - 1, 9, START_TIME, offset, offset, 0, 0, 0, (), 1, "L"
    )


START_TIME = dt.datetime.combine(START, dt.time(), dt.UTC)


def test_a_log_that_was_cut_is_a_gap_from_which_the_load_resumes_at_its_end() -> None:
    plan = continuation(found((0, 80, 80)), {PLACE: 100}, {PLACE: read_up_to(100)})
    (gap,) = plan.gaps
    assert (gap.fault, gap.next_offset, gap.resumes_at, gap.missing) == (Fault.CUT, 100, 80, 20)
    assert "the broker lost 20 offsets" in str(gap)
    assert plan.spans == ()


def test_an_open_transaction_before_the_ledgers_end_is_no_cut() -> None:
    plan = continuation(found((0, 90, 120)), {PLACE: 100}, {PLACE: read_up_to(100)})
    assert (plan.gaps, plan.spans) == ((), ())


def test_another_cluster_with_the_same_topic_id_is_another_topic() -> None:
    plan = continuation(found((0, 500, 500), identity=("other", "id")), {PLACE: 100}, {PLACE: read_up_to(100)})
    assert [gap.fault for gap in plan.gaps] == [Fault.REPLACED]
    assert "id id in cluster other" in str(plan.gaps[0])
    assert plan.spans == (Span(0, 0, 500),)


def test_a_topic_that_comes_back_continues_where_it_was_read() -> None:
    before, after = read_up_to(100), read_up_to(50, "second")
    plan = continuation(found((0, 130, 130)), {after.place: 50}, {PLACE: before, after.place: after})
    assert [gap.topic_id for gap in plan.gaps] == ["second"]
    assert plan.spans == (Span(0, 100, 130),)


def test_a_restored_disk_is_a_cut_log_and_another_cluster_is_another_topic(topic: Topic, tmp_path: Path) -> None:
    # GIVEN a broker of its own, whose disk is restored to a state before the last five messages
    with broker_or_skip(tmp_path) as other:
        own = Topic(other, tmp_path, partitions=1)
        own.send(click(number) for number in range(10))
        other.kill()
        shutil.copytree(tmp_path / "topics", tmp_path / "kept")
        other.start()
        own.send(click(number) for number in range(10, 15))
        assert own.load().rows == 15
        other.kill()
        shutil.rmtree(tmp_path / "topics")
        (tmp_path / "kept").rename(tmp_path / "topics")
        other.start()

        # THEN the load stops, and an accepted gap resumes at the end that the log has now
        again = own.reconnected()
        with pytest.raises(OffsetsLost, match="/0 ends at offset 10, but was read up to 15: the broker lost 5 offsets"):
            again.load()
        again.load(accept_gap=True)
        assert [(gap.fault, gap.missing) for gap in recorded(again)] == [(Fault.CUT, 5)]
        again.send([click(20), click(21)])
        assert again.load().rows == 2
        (span,) = again.ledger.state().ranges.values()
        assert (span.next_offset, span.records, span.is_conserved) == (12, 17, True)

        # AND the same topic of another cluster stops it too
        topic.name, topic.contract, topic.store = own.name, own.contract, own.store
        topic.create(1)
        topic.send([click(30)])
        (before,) = {place[0] for place in again.ledger.state().next_offsets}
        with pytest.raises(OffsetsLost) as caught:
            topic.load()
        assert f"in cluster {before}" in str(caught.value)
        assert " now is id " in str(caught.value)
        topic.load(accept_gap=True)
        assert topic.ids().count("c30") == 1
        (now,) = {place[0] for place in topic.ledger.state().next_offsets}
        assert now != before
