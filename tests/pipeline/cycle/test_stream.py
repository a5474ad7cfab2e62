"""`lake stream` as a process, on a real broker: what is committed is in bronze once, and nothing else is touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.settings import PROJECT
from tests.connect_server import Broker, wait
from tests.home import Home
from tests.shop_stream import FEED, Shop, shop_of


@pytest.fixture
def shop(broker: Broker, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with shop_of(broker, monkeypatch) as made:
        yield made


@contextmanager
def streaming(*arguments: str, every: str = "200ms", log: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run `lake stream` while the body runs.

    Args:
        log: gets what it says; by default a pipe does.
    """
    command = [sys.executable, "-m", "pipeline", "stream", FEED, "--every", every, *arguments]
    said = log.open("w") if log else subprocess.PIPE
    process = subprocess.Popen(command, cwd=PROJECT, env=os.environ, stdout=subprocess.PIPE, stderr=said, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def has(shop: Shop, ids: Iterable[str]) -> bool:
    return set(ids) <= set(shop.ids())


def test_a_stream_commits_what_arrives_and_ends_after_its_commit(shop: Shop) -> None:
    shop.send(500)
    with streaming("--json") as stream:
        wait(lambda: has(shop, shop.sent), "the backlog", 60)
        more = shop.send(20)
        wait(lambda: has(shop, more), "new messages", 30)
        stream.send_signal(signal.SIGTERM)
        out, err = stream.communicate(timeout=30)
    assert stream.returncode == 0, err
    assert sorted(shop.ids()) == sorted(shop.sent)
    (done,) = json.loads(out)
    assert (done["feed"], done["messages"], done["rows"]) == (FEED, 520, 520)
    home = Path(shop.home.options.lake_home)
    assert not Path(shop.home.options.state_path).exists(), "the state is not touched"
    assert not Path(shop.home.options.warehouse_path).exists()
    assert sorted(path.name for path in home.iterdir()) == ["alive", "lake", "locks", "usage.jsonl"]


def test_streams_share_out_the_partitions(shop: Shop, tmp_path: Path) -> None:
    logs = [tmp_path / "one", tmp_path / "other"]
    with streaming(log=logs[0]) as one, streaming(log=logs[1]) as other:
        for _ in range(100):
            shop.send(50)
            time.sleep(0.3)
            if all("messages" in log.read_text() for log in logs):
                break
        wait(lambda: has(shop, shop.sent), "all messages", 60)
        for process in (one, other):
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    assert sorted(shop.ids()) == sorted(shop.sent)
    assert all("messages" in log.read_text() for log in logs)


def test_a_replaced_topic_ends_the_stream_and_an_accepted_gap_lets_it_go_on(shop: Shop) -> None:
    shop.send(10)
    shop.home.ingest(FEED)
    shop.create()
    again = shop.send(5)
    with streaming() as stream:
        _, err = stream.communicate(timeout=60)
    assert stream.returncode == 1
    assert "now is id" in err
    assert "--accept-gap" in err
    lake = [sys.executable, "-m", "pipeline"]
    done = subprocess.run([*lake, "ingest", FEED, "--accept-gap"], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "accepted and recorded" in done.stdout
    assert has(shop, again)


def test_a_stream_without_a_broker_or_a_topic_says_what_is_missing(home: Home) -> None:
    lake = [sys.executable, "-m", "pipeline", "stream"]
    done = subprocess.run([*lake, FEED], cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, "set KAFKA_BOOTSTRAP_SERVERS" in done.stderr) == (2, True), done.stderr
    done = subprocess.run([*lake, "events"], cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, "expected source.kafka in a contract" in done.stderr) == (2, True), done.stderr
