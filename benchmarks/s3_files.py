"""Thousands of tiny objects on a real S3 server to bronze: `ingest_feed` against boto3 and against the GETs alone.

    python -m benchmarks.s3_files --objects 10000 --lines 20 --rounds 5 --versitygw PROGRAM

Without `--versitygw` the server is the one at AWS_ENDPOINT_URL; buckets `bench-…` are created there. Each contender
is a separate process and lists the bucket itself. The boto3 client keeps no lineage, rejects nothing, keeps no state
and is not safe against a crash; the bare GETs discard what they read.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.measure import Cost, compare, measure, this_machine

THREADS = 32
FEED = "events"
BUCKET = "bench-raw-events"


def lakemesh() -> None:
    """Load the landing into bronze, with ledger, lineage and quarantine."""
    from ingest.contracts.contract import contracts
    from ingest.settings import settings
    from ingest.steps.load import ingest_feed
    from ingest.storage.landing import Landing
    from ingest.storage.store import Store

    options = settings()
    lake = Store(f"{options.lake_uri}/{uuid.uuid4().hex}", options)
    report = ingest_feed(contracts()[FEED], Landing(options.landing("raw-events"), options), lake, options.lake_start)
    lake.close()
    print(report.objects)


def by_boto3() -> None:
    """Run what is usually handwritten: list, get in threads, json.loads, put one Parquet file."""
    import boto3
    import pyarrow as pa
    import pyarrow.parquet as pq
    from botocore.config import Config

    client: Any = boto3.client(
        "s3",
        endpoint_url=os.environ["AWS_ENDPOINT_URL"],
        config=Config(max_pool_connections=THREADS, s3={"addressing_style": "path"}, proxies={}),
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]

    def rows(key: str) -> list[Any]:
        body: bytes = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return [json.loads(line) for line in body.splitlines()]

    with ThreadPoolExecutor(THREADS) as pool:
        table = pa.Table.from_pylist([row for found in pool.map(rows, keys) for row in found])
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    client.put_object(Bucket="bench-lake", Key=f"boto3/{uuid.uuid4().hex}.parquet", Body=sink.getvalue())
    print(len(keys))


def bare_gets() -> None:
    """Run the GETs alone, with the client library and number of threads that Lakemesh uses."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=os.environ["AWS_ENDPOINT_URL"],
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    keys = [item["path"] for batch in obstore.list(store, chunk_size=5000) for item in batch]
    with ThreadPoolExecutor(THREADS) as pool:
        read = sum(pool.map(lambda key: len(obstore.get(store, key).bytes()) > 0, keys))
    print(read)


CONTENDERS: dict[str, Callable[[], None]] = {
    "ingest_feed": lakemesh,
    "boto3, json.loads, one Parquet": by_boto3,
    "bare obstore GETs": bare_gets,
}


def main() -> None:
    """Make the objects, run the contenders in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--lines", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--versitygw", metavar="PROGRAM", help="start this server on the loopback interface")
    parser.add_argument("--run", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        CONTENDERS[options.run]()
        return
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        environment = {"LANDING_URI": "s3://bench-{bucket}", "LAKE_URI": "s3://bench-lake", "LAKE_HOME": home}
        environment |= {"SQLMESH_DOTENV_PATH": "/dev/null"}
        if options.versitygw:
            from tests.s3_servers import SERVERS, serve_program

            objects_folder = Path(home) / "objects"
            server = stack.enter_context(serve_program(options.versitygw, SERVERS["versitygw"], objects_folder, []))
            environment = server | environment
        environment = {**os.environ, **environment}
        subprocess.run([sys.executable, "-m", "pipeline.dev.init_s3"], check=True, env=environment, stdout=sys.stderr)
        count = ["--events", str(options.objects * options.lines), "--events-per-file", str(options.lines)]
        sample = [str(Path(sys.executable).parent / "lake"), "sample", "--days", "10", *count, "--accounts", "0"]
        subprocess.run(sample, check=True, env=environment, stdout=subprocess.DEVNULL)

        def contender(name: str) -> Callable[[], Cost]:
            return lambda: measure([[sys.executable, "-m", "benchmarks.s3_files", "--run", name]], environment)

        results = compare({name: contender(name) for name in CONTENDERS}, options.rounds)
        bare = [sys.executable, "-m", "benchmarks.s3_files", "--run", "bare obstore GETs"]
        objects = int(subprocess.run(bare, check=True, env=environment, capture_output=True).stdout)
    print(report(objects, results))


def report(objects: int, results: dict[str, Cost]) -> str:
    """A Markdown table; speed is objects per wall time, relative to the first contender."""
    first = next(iter(results.values()))
    lines = [f"### {objects:,} objects on S3 ({this_machine()})", ""]
    lines += [
        "| contender | objects/s | CPU s | wall s | peak MB | speed | CPU ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {objects / cost.wall:,.0f} | {cost.cpu:.2f} | {cost.wall:.2f} | {cost.memory / 1e6:.0f} "
        f"| {first.wall / cost.wall:.2f} | {cost.cpu / first.cpu:.2f} |"
        for name, cost in results.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
