"""Whatever happens around erasures, bronze ends as if the persons had been forgotten before anything was loaded.

Random histories of loads, late and overwritten objects, replays, discards, compaction, clean-up, rebuilt ledgers, and
erasures that are interrupted anywhere. HISTORIES sets how many there are, HISTORY the number of the first.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import re
import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ingest.contracts.contract import contracts
from ingest.errors import RetriableError
from ingest.ledger import ledger as ledgers
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import Selection, bad_records
from ingest.ledger.tombstones import Request, write_tombstones
from ingest.settings import settings
from ingest.steps.discard import discard
from ingest.steps.erase import erase
from ingest.steps.matchers import Named
from ingest.steps.replay import replay
from ingest.storage.store import Store
from ingest.upkeep import compact
from ingest.upkeep.clean import clean
from ingest.upkeep.orphans import landed_objects
from pipeline.cycle.erase_target import find
from pipeline.cycle.recover import rebuild_ledgers
from pipeline.lake import Lake
from pipeline.warehouse.bronze import bronze_query
from tests.handle import ingest_all, verify_feed
from tests.home import Home

FIRST, HISTORIES = int(os.environ.get("HISTORY", "1")), int(os.environ.get("HISTORIES", "5"))
KEY = "a secret of many characters"
FEEDS = ("events", "users", "accounts", "clickstream")
DAY = dt.timedelta(days=1)


class Interrupted(Exception):  # noqa: N818  nothing is wrong
    """The process ended here."""


class World:
    """A landing and a lake, and what may happen to them."""

    def __init__(self, home: Home, seed: int, patch: pytest.MonkeyPatch) -> None:
        self.home, self.dice, self.patch = home, random.Random(seed), patch
        self.names: dict[str, list[str]] = {feed: [] for feed in FEEDS}
        self.erased: set[tuple[str, str]] = set()
        self.number = 0
        self.now = dt.datetime.now(dt.UTC)

    @property
    def lake(self) -> Lake:
        return Lake(settings())

    def record(self, feed: str) -> dict[str, Any] | bytes:
        """A random record; now and then with fields that nobody knows, or of no use."""
        self.number += 1
        dice, number = self.dice, self.number
        user, account, customer = (
            f"person-{dice.randrange(6)}",
            f"account-{dice.randrange(6)}",
            dice.randrange(1000, 1006),
        )
        at = f"2026-01-{dice.randrange(1, 5):02} 10:00:00"
        if feed == "events":
            found: dict[str, Any] = {
                "event_id": f"e{number}",
                "name": "activity_exit",
                "user_id": user,
                "occurred_at": at,
            }
            found |= {"data": {}, "child_id": f"child-{user}-{dice.randrange(2)}"}
        elif feed == "users":
            found = {
                "user_id": user,
                "children_ids": [f"child-{user}-{n}" for n in range(2)],
                "created_at": at,
                "updated_at": at,
            }
        elif feed == "accounts":
            found = {"account_id": account, "name": f"Name of {account}", "email": f"{account}@example.org"}
            found |= {
                "user_id": dice.choice([None, user.replace("person-", "payer-")]),
                "created_at": at,
                "updated_at": at,
            }
        else:
            found = {
                column.name: "x" for column in contracts()[feed].columns if column.required and column.type == "string"
            }
            found |= {"event_id": f"k{number}", "event_type": "view", "occurred_at": at.replace(" ", "T") + "Z"}
            found |= {"visitor_id": f"visitor-{dice.randrange(5)}", "customer_id": dice.choice([None, customer])}
        if dice.random() < 0.2:
            found["referred_by"] = {"user_id": f"person-{dice.randrange(6)}", "customer_id": customer}
        if dice.random() < 0.15:
            found.pop("occurred_at" if "occurred_at" in found else "updated_at")
        if dice.random() < 0.05:
            return b"no json of " + user.encode()
        return found

    def arrive(self) -> None:
        feed = self.dice.choice(FEEDS)
        number, person = self.dice.randrange(10**9), self.dice.randrange(6)
        kinds = ("{0}", "{0}", "{0}", "by-user/person-{1}/{0}", "export_payer-{1}_{0}", "customer_id=100{1}/{0}")
        name = f"{self.dice.choice(kinds).format(number, person)}.json"
        self.names[feed].append(name)
        self.home.put(feed, name, *(self.record(feed) for _ in range(self.dice.randrange(1, 6))))

    def overwrite(self) -> None:
        feed = self.dice.choice(FEEDS)
        if self.names[feed]:
            name = self.dice.choice(self.names[feed])
            self.home.put(feed, name, *(self.record(feed) for _ in range(self.dice.randrange(1, 6))))

    def load(self) -> None:
        assert [error for error in ingest_all().errors if "are quarantined" not in error] == []

    def replay(self) -> None:
        feed = self.dice.choice(FEEDS)
        lake = self.lake
        replay(contracts()[feed], lake.store, lake.ledger(feed), self.now, Selection(), lake.tombstones)

    def discard(self) -> None:
        feed = self.dice.choice(FEEDS)
        lake = self.lake
        discard(lake.store, lake.ledger(feed), self.now, "of no use", Selection(reasons=("unparsable",)))

    def maintain(self) -> None:
        feed = self.dice.choice(FEEDS)
        lake = self.lake
        ledger = lake.ledger(feed)
        compact.compact(lake.store, ledger, self.now)
        ledger.checkpoint(ledger.state())

    def rebuild(self) -> None:
        feed = self.dice.choice(FEEDS)
        if self.lake.ledger(feed).position():
            rebuild_ledgers(self.lake, (feed,), force=True)
            self.load()

    def erase(self) -> None:
        """Erase somebody; interrupted now and then, and then gone on with by whoever comes next."""
        lake = self.lake
        kind = self.dice.choice(["user_id", "account_id", "customer_id", "child_id"])
        value = {
            "user_id": lambda n: self.dice.choice([f"person-{n}", f"payer-{n}"]),
            "account_id": lambda n: f"account-{n}",
            "customer_id": lambda n: str(1000 + n),
            "child_id": lambda n: f"child-person-{n}-{self.dice.randrange(2)}",
        }[kind](self.dice.randrange(6))
        subject, _ = find(lake, [{kind: frozenset({value})}])
        request = Request(f"r{self.number}", self.now, "a letter")
        tombstones = write_tombstones(lake.store, KEY, request, subject.values)
        by_name = Named(dict(subject.values), frozenset({tombstones}))
        self.erased |= {(name, value) for name, found in subject.values.items() for value in found}
        left, step = self.dice.choice([10**9, self.dice.randrange(1, 12)]), 0

        def counted(call: Any, *given: Any, **named: Any) -> Any:
            nonlocal step
            step += 1
            if step == left:
                raise Interrupted
            done = call(*given, **named)
            step += 1
            if step == left:
                raise Interrupted
            return done

        def slowly(call: Any) -> Any:
            return lambda *given, **named: counted(call, *given, **named)

        with self.patch.context() as patch:
            for kind_of, names in ((Ledger, ("commit",)), (Store, ("publish", "put", "delete"))):
                for name in names:
                    patch.setattr(kind_of, name, slowly(getattr(kind_of, name)))
            try:
                for feed in self.dice.sample(FEEDS, len(FEEDS)):
                    erase(
                        contracts()[feed],
                        lake.store,
                        lake.ledger(feed),
                        lake.tombstones,
                        self.now,
                        by_name,
                    )
            except (Interrupted, RetriableError):
                return

    def finish(self) -> None:
        """A last load, which also ends erasures, and the clean-up that a purge does."""
        self.load()
        self.load()  # tombstones that the first one found
        lake = self.lake
        for feed in FEEDS:
            contract = contracts()[feed]
            landing = lake.landing(contract)
            landed, now = partial(landed_objects, contract, landing), dt.datetime.now(dt.UTC) + DAY
            clean(lake.store, lake.ledger(feed), landed, now, dt.timedelta(0), landing.hide)


def bronze(feed: str) -> Counter[tuple[Any, ...]]:
    lake = Lake(settings())
    query = bronze_query(contracts()[feed], lake.options.lake_uri, lake.ledger(feed).live_files())
    with lake.connect() as reader:
        table = reader.execute(
            f"SELECT * EXCLUDE (_ingested_at, _load_id, ingest_date) FROM ({query})"
        ).to_arrow_table()
    return Counter(tuple(map(str, row.values())) for row in table.to_pylist())


def rejected(feed: str) -> Counter[tuple[str, int, bytes]]:
    lake = Lake(settings())
    state = lake.ledger(feed).state()
    found = [item for kept in (False, True) for item in bad_records(lake.store, state, Selection(), kept)]
    return Counter((item.source_file, item.line, item.raw) for item in found)


def names_in_log(ledger: Ledger) -> list[str]:
    """The names in all entries, void ones included, and in checkpoints."""
    found = [item.source_file for _, entry in ledger.entries(0) for item in entry.objects]
    return [*found, *ledger.state().objects]


@pytest.mark.parametrize("seed", range(FIRST, FIRST + HISTORIES))
def test_bronze_is_as_if_persons_had_been_forgotten_before(
    home: Home, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_ERASURE_KEY", KEY)
    monkeypatch.setattr(compact, "MIN_FILES", 2)
    monkeypatch.setattr(ledgers, "CHECKPOINT_ENTRIES", 3)
    settings.cache_clear()
    world = World(Home(), seed, monkeypatch)
    acts = {
        world.arrive: 6,
        world.overwrite: 2,
        world.load: 4,
        world.erase: 2,
        world.replay: 1,
        world.discard: 1,
        world.maintain: 2,
        world.rebuild: 0.5,
    }
    for _ in range(4):
        world.arrive()
    for act in world.dice.choices(list(acts), list(acts.values()), k=world.dice.randrange(15, 40)):
        act()
    world.erase()
    world.finish()
    rows, bad = {feed: bronze(feed) for feed in FEEDS}, {feed: rejected(feed) for feed in FEEDS}
    for feed in FEEDS:
        assert verify_feed(contracts()[feed], settings(), deep=True).differences == []

    # WHEN another lake begins with the tombstones
    first = Path(settings().lake_uri)
    again = first.with_name("again")
    shutil.copytree(first / "tombstones", again / "tombstones")
    monkeypatch.setenv("LAKE_URI", str(again))
    monkeypatch.setenv("STATE_PATH", str(first.with_name("again.duckdb")))
    settings.cache_clear()
    ingest_all()
    assert {feed: bronze(feed) for feed in FEEDS} == rows
    assert {feed: rejected(feed) for feed in FEEDS} == bad

    # THEN no value of theirs is anywhere in the first
    everything = json.dumps([list(map(str, rows[feed])) + list(map(str, bad[feed])) for feed in FEEDS])
    for _, value in world.erased:
        shared = value.startswith("visitor-")  # of others, who were logged in
        assert shared or f"{value}'" not in everything, value
    names = [name for feed in FEEDS for name in names_in_log(Ledger(Store(str(first)), feed))]
    names += [row[-4] for feed in FEEDS for row in rows[feed]] + [item[0] for feed in FEEDS for item in bad[feed]]
    for kind, value in world.erased:
        if not value.startswith("visitor-"):
            written = re.compile(rf"(?<![a-z0-9]){kind}={value}(?![0-9])|(?<![a-z0-9=]){value}(?![a-z0-9])")
            assert [name for name in names if not value.isdigit() and written.search(name)] == [], value
            assert [name for name in names if f"{kind}={value}/" in name] == []
