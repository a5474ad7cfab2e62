"""Real processes, killed and concurrent: every record is loaded exactly once."""

from __future__ import annotations

import datetime as dt
import random
import signal
import subprocess
import sys
import time

import pytest

from ingest.contracts.contract import contracts
from ingest.ledger.ledger import Ledger
from ingest.settings import PROJECT
from ingest.storage.store import Store
from pipeline.dev.sampling import write_sample
from pipeline.warehouse.bronze import bronze_query
from pipeline.warehouse.duck import connect
from sample.objects import Tally
from sample.options import SampleOptions
from tests.handle import verify_feed
from tests.home import Home

INGEST = [sys.executable, "-m", "pipeline", "ingest"]


@pytest.fixture
def landed(home: Home) -> Tally:
    """A landing of many small objects with bad lines, and its contents."""
    options = SampleOptions(
        end=dt.date(2026, 1, 31), events=6000, days=20, events_per_file=20, accounts=0, duplicates=0.02, malformed=0.01
    )
    return write_sample(options, lambda objects, size: None).tally


def must_hold_each_record_once(home: Home, landed: Tally) -> None:
    """Compare bronze and quarantine, as a reader sees them, with what was landed."""
    lake = Store(home.options.lake_uri)
    expected = {"events": landed.events + landed.duplicates, "users": landed.users, "activities": landed.activities}
    for feed, rows in expected.items():
        verdict = verify_feed(contracts()[feed], home.options)
        assert (verdict.differences, verdict.waiting, verdict.rows) == ([], 0, rows)
        assert verdict.quarantined == (landed.malformed if feed == "events" else 0)
        state = Ledger(lake, feed).state()
        query = bronze_query(contracts()[feed], lake.uri, state.bronze_files())
        with connect(home.options) as connection:
            found = connection.execute(
                f"SELECT COUNT(*), COUNT(DISTINCT (_source_file, _source_line)) FROM ({query})"
            ).fetchone()
        assert found == (rows, rows)


def test_ingest_killed_repeatedly_ends_complete(home: Home, landed: Tally) -> None:
    clock = random.Random(1)
    started = time.monotonic()
    subprocess.run([*INGEST, "users"], cwd=PROJECT, check=True, capture_output=True)
    whole = time.monotonic() - started
    killed = 0
    for _ in range(8):
        process = subprocess.Popen(INGEST, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(clock.uniform(0.3, 1.2) * whole)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
    assert killed > 0

    subprocess.run(INGEST, cwd=PROJECT, check=True, capture_output=True)

    must_hold_each_record_once(home, landed)


def test_concurrent_ingesters_share_the_work_without_duplicates(home: Home, landed: Tally) -> None:
    processes = [
        subprocess.Popen(INGEST, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")

    must_hold_each_record_once(home, landed)


@pytest.mark.s3
def test_second_ingester_must_wait_on_a_store_without_conditional_writes(s3_home: Home) -> None:
    s3_home.put("activities", "a.json", *({"activity_id": f"a{number}", "type": "game"} for number in range(20_000)))
    processes = [
        subprocess.Popen(INGEST, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    results = [(process.communicate()[1], process.returncode) for process in processes]

    assert any(code == 0 for _, code in results)
    refused = [error for error, code in results if code]
    assert all("another `lake ingest` on this host is writing to s3://lake" in error for error in refused)
    assert [code for _, code in results if code] == [1] * len(refused)
    assert Ledger(Store("s3://lake"), "activities").state().position == 1


@pytest.mark.s3
def test_overwritten_object_on_s3_shows_only_its_new_rows(s3_home: Home) -> None:
    s3_home.put("activities", "a.json", {"activity_id": "a1"}, {"activity_id": "a2"})
    s3_home.put("activities", "b.json", {"activity_id": "b1"})
    s3_home.ingest("activities")
    s3_home.put("activities", "a.json", {"activity_id": "a3"})
    (report,) = s3_home.ingest("activities").feeds

    assert (report.replaced, report.rows) == (1, 1)
    s3_home.ingest()
    s3_home.plan()
    assert s3_home.rows("SELECT activity_id FROM silver.activities ORDER BY 1") == [("a3",), ("b1",)]
