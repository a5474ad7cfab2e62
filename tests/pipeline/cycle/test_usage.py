"""Rules: each cycle and command leaves what it used, once, by names that have prices; no cycle fails for it."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from ingest.schemes import FOLDER, KINDS
from ingest.settings import PROJECT, read_settings
from ingest.storage.store import Store
from ingest.storage.traffic import PART_BYTES, Operation, counted
from pipeline.cycle.cycle import run_cycle
from pipeline.cycle.summary import RunSummary
from pipeline.cycle.usage import Meter, keep_usage, lake_stored, metered, place_of
from pipeline.cycle.usage_record import keep
from pipeline.lake import Lake
from pipeline.process.spent import cpu_seconds
from tests.engagement import play
from tests.home import Home

pytestmark = pytest.mark.usefixtures("engagement")
DAY = dt.timedelta(days=1)


def cycle(home: Home) -> RunSummary:
    return run_cycle(Lake(home.options), (), lambda _: lambda objects, size: None)


def kept(home: Home) -> list[tuple[str, str, str, float]]:
    """What waits for the next cycle that opens the warehouse."""
    path = home.options_home / "usage.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [tuple(row) for line in lines if line for row in json.loads(line)[2]]


@pytest.mark.long
def test_a_cycle_leaves_what_it_used_and_the_next_one_records_it_once(home: Home) -> None:
    home.put("users", "1.json", {"user_id": "u1", "country_code": "fr"})
    home.put("events", "1.json", play("e1", str((dt.datetime.now(dt.UTC) - DAY).date())))
    home.ingest()
    home.plan()
    home.put("users", "2.json", {"user_id": "u2", "country_code": "fr"})
    before = cpu_seconds()
    first = cycle(home)
    spent = cpu_seconds() - before
    assert first.outcome == "published"
    rows = kept(home)
    by_kind = {kind: {item: quantity for own, item, _, quantity in rows if own == kind} for kind, *_ in rows}

    # all of its CPU belongs to a stage
    assert set(first.seconds) <= set(by_kind["cpu"])
    assert sum(by_kind["cpu"].values()) == pytest.approx(spent, abs=0.05)
    assert by_kind["cpu"]["run"] == pytest.approx(first.cpu_seconds["run"], abs=1e-5)
    assert 0 < by_kind["memory"]["peak of the process"] < 60

    # models that it computed, and what is stored of what it changed
    assert by_kind["model"].keys() == {name for name, done in first.computed.items() if done.seconds > 0}
    (bronze,) = [file.bytes for file in Lake(home.options).ledger("users").live_files()[:1]]
    assert by_kind["stored"]["lake bronze users"] >= bronze / 1e9
    landed = sum(item.size for item in home.landing("users").list())
    assert by_kind["stored"]["landing users"] == pytest.approx(landed / 1e9)
    assert "landing events" not in by_kind["stored"], "the cycle loaded none of it"
    assert by_kind["stored"]["warehouse"] > 1e-4
    assert "request" not in by_kind, "a folder answers no requests"

    # the next one that opens the warehouse moves it there; of one that was killed after that nothing is doubled
    path = home.options_home / "usage.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(["killed", "2026-01-01T00:00:00", [["cpu", "run", "cpu", 1.5]]]) + '\n["2026')
    home.rows("INSERT INTO operations.usage VALUES ('killed', '2026-01-01', 'cpu', 'run', 'cpu', 1.5)")
    home.put("users", "3.json", {"user_id": "u3", "country_code": "fr"})
    assert cycle(home).outcome == "published"
    query = "SELECT kind, item, price, quantity FROM operations.usage WHERE run_id = '{}'"
    assert Counter(home.rows(query.format(first.run_id))) == Counter(rows)
    assert home.rows(query.format("killed")) == [("cpu", "run", "cpu", 1.5)]
    assert not [row for row in kept(home) if row in rows]


def test_a_record_that_cannot_be_written_is_a_warning(home: Home) -> None:
    (home.options_home / "usage.jsonl").mkdir(parents=True)
    found = cycle(home)
    assert [text for text in found.warnings if "the record of what was used" in text or "usage.jsonl" in text]
    assert not [error for error in found.errors if "usage.jsonl" in error]


def test_commands_leave_what_they_used(home: Home) -> None:
    lake = Lake(home.options)
    home.put("users", "1.json", {"user_id": "u1", "country_code": "fr"})
    failures: list[object] = []
    with metered(lake, "lake ingest", failures.append) as note:
        home.ingest()
        sum(range(1_000_000))
        note()
    spent = [quantity for kind, item, _, quantity in kept(home) if (kind, item) == ("cpu", "lake ingest")]
    assert len(spent) == 2
    assert spent[0] > spent[1], "each part once"

    keep_usage(lake, lake_stored(lake))
    found = {item: quantity for kind, item, _, quantity in kept(home) if kind == "stored"}
    stored = sum(path.stat().st_size for path in Path(home.options.lake_uri).rglob("*") if path.is_file())
    assert sum(size for item, size in found.items() if item.startswith("lake ")) == pytest.approx(stored / 1e9)
    assert {"lake bronze users", "lake ledger users"} <= found.keys()
    assert not failures


def test_what_has_no_quantity_leaves_no_file(home: Home) -> None:
    keep(home.options, [])
    assert not (home.options_home / "usage.jsonl").exists()


def test_requests_and_bytes_of_a_store_are_counted(s3_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    options = read_settings()
    store = Store(f"s3://shared/{dt.datetime.now(dt.UTC):%H%M%S%f}", options)
    before = counted()
    store.put("a", b"12345")
    assert store.put_new("b", b"123")
    assert store.get("a") == b"12345"
    assert [item.key for item in store.list()] == ["a", "b"]
    assert store.find("c") is None
    with store.open("b") as file:
        assert file.read() == b"123"
    large = store.stage("d")
    large.write_bytes(bytes(PART_BYTES + 1))
    store.publish({"d": large})
    store.delete(["a", "b"])
    store.close()
    found = counted() - before
    assert {operation: found[store.uri, operation] for operation in get_args(Operation)} == {
        "put": 2 + 4,  # two parts, begin and end
        "get": 1 + 1 + 2,
        "list": 1,
        "delete": 2,
        "read": 5 + 3,
        "written": 5 + 3 + PART_BYTES + 1,
    }

    meter = Meter()
    store.put("e", b"1")
    used = [item for item in meter.read(options, {}, "rest") if item.kind in ("request", "moved")]
    assert [(item.item, item.price, item.quantity) for item in used] == [
        ("landing put", "s3_put", 1),
        ("landing written", "s3_written", 1e-9),
    ]
    assert not [item for item in meter.read(options, {}, "rest") if item.kind in ("request", "moved")]


def test_the_place_of_a_store(home: Home) -> None:
    options = home.options
    places = (options.lake_uri, options.published_uri, f"{options.published_uri}-analyst", options.landing("users"))
    assert [place_of(uri, options) for uri in places] == ["lake", "releases", "releases", "landing"]


def test_each_name_has_a_price_and_each_price_a_source() -> None:
    with (PROJECT / "seeds/prices.csv").open(encoding="utf-8", newline="") as file:
        prices = list(csv.DictReader(file))
    remote = [scheme for scheme in KINDS if scheme != FOLDER]
    names = {f"{scheme}_{name}" for scheme in remote for name in (*get_args(Operation), "stored")}
    assert {price["name"] for price in prices} == {*names, "cpu", "memory", "model", "disk_stored"}
    for price in prices:
        if price["name"] != "model":
            assert re.search(r"https://\S+: |https://\S+ \(", price["source"]), price["name"]
            assert re.search(r"20\d\d", price["source"].split("https://")[1]), f"{price['name']}: no date"
