"""A contract inferred from samples: from every format, within limits, with doubts, and accepted by the parser."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import os
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.contracts.contract import Contract, Kind, contracts
from ingest.errors import ConfigError
from ingest.settings import settings
from ingest.steps.infer import Inference, infer, write
from ingest.steps.locate import spread
from ingest.steps.sample import Most
from sample.options import SampleOptions
from sample.write import write_objects

Infer = Callable[..., Inference]
FEED = "shop/orders"


@pytest.fixture
def inferred(clean_settings: Path, tmp_path: Path) -> Infer:
    """Infer a contract from files of a folder, given as name and content."""

    def run(files: dict[str, bytes], *addresses: str, name: str = FEED, **options: Any) -> Inference:
        folder = tmp_path / "samples"
        folder.mkdir(exist_ok=True)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        chosen = list(addresses) or [str(folder)]
        return infer(name, chosen, settings(), contracts().values(), folder=tmp_path / "contracts", **options)

    return run


def records(count: int = 200, **more: Callable[[int], Any]) -> list[dict[str, Any]]:
    return [
        {
            "order_id": f"o{number}",
            "occurred_at": f"2026-01-{1 + number % 28:02}T10:00:00Z",
            "count": number,
            "weight": number + 0.5,
            "is_gift": number % 2 == 0,
            "lines": [{"sku": "a", "units": 1}, {"sku": "b", "units": 2, "shipped_on": "2026-01-02"}],
        }
        | {name: make(number) for name, make in more.items()}
        for number in range(count)
    ]


def as_lines(items: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


def as_parquet(items: list[dict[str, Any]], schema: pa.Schema | None = None) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(items, schema), sink)
    return sink.getvalue()


def as_csv(items: list[dict[str, Any]]) -> bytes:
    names = [name for name in items[0] if name != "lines"]
    rows = [",".join(json.dumps(item[name]).strip('"') for name in names) for item in items]
    return "\n".join([",".join(names), *rows]).encode()


FORMATS: dict[str, tuple[str, Callable[[list[dict[str, Any]]], bytes]]] = {
    "JSON lines": ("a.json", as_lines),
    "a JSON array": ("a.json", lambda items: json.dumps(items, indent=1).encode()),
    "gzip": ("a.json.gz", lambda items: gzip.compress(as_lines(items))),
    "zstd": ("a.zst", lambda items: bytes(pa.Codec("zstd").compress(as_lines(items), asbytes=True))),
    "Parquet": ("a.parquet", as_parquet),
    "gzip of Parquet": ("a.gz", lambda items: gzip.compress(as_parquet(items))),
    "CSV": ("a.csv", as_csv),
    "gzip of CSV": ("a.csv.gz", lambda items: gzip.compress(as_csv(items))),
    "JSON that is named as CSV": ("a.csv", as_lines),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_yields_the_same_contract(inferred: Infer, name: str) -> None:
    file, convert = FORMATS[name]
    found = inferred({file: convert(records())})
    contract = found.contract
    types = {path: column.type for path, column in contract.walk()}
    flat = {
        "order_id": "string",
        "occurred_at": "timestamp",
        "count": "integer",
        "weight": "double",
        "is_gift": "boolean",
    }
    nested = {"lines": "struct", "lines.sku": "string", "lines.units": "integer", "lines.shipped_on": "date"}
    assert types == (flat if name in ("CSV", "gzip of CSV") else flat | nested)
    assert (contract.kind, contract.key, contract.event_time) == (Kind.EVENT, ("order_id",), "occurred_at")
    assert all(column.required for column in contract.columns)
    assert (found.trial.accepted, found.trial.records, found.trial.rescued) == (200, 200, 0)
    assert max(map(len, found.text.splitlines())) <= 120


def test_types_of_parquet_win(inferred: Infer) -> None:
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("price", pa.decimal128(12, 3)),
            ("on_day", pa.date32()),
            ("at", pa.timestamp("ns", "UTC")),
            ("text", pa.string()),
            ("never", pa.int32()),
        ]
    )
    rows = [
        {
            "id": f"a{number}",
            "price": Decimal("1.500"),
            "on_day": dt.date(2026, 1, 1),
            "at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            "text": "2026-01-01",
        }
        for number in range(120)
    ]
    found = inferred({"a.parquet": as_parquet(rows, schema)})
    types = {column.name: column.type for column in found.contract.columns}
    assert types == {
        "id": "string",
        "price": "decimal(12, 3)",
        "on_day": "date",
        "at": "timestamp",
        "text": "date",  # as of JSON, text is what it looks like
        "never": "integer",
    }
    assert "# without values in the samples; the type is that of the files\n  - {name: never" in found.text
    assert found.trial.share == 1


def test_money_as_text_stays_text_with_a_doubt_and_becomes_a_decimal_of_csv(inferred: Infer) -> None:
    items = records(price=lambda number: f"{number}.90", score=lambda number: f"{number}.5")
    json_found = inferred({"a.json": as_lines(items)})
    assert json_found.contract.leaf("price").type == "string"
    doubt = "# numbers written as text, which look like money; decimal(18, 2) would keep every digit and add up"
    assert f"  {doubt}\n  - {{name: price" in json_found.text
    assert json_found.text.count("look like money") == 1
    csv_found = inferred({"a.json": b"", "a.csv": as_csv(items)})
    assert csv_found.contract.leaf("price").type == "decimal(18, 2)"
    assert csv_found.contract.leaf("score").type == "double"
    assert csv_found.trial.share == 1


def test_what_no_column_accepts_is_left_out_with_the_reason(inferred: Infer) -> None:
    items = records(
        mixed=lambda number: number if number % 4 else "none",
        email=lambda number: number if number % 2 else "a@example.com",
        nothing=lambda _: None,
        userAgent=lambda _: "x",
        grid=lambda _: [[1]],
        sometimes=lambda number: ["a"] if number % 2 else "a",
        ingest_date=lambda _: "2026-01-01",
        event_date=lambda _: "2026-01-01",
        address=lambda _: {"Zip": "1", "floor": 2},
        blob=lambda _: {"Zip": "1"},
    )
    found = inferred({"a.json": as_lines(items)})
    left_out = (
        found.text.partition("# No columns; such fields stay in _rescued_data:\n")[2]
        .replace("\n#     ", " ")
        .splitlines()
    )
    assert sorted(line.removeprefix("#   ") for line in left_out) == sorted(
        [
            'mixed (200 records): its values are of several types: integer 150, as 1; string 50, as "none"',
            "email (200 records): its values are of several types: string 100; integer 100",
            "nothing (200 records): its values are all null",
            "userAgent (200 records): its name is not lower_snake_case",
            "grid (200 records): its values are lists of lists: list of lists 200",
            "sometimes (200 records): its values are lists in some records only: "
            """string 200, as "a"; value beside lists 100""",
            "ingest_date (200 records): bronze has a partition column of that name",
            "event_date (200 records): bronze has a partition column of that name",
            "address.Zip (200 records): its name is not lower_snake_case",
            "blob.Zip (200 records): its name is not lower_snake_case",
            "blob (200 records): none of its members can be a column",
        ]
    )
    assert found.trial.share == 1
    assert found.trial.rescued == 200


def test_personal_columns_are_classed_and_never_shown(inferred: Infer) -> None:
    items = records(
        contact=lambda number: f"ada{number}@example.com",
        payment=lambda _: "4111111111111111",
        birth_date=lambda _: "1990-01-02",
        customer_id=lambda number: f"c{number}",
        nick_name=lambda number: number if number % 2 else "Ada",
    )
    found = inferred({"a.json": as_lines(items)})
    classes = {path: (str(class_), subject) for path, (class_, subject) in found.contract.classes().items() if subject}
    assert classes == {
        "contact": ("direct", "person"),
        "payment": ("direct", "person"),
        "birth_date": ("quasi", "person"),
        "customer_id": ("direct", "customer"),
    }
    assert "# class by its values: card number" in found.text
    assert not any(value in found.text for value in ("ada", "Ada", "4111", "1990"))


def test_personal_value_that_comes_late_is_no_example(inferred: Infer) -> None:
    found = inferred({"a.json": as_lines(records(contact=lambda n: n if n < 150 else f"ada{n}@example.com"))})
    assert "contact (200 records): its values are of several types: integer 150" in found.text
    assert "string 50" in found.text
    assert "ada" not in found.text


def test_key_of_another_feed_has_its_class_and_is_a_possible_reference(inferred: Infer) -> None:
    found = inferred({"a.json": as_lines(records(user_id=lambda number: f"u{number % 9}"))})
    assert found.contract.leaf("user_id").subject == "account"
    assert "#   - {column: user_id, feed: users, key: user_id}" in found.text


def test_names_that_yaml_would_read_otherwise_are_quoted(inferred: Infer) -> None:
    names = ("on", "no", "null", "true", "y", "o1", "e1")
    found = inferred({"a.json": as_lines(records(**dict.fromkeys(names, lambda _: "x")))})
    assert {column.name for column in found.contract.columns} >= set(names)


def test_rejected_records_are_counted_by_reason_most_frequent_first(inferred: Infer) -> None:
    late = [record | {"occurred_at": "2999-01-01T00:00:00Z"} for record in records(2)]
    content = as_lines(records()) + b"no record\n" * 3 + as_lines(late) + b'{"order_id": "x", "count": "many"}\n'
    found = inferred({"a.json": content, "b.json.gz": b"\x1f\x8b broken"}, most=Most(records=10_000))
    assert [(item.records, item.reason, item.column) for item in found.trial.rejected] == [
        (3, "unparsable", None),
        (2, "event_time_in_future", "occurred_at"),
        (1, "wrong_type", "count"),
        (1, "corrupt_object", None),
    ]
    assert found.trial.rejected[0].place.endswith("a.json:201")
    assert found.notes[0].startswith("samples/b.json.gz cannot be read: gzip: ")
    assert "# 3 of 206 records are no JSON objects" in found.text


def test_reading_is_bounded_per_object_and_in_all(inferred: Infer) -> None:
    files = {f"{number}.json": as_lines(records(50)) for number in range(8)}
    found = inferred(files, most=Most(objects=4, records=60, records_per_object=20))
    assert found.read == "60 records (JSON) of 4 of 8 objects"
    assert found.trial.records == 60
    assert spread(8, 4) == [0, 2, 4, 7]


def test_bytes_are_bounded_and_the_trial_is_of_the_same_records(inferred: Infer) -> None:
    files = {"a.csv": as_csv(records(1000)), "b.json": as_lines(records(1000)), "c.parquet": as_parquet(records(1000))}
    found = inferred(files, most=Most(bytes=250_000))
    read = int(found.read.split()[0].replace(",", ""))
    assert 1000 < read < 2000
    assert (found.trial.records, found.trial.accepted) == (read, read)


def test_rejected_record_is_found_by_its_line(inferred: Infer) -> None:
    rows = as_csv(records()) + b"\n\nlast,not a time,1,1.5,true\n"
    found = inferred({"a.csv": rows})
    assert [(item.reason, item.place) for item in found.trial.rejected] == [("wrong_type", "samples/a.csv:203")]


def test_few_records_of_an_object_leave_more_to_the_others(inferred: Infer) -> None:
    found = inferred({"a.json": as_lines(records(2)), "b.json": as_lines(records(90))}, most=Most(records=60))
    assert found.trial.records == 60


def test_ten_thousand_fields_are_cut_and_said(inferred: Infer) -> None:
    wide = {f"f{number}": number for number in range(9_000)}
    nested = {"map": {f"k{number}": 1 for number in range(150)}}
    found = inferred({"a.json": as_lines([record | wide | nested for record in records(3)])})
    assert len(list(found.contract.walk())) <= 500
    assert found.contract.key == ("order_id",)
    assert "map (3 records): it has more than 100 members" in found.text or "more\n" in found.text
    assert "beyond 500 columns" in found.text
    assert len(found.text.splitlines()) < 600


def test_record_that_is_nested_too_deeply_is_no_obstacle_to_the_others(inferred: Infer) -> None:
    deep = b'{"order_id": "x", "a": ' + b"[" * 500 + b"]" * 500 + b"}\n"
    found = inferred({"a.json": as_lines(records()) + deep})
    assert [(item.records, item.reason) for item in found.trial.rejected] == [(1, "too_deep")]
    assert found.contract.key == ("order_id",)


def test_single_record_is_a_doubt(inferred: Infer) -> None:
    found = inferred({"a.json": as_lines(records(1))})
    assert "# a single record cannot show what is unique\nkey: [order_id]" in found.text
    assert "# only 1 record was read, fewer than 100" in found.text
    assert [column.name for column in found.contract.columns if column.required] == ["order_id", "occurred_at"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "there are no objects at '.*samples'; expected samples of the feed"),
        ({"a.json": b""}, "the samples are empty; expected at least one record"),
        ({"a.json": b"\n\n"}, "the samples are empty"),
        ({"a.json": b"hello\n"}, "none of 1 records is a JSON object; expected JSON lines, a JSON array"),
        ({"a.json": b"[1, 2]"}, "none of 2 records is a JSON object"),
        ({"a.gz": b"\x1f\x8b broken"}, "nothing could be read: samples/a.gz cannot be read: gzip"),
        ({"a.json": b'{"Id": 1}\n'}, "none of the 1 fields of 1 records can be a key"),
        ({"_SUCCESS": b"x"}, "there are no objects at .*; not loaded are _SUCCESS 1"),
    ],
)
def test_unusable_samples_are_refused_with_what_was_expected(
    inferred: Infer, files: dict[str, bytes], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        inferred(files)


@pytest.mark.parametrize(
    ("name", "address", "message"),
    [
        (FEED, "nowhere", "there is nothing at 'nowhere': expected a file, a folder, s3://bucket"),
        (FEED, "gs://x/y", "'gs://x/y' has an unknown scheme; expected a file, a folder or s3://"),
        (FEED, "s3://", "'s3://' names no bucket"),
        ("orders", ".", "'orders' is not a feed; expected domain/feed"),
        ("shop/Orders", ".", "'Orders' is not a valid name; expected lower_snake_case"),
        ("shop/order", ".", "'order' is an SQL keyword"),
        ("shop/users", ".", "feed 'users' is already declared by engagement/users"),
    ],
)
def test_wrong_arguments_are_refused(inferred: Infer, name: str, address: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        inferred({}, address, name=name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_file_is_named(inferred: Infer, tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "a.json").touch(mode=0)
    with pytest.raises(ConfigError, match=r"a\.json"):
        inferred({})


def test_no_address_is_refused(clean_settings: Path) -> None:
    with pytest.raises(ConfigError, match="no samples: expected files, folders"):
        infer(FEED, [], settings(), ())


def test_bucket_and_prefix_are_those_of_the_landing(inferred: Infer, clean_settings: Path) -> None:
    folder = clean_settings / "landing" / "raw-shop" / "orders" / "2026"
    folder.mkdir(parents=True)
    (folder / "a.json").write_bytes(as_lines(records()))
    for address in ("raw-shop/orders/2026", str(folder), str(folder / "a.json")):
        source = inferred({}, address).contract.source
        assert (source.bucket, source.prefix) == ("raw-shop", "orders/2026/"), address
    assert inferred({"a.json": as_lines(records())}).contract.source.bucket == "raw-orders"


def test_existing_contract_is_replaced_only_by_force(inferred: Infer) -> None:
    found = inferred({"a.json": as_lines(records())})
    assert write(found) == found.contract
    with pytest.raises(ConfigError, match=r"orders\.yaml is there already; `lake contracts propose` extends it"):
        write(found)
    assert write(found, force=True) == found.contract


@pytest.mark.s3
def test_samples_are_read_from_a_store(s3_lake: dict[str, str], tmp_path: Path) -> None:
    from ingest.storage.landing import Landing

    landing = Landing("s3://raw-events", settings())
    landing.put("web/2026/a.json", as_lines(records()))
    landing.put("web/2026/b.parquet", as_parquet(records()))
    landing.put("other/a.json", b"no record\n")
    found = infer(FEED, ["s3://raw-events/web"], settings(), ())
    assert (found.contract.source.bucket, found.contract.source.prefix) == ("raw-events", "web/")
    assert found.read == "400 records (JSON and Parquet) of 2 objects"
    assert found.trial.share == 1
    one = infer(FEED, ["s3://raw-events/web/2026/a.json"], settings(), ())
    assert (one.contract.source.prefix, one.trial.records) == ("web/2026/", 200)
    with pytest.raises(ConfigError, match="there are no objects at 's3://raw-events/none'"):
        infer(FEED, ["s3://raw-events/none"], settings(), ())


# What the records of the generator do not show, by feed.
ALWAYS_THERE = "every sampled record has a value, which the producer does not promise"
EXPLAINED: dict[str, dict[str, str]] = {
    "activities": {"type required": ALWAYS_THERE},
    "events": {"data required": ALWAYS_THERE, "context required": ALWAYS_THERE},
    "users": dict.fromkeys(
        ("children_ids required", "country_code required", "registration_at required"), ALWAYS_THERE
    ),
    "accounts": dict.fromkeys(
        ("name required", "email required", "country_code required", "acquisition_channel required"), ALWAYS_THERE
    ),
    "invoices": {"lines required": ALWAYS_THERE},
    "subscriptions": {
        "key": "each version is a record of its own by decision; (subscription_id, version) is named as unique",
        "discount_percent type": "JSON numbers do not say that they are decimals; a doubt does",
        "current_period_start required": ALWAYS_THERE,
        "current_period_end required": ALWAYS_THERE,
    },
}


Generated = Callable[..., Path]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    """Make a landing of the sample generator."""

    def make(**rates: float) -> Path:
        folder = tmp_path_factory.mktemp("landing")

        def put(bucket: str, key: str, body: bytes) -> None:
            path = folder / bucket / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

        options = SampleOptions(end=dt.date(2026, 1, 20), days=15, events=3000, accounts=80, **rates)  # type: ignore[arg-type]
        write_objects(options, put, {})
        return folder

    return cache(make)


def differences(found: Contract, written: Contract) -> set[str]:
    """Where an inferred contract differs from the written one in kind, key, times, types and what is required."""
    names = [
        name for name in ("kind", "key", "event_time", "latest_by") if getattr(found, name) != getattr(written, name)
    ]
    mine, theirs = dict(found.walk()), dict(written.walk())
    for path in sorted(mine.keys() | theirs.keys()):
        if path not in mine:
            names.append(f"{path} missing")
        elif path not in theirs:
            names.append(f"{path} new")
        else:
            for attribute in ("type", "repeated", "required"):
                if getattr(mine[path], attribute) != getattr(theirs[path], attribute):
                    names.append(f"{path} {attribute}")
    return set(names)


@pytest.mark.parametrize("feed", EXPLAINED)
def test_contracts_of_the_project_are_inferred_from_their_records(
    clean_settings: Path, generated: Generated, feed: str
) -> None:
    written = contracts()[feed]
    found = infer(written.name, [str(generated() / written.source.bucket)], settings(), contracts().values())
    assert differences(found.contract, written) == set(EXPLAINED[feed])
    assert found.trial.share == 1
    assert found.trial.rescued == 0


@pytest.mark.parametrize("feed", EXPLAINED)
def test_faults_in_records_change_no_type_key_or_kind(clean_settings: Path, generated: Generated, feed: str) -> None:
    written = contracts()[feed]
    folder = generated(late=0.02, duplicates=0.02, malformed=0.005, unknown_users=0.01)
    found = infer(written.name, [str(folder / written.source.bucket)], settings(), contracts().values())
    expected = {name for name in EXPLAINED[feed] if not name.endswith("required")}
    assert {
        name for name in differences(found.contract, written) if not name.endswith((" required", " new"))
    } == expected
    assert 0.98 < found.trial.share <= 1
    assert sum(item.records for item in found.trial.rejected) == found.trial.records - found.trial.accepted
