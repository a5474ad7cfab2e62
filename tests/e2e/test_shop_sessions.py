"""Sessions of random clicks that land in any order, with cycles between, are those of all clicks at once."""

from __future__ import annotations

import datetime as dt
import os
import random
from pathlib import Path

import pytest

from tests.home import Home, use_project
from tests.shop_clicks import clicks_project, compute, must_be_right
from tests.shop_sessions import DAY, random_clicks

SHOPS = int(os.environ.get("SHOPS", "3"))
SPRING, AUTUMN = dt.date(2026, 3, 27), dt.date(2025, 10, 24)
"""Two days before the clocks change."""
DAYS = 6


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clicks_project(tmp_path_factory.mktemp("project") / "clicks")


@pytest.fixture(params=range(SHOPS))
def shop(
    request: pytest.FixtureRequest, home: Home, project: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Home, int]:
    use_project(project, monkeypatch)
    return home, request.param


def test_sessions_are_those_of_all_clicks_after_each_cycle(
    shop: tuple[Home, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, number = shop
    dice = random.Random(f"loads {number}")
    first = (SPRING, AUTUMN)[number % 2]
    lines = random_clicks(number, first - DAY, DAYS + 1)  # one day before the history of the lake, too
    monkeypatch.setenv("LAKE_START", str(first))
    if dice.random() < 0.5:
        dice.shuffle(lines)
    else:  # in order but for some
        lines.sort(key=lambda line: (dice.random() < 0.2, str(line["occurred_at"])[:10], dice.random()))
    cuts = sorted(dice.sample(range(1, len(lines)), 7))
    loads = [lines[start:end] for start, end in zip([0, *cuts], [*cuts, len(lines)], strict=True)]
    landed = []
    ends = sorted(dice.randrange(DAYS - 1) for _ in loads[1:])  # some cycles on the same day, some after days without
    for place, (load, computed) in enumerate(zip(loads, [*ends, DAYS - 1], strict=True)):
        home.put("clickstream", f"{place:04}.json", *load)
        landed += load
        home.ingest("clickstream")
        last = first + computed * DAY
        now = dt.datetime.combine(last + DAY, dt.time(0, 5), dt.UTC)
        if place == 0:
            home.plan(execution_time=now)
        else:
            compute(home, now)
        found = must_be_right(home, landed, first, last)
    assert len(found) > 40
