"""Random histories of the revenue feeds; see tests/world.py."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import duckdb

import tests.home
from ingest.settings import PROJECT
from pipeline.cycle.summary import RunSummary
from pipeline.lake import Lake
from tests.home import Home
from tests.world import World, compare, queries

LOG = "before:pipeline.warehouse.by_key.log:Log"
ADDING = f"{LOG}.add"
PUBLISHING = ("before:pipeline.releases.export:write_catalog", "before:pipeline.releases.release:Releases.point_to")
MOMENTS = (ADDING, f"{LOG}.write", "before:pipeline.warehouse.by_key.sources:Source.changed", *PUBLISHING)
"""Moments at which a cycle is killed: two of them after rows were written, before the transaction commits; two while a
release is published."""


class Revenue(World):
    """Users, customers, subscriptions and invoices.

    Attributes:
        written: feed and key of each object, with its records.
        queries: tables and their queries by environment, see `check`.
    """

    MODELS = ("users", "accounts", "invoices", "invoice_lines", "subscriptions", "fct_invoices")

    def __init__(self, home: Home, seed: int) -> None:
        super().__init__(home, seed)
        self.written: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.queries: dict[str, Sequence[tuple[str, str]]] = {}

    def cycle(self) -> RunSummary:
        """As above, after which the release has the rows of the tables in the warehouse."""
        done = super().cycle()
        with duckdb.connect(self.home.options.warehouse_path, read_only=True) as warehouse:
            warehouse.execute(Lake(self.home.options).releases.attach())
            names = warehouse.execute(
                "SELECT view_name FROM DUCKDB_VIEWS() WHERE database_name = 'lake' AND schema_name = 'gold'"
            ).fetchall()
            assert names
            compare(
                [(f"FROM lake.gold.{name}", f"FROM gold.{name}") for (name,) in names],
                lambda query: warehouse.execute(query).fetchall(),
            )
        return done

    def check(self, environment: str = "prod") -> None:
        """As above, loading the project once for each environment."""
        if environment not in self.queries:
            context = self.home.context()
            try:
                self.queries[environment] = queries(context, environment)
            finally:
                self.home.close(context)
        with duckdb.connect(self.home.options.warehouse_path, read_only=True) as warehouse:
            compare(self.queries[environment], lambda query: warehouse.execute(query).fetchall())

    def plan(self, environment: str = "prod", **options: Any) -> None:
        """A plan that is applied, after which the tables of its environment are right."""
        context = self.home.context()
        try:
            context.plan(environment, auto_apply=True, no_prompts=True, skip_tests=True, **options)
            self.queries[environment] = queries(context, environment)
        finally:
            self.home.close(context)
        self.check(environment)

    def _time(self) -> str:
        """A time of the year 2026, of which there are few: versions tie, and arrive out of order."""
        return f"2026-{self.dice.randrange(1, 10):02}-0{self.dice.randrange(1, 4)}T0{self.dice.randrange(2)}:00:00Z"

    def _send(self, feed: str, *records: dict[str, Any]) -> None:
        self.written[feed, self.put(feed, *records)] = list(records)

    def account(self) -> dict[str, Any]:
        """A version of a customer."""
        return {
            "account_id": f"a{self.dice.randrange(4)}",
            "user_id": self.dice.choice((None, f"u{self.dice.randrange(4)}")),
            "name": self.dice.choice(("Ann", "Bo")),
            "created_at": "2026-02-01T00:00:00Z",
            "updated_at": self._time(),
        }

    def change(self) -> dict[str, Any]:
        """A change of a subscription, which may move to another customer."""
        end = self._time() if self.dice.random() < 0.3 else None
        return {
            "subscription_id": f"s{self.dice.randrange(5)}",
            "version": self.dice.randrange(1, 7),
            "account_id": f"a{self.dice.randrange(4)}",
            "plan_id": "plus",
            "status": self.dice.choice(("trialing", "active", "active", "past_due", "paused", "canceled")),
            "interval": self.dice.choice(("month", "year")),
            "quantity": self.dice.randrange(4),
            "unit_amount": 1000 + self.dice.randrange(3),
            "currency": self.dice.choice(("EUR", "USD")),
            "started_at": "2026-01-01T00:00:00Z",
            "ended_at": end,
            "updated_at": self._time(),
        }

    def invoice(self) -> dict[str, Any]:
        """A version of an invoice."""
        lines = [
            {
                "plan_id": self.dice.choice((None, "plus")),
                "amount": self.dice.randrange(-2, 9) * 101,
                "tax": self.dice.randrange(3) * 7,
                "period_start": f"2026-0{self.dice.randrange(1, 5)}-15T00:00:00Z",
                "period_end": f"2026-0{self.dice.randrange(4, 9)}-15T00:00:00Z",
            }
            for _ in range(self.dice.randrange(4))
        ]
        due = sum(line["amount"] + line["tax"] for line in lines)
        return {
            "invoice_id": f"i{self.dice.randrange(9)}",
            "account_id": f"a{self.dice.randrange(4)}",
            "subscription_id": self.dice.choice((None, f"s{self.dice.randrange(5)}")),
            "status": self.dice.choice(("draft", "open", "paid", "void")),
            "currency": self.dice.choice(("EUR", "USD")),
            "issued_at": self.dice.choice((None, self._time())),
            "lines": lines,
            "amount_due": due,
            "amount_paid": self.dice.choice((0, due)),
            "amount_refunded": self.dice.choice((0, 0, 100, 200)),
            "updated_at": self._time(),
        }

    def records(self) -> None:
        """Some versions arrive, in objects of their own."""
        for _ in range(self.dice.randrange(1, 5)):
            feed, made = self.dice.choice(
                (("accounts", self.account), ("subscriptions", self.change), ("invoices", self.invoice))
            )
            self._send(feed, *(made() for _ in range(self.dice.randrange(1, 3))))

    def again(self) -> None:
        """Records arrive a second time, unchanged."""
        if self.written:
            (feed, _), records = self.dice.choice(list(self.written.items()))
            self._send(feed, *records)

    def overwrite(self) -> None:
        """The producer writes an object again, with other records or with fewer."""
        if self.written:
            feed, key = self.dice.choice(list(self.written))
            made = {"accounts": self.account, "subscriptions": self.change, "invoices": self.invoice}[feed]
            records = [made() for _ in range(self.dice.randrange(3))]
            self.home.put(feed, key, *records)
            self.written[feed, key] = records

    def drop(self) -> None:
        """`lake drop` of a loaded object."""
        if dropped := self.drop_any(self.written):
            del self.written[dropped]

    def block(self) -> None:
        """An audit blocks the cycle until a newer version is right."""
        wrong = self.invoice() | {"updated_at": "2026-10-01T00:00:00Z", "status": "unknown"}
        self._send("invoices", wrong)
        assert self.try_cycle().errors != []
        self._send(
            "invoices", wrong | {"updated_at": f"2026-11-{self.dice.randrange(1, 9):02}T00:00:00Z", "status": "paid"}
        )

    def kill(self) -> None:
        """A cycle that is killed while a table is computed or published."""
        self.records()
        ahead = (self.now - dt.datetime.now(dt.UTC)).total_seconds()
        moment = self.dice.choice(MOMENTS)
        command = [sys.executable, "-m", "tests.worker", "--project", str(tests.home.PROJECT)]
        command += ["--at", moment, "kill", "--ahead", str(ahead), "lake", "run"]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        # all tables were computed as a whole, or nothing changed that is published
        is_finished = moment in (ADDING, *PUBLISHING) and done.returncode == 0
        assert done.returncode == -signal.SIGKILL or is_finished, done.stdout + done.stderr
