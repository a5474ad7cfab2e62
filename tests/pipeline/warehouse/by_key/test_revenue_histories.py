"""Tables that are computed by key have the rows of their queries after every cycle of a random history of revenue.

Versions arrive late or again; objects are overwritten and dropped; files are compacted and deleted at once; loads,
plain `sqlmesh run` and cycles alternate; cycles fail, are blocked by audits, or are killed while they write a table.
HISTORIES sets how many histories there are, HISTORY the number of the first, ROUNDS their length.
"""

from __future__ import annotations

import os

import duckdb
import pytest

from tests.home import Home, copy_home
from tests.revenue_world import Revenue

pytestmark = pytest.mark.usefixtures("by_key_models")

ROUNDS = int(os.environ.get("ROUNDS", "3"))
FIRST, HISTORIES = int(os.environ.get("HISTORY", "1")), int(os.environ.get("HISTORIES", "1"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + HISTORIES))
def test_tables_have_the_rows_of_their_queries(revenue_lake: Home, home: Home, seed: int) -> None:
    world = Revenue(copy_home(revenue_lake, home), seed)
    arrivals = {
        world.day: 3,
        world.records: 6,
        world.user: 1,
        world.again: 1,
        world.overwrite: 4,
        world.drop: 1,
        world.maintain: 3,
        world.load: 3,
    }
    computations = {world.cycle: 4, world.run: 1, world.fail: 2, world.block: 1}
    killed = world.dice.randrange(ROUNDS)
    for number in range(ROUNDS):
        for act in world.dice.choices(list(arrivals), list(arrivals.values()), k=world.dice.randrange(2, 7)):
            act()
        (compute,) = world.dice.choices(list(computations), list(computations.values()))
        (world.kill if number == killed else compute)()
    world.records()
    world.cycle()
    with duckdb.connect(home.options.warehouse_path, read_only=True) as warehouse:
        changes = warehouse.execute("SELECT SUM((state->>'sequence')::INT) FROM lakemesh.by_key").fetchone()
    assert changes
    assert changes[0] > 0, "everything was computed as a whole, so nothing is shown"
