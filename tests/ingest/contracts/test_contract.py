"""Contracts are validated when they are read, and all generated artifacts follow from them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from pydantic import ValidationError

from ingest.contracts.classes import Class
from ingest.contracts.contract import CONTRACTS, Kind, contracts, load_contract, load_contracts, select
from ingest.contracts.schema import bronze_schema, external_models, sql_columns
from ingest.contracts.source import Completeness, Source
from ingest.errors import ConfigError

VALID = yaml.safe_load((CONTRACTS / "engagement" / "events.yaml").read_text())


def dated(prefix: str) -> dict[str, object]:
    return {"bucket": "raw", "date_prefix": prefix, "recent_days": 3}


def retired(**rule: object) -> dict[str, object]:
    return {"bucket": "raw", "retire": {"after_days": 30, **rule}}


def person(name: str, **rules: object) -> dict[str, object]:
    """A column of text with a class or without one."""
    return {"name": name, "type": "string", "description": "x", **rules}


def write(folder: Path, feed: str = "clicks", **changes: object) -> Path:
    path = folder / "web" / f"{feed}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({**VALID, "references": [], **changes}))
    return path


def test_feed_and_domain_are_named_by_the_file_and_its_folder(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path))
    assert (contract.name, contract.table, contract.kind) == ("web/clicks", "bronze.clicks", Kind.EVENT)


@pytest.mark.parametrize("text", ["version: {{ v }}", "[version]: 1\n", "version: 1\nversion: 2\n"])
def test_what_is_no_mapping_of_names_is_an_error_with_the_file(text: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"clicks\.yaml: not valid YAML"):
        load_contract(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "stream"}, "kind: Input should be 'event', 'entity' or 'change'"),
        ({"event_time": None}, "an event feed needs event_time"),
        ({"event_time": "user_id"}, "must be a required top-level timestamp"),
        ({"kind": "entity"}, "an entity feed has no event_time"),
        ({"key": ["nope"]}, "column 'nope' is not declared"),
        ({"key": ["child_id"]}, "key columns must be required"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"columns": [{"name": "a", "type": "text", "description": "A."}]}, "'text' is not a type"),
        ({"columns": [{"name": "A b", "type": "string", "description": "A."}]}, "'A b' is not a valid name"),
        ({"columns": [{"name": "a", "type": "struct", "description": "A."}]}, "has fields"),
        ({"columns": VALID["columns"] * 2}, "columns declared twice"),
        ({"source": {"bucket": "Raw_Events"}}, "source.bucket"),
        ({"source": {"bucket": "raw", "recent_days": 3}}, "date_prefix and recent_days go together"),
        ({"source": {"bucket": "raw", "date_prefix": "{date:%Y}/"}}, "date_prefix and recent_days go together"),
        ({"source": dated("%Y/%m/%d/")}, "must contain {date:…}"),
        ({"source": dated("{date:%Y/%m/%d}")}, "no leading slash, one trailing slash"),
        ({"source": dated("/{date:%Y/%m/%d}/")}, "no leading slash, one trailing slash"),
        ({"source": dated("../{date:%Y}/")}, "no leading slash, one trailing slash"),
        ({"source": dated("{date:%m/%d}/")}, "the same folder every year"),
        ({"source": dated("{date:%Y/%b}/")}, "with %Y, %m, %d and %j"),
        ({"source": dated("{day:%Y}/")}, "must contain {date:…}"),
        ({"source": dated("{date.real}/")}, "must contain {date:…}"),
        ({"source": dated("{date:%Y/")}, "is not a template"),
        ({"source": retired(action="move")}, "`to` is required with action move"),
        ({"source": retired(action="delete", to="raw-old")}, "`to` is required with action move"),
        ({"source": retired(action="burn")}, "source.retire.action"),
        ({"source": retired(action="delete", after_days=0)}, "source.retire.after_days"),
        ({"source": retired(action="move", to="raw-old/../x")}, "has a path segment `.` or `..`"),
    ],
)
def test_fault_is_reported_with_its_file(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(ConfigError, match=r"clicks\.yaml") as caught:
        load_contract(path)
    assert message in str(caught.value)


def test_invalid_yaml_is_reported_with_its_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text("a: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_contract(path)


def test_reference_must_name_the_key_of_a_declared_feed(tmp_path: Path) -> None:
    write(tmp_path, references=[{"column": "user_id", "feed": "users", "key": "user_id"}])
    with pytest.raises(ConfigError, match="has no target"):
        load_contracts(tmp_path)


def test_the_same_feed_in_two_domains_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "app").mkdir()
    (tmp_path / "web" / "clicks.yaml").rename(tmp_path / "app" / "clicks.yaml")
    write(tmp_path)
    with pytest.raises(ConfigError, match="already declared"):
        load_contracts(tmp_path)


@pytest.mark.parametrize("place", ["raw", "raw/in", "other-bucket", "other-bucket/in"])
def test_archive_must_not_be_a_location_that_a_feed_reads(tmp_path: Path, place: str) -> None:
    write(tmp_path, source=retired(action="move", to=place))
    write(tmp_path, "swipes", source={"bucket": "other-bucket"})
    with pytest.raises(ConfigError, match="would be loaded again"):
        load_contracts(tmp_path)


def test_objects_read_by_two_feeds_are_not_retired(tmp_path: Path) -> None:
    write(tmp_path, source=retired(action="delete"))
    write(tmp_path, "taps", source={"bucket": "raw", "prefix": "in"})
    with pytest.raises(ConfigError, match="would remove objects that web/taps reads too"):
        load_contracts(tmp_path)


def test_recent_folders_are_those_of_the_last_days(tmp_path: Path) -> None:
    today = dt.date(2026, 3, 1)
    daily = Source.model_validate(dated("{date:%Y/%m/%d}/") | {"prefix": "in/"})
    assert daily.recent_folders(today) == ["in/2026/03/01", "in/2026/02/28", "in/2026/02/27"]
    monthly = Source.model_validate(dated("month={date:%Y-%m}/"))
    assert monthly.recent_folders(today) == ["month=2026-03", "month=2026-02"]
    assert Source(bucket="raw").recent_folders(today) is None


def test_personal_data_is_tagged() -> None:
    found = {
        f"{feed}.{path}": (str(column.class_), column.subject)
        for feed, item in contracts().items()
        for path, column in item.walk()
        if column.is_personal
    }
    assert found == {
        "events.user_id": ("direct", "account"),
        "events.child_id": ("sensitive", "child"),
        "events.context.device.device_id": ("direct", "account"),
        "users.user_id": ("direct", "account"),
        "users.children_ids": ("sensitive", "child"),
        "users.country_code": ("quasi", "account"),
        "accounts.account_id": ("direct", "customer"),
        "accounts.user_id": ("direct", "account"),
        "accounts.name": ("direct", "customer"),
        "accounts.email": ("direct", "customer"),
        "accounts.country_code": ("quasi", "customer"),
        "clickstream.visitor_id": ("direct", "visitor"),
        "clickstream.customer_id": ("direct", "customer"),
        "clickstream.country_code": ("quasi", "visitor"),
        "customers.customer_id": ("direct", "customer"),
        "customers.email": ("direct", "customer"),
        "customers.name": ("direct", "customer"),
        "customers.country_code": ("quasi", "customer"),
        "customers.birth_date": ("quasi", "customer"),
        "customers.note": ("sensitive", "customer"),
        "orders.customer_id": ("direct", "customer"),
        "orders.shipping_address": ("direct", "customer"),
        "invoices.account_id": ("direct", "customer"),
        "subscriptions.account_id": ("direct", "customer"),
    }


def test_struct_and_its_fields_share_the_stricter_class(tmp_path: Path) -> None:
    fields = [person("city", **{"class": "quasi", "subject": "customer"}), person("note")]
    owner = {**person("owner", **{"class": "direct", "subject": "customer"}), "type": "struct", "fields": fields}
    inner = [person("card", **{"class": "sensitive", "subject": "child"}), person("model")]
    device = {**person("device"), "type": "struct", "fields": inner}
    found = load_contract(write(tmp_path, columns=[*VALID["columns"], owner, device])).classes()
    direct, sensitive = (Class.DIRECT, "customer"), (Class.SENSITIVE, "child")
    assert found["owner"] == found["owner.city"] == found["owner.note"] == direct
    assert found["device"] == found["device.card"] == sensitive
    assert found["device.model"] == (Class.NONE, None)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"class": "direct"}, "columns.0: column 'a': class direct has no subject; expected whose value it is"),
        ({"class": "none", "subject": "child"}, "columns.0: column 'a': a subject without a class; expected `class`"),
        ({"subject": "child"}, "columns.0: column 'a': a subject without a class"),
        ({"class": "secret", "subject": "child"}, "columns.0.class: Input should be 'none', 'quasi', 'direct' or"),
        (
            {"class": "quasi", "subject": "The child"},
            "columns.0.subject: 'The child' is not a subject; expected a kind",
        ),
        (
            {"pii": True},
            "columns.0: column 'a': `pii` is no field; expected `class` \\(direct, quasi or sensitive\\) and",
        ),
        ({"class_": "quasi"}, "columns.0.class_: Extra inputs are not permitted"),
    ],
)
def test_faults_of_classes_name_file_column_and_what_is_expected(
    tmp_path: Path, rules: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"clicks\.yaml: .*{message}"):
        load_contract(write(tmp_path, columns=[person("a", **rules), *VALID["columns"]]))


def test_feeds_are_selected_by_either_name() -> None:
    assert [item.feed for item in select(("engagement/users", "events", "users"))] == ["users", "events"]
    with pytest.raises(
        ConfigError, match=r"unknown feed clicks; expected one of accounts, activities, clickstream, customers"
    ):
        select(("clicks",))


def test_external_models_are_up_to_date() -> None:
    path = Path(__file__).parents[3] / "external_models" / "bronze.yaml"
    assert path.read_text() == external_models(list(contracts().values())), "run `lake contracts --write`"


def test_arrow_and_sql_columns_are_equal_except_for_the_partitions() -> None:
    for contract in contracts().values():
        sql = [name for name, _, _ in sql_columns(contract)]
        partitions = ["ingest_date", "event_date"] if contract.kind is Kind.EVENT else ["ingest_date"]
        assert sql == [*bronze_schema(contract).names, *partitions]


def test_nested_objects_stay_typed_structs() -> None:
    context = bronze_schema(contracts()["events"]).field("context").type
    assert context.field("os").type == pa.struct([("name", pa.string()), ("version", pa.string())])


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ({"deadline_seconds": 60}, "give either after_seconds or marker"),
        ({"deadline_seconds": 60, "after_seconds": 0, "marker": "{date:%Y/%m/%d}/_SUCCESS"}, "give either"),
        ({"deadline_seconds": 60, "marker": "{date:%Y/%m/%d}/done.json"}, "would be read as data"),
        ({"deadline_seconds": 60, "marker": "{date:%m/%d}/_SUCCESS"}, "the same folder every year"),
        ({"after_seconds": 0}, "Field required"),
    ],
)
def test_invalid_completeness_is_refused(rule: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Completeness(**rule)
