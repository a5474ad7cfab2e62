"""Random histories of all domains; see tests/world.py."""

from __future__ import annotations

from collections import Counter

import duckdb
import time_machine

from ingest.contracts.contract import contracts
from ingest.ledger.tombstones import Request, is_pseudonym, write_tombstones
from ingest.steps.erase import erase
from ingest.steps.matchers import Named
from pipeline.cycle.erase_target import find
from pipeline.cycle.rebuild import rebuild
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from pipeline.warehouse.bronze import bronze_query
from tests.engagement_world import Engagement
from tests.home import Home
from tests.revenue_world import Revenue
from tests.shop_world import Shop

Tables = dict[str, Counter[str]]
AUDITED = "audit"
"""Errors of audits contain it."""


class Domains(Engagement, Revenue, Shop):
    """Records of all domains.

    Attributes:
        refused: how many cycles audits blocked since changes of the shop were missing.
        by_key: tables that changed by key, seen after a cycle.
        forgotten: identifiers of persons who are forgotten, by name.
        is_read_again: whether the shop's tables were read again, which concerns every key.
    """

    MODELS = (*Engagement.MODELS, *Revenue.MODELS, *Shop.MODELS)

    def __init__(self, home: Home, seed: int) -> None:
        super().__init__(home, seed)
        self.refused = 0
        self.by_key: set[str] = set()
        self.is_read_again = False
        self.forgotten: set[tuple[str, str]] = set()

    def open(self) -> None:
        """Land what was before the histories."""
        super().open()
        for _ in range(8):
            self.user()
            self.activity()
            self.events()
            for feed, made in (("accounts", self.account), ("subscriptions", self.change), ("invoices", self.invoice)):
                self._send(feed, made())

    def cycle(self) -> RunSummary:
        """As above; when audits find that changes of the shop are missing, they land, and the cycle is repeated."""
        done = self.try_cycle()
        if done.errors:
            assert all(AUDITED in error for error in done.errors), done.errors
            self.refused += 1
            self.catch_up()
            done = self.try_cycle()
        assert done.errors == []
        self.check()
        self.by_key |= self._changed_by_key()
        return done

    def read_again(self) -> None:
        super().read_again()
        self.is_read_again = True

    def erase(self) -> None:
        """Somebody is forgotten in bronze; the next cycle has to do the rest."""
        lake = Lake(self.home.options)
        names = ["user_id", "account_id", "customer_id", "visitor_id"]
        with lake.connect() as reader:
            found = []
            for name, feed in zip(names, ("users", "accounts", "customers", "clickstream"), strict=True):
                query = bronze_query(contracts()[feed], lake.options.lake_uri, lake.ledger(feed).live_files())
                rows = reader.execute(f"SELECT DISTINCT {name}::TEXT FROM ({query}) ORDER BY ALL").fetchall()
                found += [(name, value) for (value,) in rows if value and not is_pseudonym(value)]
        if not found:
            return
        name, value = self.dice.choice(found)
        subject, _ = find(lake, [{name: frozenset({value})}])
        request = Request(f"r{len(self.forgotten)}", self.now, "a letter")
        tombstones = write_tombstones(lake.store, lake.options.lake_erasure_key, request, subject.values)
        named = Named(dict(subject.values), frozenset({tombstones}))
        for feed, contract in contracts().items():
            erase(contract, lake.store, lake.ledger(feed), lake.tombstones, self.now, named)
        self.forgotten |= {(name, value) for name, own in subject.values.items() for value in own}

    def tables(self) -> Tables:
        """The rows of every table of silver and gold."""
        with duckdb.connect(self.home.options.warehouse_path, read_only=True) as warehouse:
            query = "SELECT schema || '.' || name FROM (SHOW ALL TABLES) WHERE schema IN ('silver', 'gold')"
            names = [name for (name,) in warehouse.execute(query).fetchall()]
            return {name: Counter(map(repr, warehouse.execute(f"FROM {name}").fetchall())) for name in names}

    def rebuilt(self) -> Tables:
        """The same once everything was computed again from bronze."""
        with time_machine.travel(self.now):
            assert rebuild(Lake(self.home.options)).errors == []
        return self.tables()

    def _changed_by_key(self) -> set[str]:
        """Tables that have changed by key since they were computed as a whole."""
        with duckdb.connect(self.home.options.warehouse_path, read_only=True) as warehouse:
            query = "SELECT name FROM lakemesh.by_key WHERE (state->>'sequence')::INT > 0"
            rows = warehouse.execute(query).fetchall()
        return {name.split(".")[-1].split("__")[1] for (name,) in rows}
