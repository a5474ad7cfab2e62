"""Write sample data to the landing, on disk or S3, to topics of Kafka, or to a database."""

from __future__ import annotations

from threading import Lock

from ingest.contracts.contract import Kind
from ingest.records.report import Progress
from ingest.settings import Settings, settings
from ingest.storage.landing import Landing
from ingest.topics.connection import Connection
from pipeline.dev.sample_topics import DatabaseWriter, TopicWriter, topic_feeds
from sample.generate import batches
from sample.objects import BUCKETS
from sample.options import SampleOptions
from sample.write import SampleSummary, write_objects

LANDING, KAFKA, POSTGRES = TARGETS = ("landing", "kafka", "postgres")


def write_sample(
    options: SampleOptions, progress: Progress, lake: Settings | None = None, to: str = LANDING, dsn: str = ""
) -> SampleSummary:
    """Write what the landing lacks of the sample, or what a broker or database lacks of the shop's part of it.

    Args:
        progress: called with (objects, bytes) after each object.
        to: one of TARGETS. Feeds that the broker or the database does not have go to the landing.
        dsn: of that database, as libpq takes it.

    Raises:
        ConfigError: a bucket is missing, the landing cannot be written, or there is no broker.
        RetriableError: the store, broker or database cannot be reached; the next run continues from there.
    """
    lake = lake or settings()
    writer: TopicWriter | DatabaseWriter | None = None
    buckets: set[str] = set()
    if to == KAFKA:
        writer, buckets = TopicWriter(Connection(lake), topic_feeds()), set(topic_feeds())
    elif to == POSTGRES:
        changes = {bucket: item for bucket, item in topic_feeds().items() if item.kind is Kind.CHANGE}
        writer, buckets = DatabaseWriter(dsn, changes), set(changes)
    stores = {bucket: Landing(lake.landing(bucket), lake) for bucket in BUCKETS if bucket not in buckets}
    sizes: dict[tuple[str, str], int] = {}
    for bucket, store in stores.items():
        listed = store.listing()
        pairs = zip(listed.column("key").to_pylist(), listed.column("size").to_pylist(), strict=True)
        sizes |= {(bucket, key): size for key, size in pairs}
    if writer:
        filled = writer.filled
        sizes |= {(batch.bucket, key): -1 for batch in batches(options) if batch.bucket in filled for key in batch.keys}
    lock = Lock()

    def put(bucket: str, key: str, body: bytes) -> None:
        if bucket in stores:
            stores[bucket].put(key, body)
        elif writer:
            with lock:
                writer.put(bucket, body)

    summary = write_objects(options, put, sizes, progress)
    if writer:
        writer.flush()
    return summary
