"""`lake features`: what a file of entities gets from a release, and what is said of files that are wrong."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from ingest.errors import ConfigError
from ingest.settings import settings
from pipeline.cli import main
from pipeline.features.join import duration
from tests.known_release import publish

TYPES = {"customer_id": "BIGINT", "order_count": "BIGINT", "net_amount": "DECIMAL(18, 6)", "country_code": "TEXT"}
COLUMNS = {
    "gold.fct_customer_features": TYPES | {"feature_at": "TIMESTAMP"},
    "gold.fct_customer_features_known": TYPES | {"known_at": "TIMESTAMP"},
}


def row(customer: int, at: str, orders: int, of: str = "feature_at") -> dict[str, Any]:
    return {"customer_id": customer, "order_count": orders, "net_amount": 10 * orders, "country_code": "DE", of: at}


HAPPENED = [row(7, "2026-03-10 09:00:00", 1), row(7, "2026-03-12 09:00:00", 2), row(8, "2026-03-01 00:00:00", 5)]
KNOWN = [row(7, "2026-03-11 09:00:00", 1, "known_at"), row(7, "2026-03-20 09:00:00", 2, "known_at")]
Get = Callable[..., Result]


@pytest.fixture
def get(clean_settings: Path, tmp_path: Path) -> Get:
    """Run `lake features get` on a file with some content, or another command."""
    clean_settings.mkdir()
    publish(
        clean_settings, {"gold.fct_customer_features": HAPPENED, "gold.fct_customer_features_known": KNOWN}, COLUMNS
    )

    def run(content: str | bytes | pa.Table, *arguments: str, name: str = "entities.csv") -> Result:
        path = tmp_path / name
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        settings.cache_clear()
        result = CliRunner().invoke(main, ["features", "get", "--entities", str(path), *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def rows(result: Result) -> list[list[str]]:
    """The printed rows without the header."""
    assert result.exit_code == 0, result.output
    return list(csv.reader(io.StringIO(result.stdout)))[1:]


def test_every_row_stays_in_order_with_its_columns_and_features_of_then(get: Get) -> None:
    text = (
        "label,customer_id,event_timestamp,note\n"
        '1,7,2026-03-12 08:59:59,"a, b"\n'
        "0,7,2026-03-12 09:00:00,\n"
        '0,9,2026-03-12 09:00:00,""\n'
        '1,7,2026-03-12 08:59:59,"a, b"\n'
        "1,,2026-03-12 08:59:59,é\n"
        '1,7,2026-03-10 08:59:59,"two\nlines"\n'
    )
    result = get(text)
    found = list(csv.reader(io.StringIO(result.stdout)))
    assert found[0] == [*text.splitlines()[0].split(","), "feature_at", "order_count", "net_amount", "country_code"]
    assert [line[:4] for line in found] == list(csv.reader(io.StringIO(text)))
    one = ["2026-03-10 09:00:00.000000", "1", "10.000000", "DE"]
    two, none = ["2026-03-12 09:00:00.000000", "2", "20.000000", "DE"], [""] * 4
    assert [line[4:] for line in found[1:]] == [one, two, none, one, none, none]
    assert result.stderr.startswith("6 rows, 3 without features, from release 1, as it happened")


def test_known_then_is_what_had_landed(get: Get) -> None:
    text = "customer_id,event_timestamp\n7,2026-03-10 12:00:00\n7,2026-03-12 12:00:00\n7,2026-03-20 09:00:00\n"
    assert [line[3] for line in rows(get(text))] == ["1", "2", "2"]
    assert [line[2:4] for line in rows(get(text, "--known-then"))] == [
        ["", ""],
        ["2026-03-11 09:00:00.000000", "1"],
        ["2026-03-20 09:00:00.000000", "2"],
    ]


def test_times_of_other_zones_and_columns_of_other_names(get: Get) -> None:
    text = (
        "buyer,at\n7,2026-03-12T10:00:00+01:00\n7,2026-03-12T09:59:59+01:00\n7,2026-03-12T09:00:00Z\n7,2026-03-12\n"
        "7,2026-03-12 04:00:00-05\n"
    )
    found = rows(get(text, "--key", "buyer", "--timestamp", "at", "--features", "order_count"))
    assert [line[3] for line in found] == ["2", "1", "2", "1", "2"]


def test_features_older_than_the_ttl_are_missing(get: Get) -> None:
    text = "customer_id,event_timestamp\n8,2026-03-11 00:00:00\n8,2026-03-11 00:00:01\n"
    found = rows(get(text, "--features", "net_amount,order_count", "--ttl", "10d"))
    assert [line[2:] for line in found] == [["2026-03-01 00:00:00.000000", "50.000000", "5"], ["", "", ""]]
    assert [line[4] for line in rows(get(text, "--features", "net_amount,order_count"))] == ["5", "5"]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])  # Parquet has no seconds
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_parquet_keeps_types_and_says_which_release_it_is_from(
    get: Get, tmp_path: Path, unit: str, zone: str | None
) -> None:
    times = [dt.datetime(2026, 3, 12, 9, tzinfo=dt.UTC), dt.datetime(2026, 3, 12, 8, 59, 59, tzinfo=dt.UTC)]
    stored = pa.array(times, pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, "UTC")).cast(pa.timestamp(unit, zone))
    table = pa.table({"customer_id": pa.array([7, 7], pa.int32()), "event_timestamp": stored, "x": [[1], []]})
    path = tmp_path / "found.parquet"
    result = get(table, "--output", str(path), "--release", "1", name="entities.parquet")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{path}: 2 rows, from release 1,")
    found = pq.read_table(path)
    assert found.select(table.column_names).equals(table)
    assert found["order_count"].to_pylist() == [2, 1]
    assert found.schema.field("net_amount").type == pa.decimal128(18, 6)
    assert found.schema.metadata[b"lakemesh.release"] == b"1"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {item.name for item in tmp_path.glob("*parquet*")} == {"entities.parquet", "found.parquet"}


def test_an_empty_file_of_entities_gives_the_header_alone(get: Get) -> None:
    result = get("customer_id,event_timestamp\n", "--features", "order_count")
    assert result.stdout.strip() == '"customer_id","event_timestamp","feature_at","order_count"'
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("", (), "no column customer_id; it has none"),
        (
            "customer_id,when\n7,2026-03-12\n",
            (),
            "no column event_timestamp; it has customer_id, when: name another one",
        ),
        ("id,event_timestamp\n7,2026-03-12\n", (), "no column customer_id; it has id, event_timestamp"),
        ("customer_id,event_timestamp\n7,soon\n", (), "event_timestamp of row 1 is 'soon'; expected a time such as"),
        ("customer_id,event_timestamp\n7,2026-02-30\n7,\n", (), "is '2026-02-30', and so in 1 more rows"),
        ("customer_id,event_timestamp\n7,\n", (), "event_timestamp of row 1 is empty"),
        ("customer_id,event_timestamp\n7,infinity\n", (), "is 'infinity'"),
        (
            "customer_id,event_timestamp\n7,2026-03-12\n1.5,2026-03-12\n",
            (),
            "customer_id of row 2 is '1.5'; expected a",
        ),
        ("customer_id,event_timestamp\n99999999999999999999,2026-03-12\n", (), "customer_id of row 1 is '9999"),
        ("customer_id,event_timestamp\n7,2026-03-12,3\n", (), "cannot be read as csv: CSV parse error"),
        (b"customer_id,event_timestamp\n\xff,2026-03-12\n", (), "cannot be read as csv"),
        (b"\xff\xfe\n", (), "cannot be read as csv"),
        ("customer_id,Customer_ID,event_timestamp\n7,8,2026-03-12\n", (), "columns customer_id are there twice"),
        ("customer_id,event_timestamp,order_count\n7,2026-03-12,1\n", (), "features are called: order_count; rename"),
        (
            "customer_id,event_timestamp,feature_at\n7,2026-03-12,1\n",
            (),
            "features are called: feature_at; rename them",
        ),
        ("customer_id,event_timestamp\n7,2026-03-12\n", ("--features", "age"), "no feature age in gold.fct_customer"),
        ("customer_id,event_timestamp\n7,2026-03-12\n", ("--features", "order_count,order_count"), "named twice"),
        ("customer_id,event_timestamp\n7,2026-03-12\n", ("--release", "9"), "release 9 is not kept; kept are 1"),
        ("customer_id,event_timestamp\n7,2026-03-12\n", ("--ttl", "long"), "'long' is no duration"),
        ("customer_id,event_timestamp\n7,2026-03-12\n", ("--output", "x.txt"), "expected a name that ends in .csv or"),
        ("customer_id,event_timestamp\n7,2026-03-12\n", ("--output", "/proc/x.csv"), "cannot be written"),
    ],
)
def test_what_is_wrong_is_said(get: Get, content: str | bytes, arguments: Sequence[str], message: str) -> None:
    result = get(content, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_is_wrong_in_parquet_is_said(get: Get) -> None:
    for table, message in (
        ({"customer_id": [7], "event_timestamp": [5]}, "event_timestamp is of type BIGINT; expected times"),
        ({"customer_id": [7.5], "event_timestamp": ["2026-03-12"]}, "customer_id of row 1 is '7.5'"),
        ({"customer_id": [[7]], "event_timestamp": ["2026-03-12"]}, "customer_id"),
    ):
        result = get(pa.table(table), name="entities.parquet")
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr
    assert "cannot be read as parquet" in get("no parquet", name="entities.parquet").stderr
    assert "ends in .csv or .parquet" in get("a", name="entities.json").stderr
    result = get(pa.table({"customer_id": [7.0, None], "event_timestamp": ["2026-03-12"] * 2}), name="entities.parquet")
    assert [line[3] for line in rows(result)] == ["1", ""]


def test_missing_files_and_releases(clean_settings: Path, tmp_path: Path) -> None:
    path = tmp_path / "e*.csv"
    arguments = ["features", "get", "--entities", str(path)]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, "no such file" in result.stderr) == (2, True)
    path.write_text("customer_id,event_timestamp\n7,2026-03-12\n")
    settings.cache_clear()
    assert "nothing is published yet" in CliRunner().invoke(main, arguments).stderr
    clean_settings.mkdir(exist_ok=True)
    publish(clean_settings, {"gold.other": []}, {"gold.other": {"a": "INT"}})
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, "release 1 has no gold.fct_customer_features" in result.stderr) == (2, True)


def test_list_says_what_there_is(get: Get) -> None:
    assert get("customer_id,event_timestamp\n").exit_code == 0
    text = CliRunner().invoke(main, ["features", "list"]).stdout
    assert "gold.fct_customer_features_known by customer_id and known_at" in text
    found = json.loads(CliRunner().invoke(main, ["features", "list", "--json", "--release", "1"]).stdout)
    assert found["release"] == 1
    assert [item["name"] for item in found["views"][0]["features"]] == ["order_count", "net_amount", "country_code"]


def test_durations() -> None:
    assert duration("2w") == dt.timedelta(days=14)
    assert duration(" 90d ") == dt.timedelta(days=90)
    assert [duration(f"3{unit}") for unit in "smh"] == [dt.timedelta(seconds=3 * size) for size in (1, 60, 3600)]
    for text in ("", "0d", "-1d", "1.5h", "1y", "d"):
        with pytest.raises(ConfigError, match="no duration"):
            duration(text)
