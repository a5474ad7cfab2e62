"""Exactly once, on a real broker: streams and the broker are killed, transactions aborted, producers fenced.

KILLS is how often something is killed: `make stream-kills` does it 100 times beside one stream and 100 beside two, the
tests of every day a few times.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from ingest.ledger.ledger import Ledger
from ingest.settings import PROJECT
from pipeline.checks.topics import continuity
from tests.connect_server import Broker, wait
from tests.home import Home
from tests.pipeline.checks.test_topics import verify
from tests.shop_stream import FEED, TOPIC, Shop, click, shop_of

KILLS, INSTANCES = int(os.environ.get("KILLS", "6")), [1, 2] if "KILLS" in os.environ else [2]
KafkaException = pytest.importorskip(
    "confluent_kafka", reason="Kafka: the extra kafka is not installed, see make setup-kafka"
).KafkaException
MOMENTS = ("write", "commit", "answer", "any")


@pytest.fixture
def shop(broker: Broker, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with shop_of(broker, monkeypatch) as made:
        yield made


class Producers(threading.Thread):
    """Writes transactions of clicks, bad ones among them, aborts three in ten, and is fenced by its successors.

    Attributes:
        committed: ids of the messages whose transactions are known to be committed.
        open: by transaction ids whose end is unknown, since the broker was away.
    """

    def __init__(self, shop: Shop, seed: int) -> None:
        super().__init__(daemon=True)
        self.shop, self.dice = shop, random.Random(seed)
        self.committed: set[str] = set()
        self.aborted: set[str] = set()
        self.unknown: set[str] = set()
        self.fenced = 0
        self.stop = threading.Event()

    def run(self) -> None:
        producer = self._new()
        while not self.stop.wait(0.02):
            ids = self._transaction(producer)
            if ids is None or self.dice.random() < 0.1:
                before, producer = producer, self._new()
                if ids is not None:
                    self._fence(before)

    def _new(self) -> Any:
        while True:
            producer = self.shop.producer(transactional__id="producer", transaction__timeout__ms="10000")
            try:
                producer.init_transactions(20)
                return producer
            except KafkaException:  # the broker is away
                time.sleep(0.3)

    def _transaction(self, producer: Any) -> set[str] | None:
        """Write one transaction; None if its end is unknown."""
        ids = set()
        commits = self.dice.random() >= 0.3
        try:
            producer.begin_transaction()
            for _ in range(self.dice.randint(1, 8)):
                value = click()
                ids.add(value["event_id"])
                bad = self.dice.random() < 0.1
                text = json.dumps(value | ({"price": -1} if bad else {}))
                producer.produce(TOPIC, text.encode(), partition=self.dice.randrange(4))
            if not commits:
                producer.flush(10)
                producer.abort_transaction(20)
                self.aborted |= ids
                return ids
            producer.commit_transaction(20)
            self.committed |= ids
        except KafkaException:  # the broker is away, or a successor is there
            (self.unknown if commits else self.aborted).update(ids)
            return None
        return ids

    def _fence(self, producer: Any) -> None:
        """A producer that another one replaced tries to write."""
        value = click()
        try:
            producer.begin_transaction()
            producer.produce(TOPIC, json.dumps(value).encode(), partition=0)
            producer.commit_transaction(20)
            self.committed.add(value["event_id"])
        except KafkaException:
            self.fenced += 1
            self.aborted.add(value["event_id"])


def start(moment: str, passes: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.stream_worker", moment, str(passes), "stream", FEED, "--every", "100ms"]
    return subprocess.Popen(command, cwd=PROJECT, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def loaded(shop: Shop) -> Counter[str]:
    """How often each id is in bronze and quarantine."""
    lake = shop.lake
    state = lake.ledger(FEED).state()
    paths = [f"{lake.store.uri}/{path}" for path in state.files if path.startswith("quarantine/")]
    bad = duckdb.sql(f"SELECT raw FROM read_parquet({paths})").fetchall() if paths else []
    return Counter([*shop.ids(), *(json.loads(raw)["event_id"] for (raw,) in bad)])


@pytest.mark.parametrize("instances", INSTANCES)
def test_every_committed_message_is_loaded_once(shop: Shop, broker: Broker, instances: int) -> None:
    seed = int(os.environ.get("SEED", uuid.uuid4().int % 1_000_000))
    print(f"seed {seed}")
    dice, producers = random.Random(seed), Producers(shop, seed)
    producers.start()
    streams = [start("never", 0) for _ in range(instances)]
    kills: Counter[str] = Counter()
    try:
        for number in range(KILLS):
            place = dice.randrange(instances)
            if number % 8 == 5:
                time.sleep(dice.uniform(0, 1))
                broker.kill()
                kills["broker"] += 1
                time.sleep(dice.uniform(0, 0.5))
                broker.start()
                continue
            moment = MOMENTS[number % len(MOMENTS)]
            streams[place].kill()
            streams[place].wait()
            streams[place] = start("never" if moment == "any" else moment, dice.randint(0, 2))
            if moment == "any":
                time.sleep(dice.uniform(0.5, 4))
                streams[place].kill()
            try:
                streams[place].wait(60)
            except subprocess.TimeoutExpired:  # the other instance has all partitions
                streams[place].kill()
                streams[place].wait()
            kills[moment] += 1
            streams[place] = start("never", 0)
    finally:
        producers.stop.set()
        producers.join(90)
    try:
        # a last transaction shows the end of those whose end is unknown: the broker aborts or completes them first
        last = producers._new()
        ends = producers._transaction(last) or producers._transaction(producers._new())
        assert ends is not None
        wait(lambda: producers.committed <= loaded(shop).keys(), "what was committed", 90)
    finally:
        for process in streams:
            process.kill()
            process.wait()
    found = loaded(shop)
    repeated = {name: count for name, count in found.items() if count > 1}
    print(
        f"kills {dict(kills)}, committed {len(producers.committed)}, aborted {len(producers.aborted)}, "
        f"unknown {len(producers.unknown)}, fenced {producers.fenced}, "
        f"entries {Ledger(shop.lake.store, FEED).position()}"
    )
    assert repeated == {}
    assert found.keys() & producers.aborted == set()
    assert producers.committed <= found.keys() <= producers.committed | producers.unknown
    assert len(producers.committed) > KILLS
    ledger = shop.lake.ledger(FEED)
    assert continuity(ledger, ledger.state()).faults == []
    verdict = verify(shop, deep=True)
    assert verdict.differences == []
    assert verdict.orphans > 0, "killed loads left files that nobody reads"
