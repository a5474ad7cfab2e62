"""A backlog of messages to Parquet: `lake ingest` beside consumers without contract, lineage or ledger.

    python -m benchmarks.streams [--messages 2000000] [--rounds 3]
    python -m benchmarks.streams --latency 120

Needs Java 17 and Maven, which start a broker. `aiokafka` takes part if it is installed (benchmarks/peers.txt).
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.measure import Cost, compare, measure
from tests.connect_server import Broker, serve_broker

FEED, TOPIC, BYTES = "clickstream", "shop.clicks", 570
BATCH = 50_000


def click(number: int) -> bytes:
    """A message of about BYTES bytes."""
    value = {
        "event_id": str(uuid.UUID(int=number * 0x9E3779B97F4A7C15 % (1 << 128))),
        "visitor_id": f"visitor-{number % 50_000:06}",
        "customer_id": number % 9973,
        "event_type": ("view", "view", "view", "search", "add_to_cart", "begin_checkout", "purchase")[number % 7],
        "product_id": number % 1000,
        "quantity": 1 + number % 3,
        "price": f"{number % 20_000 / 100:.2f}",
        "currency": "EUR",
        "page": f"/products/{number % 1000}?ref=campaign-{number % 40}",
        "referrer": "https://search.example.com/results?q=running+shoes+for+trails",
        "device": ("desktop", "mobile", "tablet")[number % 3],
        "utm_source": "newsletter",
        "utm_medium": "email",
        "utm_campaign": f"campaign-{number % 40}",
        "country_code": "DE",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Safari/537.36",
        "occurred_at": f"2026-01-{1 + number % 3:02} 10:{number // 60 % 60:02}:{number % 60:02}",
    }
    return json.dumps(value).encode()


def fill(broker: Broker, messages: int) -> float:
    """Write the backlog, and return the mean size of its values."""
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_topics([NewTopic(TOPIC, 4, 1)])[TOPIC].result(30)
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 50, "queue.buffering.max.kbytes": 200_000})
    size = 0
    for number in range(messages):
        value = click(number)
        size += len(value)
        while True:
            try:
                producer.produce(TOPIC, value, partition=number % 4)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(120)
    return size / max(messages, 1)


def plain(address: str, folder: str, messages: int) -> None:
    """confluent-kafka and pyarrow: values to Parquet, nothing else."""
    import io

    import pyarrow.json as pj
    import pyarrow.parquet as pq
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": address, "group.id": "plain", "enable.auto.commit": False})
    consumer.assign([TopicPartition(TOPIC, number, 0) for number in range(4)])
    values: list[bytes] = []
    read = files = 0
    while read < messages:
        found = [message.value() for message in consumer.consume(5000, 0.1) if message.error() is None]
        values += found
        read += len(found)
        if len(values) >= BATCH or read >= messages:
            table = pj.read_json(io.BytesIO(b"\n".join(values)))
            pq.write_table(table, f"{folder}/{files}.parquet", compression="zstd")
            values, files = [], files + 1
    consumer.close()


def asynchronous(address: str, folder: str, messages: int) -> None:
    """aiokafka and pyarrow, likewise."""
    import asyncio
    import io

    import pyarrow.json as pj
    import pyarrow.parquet as pq
    from aiokafka import AIOKafkaConsumer  # type: ignore[import-not-found]  # not among the locked packages

    async def run() -> None:
        consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=address, group_id=None, auto_offset_reset="earliest")
        await consumer.start()
        values: list[bytes] = []
        read = files = 0
        while read < messages:
            batches: dict[Any, Any] = await consumer.getmany(timeout_ms=100, max_records=5000)
            found = [record.value for records in batches.values() for record in records]
            values += found
            read += len(found)
            if len(values) >= BATCH or read >= messages:
                table = pj.read_json(io.BytesIO(b"\n".join(values)))
                pq.write_table(table, f"{folder}/{files}.parquet", compression="zstd")
                values, files = [], files + 1
        await consumer.stop()

    asyncio.run(run())


def latency(broker: Broker, home: Path, seconds: float) -> list[float]:
    """Let `lake stream --every 5s` run beside a producer of 100 messages a second.

    Returns:
        Seconds from each message's time to the commit of its load, in order.
    """
    from confluent_kafka import Producer

    from ingest.ledger.ledger import Ledger
    from ingest.storage.store import Store

    environment = {**os.environ, "LAKE_HOME": str(home), "KAFKA_BOOTSTRAP_SERVERS": broker.address}
    command = [sys.executable, "-m", "pipeline", "stream", FEED, "--every", "5s"]
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 5})
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as stream:
        time.sleep(15)
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            producer.produce(TOPIC, click(number), partition=number % 4)
            producer.poll(0)
            number += 1
            time.sleep(0.01)
        producer.flush(30)
        time.sleep(12)
        stream.send_signal(signal.SIGTERM)
    lake = Store(str(home / "lake"))
    ledger = Ledger(lake, FEED)
    commits = {
        entry.load_id: Path(lake.uri, ledger.prefix, f"{position:020d}.parquet").stat().st_mtime
        for position, entry in ledger.entries(0)
    }
    found = []
    for file in ledger.live_files():
        table = pq.ParquetFile(Path(lake.uri, file.path)).read(columns=["_load_id", "_source_modified_at"])
        for load, at in zip(*(column.to_pylist() for column in table.columns), strict=True):
            found.append(commits[load] - at.replace(tzinfo=dt.UTC).timestamp())
    return sorted(found)


def main() -> None:
    """Run all contenders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="measure that alone")
    parser.add_argument("--as", dest="role", nargs=2, metavar=("CONTENDER", "ADDRESS"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        {"plain": plain, "aiokafka": asynchronous}[options.role[0]](options.role[1], options.folder, options.messages)
        return
    if options.latency:
        with tempfile.TemporaryDirectory() as scratch, serve_broker(Path(scratch)) as broker:
            fill(broker, 0)
            found = latency(broker, Path(scratch, "home"), options.latency)
        shown = ", ".join(f"p{share} {found[len(found) * share // 100 - 1]:.2f} s" for share in (50, 95, 99))
        print(f"{len(found):,} messages, written to committed: {shown}, longest {found[-1]:.2f} s")
        return
    with tempfile.TemporaryDirectory() as scratch, serve_broker(Path(scratch)) as broker:
        started = time.perf_counter()
        mean = fill(broker, options.messages)
        print(f"{options.messages:,} messages of {mean:.0f} bytes written in {time.perf_counter() - started:.0f} s")

        def lake() -> Cost:
            home = Path(scratch, "home")
            shutil.rmtree(home, ignore_errors=True)
            environment = {"LAKE_HOME": str(home), "KAFKA_BOOTSTRAP_SERVERS": broker.address}
            return measure([[sys.executable, "-m", "pipeline", "ingest", FEED]], environment)

        def peer(name: str) -> Cost:
            folder = Path(scratch, "peer")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            arguments = ["--messages", str(options.messages), "--as", name, broker.address, "--folder", str(folder)]
            return measure([[sys.executable, "-m", "benchmarks.streams", *arguments]], dict(os.environ))

        contenders = {"lake ingest": lake, "confluent-kafka + pyarrow": lambda: peer("plain")}
        if find_spec("aiokafka"):
            contenders["aiokafka + pyarrow"] = lambda: peer("aiokafka")
        costs = compare(contenders, options.rounds)
    millions = options.messages / 1e6
    print("| contender | CPU s per million | messages/s | peak MB |\n|---|---|---|---|")
    for name, cost in costs.items():
        rate = options.messages / cost.wall
        print(f"| {name} | {cost.cpu / millions:.2f} | {rate:,.0f} | {cost.memory / 1e6:.0f} |")


if __name__ == "__main__":
    main()
