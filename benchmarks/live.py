"""Live numbers on a real broker: how long after a click is written it shows, and what the process needs meanwhile.

    python -m benchmarks.live --rate 1000 --seconds 600

A producer writes clicks at a steady rate, and an order for every fiftieth, for which the broker's answer has partition
and offset. A client of the server's events notes when a state arrives that has read that offset: the difference is the
time from produce to visible.
"""

from __future__ import annotations

import argparse
import datetime as dt
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.connect_server import serve_broker

CLICKS, ORDERS = "shop.clicks", "shop.public.orders"
PARTITIONS = {CLICKS: 2, ORDERS: 1}
TICK_SECONDS = 0.01
CLICKS_PER_ORDER = 50
VISITORS = 20_000
_KINDS = ("view", "view", "view", "view", "search", "add_to_cart", "begin_checkout", "purchase")
_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def create_topics(address: str) -> None:
    """Make the topics."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": address})
    made = [NewTopic(name, partitions, 1) for name, partitions in PARTITIONS.items()]
    for answer in admin.create_topics(made).values():
        answer.result(20)


def click(number: int, at: dt.datetime) -> bytes:
    """A click of about 570 bytes."""
    return json.dumps(
        {
            "event_id": f"{number:08x}-0000-4000-8000-{number * 7919 % 10**12:012d}",
            "visitor_id": f"v{number * 7919 % VISITORS:031d}",
            "customer_id": None,
            "event_type": _KINDS[number % len(_KINDS)],
            "product_id": number * 31 % 997,
            "page": f"/products/{number % 997}",
            "referrer": "https://www.example.org/search",
            "utm_source": "newsletter",
            "utm_medium": "email",
            "utm_campaign": "spring",
            "device": ("mobile", "desktop", "tablet")[number % 3],
            "country_code": ("DE", "FR", "AT", "NL")[number % 4],
            "user_agent": _AGENT,
            "occurred_at": at.isoformat(),
        }
    ).encode()


def order(number: int, at: dt.datetime) -> bytes:
    """The change event of a new order."""
    micros = int(at.timestamp() * 1e6)
    row = {
        "order_id": number,
        "customer_id": number % 1000,
        "status": "pending",
        "currency": "EUR",
        "discount_amount": "0.00",
        "shipping_amount": "5.00",
        "tax_amount": "19.00",
        "total_amount": "124.00",
        "shipping_address": "1 Example Street",
        "ordered_at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "updated_at": micros,
    }
    source = {"connector": "postgresql", "ts_ms": micros // 1000, "lsn": number, "snapshot": "false"}
    return json.dumps({"op": "c", "before": None, "after": row, "source": source}).encode()


class Live:
    """A process of `lake live`.

    Attributes:
        address: of its server, as a URL.
    """

    def __init__(self, environment: Mapping[str, str], *options: str) -> None:
        command = [sys.executable, "-m", "pipeline", "live", "--port", "0", *options]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  it is open as long as the process
        self.process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        if not self.address:
            self.process.wait()
            raise RuntimeError(f"lake live ended: {self.errors()}")

    def errors(self) -> str:
        """What it has written to stderr."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def state(self) -> dict[str, Any]:
        """Its newest state."""
        with closing(http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=10)) as connection:
            connection.request("GET", "/live/state.json")
            return dict(json.loads(connection.getresponse().read()))

    def wait(self, until: Any, seconds: float = 60) -> dict[str, Any]:
        """Wait for a state.

        Raises:
            TimeoutError, RuntimeError: it does not come, or the process ended.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"lake live ended: {self.errors()}")
            state = self.state()
            if state.get("today") and until(state):
                return state
            time.sleep(0.05)
        raise TimeoutError(f"the state stayed {state}; {self.errors()}")

    def events(self) -> Iterator[dict[str, Any]]:
        """Its states as they come."""
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=30)
        connection.request("GET", "/live/events")
        answer = connection.getresponse()
        while line := answer.readline():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_bytes(self) -> int:
        """Peak of its resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def kill(self) -> None:
        """End it as a lost machine would."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@dataclass
class Producer:
    """Writes clicks and orders, and notes when each was written and where it is.

    Attributes:
        written: (partition of a topic as bronze names it, offset, time.time() before it was written) of each message.
    """

    address: str
    written: list[tuple[str, int, float]] = field(default_factory=list)
    number: int = 0
    _minutes: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        from confluent_kafka import Producer as Client

        self._client = Client({"bootstrap.servers": self.address, "linger.ms": 5, "acks": "all"})

    def run(self, rate: int, seconds: float, delay_seconds: float = 0.0) -> None:
        """Write clicks at a steady rate.

        Args:
            delay_seconds: how long before now they happened.
        """
        began, made = time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            while made < passed * rate:
                self._send(dt.timedelta(seconds=delay_seconds))
                made += 1
            self._client.poll(0)
            time.sleep(TICK_SECONDS)
        if self._client.flush(30):
            raise RuntimeError("the broker did not take all messages")

    def happened(self, topic: str) -> list[str]:
        """The minute of each message of a topic, as states have it."""
        return [minute for name, minute in self._minutes if name == topic]

    def _send(self, delay: dt.timedelta) -> None:
        at = dt.datetime.now(dt.UTC) - delay
        self.number += 1
        self._produce(CLICKS, click(self.number, at), at)
        if self.number % CLICKS_PER_ORDER == 0:
            self._produce(ORDERS, order(self.number, at), at)

    def _produce(self, topic: str, value: bytes, at: dt.datetime) -> None:
        now = time.time()
        self._minutes.append((topic, at.strftime("%Y-%m-%dT%H:%M:00Z")))

        def noted(error: Any, message: Any) -> None:
            if error is not None:
                raise RuntimeError(str(error))
            self.written.append((f"kafka:{topic}/{message.partition()}", message.offset(), now))

        self._client.produce(topic, value, on_delivery=noted)


class Watch:
    """A client of the events that notes when each state came, and what it had read."""

    def __init__(self, live: Live) -> None:
        self.states: list[tuple[float, dict[str, int]]] = []
        self._thread = threading.Thread(target=self._run, args=(live,), daemon=True)
        self._thread.start()

    def _run(self, live: Live) -> None:
        for state in live.events():
            self.states.append((time.time(), state.get("positions", {})))

    def latencies(self, producer: Producer) -> list[float]:
        """Seconds from produce to visible, of each message."""
        by_source: dict[str, list[tuple[int, float]]] = {}
        for source, offset, at in producer.written:
            by_source.setdefault(source, []).append((offset, at))
        found = []
        for source, messages in by_source.items():
            states = iter(self.states)
            came, positions = next(states)
            for offset, at in sorted(messages):
                while positions.get(source, 0) <= offset:
                    came, positions = next(states)
                found.append(came - at)
        return sorted(found)


@contextmanager
def home(folder: Path, broker: str) -> Iterator[dict[str, str]]:
    """The environment of a lake of its own."""
    (folder / "dotenv").touch()
    yield {
        "LAKE_HOME": str(folder / "home"),
        "SQLMESH_DOTENV_PATH": str(folder / "dotenv"),
        "KAFKA_BOOTSTRAP_SERVERS": broker,
    }


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=int, default=1000, help="clicks a second")
    parser.add_argument("--seconds", type=int, default=600)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, serve_broker(Path(name)) as broker:
        create_topics(broker.address)
        with home(Path(name), broker.address) as environment, Live(environment) as live:
            live.wait(lambda state: state["is_ready"])
            watch, producer = Watch(live), Producer(broker.address)
            cpu, began = live.cpu_seconds(), time.monotonic()
            producer.run(asked.rate, asked.seconds)
            cpu, wall = live.cpu_seconds() - cpu, time.monotonic() - began
            state = live.wait(lambda state: state["today"]["clicks"] == producer.number)
            time.sleep(1)
            found = watch.latencies(producer)
            print(f"{producer.number:,} clicks in {wall:.0f} s, {len(watch.states):,} states")
            print(
                f"produce to visible: p50 {_at(found, 0.5)}, p95 {_at(found, 0.95)}, p99 {_at(found, 0.99)}, most "
                f"{found[-1] * 1000:.0f} ms, mean {statistics.mean(found) * 1000:.0f} ms"
            )
            print(f"CPU {cpu:.1f} s, {cpu / wall:.1%} of a core; memory {live.peak_bytes() / 1e6:.0f} MB at most")
            print(f"late {state['counters']['late']}, orders {state['today']['orders']:,}")


def _at(found: list[float], share: float) -> str:
    return f"{found[min(int(len(found) * share), len(found) - 1)] * 1000:.0f} ms"


if __name__ == "__main__":
    main()
