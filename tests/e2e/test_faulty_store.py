"""Over a network that breaks a fifth of all requests nothing is lost, nothing is duplicated and nothing hangs."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from ingest.contracts.contract import contracts
from ingest.errors import LakemeshError
from ingest.ledger.ledger import Ledger
from ingest.settings import settings
from ingest.storage.bucket import s3_client
from ingest.storage.kinds import s3
from ingest.storage.landing import Landing
from ingest.storage.objects import ObjectChanged
from ingest.storage.store import Store
from pipeline.cycle.ingest import IngestSummary
from pipeline.dev.sampling import write_sample
from sample.options import SampleOptions
from tests.e2e.test_faults import must_hold_each_record_once
from tests.faulty_store import FAULTS, FaultyStore, faulty
from tests.handle import ingest_all, verify_feed
from tests.home import Home

pytestmark = pytest.mark.s3


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Put a faulty network in front of a home's store while the body runs."""

    @contextmanager
    def enter(home: Home, rate: float, stall_seconds: float) -> Iterator[FaultyStore]:
        with faulty(home.options.aws_endpoint_url or "", rate, stall_seconds=stall_seconds) as (address, network):
            with monkeypatch.context() as spoiled:
                for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
                    spoiled.setenv(name, address)
                settings.cache_clear()
                yield network
            settings.cache_clear()

    return enter


def ingest(*feeds: str) -> IngestSummary:
    return ingest_all(*feeds)


@pytest.mark.parametrize(
    ("stall_seconds", "answer_seconds"),
    [
        pytest.param(1.0, 60.0, marks=(pytest.mark.slow, pytest.mark.timeout(180)), id="short stalls"),
        pytest.param(3.0, 2.0, marks=pytest.mark.timeout(180), id="stalls longer than the client waits"),
        pytest.param(30.0, 60.0, marks=(pytest.mark.slow, pytest.mark.timeout(1800)), id="stalls of 30 s"),
        pytest.param(30.0, 20.0, marks=(pytest.mark.slow, pytest.mark.timeout(1800)), id="30 s, the client waits 20 s"),
    ],
)
@pytest.mark.parametrize("kind", ["s3_home", "conditional_home"])
def test_ingest_ends_complete(
    kind: str,
    stall_seconds: float,
    answer_seconds: float,
    behind: Callable[..., Any],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home: Home = request.getfixturevalue(kind)
    monkeypatch.setattr(s3, "REQUEST_TIMEOUT_SECONDS", answer_seconds)
    options = SampleOptions(
        end=dt.date(2026, 1, 31), events=1500, days=5, events_per_file=10, accounts=0, duplicates=0.02, malformed=0.01
    )
    landed = write_sample(options, lambda objects, size: None).tally
    with behind(home, 0.2, stall_seconds) as network:
        for _ in range(15):
            with suppress(LakemeshError):
                summary = ingest()
                if summary.exit_code == 0:
                    break
        else:
            pytest.fail(f"did not end: {summary}")
        assert all(network.seen[fault] for fault in FAULTS), network.seen

    must_hold_each_record_once(home, landed)


@pytest.mark.timeout(120)
def test_a_store_that_sends_retry_after_is_not_called_until_then(s3_home: Home, behind: Callable[..., Any]) -> None:
    s3_home.put("activities", "a.json", {"activity_id": "a1", "name": "A", "type": "game", "subtype": "x"})
    with behind(s3_home, 0.0, 1.0) as network:
        network.throttle(12.0)
        began = time.monotonic()
        summary = ingest("activities")
        took = time.monotonic() - began
    assert summary.exit_code == 0
    assert [(report.objects, report.rows) for report in summary.feeds] == [(1, 1)]
    assert 12 <= took < 30
    assert network.seen["throttled"] <= 20, "it kept sending requests"


@pytest.mark.parametrize("fault", ["cut body", "reset within"])
@pytest.mark.parametrize(
    "part", ["ledger%2Factivities", "/ledger/activities/_sweep", "/raw-activities?", "/raw-activities/a.json"]
)
def test_a_read_whose_answer_breaks_off_is_repeated(
    part: str, fault: str, conditional_home: Home, behind: Callable[..., Any]
) -> None:
    conditional_home.put("activities", "a.json", {"activity_id": "a"})
    with behind(conditional_home, 0.0, stall_seconds=1.0) as network:
        network.aim("GET", part, fault)
        summary = ingest("activities")
        assert network.seen[fault] == 1
    assert (summary.exit_code, summary.errors) == (0, [])
    assert [(report.objects, report.rows) for report in summary.feeds] == [(1, 1)]


def test_a_cut_answer_that_an_object_is_gone_is_repeated(s3_home: Home, behind: Callable[..., Any]) -> None:
    s3_home.put("activities", "a.json", {"activity_id": "a"})
    with behind(s3_home, 0.0, stall_seconds=1.0) as network:
        landing = Landing(settings().landing("raw-activities"), settings())
        version = landing.find("a.json")
        assert version
        s3_client(s3_home.options).delete_object(Bucket="raw-activities", Key="a.json")
        network.aim("GET", "/raw-activities/a.json", "cut body")
        with pytest.raises(ObjectChanged):
            b"".join(landing.read(version))
        assert network.seen["cut body"] == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_of_the_commit_itself_neither_loses_nor_duplicates(
    fault: str, conditional_home: Home, behind: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "REQUEST_TIMEOUT_SECONDS", 1.0)
    conditional_home.put("activities", "a.json", {"activity_id": "a"}, b"bad")
    with behind(conditional_home, 0.0, stall_seconds=2.0) as network:
        network.aim("PUT", "/ledger/activities/0", fault)
        summary = ingest("activities")
        assert network.seen[fault] == 1
    assert summary.exit_code == 1  # at least for the bad line
    if fault == "stall":  # the store accepts the entry long after the client gave up
        time.sleep(2)

    ingest("activities")

    assert Ledger(Store("s3://lake", conditional_home.options), "activities").position() == 1
    verdict = verify_feed(contracts()["activities"], conditional_home.options, deep=True)
    assert (verdict.rows, verdict.quarantined, verdict.waiting, verdict.differences) == (1, 1, 0, [])
