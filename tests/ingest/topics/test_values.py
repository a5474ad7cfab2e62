"""Values of messages become lines of JSON: change events with their key, Avro by a real registry over HTTP."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ingest.contracts.contract import Contract
from ingest.errors import ConfigError, RetriableError
from ingest.settings import Settings
from ingest.topics.connection import Connection
from ingest.topics.values import Decoder, Undecodable
from tests.connect_server import Broker
from tests.kafka import Topic, contract

fastavro = pytest.importorskip("fastavro", reason="Kafka: the extra kafka is not installed, see make setup-kafka")
MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
CLICK = {
    "type": "record",
    "name": "Click",
    "fields": [
        {"name": "event_id", "type": "string"},
        {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "amount", "type": ["null", MONEY], "default": None},
    ],
}
RATED = CLICK | {"fields": [*CLICK["fields"], {"name": "rating", "type": "double"}]}
ADDRESS = {"type": "record", "name": "Address", "fields": [{"name": "city", "type": "string"}]}
BUYER = {"type": "record", "name": "Buyer", "fields": [{"name": "home", "type": "Address"}]}


class Registry:
    """A registry of schemas as Confluent's REST API describes it, over HTTP.

    Attributes:
        schemas: by id: what it answers.
    """

    def __init__(self) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.status = 200
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                by_id = re.match(r"/schemas/ids/(\d+)", self.path)
                by_subject = re.match(r"/subjects/([^/]+)/versions/1", self.path)
                found = registry.schemas.get(int(by_id[1])) if by_id else None
                if by_subject:
                    found = next((one for one in registry.schemas.values() if one["subject"] == by_subject[1]), None)
                status = registry.status if registry.status != 200 else 200 if found else 404
                body = found if status == 200 else {"error_code": 40403 if status == 404 else status, "message": "no"}
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def register(self, number: int, schema: Any, kind: str = "AVRO", references: Any = ()) -> None:
        text = schema if isinstance(schema, str) else json.dumps(schema)
        self.schemas[number] = {
            "subject": f"s{number}",
            "version": 1,
            "id": number,
            "guid": "",
            "schema": text,
            "schemaType": kind,
            "references": list(references),
        }


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = Registry()
    yield made
    made.server.shutdown()
    made.server.server_close()


def decoder(registry: Registry | None, values: str = "avro", agreed: Contract | None = None) -> Decoder:
    options = Settings(kafka_schema_registry_url=registry.url if registry else "")
    return Decoder(agreed or contract("clicks", values), Connection(options))


def framed(number: int, schema: Any, value: Any, *named: Any) -> bytes:
    """A value as a serializer writes it."""
    known: dict[str, Any] = {}
    for one in named:
        fastavro.parse_schema(one, named_schemas=known)
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema, named_schemas=known), value)
    return b"\0" + number.to_bytes(4, "big") + stream.getvalue()


VALUE = {"event_id": "c1", "occurred_at": dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), "amount": Decimal("9.50")}


def test_avro_is_read_by_the_schema_that_each_message_names(registry: Registry) -> None:
    registry.register(7, CLICK)
    registry.register(8, RATED)
    made = decoder(registry)
    assert json.loads(made.line(None, framed(7, CLICK, VALUE))) == {
        "event_id": "c1",
        "occurred_at": "2026-01-02T03:00:00Z",
        "amount": 9.5,
    }
    assert b'"amount":9.50' in made.line(None, framed(7, CLICK, VALUE)), "the scale is kept"
    for number, shown in ((float("nan"), "NaN"), (float("inf"), "Infinity"), (2.5, 2.5)):
        assert json.loads(made.line(None, framed(8, RATED, VALUE | {"rating": number})))["rating"] == shown
    assert made.line(None, b'{"event_id":"plain"}') == b'{"event_id":"plain"}'


def test_a_schema_that_refers_to_another_is_read(registry: Registry) -> None:
    registry.register(1, ADDRESS)
    registry.register(2, BUYER, references=[{"name": "Address", "subject": "s1", "version": 1}])
    value = framed(2, BUYER, {"home": {"city": "Oslo"}}, ADDRESS)
    assert json.loads(decoder(registry).line(None, value)) == {"home": {"city": "Oslo"}}


def test_what_is_no_avro_of_its_schema_is_undecodable_and_stops_nothing(registry: Registry) -> None:
    registry.register(7, CLICK)
    made, whole = decoder(registry), framed(7, CLICK, VALUE)
    for value, shown in (
        (whole[:-1], "no Avro of schema 7"),
        (whole + b"x", "longer than"),
        (b"\0\0\0\0\x63rest", "has no schema 99"),
        (b"", "does not begin with the id"),
        (b"text", "does not begin with the id"),
    ):
        with pytest.raises(Undecodable, match=shown):
            made.line(None, value)


def test_protobuf_is_refused_with_one_sentence(registry: Registry) -> None:
    registry.register(9, 'syntax = "proto3"; message Click {}', "PROTOBUF")
    for values in ("avro", "json"):
        with pytest.raises(ConfigError, match=r"topic clicks has Protobuf \(schema 9\); expected JSON or Avro"):
            decoder(registry, values).line(None, b"\0\0\0\0\x09\0abc")
    with pytest.raises(ValueError, match="values are protobuf; expected json or avro"):
        contract("clicks", "protobuf")


def test_json_by_a_schema_of_the_registry_is_read_without_its_frame(registry: Registry) -> None:
    registry.register(3, '{"type": "object"}', "JSON")
    assert decoder(registry, "json").line(None, b'\0\0\0\0\x03{"a": 1}') == b'{"a": 1}'


def test_a_registry_that_is_missing_refuses_or_fails_stops_the_load(registry: Registry) -> None:
    registry.register(7, CLICK)
    value = framed(7, CLICK, VALUE)
    with pytest.raises(ConfigError, match="set KAFKA_SCHEMA_REGISTRY_URL"):
        decoder(None).line(None, value)
    registry.status = 403
    with pytest.raises(ConfigError, match="403"):
        decoder(registry).line(None, value)
    registry.status = 422
    with pytest.raises(RetriableError, match="422"):
        decoder(registry).line(None, value)


def test_json_of_several_lines_is_one_line_and_a_broken_one_is_undecodable() -> None:
    made = decoder(None, "json")
    assert made.line(None, b'{\n "a": 1.00,\r\n "b": "x\\ny"}') == b'{"a":1.00,"b":"x\\ny"}'
    with pytest.raises(Undecodable, match="several lines"):
        made.line(None, b'{"a": 1,\n')
    with pytest.raises(Undecodable, match="empty"):
        made.line(None, b" \n ")


def test_a_change_event_keeps_the_key_of_its_message() -> None:
    kafka = {"topic": "shop.public.orders"}
    columns = [{"name": "id", "type": "integer", "required": True, "description": "Id."}]
    agreed = contract(
        "x", kind="change", event_time=None, key=["id"], columns=columns,
        source={"kafka": kafka, "format": "debezium"},
    )  # fmt: skip
    made = decoder(None, "json", agreed)
    line = made.line(b'{"id": 1}', b'{"op": "d"}')
    assert line == b'{"key":{"id": 1},"value":{"op": "d"}}'
    assert made.line(b'{"id": 1}', line) == line
    assert made.line(None, b'{"op": "d"}') == b'{"op": "d"}'
    assert made.line(b"7", b'{"op": "d"}') == b'{"op": "d"}'


def test_avro_messages_of_a_broker_are_loaded_and_replayed_once_their_schema_is_known(
    broker: Broker, registry: Registry, tmp_path: Path
) -> None:
    from ingest.steps.replay import replay

    topic = Topic(broker, tmp_path, values="avro", kafka_schema_registry_url=registry.url)
    registry.register(7, CLICK)
    topic.send([framed(7, CLICK, VALUE), framed(8, RATED, VALUE | {"event_id": "c2", "rating": 0.5})])
    report = topic.load()
    assert (report.rows, report.quarantined) == (1, 1)
    assert topic.ids() == ["c1"]
    registry.register(8, RATED)
    done = replay(
        topic.contract, topic.store, topic.ledger, dt.datetime.now(dt.UTC), connection=Connection(topic.options)
    )
    assert (done.tried, done.replayed) == (1, 1)
    assert topic.ids() == ["c1", "c2"]
    (span,) = topic.ledger.state().ranges.values()
    assert (span.rows, span.quarantined) == (2, 0)
    assert span.is_conserved
