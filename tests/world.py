"""Random histories of a lake: days pass, records arrive, cycles run and fail; and what must hold after each cycle."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from sqlmesh import Context
from sqlmesh.core.snapshot import DeployabilityIndex

from ingest.contracts.contract import contracts
from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.drop import drop_all
from pipeline.cycle.maintain import maintain
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from tests.home import Home

DAY = dt.timedelta(days=1)


class World:
    """A lake on a day that only moves on, and what can happen to it.

    Attributes:
        left_alone: how often a cycle left each model alone.
    """

    MODELS: Sequence[str] = ()
    """Models of which one cannot be computed in a cycle that fails."""

    def __init__(self, home: Home, seed: int) -> None:
        self.home = home
        self.dice = random.Random(seed)
        self.now = dt.datetime.now(dt.UTC)
        self.left_alone: Counter[str] = Counter()
        self._objects = 0

    def put(self, feed: str, *records: dict[str, Any]) -> str:
        """Write a new landing object and return its key."""
        key = self.key()
        self.home.put(feed, key, *records)
        return key

    def key(self, ending: str = "json") -> str:
        """The key of a new landing object."""
        self._objects += 1
        return f"{self.now:%Y%m%d}-{self.dice.randrange(10**9)}-{self._objects}.{ending}"

    def drop_any(self, written: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
        """`lake drop` of one of some objects, given by feed and key, that is loaded; return it."""
        lake = Lake(self.home.options)
        buckets = {feed: contract.source.bucket for feed, contract in contracts().items()}
        known = {f"{buckets[feed]}/{key}": (feed, key) for feed, key in written}
        loaded = [name for name in known if lake.ledger(known[name][0]).state().objects.lookup([name])]
        if not loaded:
            return None
        name = self.dice.choice(loaded)
        assert drop_all(lake, [name], "wrong").errors == []
        return known[name]

    def maintain(self) -> None:
        """Compaction, and deletion of everything that is not live now."""
        assert maintain(Lake(self.home.options), contracts().values(), dt.timedelta(0))[1] == []

    def day(self) -> None:
        """Midnight passes, so every model is due."""
        self.now += DAY

    def user(self) -> None:
        """A user arrives or moves."""
        country = self.dice.choice(("fr", "de", "it"))
        self.put("users", {"user_id": f"u{self.dice.randrange(4)}", "country_code": country})

    def load(self) -> None:
        """Load without computing."""
        self.home.ingest()

    def run(self) -> None:
        """Plain `sqlmesh run`, which knows nothing of what a cycle leaves alone."""
        context = self.home.context()
        try:
            context.run(skip_janitor=self.dice.random() < 0.5, execution_time=self.now, end=self.now)
        finally:
            self.home.close(context)

    def fail(self) -> None:
        """A cycle of which one model cannot be computed."""
        broken = self.dice.choice(self.MODELS)

        def refuse(evaluate: Callable[..., Any]) -> Callable[..., Any]:
            def evaluated(self: Any, snapshot: Any, *args: Any, **options: Any) -> Any:
                if f'"{broken}"' in snapshot.name:
                    raise RuntimeError("no memory")
                return evaluate(self, snapshot, *args, **options)

            return evaluated

        from sqlmesh.core.scheduler import Scheduler

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Scheduler, "evaluate", refuse(Scheduler.evaluate))
            self.try_cycle()

    def cycle(self) -> RunSummary:
        """A cycle, after which every table has the rows that computing it gives."""
        done = self.try_cycle()
        assert done.errors == []
        self.check()
        return done

    def check(self) -> None:
        """Compare the rows of every model without dates of its own with those of its query over what it reads."""
        context = self.home.context()
        try:
            compare(queries(context), context.engine_adapter.fetchall)
        finally:
            self.home.close(context)

    def try_cycle(self) -> RunSummary:
        """A cycle that may fail."""
        lake = Lake(self.home.options)
        done = run_cycle(lake, (), lambda _: lambda objects, size: None, now=lambda: self.now)
        self.left_alone.update(done.unchanged)
        return done


def queries(context: Context, environment: str = "prod") -> list[tuple[str, str]]:
    """(table, query) of every model without dates of its own, each with the columns of the model in order."""
    promoted = context.state_reader.get_environment(environment)
    assert promoted
    snapshots = context.state_reader.get_snapshots(promoted.snapshots)
    deployable = DeployabilityIndex.create(snapshots) if environment != "prod" else DeployabilityIndex.all_deployable()
    by_name = {snapshot.name: snapshot for snapshot in snapshots.values()}
    found = []
    for snapshot in snapshots.values():
        if snapshot.is_model and (snapshot.model.kind.is_full or snapshot.model.kind.is_custom):
            names = ", ".join(f'"{name}"' for name in snapshot.model.columns_to_types_or_raise)
            query = snapshot.model.render_query_or_raise(snapshots=by_name, deployability_index=deployable)
            table = snapshot.table_name(deployable.is_representative(snapshot))
            found.append((f"SELECT {names} FROM {table}", f"SELECT {names} FROM ({query.sql('duckdb')})"))
    return found


def compare(wanted: Iterable[tuple[str, str]], fetchall: Callable[[str], list[Any]]) -> None:
    """Compare the rows of tables with those of their queries."""
    for table, query in wanted:
        stored, computed = (Counter(map(repr, fetchall(text))) for text in (table, query))
        assert stored == computed, table
