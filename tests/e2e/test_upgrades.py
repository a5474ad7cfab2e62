"""Lakes of every older version, as its operators have them on disk, are continued by this version.

tests/make_older_lake.py has made them: landing, lake, state, warehouse and two releases, the second on 23 November 2026
at 06:00 UTC. The upgrade is an hour later.
"""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pytest
import time_machine
from sqlmesh.core.model import Model
from sqlmesh.core.snapshot import Snapshot

from ingest.contracts.contract import contracts
from ingest.settings import PROJECT, settings
from ingest.sql import identifiers, literal
from pipeline.cycle.rebuild import rebuild
from pipeline.lake import Lake
from pipeline.releases.catalog import create_views
from pipeline.releases.release import Releases, catalog_key
from pipeline.warehouse.duck import in_memory
from pipeline.warehouse.project import plain_name
from tests.engagement import cycle
from tests.handle import verify_feed
from tests.home import Home, copy_project, use_project
from tests.make_older_lake import COMMITS, PLACE

NOW = dt.datetime(2026, 11, 23, 7, tzinfo=dt.UTC)
PERIOD = {"start": "2026-11-01", "end": "2026-11-02", "execution_time": "2026-11-03"}
DIFFERENT = {"gold.rpt_customer_lifetime": {"lifetime_value"}}
"""Columns of gold that are defined otherwise since: NULL at a gross margin of 100 %, see the changelog."""
UNTOUCHED = {"gold.dim_plan", "silver.exchange_rates", "ops.audit_results", "ops.runs"}
"""Tables and views that an upgrade from any version leaves as they are, apart from seeds."""


@pytest.fixture(params=list(COMMITS))
def older(
    request: pytest.FixtureRequest, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Home]:
    """The lake of an older version, at the time of its upgrade.

    The project is a copy: SQLMesh caches snapshots in its folder, and takes those of another lake for this one's.
    """
    use_project(copy_project(tmp_path / "project"), monkeypatch)
    monkeypatch.setenv("LAKE_START", "2026-01-01")
    settings.cache_clear()
    with zipfile.ZipFile(PROJECT / f"tests/data/upgrade_{request.param.replace('.', '_')}.zip") as kept:
        kept.extractall(home.options_home)
    with time_machine.travel(NOW):
        yield Home()


def definition(model: Model) -> tuple[str, ...]:
    """What decides the rows of a model: kind, SQL as written and as rendered; of other models their columns."""
    if model.kind.is_external or model.kind.is_seed:
        return (str(model.kind.name), str(model.columns_to_types))
    rendered = model.render_query(**PERIOD)
    return (str(model.kind.name), model.query.sql("duckdb", comments=False), rendered.sql("duckdb", comments=False))


def test_plan_backfills_what_changed_and_what_reads_it_and_nothing_else(older: Home) -> None:
    # GIVEN the models of production in the older state, and those of this version
    context = older.context()
    try:
        environment = context.state_reader.get_environment("prod")
        snapshots = context.state_reader.get_snapshots(environment.snapshots).values()
        before: dict[str, Snapshot] = {item.name: item for item in snapshots if item.is_model}
        assert {plain_name(name) for name in before if context.get_model(name) is None} == set()
        changed = {
            name for name, item in before.items() if definition(item.model) != definition(context.get_model(name))
        }
        reading = {name for item in changed for name in context.dag.downstream(item)}

        # WHEN the upgrade is planned
        plan = context.plan("prod", no_prompts=True, auto_apply=False, skip_tests=True)

        # THEN it computes those whose definition changed, and what reads them
        backfilled = {item.snapshot_id.name for item in plan.missing_intervals} & before.keys()
        computed = {name for name in backfilled if not plan.context_diff.snapshots_by_name[name].model.kind.is_view}
        assert sorted(map(plain_name, backfilled - changed - reading)) == []
        assert {plain_name(name) for name in before.keys() - backfilled} >= UNTOUCHED
        assert {"gold.fct_invoices", "silver.users"} <= {plain_name(name) for name in computed & changed}
    finally:
        older.close(context)


def test_older_lake_and_releases_are_read_and_rolled_back_to(older: Home) -> None:
    found = {feed: verify_feed(contract, older.options) for feed, contract in contracts().items()}
    assert {feed: item.differences for feed, item in found.items() if item.differences} == {}
    assert found["events"].rows > 200

    releases = Lake(older.options).releases
    plays = "SELECT SUM(activities_played)::INT FROM gold.activity_engagement_metrics"
    sums = [read(releases, number).execute(plays).fetchall()[0][0] for number in releases.numbers()]
    assert releases.numbers() == [1, 2]
    assert 200 < sums[0] < sums[1]

    # WHEN readers are given the first release THEN the older catalog says the same, by this version's DuckDB
    assert releases.roll_back() == 1
    assert releases.pointer() | {"catalog": ""} == {"state": 1, "catalog": "", "held": True}
    with duckdb.connect() as reader:
        reader.execute(f"ATTACH {literal(Path(releases.store.uri) / catalog_key(1))} AS lake (READ_ONLY)")
        query = (
            "SELECT sql FROM duckdb_views() WHERE database_name = 'lake' AND view_name = 'activity_engagement_metrics'"
        )
        ((view,),) = reader.execute(query).fetchall()
        select = view.partition(" AS ")[2].rstrip("; \n")
        assert PLACE in select
        here = re.sub(rf"{PLACE}/[\d.]+/home", str(older.options_home), select)
        assert reader.execute(f"SELECT SUM(activities_played)::INT FROM ({here})").fetchall() == [(sums[0],)]


@pytest.mark.slow
def test_upgraded_lake_has_the_same_gold_and_equals_a_rebuild(older: Home) -> None:
    releases = Lake(older.options).releases

    # WHEN a cycle runs before the upgrade is planned THEN readers keep their release
    done = cycle(older)
    assert (done.errors, done.outcome, releases.pointer()["state"]) == ([], "unchanged", 2)

    # WHEN it is planned, and the next cycle runs
    older.plan()
    done = cycle(older)

    # THEN every table of the older release is published again, with the same rows
    assert (done.errors, done.outcome) == ([], "published")
    upgraded = done.state
    assert upgraded is not None
    assert different(releases, 2, upgraded) == DIFFERENT
    assert cycle(older).outcome == "unchanged"

    # AND a rebuild by this version has the same rows
    rebuilt = rebuild(Lake(older.options))
    assert (rebuilt.errors, rebuilt.outcome) == ([], "published")
    assert rebuilt.state is not None
    assert rebuilt.state > upgraded
    assert releases.get(upgraded).tables.keys() == releases.get(rebuilt.state).tables.keys()
    assert different(releases, upgraded, rebuilt.state) == {}

    # AND readers can go back to the older release
    assert releases.roll_back(2) == 2


def read(releases: Releases, number: int) -> duckdb.DuckDBPyConnection:
    """A connection to the tables of a release where they are now; its own catalog names the folder of that time."""
    reader = in_memory()
    create_views(reader, releases, releases.get(number).tables.values())
    return reader


def different(releases: Releases, old: int, new: int) -> Mapping[str, set[str]]:
    """Columns whose values differ between two releases, by table; a sum of floats may end in other digits."""
    before, after = releases.get(old), releases.get(new)
    assert before.tables.keys() <= after.tables.keys()
    found: dict[str, set[str]] = {}
    with read(releases, old) as first, read(releases, new) as second:
        for name, table in before.tables.items():
            if name.startswith("ops."):  # what a cycle did, and when
                continue
            kept = {column: kind for column, kind, _ in table.columns}
            assert set(kept) <= {column for column, _, _ in after.tables[name].columns}, name
            query = f"SELECT {identifiers(kept)} FROM {name} ORDER BY {identifiers(exact(kept))}"
            was, is_now = first.execute(query).to_arrow_table(), second.execute(query).to_arrow_table()
            for column in kept:
                if not equal(was[column].to_pylist(), is_now[column].to_pylist()):
                    found.setdefault(name, set()).add(column)
    return found


def exact(columns: Mapping[str, str]) -> list[str]:
    """The columns to order by: floats only after all others."""
    return sorted(columns, key=lambda column: columns[column] in ("DOUBLE", "FLOAT"))


def equal(first: list[object], second: list[object]) -> bool:
    return len(first) == len(second) and all(
        one == other or (isinstance(one, float) and isinstance(other, float) and one == pytest.approx(other, rel=1e-9))
        for one, other in zip(first, second, strict=True)
    )
