"""Notifications are hints: correct ones save the listing, wrong ones are harmless, missing ones are compensated."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from ingest.contracts.contract import contracts
from ingest.ledger.ledger import Ledger
from ingest.steps import load
from ingest.steps import notifications as hints
from ingest.steps.sweep import last_sweep
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from pipeline.cli.show_ingest import show_ingest
from pipeline.cycle.ingest import IngestSummary
from tests.handle import ingest_all, verify_feed
from tests.home import Home


class Hinted:
    """A project with a spool, after its first full sweep."""

    def __init__(self, home: Home) -> None:
        self.home, self.spool = home, Path(home.options.notifications_path)
        self.put("first.json")
        assert self.ingest().feeds[0].scope == "full"

    def put(self, key: str, name: str | None = None) -> None:
        self.home.put("activities", key, {"activity_id": name or key})

    def hint(
        self, *keys: str, bucket: str = "raw-activities", event: str = "ObjectCreated:Put", quoted: Any = None
    ) -> Path:
        """Write a document as S3 does, with the keys encoded."""
        encode = quoted or (lambda key: quote_plus(key, safe="/"))
        return self.write(
            {
                "Records": [
                    {"eventName": event, "s3": {"bucket": {"name": bucket}, "object": {"key": encode(key), "size": 5}}}
                    for key in keys
                ]
            }
        )

    def write(self, content: Any, age: float = 3600) -> Path:
        self.spool.mkdir(parents=True, exist_ok=True)
        path = self.spool / f"{len(list(self.spool.iterdir())):04d}-{time.monotonic_ns()}.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        os.utime(path, (time.time() - age,) * 2)
        return path

    def ingest(self, *feeds: str, **options: Any) -> IngestSummary:
        return ingest_all(*(feeds or ("activities",)), hinted=True, **options)

    def loaded(self) -> set[str]:
        lake = Store(self.home.options.lake_uri, self.home.options)
        return {name.split("/", 1)[1] for name in Ledger(lake, "activities").state().objects}

    def left(self) -> list[str]:
        return sorted(path.suffix for path in self.spool.iterdir())


@pytest.fixture
def local(home: Home) -> Hinted:
    return Hinted(home)


@pytest.fixture(params=["home", pytest.param("conditional_home", marks=pytest.mark.s3)])
def hinted(request: pytest.FixtureRequest) -> Hinted:
    """On disk, and again on versitygw."""
    return Hinted(request.getfixturevalue(request.param))


@pytest.mark.parametrize("quoted", [lambda key: quote_plus(key, safe="/"), lambda key: quote(key, safe=""), quote_plus])
def test_hinted_objects_are_loaded_without_a_listing(
    hinted: Hinted, quoted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ["plain.json", "a b.json", "a+b.json", "a%20b.json", "ü/日本.json", "x&y=z.json"]
    for key in [*keys, "not hinted.json"]:
        hinted.put(key)
    hinted.hint(*keys[:4], quoted=quoted)
    hinted.hint(*keys[3:], quoted=quoted)
    with monkeypatch.context() as patch:
        patch.setattr(Landing, "listing", lambda *_: pytest.fail("listed"))
        report = hinted.ingest().feeds[0]

    assert (report.scope, report.objects, report.hinted, report.absent) == ("hinted", 6, 6, 0)
    assert hinted.loaded() == {"first.json", *keys}
    assert hinted.left() == []


def test_bronze_is_the_same_as_after_a_listing(hinted: Hinted) -> None:
    hinted.put("a.json")
    hinted.hint("a.json")
    hinted.ingest()
    (listed,) = (item for item in hinted.home.landing("activities").list() if item.key == "a.json")
    lake = Store(hinted.home.options.lake_uri, hinted.home.options)
    loaded = Ledger(lake, "activities").state().objects["raw-activities/a.json"]
    assert (loaded.modified_at, loaded.etag, loaded.size) == (listed.modified_at, listed.etag, listed.size)
    assert verify_feed(contracts()["activities"], hinted.home.options, deep=True).differences == []


def test_time_is_taken_from_a_listing_where_head_returns_seconds(
    local: Hinted, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    real = Landing.inspect

    def whole_seconds(self: Landing, key: str) -> Any:
        seen = real(self, key)
        return (replace(seen[0], modified_at=seen[0].modified_at.replace(microsecond=0)), seen[1]) if seen else None

    expected = {}
    for key in ("a.json", "b.json"):
        local.put(key)
        found = local.home.landing("activities").find(key)
        assert found is not None
        expected[key] = found.modified_at
    local.hint(*expected)
    monkeypatch.setattr(Landing, "inspect", whole_seconds)
    monkeypatch.setattr(Landing, "listed_at", lambda self, key: expected[key])
    local.ingest()
    objects = Ledger(Store(local.home.options.lake_uri), "activities").state().objects
    assert {key: objects[f"raw-activities/{key}"].modified_at for key in expected} == expected


def test_wrong_hints_are_harmless_counted_and_reported(hinted: Hinted) -> None:
    hinted.put("a.json")
    hinted.hint("a.json", "a.json", "never-was.json", "first.json", "first.json/below", "x" * 300)
    hinted.hint("a.json", bucket="somebody-elses")
    hinted.hint("first.json", event="ObjectRemoved:Delete")
    hinted.hint("folder/", "../raw-users/a.json", "a//b", "", "nul\0", "y" * 1025)
    hinted.hint("a.json", event="s3:ObjectCreated:CompleteMultipartUpload")
    hinted.write({"Service": "Amazon S3", "Event": "s3:TestEvent"})
    hinted.write({"Records": [None, 5, {}, {"eventName": "ObjectCreated:Put", "s3": None}, {"eventName": 5}]})
    hinted.write(
        b'{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "raw-activities"}, '
        b'"object": {"key": "%ff\\ud800"}}}]}'
    )
    for malformed in (b"", b"no json", b"[]", b'{"Records": 5}', b"\xff\xfe", b"[" * 100_000):
        hinted.write(malformed)

    summary = hinted.ingest()

    report = summary.feeds[0]
    assert (summary.exit_code, report.objects, report.changed_meanwhile) == (0, 1, 0)
    assert (report.hinted, report.absent) == (7, 5)  # `folder/` and `a//b` could be objects of S3
    assert "hints: 10 in 8 documents, 11 ignored, 1 of no feed, 6 malformed documents" in summary.notes
    assert "7 hinted objects were looked up, 5 do not exist" in show_ingest(summary)
    assert hinted.left() == [".malformed"] * 6
    assert hinted.ingest().notes == ["hints: 0 in 0 documents"]


def enveloped(kind: str, document: dict[str, Any]) -> dict[str, Any]:
    """An event document as received by a queue consumer."""
    notification = {"Type": "Notification", "TopicArn": "arn:aws:sns:…", "Message": json.dumps(document)}
    created = document["Records"][0]["s3"]
    return {
        "SNS": notification,
        "SQS": {"Messages": [{"MessageId": "0", "Body": "no json"}, {"MessageId": "1", "Body": json.dumps(document)}]},
        "SQS to a function": {"Records": [{"messageId": "1", "eventSource": "aws:sqs", "body": json.dumps(document)}]},
        "SNS in SQS": {"Messages": [{"MessageId": "1", "Body": json.dumps(notification)}]},
        "SNS to a function": {"Records": [{"EventSource": "aws:sns", "Sns": notification}]},
        "EventBridge": {
            "source": "aws.s3",
            "detail-type": "Object Created",
            "detail": {"bucket": created["bucket"], "object": {"key": "a b+ü%20.json"}},
        },
    }[kind]


@pytest.mark.parametrize("kind", ["SNS", "SQS", "SQS to a function", "SNS in SQS", "SNS to a function", "EventBridge"])
def test_envelopes_of_queues_are_opened(local: Hinted, kind: str) -> None:
    local.put("a b+ü%20.json")
    path = local.hint("a b+ü%20.json")
    path.write_text(json.dumps(enveloped(kind, json.loads(path.read_text()))))
    summary = local.ingest()
    assert (summary.feeds[0].hinted, summary.feeds[0].absent, summary.feeds[0].objects) == (1, 0, 1), summary.notes
    assert local.loaded() == {"first.json", "a b+ü%20.json"}
    assert local.left() == []


def test_other_events_in_envelopes_are_ignored(local: Hinted) -> None:
    local.write({"source": "aws.s3", "detail-type": "Object Deleted", "detail": {"bucket": {"name": "raw-activities"}}})
    local.write({"Type": "Notification", "Message": json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})})
    local.write({"Type": "Notification", "Message": "no json"})
    assert local.ingest().notes == ["hints: 0 in 2 documents, 1 ignored, 1 malformed documents"]


def test_document_that_is_still_being_written_is_left_alone(local: Hinted) -> None:
    path = local.write(b'{"Records": [', age=1)
    (local.spool / "draft.tmp").write_text("whatever")
    assert local.ingest().notes == ["hints: 0 in 0 documents"]
    assert path.exists()
    assert local.left() == [".json", ".tmp"]


def test_document_that_changed_after_it_was_read_is_read_again(local: Hinted, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("a.json", "b.json"):
        local.put(key)
    path = local.hint("a.json")
    real = load.discover

    def meanwhile(*arguments: Any) -> Any:
        path.write_bytes(path.read_bytes().replace(b"a.json", b"b.json"))
        monkeypatch.setattr(load, "discover", real)
        return real(*arguments)

    monkeypatch.setattr(load, "discover", meanwhile)
    assert local.ingest().feeds[0].objects == 1
    assert path.exists()
    assert local.ingest().feeds[0].objects == 1
    assert not path.exists()


def test_documents_are_deleted_only_after_the_commit(local: Hinted, monkeypatch: pytest.MonkeyPatch) -> None:
    local.put("a.json")
    local.hint("a.json")
    with monkeypatch.context() as crash:
        crash.setattr(Ledger, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            local.ingest()
    assert local.left() == [".json"]
    assert local.ingest().feeds[0].objects == 1
    assert local.left() == []


def test_hints_of_a_feed_that_is_not_ingested_stay(local: Hinted) -> None:
    local.put("a.json")
    local.home.put("users", "u.json", {"user_id": "u1"})
    both = local.hint("a.json")
    content = json.loads(both.read_text())
    content["Records"].append(json.loads(local.hint("u.json", bucket="raw-users").read_text())["Records"][0])
    both.write_text(json.dumps(content))

    assert local.ingest("activities").feeds[0].objects == 1
    assert local.left() == [".json", ".json"]
    assert local.ingest("activities", "users").feeds[1].objects == 1
    assert local.left() == []


def test_object_that_changes_while_it_is_read_keeps_its_hint(local: Hinted, monkeypatch: pytest.MonkeyPatch) -> None:
    local.put("a.json")
    local.hint("a.json")
    real = load.discover

    def meanwhile(*arguments: Any) -> Any:
        found = real(*arguments)
        local.put("a.json", "newer")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(load, "discover", meanwhile)
        report = local.ingest().feeds[0]
    assert (report.objects, report.changed_meanwhile, local.left()) == (0, 1, [".json"])
    assert local.ingest().feeds[0].objects == 1


def test_full_sweeps_continue_and_find_objects_without_a_hint(hinted: Hinted) -> None:
    hinted.put("silent.json")
    hinted.put("named.json")
    hinted.hint("named.json")
    assert hinted.ingest().feeds[0].objects == 1
    lake = Store(hinted.home.options.lake_uri, hinted.home.options)
    sweep = last_sweep(lake, "activities")
    assert sweep is not None
    said = json.loads(lake.get("ledger/activities/_sweep"))
    lake.put("ledger/activities/_sweep", json.dumps(said | {"started_at": "2026-01-01T00:00:00+00:00"}).encode())
    hinted.hint("silent.json", "nowhere.json")

    report = hinted.ingest().feeds[0]

    assert (report.scope, report.objects) == ("full", 1)
    assert hinted.left() == []
    assert hinted.ingest(full=True).feeds[0].scope == "full"


def test_too_many_documents_are_processed_in_batches(local: Hinted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "MAX_DOCUMENTS", 2)
    for number in range(3):
        local.put(f"{number}.json")
        local.hint(f"{number}.json")
    summary = local.ingest()
    assert (summary.feeds[0].objects, summary.notes) == (
        2,
        ["hints: 2 in 2 documents, 1 documents left for the next run"],
    )
    assert local.ingest().feeds[0].objects == 1
