"""Tables that are computed by key have the rows of their queries after every cycle of a random history of revenue.

Versions arrive late or again; objects are overwritten and dropped; files are compacted and deleted at once; loads,
plain `sqlmesh run` and cycles alternate; cycles fail, are blocked by audits, or are killed while they write a table.
HISTORIES sets how many histories there are, HISTORY the number of the first, STEPS their length.
"""

from __future__ import annotations

import os

import duckdb
import pytest

from tests.home import Home, copy_home
from tests.revenue_world import Revenue

pytestmark = pytest.mark.usefixtures("by_key_models")

STEPS = int(os.environ.get("STEPS", "4"))
FIRST, HISTORIES = int(os.environ.get("HISTORY", "1")), int(os.environ.get("HISTORIES", "1"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + HISTORIES))
def test_tables_have_the_rows_of_their_queries(revenue_lake: Home, home: Home, seed: int) -> None:
    world = Revenue(copy_home(revenue_lake, home), seed)
    acts = {
        world.day: 3,
        world.records: 6,
        world.user: 1,
        world.again: 1,
        world.overwrite: 3,
        world.drop: 1,
        world.maintain: 3,
        world.load: 2,
        world.run: 1,
        world.fail: 1,
        world.block: 0.5,
        world.cycle: 5,
    }
    killed = world.dice.randrange(STEPS)
    for step in range(STEPS):
        world.dice.choices(list(acts), weights=list(acts.values()))[0]()
        if step == killed:
            world.kill()
    world.records()
    world.cycle()
    with duckdb.connect(home.options.warehouse_path, read_only=True) as warehouse:
        changes = warehouse.execute("SELECT SUM((state->>'sequence')::INT) FROM lakemesh.by_key").fetchone()
    assert changes
    assert changes[0] > 0, "everything was computed as a whole, so nothing is shown"
