"""Customers' features in a release, as they happened and as they were known."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.data_format import ParquetFormat
from feast.types import Bool, Decimal, Int64, String, UnixTimestamp
from release_files import files_of

TTL = timedelta(days=3650)  # how old features may be at most; a row holds until the next one

customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64)


def _view(name: str, table: str, at: str) -> FeatureView:
    source = FileSource(name=table, path=files_of(table), file_format=ParquetFormat(), timestamp_field=at)
    schema = [
        Field(name="customer_id", dtype=Int64),
        Field(name="country_code", dtype=String),
        Field(name="is_registered", dtype=Bool),
        Field(name="order_count", dtype=Int64),
        Field(name="cancelled_order_count", dtype=Int64),
        Field(name="refund_count", dtype=Int64),
        Field(name="gross_amount", dtype=Decimal),
        Field(name="net_amount", dtype=Decimal),
        Field(name="refunded_amount", dtype=Decimal),
        Field(name="registered_at", dtype=UnixTimestamp),
        Field(name="first_order_at", dtype=UnixTimestamp),
        Field(name="last_order_at", dtype=UnixTimestamp),
    ]
    return FeatureView(name=name, entities=[customer], schema=schema, source=source, ttl=TTL)


happened = _view("customer_features", "gold.fct_customer_features", "feature_at")
known = _view("customer_features_known", "gold.fct_customer_features_known", "known_at")
