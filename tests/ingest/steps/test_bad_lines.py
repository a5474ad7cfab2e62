"""Bad lines of every kind among good ones: each good one becomes a row, each bad one is quarantined with its reason."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import duckdb
import pytest

from tests.ingest.steps.test_parse import BAD

PER_FILE = 500
LONG = (pytest.mark.slow, pytest.mark.timeout(3600))


@pytest.mark.parametrize(
    "files", [pytest.param(20, id="5,000 bad lines"), pytest.param(400, id="100,000 bad lines", marks=LONG)]
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_no_good_line_is_affected_by_its_neighbours(
    lake: Any, event: Callable[..., Any], pack: Callable[[bytes], bytes], files: int
) -> None:
    dice = random.Random(5)
    kinds = list(BAD.values())
    good = 0
    reasons: Counter[str] = Counter()
    for number in range(files):
        lines = []
        for _ in range(PER_FILE):
            if dice.random() < 0.5:
                lines.append(json.dumps(event(f"good-{good}")).encode())
                good += 1
            else:
                text, reason, _ = dice.choice(kinds)
                lines.append(text.replace(b"2026-01-11", b"2126-01-11"))  # in the future of these files too
                reasons[reason] += 1
        lake.landing("events").put(f"{number}.json", pack(b"\n".join(lines)))

    report = lake.ingest()

    assert (report.rows, report.quarantined) == (good, sum(reasons.values()))
    assert dict(report.reasons) == reasons
    assert report.quarantined > files * PER_FILE * 0.49
    assert len(kinds) >= 25
    rows = {row["event_id"] for row in lake.bronze(columns="event_id, _source_file, _source_line")}
    assert rows == {f"good-{number}" for number in range(good)}
    bad = [f"{lake.store.uri}/{path}" for path in lake.ledger().state().files if path.startswith("quarantine/")]
    distinct = duckdb.sql(f"SELECT COUNT(DISTINCT (_source_file, _source_line)) FROM read_parquet({bad})").fetchone()
    assert distinct == (sum(reasons.values()),)
