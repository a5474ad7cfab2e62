"""On the reference sample, gold equals the reference's gold, however the files arrived."""

from __future__ import annotations

import math
from pathlib import Path

import duckdb
import pytest

from tests.home import Home, split_reference

pytestmark = pytest.mark.usefixtures("engagement")

KEYS = "date, country_code, os_name, os_version, app_version, subscription_status, activity_type, collection_id"
GOLD = f"SELECT {KEYS}, activities_played, completion_rate, total_time_spent FROM {{}} ORDER BY ALL"
ENRICHED = (
    "SELECT event_id::TEXT, user_id::TEXT, activity_id, occurred_at, duration_seconds, completed_flag, os_name, "
    "os_version, app_version, collection_id, activity_name, activity_type, activity_subtype, country_code, "
    "subscription_status, date FROM {} ORDER BY ALL"
)


def must_equal_reference(home: Home, reference: Path) -> None:
    for query, table, file, rows in (
        (ENRICHED, "silver.activity_events_enriched", "intermediate_activity_events_enriched.parquet", 7817),
        (GOLD, "gold.activity_engagement_metrics", "activity_engagement_metrics.parquet", 2239),
    ):
        expected = duckdb.sql(query.format(f"'{reference}/expected/{file}'")).fetchall()
        found = home.rows(query.format(table))
        assert len(expected) == len(found) == rows
        for actual, wanted in zip(found, expected, strict=True):
            assert actual[:-1] == wanted[:-1]
            close = math.isclose(actual[-1], wanted[-1], rel_tol=1e-9) if isinstance(actual[-1], float) else None
            assert actual[-1] == wanted[-1] or close


def test_hundreds_of_small_files_give_the_reference_gold(home: Home, reference: Path) -> None:
    objects = split_reference(reference)
    assert len(objects) > 300
    for feed, key, lines in objects:
        home.put(feed, key, *lines)

    summary = home.ingest()
    home.plan()

    assert sum(feed.records for feed in summary.feeds) == 7817 + 409 + 1492
    assert sum(feed.quarantined for feed in summary.feeds) == 0
    must_equal_reference(home, reference)


def test_five_shuffled_batches_with_a_run_after_each_give_the_reference_gold(home: Home, reference: Path) -> None:
    objects = split_reference(reference, seed=7)
    home.plan()
    for number in range(5):
        for feed, key, lines in objects[number::5]:
            home.put(feed, key, *lines)
        home.ingest()
        assert home.run() == "SUCCESS"
    must_equal_reference(home, reference)
    assert home.run() == "NOTHING_TO_DO"


@pytest.mark.s3
def test_a_real_s3_server_gives_the_reference_gold(s3_home: Home, reference: Path) -> None:
    assert s3_home.options.lake_uri.startswith("s3://")
    for feed, key, lines in split_reference(reference):
        s3_home.put(feed, key, *lines)
    s3_home.ingest()
    s3_home.plan()

    must_equal_reference(s3_home, reference)
