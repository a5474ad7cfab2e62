"""Cycles beside a stream that commits all the time publish at the first attempt, and lose nothing of it."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
import uuid
from collections.abc import Iterator

import pytest

from ingest.contracts.contract import contracts
from ingest.contracts.source import Kafka
from ingest.errors import LakemeshError
from ingest.settings import settings
from ingest.topics.connection import Connection
from pipeline.cycle import cycle as cycles
from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.stream import stream
from pipeline.lake import Lake
from pipeline.releases.release import Releases
from tests.connect_server import Broker
from tests.home import Home
from tests.pipeline.cycle.test_cycle import event

pytestmark = pytest.mark.usefixtures("engagement")
DAY = "2026-01-01"


@pytest.fixture
def topical(broker: Broker, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A planned lake whose events come from a topic, after a backfill from a bucket."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker.address)
    settings.cache_clear()
    known = contracts()["events"]
    source = known.source.model_copy(update={"kafka": Kafka(topic=f"events-{uuid.uuid4().hex[:8]}")})
    monkeypatch.setitem(contracts(), "events", known.model_copy(update={"source": source}))
    home = Home()
    send(home, 1, "first")
    home.put("events", "a.json", event("backfill", DAY))
    home.put("activities", "a.json", {"activity_id": "a1", "name": "A", "activity_type": "game"})
    home.put("users", "u.json", {"user_id": "u1", "created_at": f"{DAY} 00:00:00"})
    home.ingest()
    home.plan()
    yield home
    settings.cache_clear()


def send(home: Home, count: int, name: str) -> None:
    from confluent_kafka import Producer

    producer = Producer(Connection(home.options).properties())
    topic = contracts()["events"].source.kafka.topic
    for number in range(count):
        producer.produce(topic, json.dumps(event(f"{name}-{number}", DAY)).encode())
    assert producer.flush(30) == 0


def test_cycles_beside_a_stream_publish_at_the_first_attempt(topical: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycles, "ATTEMPTS", 1)
    stop, errors = threading.Event(), list[LakemeshError]()
    sent = 0

    def produce() -> None:
        nonlocal sent
        while not stop.wait(0.3):
            send(topical, 5, f"s{sent}")
            sent += 5

    def load() -> None:
        lake = Lake(topical.options)
        stream(lake, [contracts()["events"]], 0.3, stop, lambda feed, error: errors.append(error))

    threads = [threading.Thread(target=target) for target in (produce, load)]
    for thread in threads:
        thread.start()
    outcomes = []
    try:
        time.sleep(3)
        for _ in range(3):
            before = Lake(topical.options).ledger("events").position()
            summary = run_cycle(Lake(topical.options), (), lambda _: lambda objects, size: None)
            outcomes.append((summary.outcome, summary.errors))
            assert Lake(topical.options).ledger("events").position() > before, "the stream went on meanwhile"
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert errors == []
    assert outcomes == [("published", [])] * 3

    summary = run_cycle(Lake(topical.options), (), lambda _: lambda objects, size: None)
    assert summary.errors == []
    with Releases(topical.options).connect() as reader:
        query = "SELECT SUM(activities_played)::INT FROM gold.activity_engagement_metrics"
        (plays,) = reader.execute(query).fetchone()
    assert plays == sent + 2, "each event of the topic and of the bucket is counted once"


def test_operations_show_what_was_read_of_a_topic_by_day(topical: Home) -> None:
    send(topical, 20, "more")
    topical.ingest("events")
    lake = Lake(topical.options)
    run_cycle(lake, (), lambda _: lambda objects, size: None)
    topic = contracts()["events"].source.kafka.topic
    today = dt.datetime.now(dt.UTC).date()
    rows = topical.rows(
        "SELECT source_file, records, rows, quarantined FROM operations.objects WHERE feed = 'events' ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [
        (f"kafka:{topic} of {today}", 21, 21, 0),
        ("raw-events/a.json", 1, 1, 0),
    ]
