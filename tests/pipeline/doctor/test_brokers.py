"""Brokers: misspelt properties, missing topics and messages from the future, on a real one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ingest.contracts.contract import contracts
from ingest.settings import settings
from pipeline.doctor import clocks, connections
from pipeline.doctor.finding import Status
from pipeline.lake import Lake
from tests.connect_server import Broker
from tests.kafka import Topic

pytestmark = pytest.mark.long


def test_topics_and_the_clock_of_their_messages(
    broker: Broker, clean_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker.address)
    settings.cache_clear()
    lake = Lake(settings())

    # GIVEN no topic of any contract, THEN they are named, and there is no clock to read
    (found,) = connections.check(lake)
    assert (found.status, "shop.public.orders" in found.found) == (Status.WARN, True)
    assert [item.status for item in clocks.check(lake)] == [Status.OK]

    # WHEN one has messages, THEN the newest one may not be from the future
    topic = Topic(broker, tmp_path)
    topic.name = next(item.source.kafka.topic for item in contracts().values() if item.source.kafka)
    topic.create()
    now = int(time.time() * 1000)
    topic.send([b"{}"], timestamp=now - 3_600_000)
    assert [item.status for item in clocks.check(lake)] == [Status.OK]
    topic.send([b"{}"], partition=1, timestamp=now + 600_000)
    (found,) = clocks.check(lake)
    assert (found.status, found.found.endswith("ahead of this host")) == (Status.WARN, True)

    # WHEN a property is wrong, THEN the client's refusal is the finding
    monkeypatch.setenv("KAFKA_SASL_MECHANISN", "PLAIN")
    settings.cache_clear()
    (found,) = connections.check(Lake(settings()))
    assert (found.status, "sasl.mechanisn" in found.found) == (Status.FAIL, True)
