"""On a store that honours conditional writes, any number of ingesters work concurrently."""

from __future__ import annotations

import datetime as dt
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from ingest.contracts.contract import contracts
from ingest.ledger.ledger import Ledger
from ingest.settings import PROJECT
from ingest.storage.landing import Landing
from ingest.storage.objects import ObjectChanged
from ingest.storage.store import Store
from pipeline.cycle.maintain import maintain_feed
from pipeline.dev.sampling import write_sample
from pipeline.lake import Lake
from sample.options import SampleOptions
from tests.e2e.test_faults import INGEST, must_hold_each_record_once
from tests.handle import verify_feed
from tests.home import Home
from tests.s3_servers import SERVERS

pytestmark = [pytest.mark.s3, pytest.mark.parametrize("conditional_home", sorted(SERVERS), indirect=True)]


def test_of_many_writers_of_one_key_exactly_one_wins(conditional_home: Home) -> None:
    store = Store("s3://lake", conditional_home.options)
    assert store.honours_put_if_absent()
    for number in range(10):
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda writer, key=f"race/{number}": store.put_new(key, b"%d" % writer), range(8)))
        assert won.count(True) == 1
        assert store.get(f"race/{number}") == b"%d" % won.index(True)


def test_version_that_was_overwritten_after_its_listing_is_not_read(conditional_home: Home) -> None:
    store = Landing("s3://raw-users", conditional_home.options)
    store.put("a.json", b"old")
    (listed,) = store.list()
    store.put("a.json", b"new")
    with pytest.raises(ObjectChanged):
        list(store.read(listed))
    store.delete(["a.json"])
    with pytest.raises(ObjectChanged):
        list(store.read(listed))


def test_concurrent_ingesters_load_each_record_once_without_a_lock(conditional_home: Home) -> None:
    options = SampleOptions(
        end=dt.date(2026, 1, 31), events=3000, days=10, events_per_file=20, accounts=0, duplicates=0.02, malformed=0.01
    )
    landed = write_sample(options, lambda objects, size: None).tally
    processes = [
        subprocess.Popen(INGEST, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        shown, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
        assert "ignores conditional writes" not in shown

    must_hold_each_record_once(conditional_home, landed)


def test_overwriting_compacting_and_verifying_work(conditional_home: Home) -> None:
    for number in range(5):
        conditional_home.put("activities", f"{number}.json", {"activity_id": f"a{number}"})
        conditional_home.ingest("activities")
    conditional_home.put("activities", "3.json", {"activity_id": "new"}, b"bad")
    contract = contracts()["activities"]

    done = maintain_feed(Lake(conditional_home.options), contract, dt.timedelta(0))
    conditional_home.ingest("activities")

    assert (done.compaction.before, done.compaction.after) == (5, 1)
    verdict = verify_feed(contract, conditional_home.options, deep=True)
    assert (verdict.rows, verdict.quarantined, verdict.differences) == (5, 1, [])
    assert Ledger(Store("s3://lake", conditional_home.options), "activities").position() == 7
