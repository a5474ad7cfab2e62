"""Over a network that spoils a fifth of all requests nothing is lost, nothing is doubled and nothing hangs."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from ingest.errors import RetriableError
from ingest.settings import settings
from pipeline.cycle import ingest_all
from pipeline.sampling import write_sample
from sample.options import SampleOptions
from tests.e2e.test_faults import must_hold_each_record_once
from tests.faulty_store import FAULTS, faulty
from tests.home import Home

pytestmark = pytest.mark.s3


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["s3_home", "conditional_home"])
def test_ingest_ends_complete(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    home: Any = request.getfixturevalue(kind)
    options = SampleOptions(
        end=dt.date(2026, 1, 31), events=1500, days=5, events_per_file=10, duplicates=0.02, malformed=0.01
    )
    landed = write_sample(options, lambda objects, size: None).tally
    with faulty(home.options.aws_endpoint_url, rate=0.2) as (address, network):
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.setenv(name, address)
        settings.cache_clear()
        spoiled = Home()
        for _ in range(10):
            try:
                summary = ingest_all((), lambda _: lambda objects, size: None)
            except RetriableError:
                continue
            if summary.exit_code == 0:
                break
        else:
            pytest.fail(f"did not end: {summary.errors}")
        assert spoiled.options.aws_endpoint_url == address
        assert all(network.seen[fault] for fault in FAULTS), network.seen

    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, home.options.aws_endpoint_url)
    settings.cache_clear()
    must_hold_each_record_once(home, landed)
