"""Sample data into the landing, wherever that is."""

from __future__ import annotations

from ingest.load import Progress
from ingest.settings import Settings, settings
from ingest.store import Store
from sample.objects import BUCKETS
from sample.options import SampleOptions
from sample.write import SampleSummary, write_objects


def write_sample(options: SampleOptions, progress: Progress, lake: Settings | None = None) -> SampleSummary:
    """Writes the objects that the landing lacks.

    Args:
        progress: called with (objects, bytes) after each object.

    Raises:
        ConfigError: a bucket is missing, or the landing cannot be written.
        RetriableError: the store cannot be reached; the next run goes on from there.
    """
    lake = lake or settings()
    stores = {bucket: Store(lake.landing(bucket), lake) for bucket in BUCKETS}
    sizes = {(bucket, item.key): item.size for bucket, store in stores.items() for item in store.list()}
    return write_objects(options, lambda bucket, key, body: stores[bucket].put(key, body), sizes, progress)
