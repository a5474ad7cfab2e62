"""Features as of each row of a file of entities, by Feast: train.py VIEW ENTITIES.csv OUTPUT.parquet."""

import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from feast import FeatureStore

NAMES = (
    *("country_code", "is_registered", "order_count", "cancelled_order_count", "refund_count", "gross_amount"),
    *("net_amount", "refunded_amount", "registered_at", "first_order_at", "last_order_at"),
)


def main() -> None:
    """Read, join, write."""
    view, entities, output = sys.argv[1:]
    rows = pd.read_csv(entities)
    rows["event_timestamp"] = pd.to_datetime(rows["event_timestamp"], utc=True, format="ISO8601")
    store = FeatureStore(repo_path=str(Path(__file__).resolve().parent))
    job = store.get_historical_features(rows, [f"{view}:{name}" for name in NAMES])
    pq.write_table(job.to_arrow(), output)


if __name__ == "__main__":  # `feast apply` imports every module of the folder
    main()
