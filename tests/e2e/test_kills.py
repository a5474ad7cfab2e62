"""`lake run` killed at random moments next to a reader: every read is a complete audited release, all data at the end.

KILLS sets how many; the reads are checked as they happen.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import tests.home
from ingest.contracts.contract import contracts
from ingest.settings import PROJECT
from pipeline.cycle.cycle import run_cycle
from pipeline.lake import Lake
from pipeline.releases.release import Releases
from pipeline.state.opening import state_database
from pipeline.state.state import applied_positions
from tests import rebuilt
from tests.home import Home

pytestmark = pytest.mark.usefixtures("engagement")

DAYS = [f"2026-01-{day:02}" for day in range(1, 11)]
READER = """
import sys, time, duckdb
path, log = sys.argv[1:]
while True:
    try:
        with duckdb.connect() as reader:
            reader.execute(f"ATTACH '{path}' AS lake (READ_ONLY)")
            query = '''SELECT (SELECT SUM(activities_played) FROM lake.gold.activity_engagement_metrics),
                (SELECT SUM(plays) FROM lake.gold.activity_popularity_daily),
                (SELECT SUM(activities_played) FROM lake.gold.activity_engagement_metrics_monthly),
                (SELECT SUM(plays) FROM lake.gold.rpt_most_played_activities)'''
            seen = reader.execute(query).fetchone()
        with open(log, 'a') as file:
            print(*map(int, seen), file=file, flush=True)
    except Exception as error:
        with open(log, 'a') as file:
            print('error', type(error).__name__, str(error).replace(chr(10), ' '), file=file, flush=True)
    time.sleep(0.05)
"""


def event(name: str, day: str, number: int) -> dict[str, Any]:
    return {
        "event_id": name,
        "name": "activity_exit",
        "occurred_at": f"{day} 10:00:00",
        "user_id": f"u{number % 5}",
        "data": {"activity_id": f"a{number % 3}", "duration": 60.0, "completed": True, "collection_id": ""},
        "context": {"os": {"name": "iOS", "version": "1"}, "app": {"version": "1"}},
    }


@pytest.mark.parametrize("kind", ["home", "postgres_home"])
def test_killed_cycles_next_to_a_reader(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    home: Home = request.getfixturevalue(kind)
    dice = random.Random(7)
    for number in range(5):
        home.put("users", f"{number}.json", {"user_id": f"u{number}", "country_code": "fr"})
    for number in range(3):
        home.put("activities", f"{number}.json", {"activity_id": f"a{number}", "name": "x", "type": "game"})
    home.put("events", "first.json", *(event(f"first-{day}", day, 0) for day in DAYS))
    home.ingest()
    home.plan()
    assert run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None).outcome == "published"
    log = tmp_path / "reader.log"
    catalog = f"{home.options.published_uri}/current.duckdb"
    reader = subprocess.Popen([sys.executable, "-c", READER, catalog, str(log)])
    kills = int(os.environ.get("KILLS", "4"))
    killed = 0
    try:
        for round_ in range(kills):
            lines = [event(f"e{round_}-{n}", dice.choice(DAYS), n) for n in range(dice.randint(1, 6))]
            home.put("events", f"{dice.randint(0, 9)}.json", *lines)
            command = [sys.executable, "-m", "tests.worker", "--project", str(tests.home.PROJECT), "lake", "run"]
            cycle = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                cycle.wait(timeout=dice.uniform(0.5, 6.0))
            except subprocess.TimeoutExpired:
                cycle.send_signal(signal.SIGKILL)
                cycle.wait()
                killed += 1
        done = run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None, wait_seconds=5)
        assert done.outcome in ("published", "unchanged"), done.errors
        time.sleep(0.5)
    finally:
        reader.kill()
        reader.wait()

    reads = log.read_text().splitlines()
    assert [line for line in reads if line.startswith("error")] == []
    assert all(len(set(line.split())) == 1 for line in reads), "a reader saw tables of different releases"
    landing = Path(home.options.lake_home) / "landing"
    expected = rebuilt.daily(landing)
    assert int(reads[-1].split()[0]) == sum(plays for plays, *_ in expected.values())
    with Releases(home.options).connect() as connection:
        rows = connection.execute(
            "SELECT date, country_code, subscription_status, activity_type, SUM(activities_played)::INT "
            "FROM lake.gold.activity_engagement_metrics GROUP BY ALL"
        ).fetchall()
    assert {row[:4]: row[4] for row in rows} == {key: sums[0] for key, sums in expected.items()}
    with state_database(home.options).open() as state:
        assert set(applied_positions(state)) == set(contracts())
    print(f"{kills} cycles, {killed} killed, {len(reads)} reads")
