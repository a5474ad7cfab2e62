"""Each form and each trap of change events: what becomes a row and with which values, what is skipped, what refused."""

from __future__ import annotations

import base64
import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ingest.contracts.contract import Contract
from ingest.contracts.schema import CHANGES
from ingest.records.parsed import LINE, RESCUED, Parsed
from tests.envelopes import MYSQL, column, customer, customers, envelope, line, parse, record, recorded, schema, source

TOAST = "__debezium_unavailable_value"
INFINITY = 9_223_372_036_825_200_000
WIDE = customers(
    column("score", "double"),
    column("active", "boolean"),
    column("count", "integer"),
    column("exact", "decimal(38, 10)"),
    column("seen_at", "timestamp", unit="milliseconds"),
    column("logged_at", "timestamp", unit="nanoseconds"),
    column("joined_at", "timestamp", unit="seconds"),
    column("days", "date", repeated=True),
    column("ids", "integer", repeated=True),
    column("refs", "string", repeated=True),
    column("photo", "string"),
    column(
        "place", "struct", fields=[column("x", "double"), column("at", "timestamp"), column("fee", "decimal(9, 2)")]
    ),
)
BY_FILE = customers(source={"bucket": "raw-customers", "format": "debezium", "order": ["file", "pos", "row"]})


def b64(number: int) -> str:
    """The bytes of a decimal's unscaled value."""
    return base64.b64encode(number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)).decode()


def create(**fields: Any) -> dict[str, Any]:
    return envelope(after=customer(**fields))


def update(before: dict[str, Any] | None, **fields: Any) -> dict[str, Any]:
    return envelope("u", before=before, after=customer(**fields))


def delete(**fields: Any) -> dict[str, Any]:
    return envelope("d", **{"before": customer(), "after": None} | fields)


def typed(value: Any, of: str, **field: Any) -> dict[str, Any]:
    """A creation with a schema part that gives one column a type."""
    return {"schema": schema({**field, "field": of}), "payload": create(**{of: value})}


def time_field(name: str, kind: str = "int64") -> dict[str, Any]:
    return {"type": kind, "name": f"io.debezium.time.{name}", "version": 1}


def connect(name: str, kind: str = "int64", **parameters: str) -> dict[str, Any]:
    return {"type": kind, "name": f"org.apache.kafka.connect.data.{name}", "parameters": parameters}


UTC = dt.datetime
ROWS: dict[str, tuple[Any, dict[str, Any]]] = {
    # forms of a message
    "bare": (envelope(), {"id": 1, "name": "Ada", "_operation": "create"}),
    "with a schema part": ({"schema": schema(), "payload": envelope()}, {"id": 1}),
    "with a schema part that is null": ({"schema": None, "payload": envelope()}, {"id": 1}),
    "record": (record(envelope(), {"id": 1}), {"id": 1}),
    "record with schema parts": (
        record({"schema": schema(), "payload": envelope()}, {"schema": None, "payload": {}}),
        {"id": 1},
    ),
    "record with a value as text": (record(json.dumps(envelope()), '{"id":1}'), {"id": 1}),
    "record with a wrapped value as text": (record(json.dumps({"schema": None, "payload": envelope()})), {"id": 1}),
    "record with a value as text of several lines": (
        record(json.dumps(envelope(after=customer(name="a\nb", other={"x": 1})), indent=1).replace("\n", "\r\n")),
        {"id": 1, "name": "a\nb", "_operation": "create"},
    ),
    "delete by a key as text of several lines": (
        record(delete(before=None), json.dumps({"id": 6}, indent=1)),
        {"id": 6, "name": None},
    ),
    "envelope as text": (json.dumps(envelope()), {"id": 1}),
    "white space": (json.dumps(create(born=1), indent=1).replace("\n", " ").encode(), {"born": dt.date(1970, 1, 2)}),
    "huge": (create(name="x" * (1 << 20)), {"name": "x" * (1 << 20)}),
    # the change
    "read of a snapshot": (
        envelope("r", source=source(snapshot="first"), transaction=None),
        {"_operation": "read", "_snapshot": "first"},
    ),
    "snapshot true as a boolean": (envelope("r", source=source(snapshot=True)), {"_snapshot": "true"}),
    "snapshot true as text": (envelope("r", source=source(snapshot="true")), {"_snapshot": "true"}),
    "snapshot false as a boolean": (envelope(source=source(snapshot=False)), {"_snapshot": None}),
    "snapshot null": (envelope(source=source(snapshot=None)), {"_snapshot": None}),
    "incremental snapshot": (envelope("r", source=source(snapshot="incremental")), {"_snapshot": "incremental"}),
    "update": (update(customer(name="Grace")), {"_operation": "update", "name": "Ada"}),
    "update without the row before": (update(None), {"_operation": "update"}),
    "delete": (delete(), {"_operation": "delete", "name": "Ada"}),
    "delete with the key alone": (delete(before={"id": 5}), {"id": 5, "name": None}),
    "delete with NULL in required columns": (delete(before={"id": 5, "name": None}), {"id": 5, "name": None}),
    "delete by the record's key": (record(delete(before=None), {"id": 6}), {"id": 6, "name": None}),
    "delete by a wrapped key": (record(delete(before=None), {"schema": schema(), "payload": {"id": 6}}), {"id": 6}),
    "delete by a key as text": (record(delete(before=None), '{"id": 6}'), {"id": 6, "_operation": "delete"}),
    "truncate": (envelope("t", after=None), {"_operation": "truncate", "id": None, "name": None, "tags": None}),
    # where it is in the log
    "position": (
        envelope(),
        {
            "_position": f"{200:020d}",
            "_previous_commit": f"{100:020d}",
            "_transaction_order": 3,
            "_transaction_id": "7",
        },
    ),
    "position of 20 digits": (envelope(source=source(lsn=(1 << 64) - 1)), {"_position": "18446744073709551615"}),
    "position as text": (envelope(source=source(lsn="200")), {"_position": f"{200:020d}"}),
    "commit before unknown": (envelope(source=source(sequence='[null,"200"]')), {"_previous_commit": None}),
    "no sequence": (envelope(source=source(sequence=None)), {"_previous_commit": None}),
    "no transaction metadata": (
        envelope(transaction=None, source=source(txId=None)),
        {"_transaction_order": 0, "_transaction_id": None},
    ),
    "no transaction in the source": (envelope(source=source(txId=None)), {"_transaction_id": "7:200"}),
    "microseconds": (envelope(), {"_committed_at": UTC(2026, 2, 2, 2, 40, 0, 123456)}),
    "nanoseconds alone": (envelope(source=source(ts_us=None)), {"_committed_at": UTC(2026, 2, 2, 2, 40, 0, 123456)}),
    "milliseconds alone": (
        envelope(source=source(ts_us=None, ts_ns=None)),
        {"_committed_at": UTC(2026, 2, 2, 2, 40, 0, 123000)},
    ),
    "no time": (envelope(source=source(ts_us=None, ts_ns=None, ts_ms=None)), {"_committed_at": None}),
    # columns
    "NULL": (
        create(plan=None, mrr=None, tags=None, born=None),
        {"plan": None, "mrr": None, "tags": None, "born": None},
    ),
    "unknown column": (create(country="NL", score=1.5), {RESCUED: '{"country":"NL","score":1.5}'}),
    "dropped column": (envelope(after={"id": 1, "name": "Ada"}), {"plan": None, RESCUED: None}),
    "unicode": (create(name="Zoë 李 \U0001f600"), {"name": "Zoë 李 \U0001f600"}),
    "escaped unicode": (line(create(name="x")).replace(b'"x"', b'"Zo\\u00eb"'), {"name": "Zoë"}),
    "brackets in text": (create(name='{"op":"x"}', plan="]}"), {"name": '{"op":"x"}', "plan": "]}"}),
    "array with NULL": (create(tags=["a", None, ""]), {"tags": ["a", None, ""]}),
    "json as text": (create(attrs='{"a": [1, {"b": null}]}'), {"attrs": '{"a": [1, {"b": null}]}'}),
    # times
    "days": (create(born=7430), {"born": dt.date(1990, 5, 6)}),
    "days before 1970": (create(born=-1), {"born": dt.date(1969, 12, 31)}),
    "days as text": (create(born="7430"), {"born": dt.date(1990, 5, 6)}),
    "date as text": (create(born="1990-05-06"), {"born": dt.date(1990, 5, 6)}),
    "date as text with a zone": (create(born="1990-05-06Z"), {"born": dt.date(1990, 5, 6)}),
    "first and last day": (create(born=2_932_896), {"born": dt.date(9999, 12, 31)}),
    "microseconds by default": (
        create(updated_at=1_767_323_045_123_456),
        {"updated_at": UTC(2026, 1, 2, 3, 4, 5, 123456)},
    ),
    "microseconds before 1970": (create(updated_at=-1), {"updated_at": UTC(1969, 12, 31, 23, 59, 59, 999999)}),
    "timestamptz": (create(created_at="2026-01-02T03:04:05.123456Z"), {"created_at": UTC(2026, 1, 2, 3, 4, 5, 123456)}),
    "timestamptz with nine digits": (
        create(created_at="2026-01-02T03:04:05.123456789Z"),
        {"created_at": UTC(2026, 1, 2, 3, 4, 5, 123456)},
    ),
    "timestamptz with an offset": (
        create(created_at="2026-01-02T03:04:05+02:00"),
        {"created_at": UTC(2026, 1, 2, 1, 4, 5)},
    ),
    # numbers
    "decimal as text": (create(mrr="-49.90"), {"mrr": Decimal("-49.90")}),
    "decimal as a number": (line(create(mrr=0)).replace(b'"mrr":0', b'"mrr":49.90'), {"mrr": Decimal("49.90")}),
    "decimal with its own scale": (create(mrr={"scale": 2, "value": b64(4990)}), {"mrr": Decimal("49.90")}),
    "negative decimal with its own scale": (create(mrr={"scale": 1, "value": b64(-499)}), {"mrr": Decimal("-49.90")}),
    # values left out
    "unavailable text": (update(None, plan=TOAST), {"plan": None, "_unavailable": ["plan"]}),
    "unavailable and required": (update(None, name=TOAST), {"name": None, "_unavailable": ["name"]}),
    "unavailable and known before": (
        update(customer(plan="starter"), plan=TOAST),
        {"plan": "starter", "_unavailable": None},
    ),
    "unavailable before too": (update(customer(plan=TOAST), plan=TOAST), {"plan": None, "_unavailable": ["plan"]}),
    "unavailable, NULL before": (update(customer(plan=None), plan=TOAST), {"plan": None, "_unavailable": ["plan"]}),
    "unavailable array": (update(None, tags=[TOAST]), {"tags": None, "_unavailable": ["tags"]}),
    "unavailable array of a deletion": (
        delete(before=customer(tags=[TOAST])),
        {"tags": None, "_unavailable": ["tags"]},
    ),
    "two unavailable": (update(None, plan=TOAST, attrs=TOAST), {"_unavailable": ["plan", "attrs"]}),
    "unavailable, unknown to the contract": (
        update(None, bio=TOAST),
        {"_unavailable": ["bio"], RESCUED: '{"bio":null}'},
    ),
    "text that mentions it": (create(name=f"about {TOAST}"), {"name": f"about {TOAST}", "_unavailable": None}),
    "array that has it among others": (create(tags=["a", TOAST]), {"tags": ["a", TOAST], "_unavailable": None}),
}
MORE: dict[str, tuple[Any, dict[str, Any]]] = {
    "int64 limits": (create(count=-(1 << 63)), {"count": -(1 << 63)}),
    "a number beyond doubles": (create(count=(1 << 53) + 1), {"count": (1 << 53) + 1}),
    "38 digits": (
        create(exact="1234567890123456789012345678.0123456789"),
        {"exact": Decimal("1234567890123456789012345678.0123456789")},
    ),
    "38 digits as a number": (
        line(create(exact=0)).replace(b'"exact":0', b'"exact":1234567890123456789012345678.0123456789'),
        {"exact": Decimal("1234567890123456789012345678.0123456789")},
    ),
    "38 digits in bytes": (
        {
            "schema": schema({"field": "exact", **connect("Decimal", "bytes", scale="10")}),
            "payload": create(exact=b64(10**38 - 1)),
        },
        {"exact": Decimal("9999999999999999999999999999.9999999999")},
    ),
    "double": (create(score=0.1), {"score": 0.1}),
    "boolean": (create(active=True), {"active": True}),
    "boolean as 0": (create(active=0), {"active": False}),
    "milliseconds by the unit": (create(seen_at=1_767_323_045_123), {"seen_at": UTC(2026, 1, 2, 3, 4, 5, 123000)}),
    "nanoseconds by the unit": (
        create(logged_at=1_767_323_045_123_456_789),
        {"logged_at": UTC(2026, 1, 2, 3, 4, 5, 123456)},
    ),
    "nanoseconds before 1970": (create(logged_at=-1), {"logged_at": UTC(1969, 12, 31, 23, 59, 59, 999999)}),
    "seconds by the unit": (create(joined_at=1_767_323_045), {"joined_at": UTC(2026, 1, 2, 3, 4, 5)}),
    "array of days": (create(days=[0, None, 1]), {"days": [dt.date(1970, 1, 1), None, dt.date(1970, 1, 2)]}),
    "unavailable bytes": (
        update(None, photo=base64.b64encode(TOAST.encode()).decode()),
        {"photo": None, "_unavailable": ["photo"]},
    ),
    "unavailable array of numbers": (update(None, ids=list(TOAST.encode())), {"ids": None, "_unavailable": ["ids"]}),
    "unavailable array of days": (update(None, days=list(TOAST.encode())), {"days": None, "_unavailable": ["days"]}),
    "unavailable array of uuids": (
        update(None, refs=["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]),
        {"refs": None, "_unavailable": ["refs"]},
    ),
    "uuid, enum and bytes": (
        create(photo="3q2+7w==", refs=["0b7c6f0e-2f6e-4a8e-9d3b-1f8f3b5d2c11"]),
        {"photo": "3q2+7w=="},
    ),
    "struct": (
        create(place={"x": 1, "at": 1_000_000, "fee": "1.5"}),
        {"place": {"x": 1.0, "at": UTC(1970, 1, 1, 0, 0, 1), "fee": Decimal("1.50")}},
    ),
    "struct that is NULL": (create(place=None), {"place": None}),
    # the schema part wins
    "days by schema": (typed(1, "born", **time_field("Date", "int32")), {"born": dt.date(1970, 1, 2)}),
    "days by Connect's schema": (typed(1, "born", **connect("Date", "int32")), {"born": dt.date(1970, 1, 2)}),
    "milliseconds by schema": (
        typed(1000, "updated_at", **time_field("Timestamp")),
        {"updated_at": UTC(1970, 1, 1, 0, 0, 1)},
    ),
    "microseconds by schema": (
        typed(1000, "seen_at", **time_field("MicroTimestamp")),
        {"seen_at": UTC(1970, 1, 1, 0, 0, 0, 1000)},
    ),
    "nanoseconds by schema": (
        typed(1_000_000, "updated_at", **time_field("NanoTimestamp")),
        {"updated_at": UTC(1970, 1, 1, 0, 0, 0, 1000)},
    ),
    "Connect's milliseconds": (
        typed(1000, "updated_at", **connect("Timestamp")),
        {"updated_at": UTC(1970, 1, 1, 0, 0, 1)},
    ),
    "zoned time by schema": (
        typed("2026-01-02T00:00:00Z", "created_at", **time_field("ZonedTimestamp", "string")),
        {"created_at": UTC(2026, 1, 2)},
    ),
    "plain number by the unit": (typed(1000, "seen_at", type="int64"), {"seen_at": UTC(1970, 1, 1, 0, 0, 1)}),
    "decimal by schema": (typed(b64(4990), "mrr", **connect("Decimal", "bytes", scale="2")), {"mrr": Decimal("49.90")}),
    "small decimal by schema": (
        typed(b64(-1), "mrr", **connect("Decimal", "bytes", scale="2")),
        {"mrr": Decimal("-0.01")},
    ),
    "zero by schema": (typed(b64(0), "mrr", **connect("Decimal", "bytes", scale="2")), {"mrr": Decimal("0.00")}),
    "decimal with a negative scale": (
        typed(b64(5), "mrr", **connect("Decimal", "bytes", scale="-2")),
        {"mrr": Decimal("500.00")},
    ),
    "unsigned number as a decimal": (
        typed(b64(1 << 40), "count", **connect("Decimal", "bytes", scale="0")),
        {"count": 1 << 40},
    ),
    "decimal for a double": (typed(b64(15), "score", **connect("Decimal", "bytes", scale="1")), {"score": 1.5}),
    "decimal for text": (typed(b64(15), "plan", **connect("Decimal", "bytes", scale="1")), {"plan": "1.5"}),
    "own scale by schema": (
        typed({"scale": 1, "value": b64(15)}, "plan", type="struct", name="io.debezium.data.VariableScaleDecimal"),
        {"plan": "1.5"},
    ),
    "date for text": (typed(0, "plan", **time_field("Date", "int32")), {"plan": "1970-01-01"}),
    "date for a number": (typed(7, "count", **time_field("Date", "int32")), {"count": 7}),
    "time of day": (typed(45_000_000, "count", **time_field("MicroTime")), {"count": 45_000_000}),
    "unknown column by schema": (
        typed(0, "left_on", **time_field("Date", "int32")),
        {RESCUED: '{"left_on":"1970-01-01"}'},
    ),
    "array by schema": (
        typed([86_400_000], "refs", type="array", items=time_field("Timestamp")),
        {"refs": ["1970-01-02T00:00:00"]},
    ),
    "struct by schema": (
        typed(
            {"x": 1.5, "at": 1000, "fee": b64(150)},
            "place",
            type="struct",
            fields=[
                {"field": "at", **time_field("Timestamp")},
                {"field": "fee", **connect("Decimal", "bytes", scale="2")},
            ],
        ),
        {"place": {"x": 1.5, "at": UTC(1970, 1, 1, 0, 0, 1), "fee": Decimal("1.50")}},
    ),
    "key by its schema": (
        record(
            delete(before=None),
            {
                "schema": {"type": "struct", "fields": [{"field": "id", **connect("Decimal", "bytes", scale="0")}]},
                "payload": {"id": b64(6)},
            },
        ),
        {"id": 6},
    ),
}
OF_MYSQL: dict[str, tuple[Any, dict[str, Any]]] = {
    "position of three parts": (
        envelope(source=MYSQL, transaction=None),
        {
            "_position": f"mysql-bin.{3:020d}/{484:020d}/{0:020d}",
            "_previous_commit": f"mysql-bin.{3:020d}/{484:020d}/{0:020d}",
        },
    ),
    "global transaction": (envelope(source=MYSQL), {"_transaction_id": MYSQL["gtid"]}),
    "transaction of the metadata": (envelope(source={**MYSQL, "gtid": None}), {"_transaction_id": "7:200"}),
    "milliseconds": (envelope(source=MYSQL), {"_committed_at": UTC(2026, 2, 2, 2, 40)}),
    "PostgreSQL in the order of the contract": (
        envelope(source=source(file="a", pos=1, row=2)),
        {"_position": f"a/{1:020d}/{2:020d}", "_previous_commit": f"{100:020d}"},
    ),
}
REFUSED: dict[str, tuple[Any, str, str | None, str]] = {
    "no JSON": (b"{", "unparsable", None, "truncated"),
    "invalid UTF-8": (line(create(name="x")).replace(b'"x"', b'"\xff"'), "invalid_utf8", None, "0xff"),
    "array": (b"[]", "not_an_envelope", None, "expected an envelope with op, source"),
    "number": (b"5", "not_an_envelope", None, "expected an envelope"),
    "text": (b'"hello"', "not_an_envelope", None, "expected an envelope"),
    "empty text in a record": (record(""), "not_an_envelope", None, "expected an envelope"),
    "flattened row": (customer(), "not_an_envelope", None, "ExtractNewRecordState"),
    "flattened row with metadata": (
        customer(__op="c", __deleted="false"),
        "not_an_envelope",
        None,
        "found the fields id, name, plan, __op",
    ),
    "flattened row in a record": (record(customer(), {"id": 1}), "not_an_envelope", None, "ExtractNewRecordState"),
    "flattened row with a value": (customer(value=None), "not_an_envelope", None, "ExtractNewRecordState"),
    "flattened row with a status": (
        {"id": "1", "status": "BEGIN"},
        "not_an_envelope",
        None,
        "found the fields id, status",
    ),
    "flattened row with a time": ({"id": 1, "ts_ms": 5}, "not_an_envelope", None, "found the fields id, ts_ms"),
    "no source": (
        {"before": None, "after": customer(), "op": "c"},
        "not_an_envelope",
        None,
        "found the fields before, after, op",
    ),
    "no op": (
        {"before": None, "after": customer(), "source": source()},
        "not_an_envelope",
        None,
        "found the fields before",
    ),
    "unknown op": (envelope("x"), "not_an_envelope", None, "op is unknown; expected one of c, u, d, r, t, m"),
    "op that is a list": (envelope(["c"]), "not_an_envelope", None, "expected one of"),  # type: ignore[arg-type]
    "no row after": (envelope(after=None), "not_an_envelope", None, "after is null; expected the row"),
    "document as text": (envelope(after='{"_id": 1}'), "not_an_envelope", None, "expected an object of columns"),
    "source that is text": (envelope(source="x"), "not_an_envelope", None, "$.source"),
    "order that is text": (
        envelope(transaction={"id": "7", "total_order": "3"}),
        "not_an_envelope",
        None,
        "total_order is text",
    ),
    "time that is text": (envelope(source=source(ts_us="x")), "not_an_envelope", None, "source.ts_us is text"),
    "time beyond the calendar": (
        envelope(source=source(ts_us=1 << 62)),
        "not_an_envelope",
        None,
        "the years 1 to 9999",
    ),
    "snapshot that is a number": (
        envelope(source=source(snapshot=1)),
        "not_an_envelope",
        None,
        "source.snapshot is a number",
    ),
    "no position": (envelope(source=source(lsn=None)), "unknown_position", None, "source.lsn is null or absent"),
    "negative position": (
        envelope(source=source(lsn=-1)),
        "unknown_position",
        None,
        "source.lsn is a number; expected a whole number",
    ),
    "position that is a fraction": (
        envelope(source=source(lsn=1.5)),
        "unknown_position",
        None,
        "source.lsn is a number; expected a whole number",
    ),
    "sequence that is no list": (
        envelope(source=source(sequence="7")),
        "unknown_position",
        None,
        "source.sequence is text",
    ),
    "unknown connector": (envelope(source=MYSQL), "unknown_position", None, "source.order"),
    "no connector": (envelope(source=source(connector=None)), "unknown_position", None, "source.order"),
    "changed key": (update(customer(2)), "changed_key", "id", "message.key.columns"),
    "delete by a key of another converter": (
        record(delete(before=None), "Struct{id=6}"),
        "not_an_envelope",
        None,
        "the key is not JSON",
    ),
    "no key": (envelope(after={"name": "Ada"}), "missing_required", "id", "expected a value"),
    "key that is NULL": (create(key=None), "missing_required", "id", "expected a value"),
    "delete without a row or a key": (record(delete(before=None)), "missing_required", "id", "expected a value"),
    "key that is left out": (update(None, key=TOAST), "missing_required", "id", "expected a value"),
    "no required value": (create(name=None), "missing_required", "name", "expected a value"),
    "duplicate column": (
        b'{"op":"c","source":' + line(source()) + b',"after":{"id":1,"name":"a","name":"b"}}',
        "duplicate_key",
        "name",
        "given twice",
    ),
    "duplicate of a converted column": (
        b'{"op":"c","source":' + line(source()) + b',"after":{"id":1,"name":"a","born":1,"born":2}}',
        "duplicate_key",
        "born",
        "given twice",
    ),
    "number for text": (create(name=5), "wrong_type", "name", "str"),
    "text for a number": (create(key="x"), "wrong_type", "id", "int"),
    "integer beyond 64 bits": (create(key=1 << 63), "wrong_type", "id", "int"),
    "infinite date": (create(born=2_147_483_647), "wrong_type", "born", "infinite dates"),
    "infinite timestamp": (create(updated_at=INFINITY), "wrong_type", "updated_at", "outside the years 1 to 9999"),
    "infinite timestamptz": (create(created_at="infinity"), "wrong_type", "created_at", "datetime"),
    "fraction of a day": (create(born=1.5), "wrong_type", "born", ""),
    "decimal that is no number": (create(mrr="NaN"), "wrong_type", "mrr", "NaN"),
    "decimal in bytes without a schema": (create(mrr=b64(499000)), "wrong_type", "mrr", "decimal.handling.mode=string"),
    "decimal that does not fit": (create(mrr="12345678.90"), "wrong_type", "mrr", ""),
    "decimal with a scale that is text": (
        create(mrr={"scale": "2", "value": "E34="}),
        "wrong_type",
        "mrr",
        "scale and value",
    ),
    "decimal with bad bytes": (
        typed("?", "mrr", **connect("Decimal", "bytes", scale="2")),
        "wrong_type",
        "mrr",
        "base64",
    ),
    "decimal without a scale": (typed("E34=", "mrr", **connect("Decimal", "bytes")), "wrong_type", "mrr", "scale"),
    "decimal of absurd scale": (create(mrr={"scale": 10**9, "value": "E34="}), "wrong_type", "mrr", "digits"),
    "schema that is none": ({"schema": {"fields": 5}, "payload": envelope()}, "not_an_envelope", None, "Kafka Connect"),
    "too deep": (create(other=json.loads("[" * 64 + "]" * 64)), "too_deep", None, "64 levels"),
    "far too deep": (
        line(create(other=5)).replace(b'"other":5', b'"other":' + b"[" * 5000 + b"]" * 5000),
        "too_deep",
        None,
        "64 levels",
    ),
}
MARKER = {"status": "BEGIN", "id": "7:200", "event_count": None, "data_collections": None, "ts_ms": 5}
SKIPPED: dict[str, tuple[Any, str]] = {
    "null": (b"null", "tombstone"),
    "tombstone": (record(None, {"id": 1}), "tombstone"),
    "tombstone with a key as text": (record(None, '{"id":1}'), "tombstone"),
    "tombstone as text": (record("null", {"id": 1}), "tombstone"),
    "wrapped tombstone": (record({"schema": None, "payload": None}, {"id": 1}), "tombstone"),
    "begin": (MARKER, "transaction"),
    "end in a record": (
        record({**MARKER, "status": "END", "event_count": 2, "data_collections": []}, {"id": "7"}),
        "transaction",
    ),
    "wrapped marker": ({"schema": schema(), "payload": MARKER}, "transaction"),
    "heartbeat": (record({"ts_ms": 5}, {"serverName": "shop"}), "heartbeat"),
    "bare heartbeat": ({"ts_ms": 5, "ts_us": 5000, "ts_ns": 5_000_000}, "heartbeat"),
    "message": ({"op": "m", "ts_ms": 5, "source": source(), "message": {"prefix": "p", "content": "YQ=="}}, "message"),
    "schema change": (
        {"source": MYSQL, "databaseName": "shop", "ddl": "ALTER TABLE", "tableChanges": []},
        "schema_change",
    ),
}


def only(parsed: Parsed) -> dict[str, Any]:
    """The one row of what was parsed."""
    assert [(reject.reason, reject.detail) for reject in parsed.rejects] == []
    (row,) = parsed.rows.to_pylist()
    return dict(row)


@pytest.mark.parametrize(
    ("contract", "item", "expected"),
    [
        pytest.param(contract, *case, id=name)
        for contract, cases in ((customers(), ROWS), (WIDE, MORE), (BY_FILE, OF_MYSQL))
        for name, case in cases.items()
    ],
)
def test_change_is_a_row(contract: Contract, item: Any, expected: dict[str, Any]) -> None:
    row = only(parse(contract, item))
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("item", "reason", "path", "detail"), [pytest.param(*case, id=name) for name, case in REFUSED.items()]
)
def test_what_cannot_be_read_or_ordered_is_quarantined_as_it_was(
    item: Any, reason: str, path: str | None, detail: str
) -> None:
    parsed = parse(customers(), item)
    (reject,) = parsed.rejects
    assert (reject.reason, reject.column, reject.line, reject.raw) == (reason, path, 1, line(item))
    assert detail in reject.detail
    assert (len(parsed.rows), parsed.skipped) == (0, [])


@pytest.mark.parametrize(("item", "kind"), [pytest.param(*case, id=name) for name, case in SKIPPED.items()])
def test_what_changes_no_row_is_skipped_by_its_kind(item: Any, kind: str) -> None:
    parsed = parse(customers(), item)
    assert [(skip.source, skip.line, skip.kind) for skip in parsed.skipped] == [(0, 1, kind)]
    assert (len(parsed.rows), parsed.rejects) == (0, [])


def test_no_line_depends_on_its_neighbours() -> None:
    # GIVEN every case of one contract, shuffled by their kinds
    items: list[Any] = []
    for cases in zip(ROWS.values(), [*REFUSED.values(), *SKIPPED.values()], strict=False):
        items += [case[0] for case in cases]
    items += [case[0] for case in [*ROWS.values()][len(items) // 2 :]]
    alone = [parse(customers(), item) for item in items]
    # WHEN they are parsed together
    parsed = parse(customers(), *items)
    # THEN each has the outcome that it has alone, at its own line
    rows = {row.pop(LINE): row for row in parsed.rows.to_pylist()}
    rejects = {reject.line: (reject.reason, reject.column, reject.raw) for reject in parsed.rejects}
    skips = {skip.line: skip.kind for skip in parsed.skipped}
    for number, single in enumerate(alone, 1):
        row = [{name: value for name, value in row.items() if name != LINE} for row in single.rows.to_pylist()]
        assert ([rows[number]] if number in rows else []) == row
        assert rejects.get(number) == next(((r.reason, r.column, r.raw) for r in single.rejects), None)
        assert skips.get(number) == next((skip.kind for skip in single.skipped), None)
    assert len(rows) + len(rejects) + len(skips) == len(items) > 100


def test_verdicts_without_a_column_quote_no_value() -> None:
    """They are shown to whoever may not see values: every text and number of each line is looked for."""
    for name, (item, reason, path, _) in REFUSED.items():
        if reason in ("not_an_envelope", "unknown_position") and not isinstance(item, bytes):
            (reject,) = parse(customers(), json.loads(line(item).replace(b'"Ada"', b'"Secret"'))).rejects
            assert "Secret" not in reject.detail, name
            assert path is None
    hidden = {"op": "Secret", "source": source(), "after": customer()}
    hidden_position = envelope(source=source(lsn="Secret\u00e9", sequence='["x'))
    hidden_row = envelope(after="Secret", before=["Secret"])
    for event in (
        hidden,
        hidden_position,
        hidden_row,
        ["Secret"],
        "Secret",
        record("Secret"),
        envelope(source="Secret"),
    ):
        (reject,) = parse(customers(), event).rejects
        assert "Secret" not in reject.detail


def test_64_levels_of_an_unknown_column_are_kept() -> None:
    deep = json.loads("[" * 63 + "]" * 63)
    assert only(parse(customers(), create(other=deep)))[RESCUED] == line({"other": deep}).decode()


def test_frozen_contract_refuses_unknown_columns() -> None:
    parsed = parse(customers(unknown_fields="freeze"), create(country="NL"))
    assert [(reject.reason, reject.column) for reject in parsed.rejects] == [("unknown_field", "country")]


def test_key_of_two_columns_may_not_change_in_either() -> None:
    contract = customers(column("region", "string", required=True), key=["id", "region"])
    before = customer(region="eu")
    assert only(parse(contract, update(before, region="eu")))["region"] == "eu"
    (reject,) = parse(contract, update(before, region="us")).rejects
    assert (reject.reason, reject.column) == ("changed_key", "region")
    assert 'from "eu" to "us"' in reject.detail


def test_rows_have_the_columns_of_bronze_in_their_order() -> None:
    empty = parse(customers(), b"null").rows
    full = parse(customers(), envelope()).rows
    assert empty.schema == full.schema
    names = [column.name for column in customers().columns]
    assert full.column_names == [*names, *CHANGES, "_source", LINE, RESCUED]
    assert full.schema.field("_unavailable").type == pa.list_(pa.string())


def test_schema_parts_are_told_apart() -> None:
    """The same column is counted in milliseconds before a change of the table, in microseconds after it."""
    items = [typed(1000, "updated_at", **time_field(kind)) for kind in ("Timestamp", "MicroTimestamp") * 40]
    found = parse(customers(), *items).rows.column("updated_at").to_pylist()
    assert found == [UTC(1970, 1, 1, 0, 0, 1), UTC(1970, 1, 1, 0, 0, 0, 1000)] * 40


def test_recorded_events_are_read_as_they_were_written() -> None:
    events = recorded()
    parsed = parse(customers(), *events.values())
    assert parsed.rejects == []
    rows = dict(zip([name for name in events if name[1] == "_"], parsed.rows.to_pylist(), strict=True))
    assert [row["_operation"] for row in rows.values()] == [
        *("create", "create", "create", "delete", "delete", "read", "read", "truncate", "update"),
    ]
    ada = {
        "id": 1,
        "name": "Ada",
        "plan": "pro",
        "mrr": Decimal("49.90"),
        "tags": ["a", "b"],
        "attrs": '{"k": 1}',
        "created_at": UTC(2026, 1, 2, 3, 4, 5, 123456),
        "updated_at": UTC(2026, 1, 2, 3, 4, 5, 123456),
        "born": dt.date(1990, 5, 6),
    }
    first = {
        "_operation": "read",
        "_position": "00000000000026666680",
        "_transaction_order": 0,
        "_previous_commit": None,
        "_transaction_id": "751",
        "_snapshot": "first",
        "_committed_at": UTC(2026, 11, 28, 20, 50, 26, 313006),
        "_unavailable": None,
    }
    assert {name: rows["r_1"][name] for name in ada | first} == ada | first
    assert {name: rows["d_1"][name] for name in ada} == ada
    assert rows["r_2"]["_snapshot"] == "last"
    assert (rows["u_1"]["plan"], rows["u_1"]["mrr"], rows["u_1"]["_transaction_order"]) == ("pro", Decimal("49.90"), 2)
    assert rows["c_3"][RESCUED] == '{"country":"NL"}'
    assert rows["c_3"]["_previous_commit"] == "00000000000026667816"
    assert (rows["t_1"]["id"], rows["t_1"]["_position"]) == (None, "00000000000026671792")
    kinds = [skip.kind for skip in parsed.skipped]
    assert (kinds.count("tombstone"), kinds.count("transaction"), len(kinds)) == (2, 10, 12)
