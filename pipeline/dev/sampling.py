"""Write sample data to the landing, on disk or S3."""

from __future__ import annotations

from ingest.records.report import Progress
from ingest.settings import Settings, settings
from ingest.storage.landing import Landing
from sample.objects import BUCKETS
from sample.options import SampleOptions
from sample.write import SampleSummary, write_objects


def write_sample(options: SampleOptions, progress: Progress, lake: Settings | None = None) -> SampleSummary:
    """Write the sample objects that are missing from the landing.

    Args:
        progress: called with (objects, bytes) after each object.

    Raises:
        ConfigError: a bucket is missing, or the landing cannot be written.
        RetriableError: the store cannot be reached; the next run continues from there.
    """
    lake = lake or settings()
    stores = {bucket: Landing(lake.landing(bucket), lake) for bucket in BUCKETS}
    sizes: dict[tuple[str, str], int] = {}
    for bucket, store in stores.items():
        listed = store.listing()
        pairs = zip(listed.column("key").to_pylist(), listed.column("size").to_pylist(), strict=True)
        sizes |= {(bucket, key): size for key, size in pairs}
    return write_objects(options, lambda bucket, key, body: stores[bucket].put(key, body), sizes, progress)
