"""Erasure of a feed: a person's records go, stay away whatever comes, and every record stays accounted for."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingest.contracts.contract import contracts
from ingest.contracts.processing import Processing
from ingest.errors import ConfigError
from ingest.ledger import ledger as ledgers
from ingest.ledger.dropped import read_dropped
from ingest.ledger.entry import Entry
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import Selection, bad_records
from ingest.ledger.tombstones import Identifiers, Request, Tombstones, TombstoneStore, read_tombstones, write_tombstones
from ingest.settings import settings
from ingest.steps.discard import discard
from ingest.steps.erase import Erasure, erase, pending
from ingest.steps.forget import Forgetter
from ingest.steps.load import ingest_feed
from ingest.steps.matchers import Hashed, Named
from ingest.steps.rename import has_names_to_hide, is_release_due
from ingest.steps.replay import replay
from ingest.storage.store import Store
from ingest.upkeep import compact
from pipeline.cycle.drop import drop_all
from pipeline.cycle.recover import rebuild_ledgers
from pipeline.lake import Lake
from pipeline.warehouse.bronze import bronze_query
from pipeline.warehouse.duck import connect
from tests.engagement import play
from tests.handle import ingest_all, verify_feed
from tests.home import Home

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
KEY = "a secret of many characters"
UPDATED = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}


@pytest.fixture
def keyed(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("LAKE_ERASURE_KEY", KEY)
    settings.cache_clear()
    return Home()


def store(home: Home) -> Store:
    return Store(home.options.lake_uri, home.options)


def bury(home: Home, identifiers: Identifiers, name: str = "r1") -> str:
    return write_tombstones(store(home), KEY, Request(name, NOW, "asked by letter"), identifiers)


def forget(home: Home, feed: str, **identifiers: str) -> Erasure:
    """Erase as a command does, which knows the values."""
    known = {name: frozenset(value.split()) for name, value in identifiers.items()}
    return again(home, feed, Named(known, frozenset({bury(home, known)})))


def again(home: Home, feed: str, named: Named | None = None) -> Erasure:
    lake = Lake(settings())
    return erase(contracts()[feed], lake.store, lake.ledger(feed), lake.tombstones, NOW, named)


def rows(home: Home, feed: str, columns: str) -> list[tuple[Any, ...]]:
    lake = Lake(settings())
    query = bronze_query(contracts()[feed], lake.options.lake_uri, lake.ledger(feed).live_files())
    with connect(lake.options) as reader:
        return reader.execute(f"SELECT {columns} FROM ({query}) ORDER BY ALL").fetchall()


def accounted(home: Home, feed: str) -> tuple[int, int, int]:
    """(rows, quarantined, erased), with every record accounted for and every row the one of its object."""
    verdict = verify_feed(contracts()[feed], settings(), deep=True)
    assert verdict.differences == []
    return verdict.rows, verdict.quarantined, verdict.erased


def test_persons_rows_rejects_and_mentions_go_and_the_rest_stays(keyed: Home) -> None:
    keyed.put(
        "events",
        "a.json",
        play("e1", "2026-01-01 10:00:00"),
        play("e2", "2026-01-02 10:00:00", "u10"),
        play("e3", "2026-01-02 11:00:00", "u2") | {"invited_by": {"user_id": "u1"}, "page": "/u1x"},
        b'{"event_id": "bad", "user_id": "u1", "occurred_at": "soon"}',
        b'{"event_id": "bad2", "user_id": "u10", "occurred_at": "soon"}',
        b"no json, user_id=u1;x",
    )
    keyed.ingest("events")
    done = forget(keyed, "events", user_id="u1")
    assert (done.deleted, done.changed, done.rejected) == (1, 1, 2)
    assert [(item.name, item.lines) for item in done.lines] == [("raw-events/a.json", (1, 3, 4, 6))]
    assert [row[0] for row in rows(keyed, "events", "user_id")] == ["u10", "u2"]
    found = [json.loads(text) for (text,) in rows(keyed, "events", "_rescued_data") if text]
    assert [value for item in found for value in item.values()] == [{"user_id": None}, "/u1x"]
    assert accounted(keyed, "events") == (2, 1, 3)
    left = list(bad_records(store(keyed), Ledger(store(keyed), "events").state(), Selection()))
    assert [b"u10" in record.raw for record in left] == [True]
    assert again(keyed, "events").position == 0  # nothing is pending


def test_children_of_an_account_leave_its_list_and_their_events_go(keyed: Home) -> None:
    keyed.put(
        "events", "a.json", play("e1", "2026-01-01 10:00:00") | {"child_id": "c1"}, play("e2", "2026-01-01 10:00:00")
    )
    keyed.put("users", "a.json", {"user_id": "u1", "children_ids": ["c1", "c2"], **UPDATED})
    keyed.ingest("events", "users")
    assert forget(keyed, "events", child_id="c1").deleted == 1
    assert again(keyed, "users").changed == 1
    assert rows(keyed, "users", "user_id, children_ids") == [("u1", ["c2"])]


def test_financial_records_stay_without_the_person(keyed: Home) -> None:
    account = {"account_id": "a1", "user_id": "u1", "name": "Ann", "email": "ann@example.org", "country_code": "de"}
    keyed.put(
        "accounts",
        "a.json",
        account | UPDATED | {"nickname": "Annie"},
        account | UPDATED | {"account_id": "a2", "user_id": "u2"},
    )
    keyed.ingest("accounts")
    done = forget(keyed, "accounts", user_id="u1", account_id="a1")
    assert (done.deleted, done.changed) == (0, 1)
    (kept, other) = sorted(
        rows(keyed, "accounts", "account_id, user_id, name, email, country_code, _rescued_data"),
        key=lambda row: row[0] == "a2",
    )
    assert (kept[0][:7], kept[1][:7], kept[2:]) == ("erased-", "erased-", (None, None, "de", None))
    assert other == ("a2", "u2", "Ann", "ann@example.org", "de", None)
    keyed.put("accounts", "b.json", account | UPDATED)  # a late copy is the same pseudonym
    keyed.ingest("accounts")
    assert [row[0] for row in rows(keyed, "accounts", "account_id")].count(kept[0]) == 2
    assert accounted(keyed, "accounts") == (3, 0, 0)


@pytest.mark.parametrize("how", ["late", "overwritten", "replayed", "rebuilt", "discarded"])
def test_a_person_does_not_return(how: str, keyed: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = {"event_id": "e9", "user_id": "u1", "occurred_at": "2026-01-03 10:00:00", "data": {}}  # lacks its name
    keyed.put(
        "events",
        "a.json",
        play("e1", "2026-01-01 10:00:00"),
        play("e2", "2026-01-01 10:00:00", "u2"),
        json.dumps(bad).encode(),
    )
    keyed.ingest("events")
    lake = Lake(settings())
    ledger = lake.ledger("events")
    if how == "discarded":
        assert discard(lake.store, ledger, NOW, "of no use", Selection()) == 1
    if how != "replayed":
        assert forget(keyed, "events", user_id="u1").deleted == 1
        assert accounted(keyed, "events") == (1, 0, 2)
    if how == "late":
        keyed.put("events", "b.json", play("e3", "2026-01-01 10:00:00"), play("e4", "2026-01-01 10:00:00", "u2"))
        keyed.ingest("events")
        assert accounted(keyed, "events") == (2, 0, 3)
    elif how == "overwritten":
        keyed.put(
            "events",
            "a.json",
            play("e1", "2026-01-01 10:00:00"),
            play("e2", "2026-01-01 10:00:00", "u2"),
            play("e5", "2026-01-01 10:00:00", "u3"),
        )
        keyed.ingest("events")
        assert accounted(keyed, "events") == (2, 0, 1)
    elif how == "replayed":  # a replay beside the erasure, which has not come to this feed yet
        bury(keyed, {"user_id": {"u1"}})
        loose = contracts()["events"].model_copy(
            update={
                "columns": tuple(
                    column.model_copy(update={"required": column.required and column.name != "name"})
                    for column in contracts()["events"].columns
                )
            }
        )
        done = replay(
            loose.model_copy(update={"version": loose.version + 1}), lake.store, ledger, NOW, tombstones=lake.tombstones
        )
        assert done.replayed == 1
        assert [row[0] for row in rows(keyed, "events", "user_id")] == ["u1", "u2"]  # that of the load
        assert ledger.state().objects["raw-events/a.json"].erased == 1
        assert again(keyed, "events").deleted == 1
    elif how == "rebuilt":
        rebuild_ledgers(Lake(settings()), ("events",), force=True)
        assert pending(ledger.live(), lake.tombstones.read()) == lake.tombstones.read().names
        keyed.ingest("events")
    assert [row[0] for row in rows(keyed, "events", "DISTINCT user_id") if row[0] == "u1"] == []


def test_a_load_that_did_not_know_is_planned_again(keyed: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed.put("events", "a.json", play("e1", "2026-01-01 10:00:00"))
    commit, erasing = Ledger.commit, iter([True])

    def slow(self: Ledger, entry: Entry, seen: int) -> int:
        if entry.objects and not entry.forgets and next(erasing, False):
            assert forget(keyed, "events", user_id="u1").position == 1  # finds nothing: the load is not committed yet
        return commit(self, entry, seen)

    monkeypatch.setattr(Ledger, "commit", slow)
    keyed.ingest("events")
    assert rows(keyed, "events", "user_id") == []
    assert accounted(keyed, "events") == (0, 0, 1)


def test_an_erasure_looks_at_what_an_unknowing_load_added_meanwhile(
    keyed: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed.put("events", "a.json", play("e1", "2026-01-01 10:00:00"))
    keyed.ingest("events")
    knowing = Lake(settings())
    knowing.tombstones.read()  # before there are any
    keyed.put("events", "b.json", play("e2", "2026-01-02 10:00:00"))
    commit, loading = Ledger.commit, iter([True])

    def slow(self: Ledger, entry: Entry, seen: int) -> int:
        if entry.forgets and next(loading, False):
            contract = contracts()["events"]
            report = ingest_feed(
                contract, knowing.landing(contract), knowing.store, dt.date(2021, 1, 1), tombstones=knowing.tombstones
            )
            assert report.rows == 1
        return commit(self, entry, seen)

    monkeypatch.setattr(Ledger, "commit", slow)
    assert forget(keyed, "events", user_id="u1").deleted == 2
    assert rows(keyed, "events", "user_id") == []
    assert accounted(keyed, "events") == (0, 0, 2)


def test_a_handle_from_before_an_erasure_knows_it_and_lost_tombstones_stop_the_load(keyed: Home) -> None:
    keyed.put("events", "a.json", play("e1", "2026-01-01 10:00:00"))
    keyed.ingest("events")
    old = Lake(settings())
    assert not old.tombstones.read()
    forget(keyed, "events", user_id="u1")
    keyed.put("events", "b.json", play("e2", "2026-01-02 10:00:00"))
    contract = contracts()["events"]
    report = ingest_feed(contract, old.landing(contract), old.store, dt.date(2021, 1, 1), tombstones=old.tombstones)
    assert (report.rows, report.erased) == (0, 1)
    old.store.delete([item.key for item in old.store.list("tombstones")])
    keyed.put("events", "c.json", play("e3", "2026-01-02 10:00:00"))
    summary = ingest_all("events")
    assert summary.exit_code == 2
    assert "which the ledger has carried out; restore it" in summary.errors[0]
    assert rows(keyed, "events", "user_id") == []


def test_what_relates_a_person_to_another_identifier_gets_tombstones_before_it_goes(keyed: Home) -> None:
    keyed.put("accounts", "a.json", {"account_id": "a1", "user_id": "u1", "name": "Ann"} | UPDATED)
    keyed.ingest("accounts")
    forget(keyed, "accounts", user_id="u1", account_id="a1")
    keyed.put("accounts", "b.json", {"account_id": "a7", "user_id": "u1", "name": "Ann"} | UPDATED)
    keyed.ingest("accounts")
    stones = read_tombstones(store(keyed), KEY)
    assert stones.has("account_id", "a7")
    assert not stones.has("account_id", "a8")
    assert len(stones.names) == 2
    assert "a7" not in {row[0] for row in rows(keyed, "accounts", "account_id")}


def test_without_the_key_nothing_is_loaded(keyed: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed.put("events", "a.json", play("e1", "2026-01-01 10:00:00"))
    bury(keyed, {"user_id": {"u1"}})
    for wrong, said in (
        ("", "LAKE_ERASURE_KEY has 0 characters"),
        ("another secret of many", "another LAKE_ERASURE_KEY"),
    ):
        with pytest.raises(ConfigError, match=said):
            TombstoneStore(store(keyed), wrong).read()
    monkeypatch.setenv("LAKE_ERASURE_KEY", "another secret of many")
    settings.cache_clear()
    summary = ingest_all("events")
    assert summary.exit_code == 2
    assert "another LAKE_ERASURE_KEY" in summary.errors[0]
    assert rows(keyed, "events", "user_id") == []


def test_an_erasure_by_name_carries_out_what_another_left(keyed: Home) -> None:
    keyed.put("events", "a.json", *(play(f"e{user}", "2026-01-01 10:00:00", user) for user in ("u1", "u2", "u3")))
    keyed.ingest("events")
    bury(keyed, {"user_id": {"u1"}}, "interrupted")
    known = {"user_id": frozenset({"u2"})}
    assert again(keyed, "events", Named(known, frozenset({bury(keyed, known, "r2")}))).deleted == 2
    assert [row[0] for row in rows(keyed, "events", "user_id")] == ["u3"]


def test_the_shared_device_of_two_customers(keyed: Home) -> None:
    def click(name: str, customer: int | None) -> dict[str, Any]:
        return {
            "event_id": name,
            "visitor_id": "v1",
            "customer_id": customer,
            "event_type": "view",
            "occurred_at": "2026-01-01T10:00:00Z",
        }

    contract = contracts()["clickstream"]
    required = {column.name: "x" for column in contract.columns if column.required and column.type == "string"}
    keyed.put("clickstream", "a.json", *(required | click(f"k{n}", who) for n, who in enumerate((1, 2, None))))
    keyed.ingest("clickstream")
    assert len(rows(keyed, "clickstream", "customer_id")) == 3
    done = forget(keyed, "clickstream", customer_id="1", visitor_id="v1")
    assert done.deleted == 2
    assert rows(keyed, "clickstream", "customer_id") == [(2,)]


def test_records_that_stay_by_contract_stay_as_they_are(keyed: Home) -> None:
    kept = Processing.model_validate(
        {
            "purpose": "x",
            "legal_basis": "legal_obligation",
            "on_erasure": "keep",
            "basis": "tax law",
            "until_days": 3650,
        }
    )
    contract = contracts()["users"].model_copy(update={"personal": kept})
    keyed.put("users", "a.json", {"user_id": "person-1", "x": {"user_id": "person-1"}, **UPDATED}, b"bad person-1")
    keyed.ingest("users")
    before = rows(keyed, "users", "*")
    bury(keyed, {"user_id": {"person-1"}})
    lake = Lake(settings())
    done = erase(contract, lake.store, lake.ledger("users"), lake.tombstones, NOW)
    assert (done.deleted, done.changed, done.rejected, done.lines) == (0, 0, 0, ())
    assert done.position == 2  # it is carried out all the same
    assert rows(keyed, "users", "*") == before
    keyed.put("users", "b.json", {"user_id": "person-1", **UPDATED})
    report = ingest_feed(contract, lake.landing(contract), lake.store, dt.date(2021, 1, 1), tombstones=lake.tombstones)
    assert (report.rows, report.erased) == (1, 0)


def test_a_shared_identifier_beside_another_without_one_person(keyed: Home) -> None:
    """A record that names somebody else by any identifier is not that of everybody who shares a device."""
    contract = contracts()["clickstream"].model_copy(update={"one_person": ()})
    clicks = pa.table({"visitor_id": ["v1", "v1", "v1"], "customer_id": pa.array([1, 2, None], pa.int64())})
    named = Named({"visitor_id": frozenset({"v1"}), "customer_id": frozenset({"1"})}, frozenset())
    assert Forgetter(contract, named, b"").rows(clicks).deleted.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("text", "mentioned"),
    [
        (r'{"user_id": "m\u00fcller-1"}', True),
        ('{"user_id": "müller-1"}', True),
        ('{"by": ["x müller-1 y"]}', True),
        ('{"müller-1": 1}', True),
        ('{"user_id": "müller-12"}', False),
        ("user_id=u7;", True),
        ("u7", False),
        ('{"user_id": "u77"}', False),
    ],
)
def test_texts_that_mention_a_person(text: str, mentioned: bool) -> None:
    named = Named({"user_id": frozenset({"müller-1", "u7"})}, frozenset())
    forgetter = Forgetter(contracts()["events"], named, b"")
    assert forgetter.mentions(text) == mentioned
    table = pa.table(
        {"user_id": ["other"], "_rescued_data": [text if text.startswith("{") else json.dumps({"x": text})]}
    )
    left = forgetter.rows(table).table.column("_rescued_data")[0].as_py()
    assert not forgetter.mentions(left)
    assert (left == table.column("_rescued_data")[0].as_py()) == (not mentioned)


def test_compaction_and_checkpoints_keep_what_was_erased(keyed: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "MIN_FILES", 2)
    monkeypatch.setattr(ledgers, "CHECKPOINT_ENTRIES", 1)
    for number in range(3):
        keyed.put(
            "events",
            f"{number}.json",
            play(f"e{number}", "2026-01-01 10:00:00"),
            play(f"f{number}", "2026-01-01 10:00:00", "u2"),
        )
        keyed.ingest("events")
    forget(keyed, "events", user_id="u1")
    lake = Lake(settings())
    ledger = lake.ledger("events")
    assert compact.compact(lake.store, ledger, NOW).before == 3
    ledger.checkpoint(ledger.state())
    assert ledger.state().forgets == read_tombstones(lake.store, KEY).names
    assert accounted(keyed, "events") == (3, 0, 3)


def test_an_older_program_refuses_the_log_of_an_erasure(keyed: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed.put("events", "a.json", play("e1", "2026-01-01 10:00:00"))
    keyed.ingest("events")
    forget(keyed, "events", user_id="u1")
    monkeypatch.setattr("ingest.ledger.format.READABLE_VERSIONS", (1, 2))
    with pytest.raises(ConfigError, match="has ledger format 3"):
        Ledger(store(keyed), "events").state()


def test_hashes_of_a_load_equal_names_of_a_request(tmp_path: Path) -> None:
    """The two ways to know a person agree, over values that look like others."""
    lake = Store(str(tmp_path))
    names = {"user_id": ["u1", "ü", "17"], "child_id": ["c 1"]}
    write_tombstones(lake, KEY, Request("r", NOW, "x"), names)
    hashed = Hashed(read_tombstones(lake, KEY))
    named = Named({name: frozenset(values) for name, values in names.items()}, frozenset())
    values = pa.array(["u1", "u", "ü", "17", "c 1", None, "U1", ""])
    for name in ("user_id", "child_id", "visitor_id"):
        assert (
            hashed.among(name, values).fill_null(False).to_pylist()
            == named.among(name, values).fill_null(False).to_pylist()
        )
    assert Forgetter(contracts()["events"], hashed, KEY.encode()).mentions('{"child_id": "c 1"}')
    assert not Tombstones()


@pytest.mark.parametrize("step", range(1, 9))
def test_records_of_dropped_objects_lose_their_names_wherever_that_is_interrupted(
    step: int, keyed: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = "person-1-of-many"
    keyed.put("events", f"{person}.json", play("e1", "2026-01-01 10:00:00", person))
    keyed.put("events", "other.json", play("e2", "2026-01-01 10:00:00", "person-2-of-many"))
    keyed.ingest("events")
    assert drop_all(Lake(settings()), [f"raw-events/{person}.json"], "a mistake").exit_code == 0
    put, count = Store.put, iter(range(1, 100))

    def interrupted(self: Store, key: str, data: bytes) -> None:
        if has_names_to_hide(store(keyed), "events") and next(count) == step:
            raise KeyboardInterrupt
        put(self, key, data)

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Store, "put", interrupted)
        forget(keyed, "events", user_id=person)
    again(keyed, "events")
    lake = store(keyed)
    assert not has_names_to_hide(lake, "events")
    assert is_release_due(lake)
    (dropped,) = read_dropped(lake, "events")
    assert dropped.startswith("raw-events/erased-")
    names = [item.source_file for _, entry in Ledger(lake, "events").entries(0) for item in entry.objects]
    assert set(names) == {dropped, "raw-events/other.json"}
    assert drop_all(Lake(settings()), [f"raw-events/{person}.json"], "once more").exit_code == 0
    keyed.ingest("events")
    assert rows(keyed, "events", "user_id") == [("person-2-of-many",)]
