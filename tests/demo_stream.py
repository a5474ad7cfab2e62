"""`make demo-stream`: a shop that lives for some minutes on this machine, from its database and its clicks to gold.

A PostgreSQL with the shop's tables, Debezium's connector, a broker, `lake stream` and `lake live`, whose page shows it,
run until the time is over, while cycles publish. It needs PostgreSQL, Java 17 and Maven.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2.extensions
from confluent_kafka import Producer

from ingest.contracts.contract import Kind
from ingest.settings import PROJECT, settings
from ingest.topics.connection import Connection
from pipeline.dev.sample_topics import topic_feeds
from pipeline.dev.sampling import write_sample
from pipeline.releases.release import Releases
from sample.options import SampleOptions
from tests.connect_server import PREFIX, Broker, Connect, Java, Topic, archives, wait
from tests.postgres_server import serve_postgres

STEPS = ("view", "view", "view", "search", "add_to_cart", "begin_checkout", "purchase")
QUERY = (
    "SELECT business_date, SUM(sold_quantity)::INT AS sold, SUM(net_amount)::DECIMAL(18, 2) AS net_revenue "
    "FROM gold.rpt_sales_daily GROUP BY 1 ORDER BY 1 DESC LIMIT 5"
)


def lake(*arguments: str) -> None:
    """Run a command of the project, and show what it prints."""
    print(f"== {' '.join(arguments)}", flush=True)
    program = ["lake"] if arguments[0] != "sqlmesh" else []
    subprocess.run([*program, *arguments], cwd=PROJECT, check=False)


def live(database: str, minutes: float, producer: Producer, dice: random.Random) -> tuple[int, int]:
    """Let customers click, order and pay until the time is over; return the numbers of orders and clicks."""
    end, orders, clicks = time.monotonic() + minutes * 60, 0, 0
    with closing(psycopg2.connect(database)) as session, session.cursor() as cursor:
        cursor.execute("SELECT customer_id FROM customers")
        customers = [key for (key,) in cursor.fetchall()]
        cursor.execute("SELECT product_id, price FROM products")
        products = cursor.fetchall()
        cursor.execute("SELECT MAX(order_id) FROM orders")
        (newest,) = cursor.fetchone()
        session.commit()
        while time.monotonic() < end:
            now = dt.datetime.now(dt.UTC)
            customer, (product, price) = dice.choice(customers), dice.choice(products)
            for step in STEPS[: dice.randint(1, 6)]:
                producer.produce("shop.clicks", json.dumps(click(step, customer, product, price, now)).encode())
                clicks += 1
            producer.poll(0)
            if dice.random() < 0.3:
                newest, orders, quantity = newest + 1, orders + 1, dice.randint(1, 3)
                total = price * quantity
                cursor.execute(
                    "INSERT INTO orders (order_id, customer_id, status, currency, discount_amount, shipping_amount, "
                    "tax_amount, total_amount, shipping_address, ordered_at, updated_at) "
                    "VALUES (%s, %s, 'pending', 'EUR', 0, 0, 0, %s, '1 High Street', %s, %s)",
                    [newest, customer, total, now, now],
                )
                cursor.execute("INSERT INTO order_items VALUES (%s, 1, %s, %s, %s)", [newest, product, quantity, price])
            if orders and dice.random() < 0.3:
                some = newest - dice.randrange(min(orders, 50))
                cursor.execute("UPDATE orders SET status = 'paid', updated_at = %s WHERE order_id = %s", [now, some])
            session.commit()
            time.sleep(dice.uniform(0, 0.2))
    producer.flush(30)
    return orders, clicks


def click(step: str, customer: int, product: int, price: Any, now: dt.datetime) -> dict[str, Any]:
    """A click of a customer."""
    return {
        "event_id": str(uuid.uuid4()),
        "visitor_id": f"visitor-{customer}",
        "customer_id": customer,
        "event_type": step,
        "product_id": product,
        "price": str(price),
        "currency": "EUR",
        "page": f"/products/{product}",
        "device": "mobile",
        "country_code": "NO",
        "occurred_at": f"{now:%Y-%m-%d %H:%M:%S.%f}",
    }


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    home = PROJECT / "data" / "demo-stream"  # its own, whatever LAKE_HOME is: it begins empty
    shutil.rmtree(home, ignore_errors=True)
    os.environ["LAKE_HOME"] = str(home)
    with serve_postgres(wal_level="logical") as server, tempfile.TemporaryDirectory() as scratch:
        print("== a database with the orders of a week", flush=True)
        server.sql("postgres", "CREATE DATABASE shop")
        of = server.variables
        place = {"hostname": of["PGHOST"], "port": of["PGPORT"], "user": of["PGUSER"], "password": of["PGPASSWORD"]}
        own = {"host" if name == "hostname" else name: value for name, value in place.items()}
        dsn = psycopg2.extensions.make_dsn(**own, dbname="shop")
        yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
        options = SampleOptions(end=yesterday, days=7, events=1000, orders=200, sessions_per_order=3.0)
        java = Java(Path(scratch), archives())
        broker = Broker(java)
        try:
            print("== a broker and a connector", flush=True)
            broker.start()
            os.environ["KAFKA_BOOTSTRAP_SERVERS"] = broker.address
            settings.cache_clear()
            write_sample(options, lambda objects, size: None, to="postgres", dsn=dsn)
            tables = [item.feed for item in topic_feeds().values() if item.kind is Kind.CHANGE]
            server.sql("shop", f"CREATE PUBLICATION lake FOR TABLE {', '.join(tables)}")
            for table in tables:
                server.sql("shop", f"ALTER TABLE {table} REPLICA IDENTITY FULL")
            topics = {table: Topic(table, [], Path(scratch, table)) for table in tables}
            Connect(topics, java, broker, place | {"dbname": "shop"}).start(decimal__handling__mode="string")
            connection = Connection(settings())
            wait(lambda: {f"{PREFIX}.public.{name}" for name in tables} <= connection.admin.list_topics().topics.keys(),
                 "the snapshot of the tables")  # fmt: skip
            write_sample(options, lambda objects, size: None, to="kafka")
            lake("ingest")
            lake("sqlmesh", "plan", "--auto-apply", "--no-prompts", "--skip-tests")
            lake("publish")
            print(f"== lake stream --every 5s, lake live, and a cycle a minute, for {minutes:g} minutes", flush=True)
            commands = (["stream", "--every", "5s"], ["live", "--port", "0"], ["run", "--every", "1m"])
            processes = [subprocess.Popen(["lake", *command], cwd=PROJECT) for command in commands]
            try:
                done = live(dsn, minutes, Producer(connection.properties()), random.Random(1))
            finally:
                for process in processes:
                    process.send_signal(signal.SIGTERM)
                    process.wait(60)
            print(f"== {done[0]:,} orders and {done[1]:,} clicks later", flush=True)
            time.sleep(2)
            lake("run")
            with Releases(settings()).connect() as reader:
                print(reader.sql(QUERY))
            lake("status")
        finally:
            java.end()


if __name__ == "__main__":
    main()
