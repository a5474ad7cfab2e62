"""Source objects with a forgotten person: rewritten, deleted or reported, and never loaded again for that."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from ingest.contracts.contract import Contract, contracts
from ingest.ledger.landed import read_landed
from ingest.ledger.ledger import Ledger
from ingest.ledger.tombstones import Request, write_tombstones
from ingest.settings import settings
from ingest.steps.erase import erase
from ingest.steps.load import ingest_feed
from ingest.storage.landing import Landing
from ingest.upkeep.landed import Landed, forget_landed
from pipeline.lake import Lake
from tests.engagement import play
from tests.handle import verify_feed
from tests.home import Home

KEY = "a secret of many characters"
NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
DAY = "2026-01-01 10:00:00"


@pytest.fixture
def keyed(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("LAKE_ERASURE_KEY", KEY)
    settings.cache_clear()
    return Home()


def of(rule: str) -> Contract:
    contract = contracts()["events"]
    return contract.model_copy(update={"source": contract.source.model_copy(update={"on_erasure": rule})})


def lines(*users: str) -> bytes:
    return b"".join(json.dumps(play(f"e-{n}-{user}", DAY, user)).encode() + b"\n" for n, user in enumerate(users))


def erased(home: Home, rule: str) -> tuple[Landed, Lake]:
    """Load, erase u1, and treat the landing by a rule."""
    home.ingest("events")
    lake = Lake(settings())
    write_tombstones(lake.store, KEY, Request("r1", NOW, "a letter"), {"user_id": ["u1"]})
    erase(contracts()["events"], lake.store, lake.ledger("events"), lake.tombstones, NOW)
    return again(lake, rule), lake


def again(lake: Lake, rule: str) -> Landed:
    contract = of(rule)
    return forget_landed(contract, lake.landing(contract), lake.store, lake.ledger("events"), NOW)


def zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


@pytest.mark.parametrize(
    ("pack", "unpack"),
    [
        (bytes, bytes),
        (gzip.compress, gzip.decompress),
        (zstd, lambda data: pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()),
    ],
    ids=["plain", "gzip", "zstd"],
)
def test_objects_lose_the_persons_lines_alone(
    keyed: Home, pack: Callable[[bytes], bytes], unpack: Callable[[bytes], bytes]
) -> None:
    landing = keyed.landing("events")
    landing.put("mixed.json", pack(lines("u2", "u1", "u3")))
    landing.put("others.json", pack(lines("u2")))
    landing.put("own.json", pack(lines("u1", "u1")))
    before = landing.get("others.json")
    done, lake = erased(keyed, "rewrite")
    assert (done.rewritten, done.deleted, done.left) == (("raw-events/mixed.json",), ("raw-events/own.json",), ())
    first, gone, last = unpack(landing.get("mixed.json")).splitlines()
    assert (json.loads(first)["user_id"], gone, json.loads(last)["user_id"]) == ("u2", b"", "u3")
    assert landing.get("others.json") == before
    assert landing.find("own.json") is None
    assert read_landed(lake.store, "events") == {}

    # THEN the next ingest knows the content, and a rebuilt log agrees
    position = lake.ledger("events").position()
    summary = keyed.ingest("events")
    assert (summary.feeds[0].objects, summary.feeds[0].unchanged) == (0, 1)
    assert lake.ledger("events").position() == position + 1
    verdict = verify_feed(contracts()["events"], settings(), deep=True)
    assert (verdict.differences, verdict.rows, verdict.erased, verdict.waiting) == ([], 3, 3, 0)
    assert (verdict.retired, verdict.gone) == (1, 0)


def test_rules_that_rewrite_nothing(keyed: Home) -> None:
    landing = keyed.landing("events")
    landing.put("a.json", lines("u1", "u2"))
    reported, lake = erased(keyed, "report")
    assert reported.left == (
        ("raw-events/a.json", "source.on_erasure of the contract is report, so its producer has to"),
    )
    assert landing.get("a.json") == lines("u1", "u2")
    assert again(lake, "report") == reported  # it is kept in mind until the object is gone
    assert again(lake, "delete").deleted == ("raw-events/a.json",)
    assert landing.find("a.json") is None
    assert again(lake, "report") == Landed("events")
    verdict = verify_feed(contracts()["events"], settings())
    assert (verdict.differences, verdict.rows, verdict.retired) == ([], 1, 1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"event_id,name,user_id,occurred_at\ne1,activity_exit,u1,2026-01-01 10:00:00\n"),
        ("a.json", b"[" + lines("u1").strip() + b"]"),
    ],
)
def test_other_formats_are_left_and_named(keyed: Home, name: str, content: bytes) -> None:
    keyed.landing("events").put(name, content)
    done, lake = erased(keyed, "rewrite")
    assert [(left, "only objects of JSON lines" in why) for left, why in done.left] == [(f"raw-events/{name}", True)]
    assert keyed.landing("events").get(name) == content
    assert again(lake, "delete").deleted == (f"raw-events/{name}",)


@pytest.mark.parametrize("step", ["record", "put"])
def test_interrupted_and_repeated_it_ends_the_same(keyed: Home, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    landing = keyed.landing("events")
    landing.put("a.json", lines("u2", "u1", "u3", "u1", "u4"))
    place: Any = (Ledger, "commit") if step == "record" else (Landing, "put")
    original = getattr(*place)
    keyed.ingest("events")
    lake = Lake(settings())
    write_tombstones(lake.store, KEY, Request("r1", NOW, "a letter"), {"user_id": ["u1"]})
    erase(contracts()["events"], lake.store, lake.ledger("events"), lake.tombstones, NOW)
    with monkeypatch.context() as patch:

        def interrupted(*given: Any, **named: Any) -> Any:
            original(*given, **named)
            raise KeyboardInterrupt

        patch.setattr(*place, interrupted)
        with pytest.raises(KeyboardInterrupt):
            again(lake, "rewrite")
    again(lake, "rewrite")
    assert [json.loads(line)["user_id"] if line else "" for line in landing.get("a.json").splitlines()] == [
        "u2",
        "",
        "u3",
        "",
        "u4",
    ]
    keyed.ingest("events")
    verdict = verify_feed(contracts()["events"], settings(), deep=True)
    assert (verdict.differences, verdict.rows, verdict.erased, verdict.waiting) == ([], 3, 2, 0)


def test_an_overwritten_object_waits_for_its_load(keyed: Home) -> None:
    landing = keyed.landing("events")
    landing.put("a.json", lines("u1", "u2"))
    keyed.ingest("events")
    landing.put("a.json", lines("u3", "u1", "u2"))
    done, lake = Landed("events"), Lake(settings())
    write_tombstones(lake.store, KEY, Request("r1", NOW, "a letter"), {"user_id": ["u1"]})
    erase(contracts()["events"], lake.store, lake.ledger("events"), lake.tombstones, NOW)
    done = again(lake, "rewrite")
    assert [(name, "was overwritten since" in why) for name, why in done.left] == [("raw-events/a.json", True)]
    assert landing.get("a.json") == lines("u3", "u1", "u2")
    contract = contracts()["events"]
    report = ingest_feed(contract, lake.landing(contract), lake.store, dt.date(2021, 1, 1), tombstones=lake.tombstones)
    assert (report.rows, report.erased) == (2, 1)
    assert again(lake, "rewrite").rewritten == ("raw-events/a.json",)  # the lines that the load noted
    assert landing.get("a.json").splitlines()[1] == b""
    assert [json.loads(line)["user_id"] for line in landing.get("a.json").splitlines() if line] == ["u3", "u2"]
