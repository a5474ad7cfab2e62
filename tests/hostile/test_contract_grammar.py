"""For every contract that the grammar allows, its feed is ingested and read: empty, minimal and full records."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import random
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlglot import exp
from sqlmesh.core.model import create_external_model

from ingest.contracts.contract import Contract
from ingest.contracts.keywords import KEYWORDS
from ingest.contracts.schema import external_models, sql_columns
from ingest.ledger.agreement import Record
from ingest.ledger.column_types import Type, file_types, types_of
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import Selection, bad_records
from ingest.steps.load import ingest_feed
from ingest.steps.write import columns_json
from ingest.storage.landing import Landing
from ingest.storage.store import Store
from pipeline.invalidation.changed_dates import feed_changes
from pipeline.warehouse.bronze import bronze_query
from tests.hostile.checkout import COLUMNS, Checkout, column

START = dt.date(2021, 1, 1)
AT = "2026-01-02T10:00:00Z"
SCALARS = ("string", "boolean", "integer", "double", "date", "timestamp", "decimal(5, 2)", "decimal(38, 0)")
ODD_NAMES = sorted(KEYWORDS) + "list element item bronze entities moved facts at_ key value values event_date x".split()
"""Words of SQL, of Parquet, and identifiers of Lakemesh's own queries."""
names = st.one_of(st.sampled_from(ODD_NAMES), st.from_regex(r"[a-c][a-z0-9_]{0,2}", fullmatch=True))


def columns(depth: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Columns of different names, structs up to a depth."""
    rules = {"name": names, "description": st.just("x"), "required": st.booleans(), "repeated": st.booleans()}
    scalar = st.fixed_dictionaries({**rules, "type": st.sampled_from(SCALARS)})
    one = scalar
    if depth:
        struct = st.fixed_dictionaries({**rules, "type": st.just("struct"), "fields": columns(depth - 1)})
        one = st.one_of(scalar, struct)
    return st.lists(one, min_size=1, max_size=3, unique_by=lambda item: str(item["name"]))


VIOLATED: dict[str, dict[str, Any]] = {
    "string": {"pattern": "."},
    "boolean": {"accepted_values": [False]},
    "date": {"range": {"below": "2000-01-01"}},
    "timestamp": {"range": {"below": "2000-01-01"}},
}
"""Rules that `value` violates, by type; numbers are compared with 0."""


def violated(columns: list[dict[str, Any]], prefix: str = "") -> Iterator[dict[str, Any]]:
    """Constraints that warn of each list and scalar of a full record."""
    for item in columns:
        path = f"{prefix}{item['name']}"
        if item.get("repeated"):
            yield {"column": path, "length": {"max": 0}}
        if item["type"] == "struct":
            yield from violated(item["fields"], f"{path}.")
        else:
            yield {"column": path, **VIOLATED.get(item["type"], {"range": {"below": 0}})}


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    """A contract that the grammar accepts, of either kind."""
    kind = draw(st.sampled_from(["event", "entity"]))
    taken = {"id", "at", "ingest_date", *(["event_date"] if kind == "event" else [])}
    others = [item for item in draw(columns(3)) if item["name"] not in taken]
    nested = draw(st.booleans())
    rules = list(violated(others)) if draw(st.booleans()) else []
    holder = column("holder", "struct", fields=[column("id", "string", required=True)])
    return Contract.model_validate(
        {
            "feed": "clicks",
            "domain": "web",
            "version": 1,
            "kind": kind,
            "owner": "tests",
            "description": "x",
            "source": {"bucket": "raw-clicks"},
            "key": ["holder.id"] if nested else ["id"],
            "event_time": "at" if kind == "event" else None,
            "latest_by": ["at"],
            "freshness_seconds": 60,
            "columns": [*COLUMNS, *others, *([holder] if nested else [])],
            "constraints": [rule | {"policy": "warn", "name": f"rule_{at:03}"} for at, rule in enumerate(rules)],
        }
    )


def value(kind: str) -> Any:
    """A value of a scalar type in JSON."""
    known = {
        "string": "ä\"'",
        "boolean": True,
        "integer": 2**53 + 1,
        "double": 0.5,
        "date": "2026-01-02",
        "timestamp": AT,
    }
    return known.get(kind, "0")


def record(columns: Any, full: bool, depth: int = 0) -> dict[str, Any]:
    """A record with all columns, or with the required ones."""

    def one(item: Any) -> Any:
        return record(item.fields, full, depth + 1) if item.fields else value(item.type)

    def wanted(item: Any) -> bool:
        return full or item.required or (not item.repeated and any(map(wanted, item.fields)))

    return {
        item.name: ([one(item)] * (1 if depth > 2 else 2) if full else []) if item.repeated else one(item)
        for item in columns
        if wanted(item)
    }


def lacking(columns: Any, found: Any) -> bool:
    """Whether a required value is missing, by rules in plain Python."""
    for item in columns:
        here = (found or {}).get(item.name)
        if here is None and item.required:
            return True
        elements = (here or []) if item.repeated else [here]
        if item.fields and any(lacking(item.fields, element) for element in elements):
            return True
    return False


def without(found: Any) -> Iterator[Any]:
    """The record with one value removed, in every way, and with each list element null."""
    for name, here in found.items():
        yield {other: item for other, item in found.items() if other != name}
        parts = here if isinstance(here, list) else [here]
        for number, part in enumerate(parts):
            changed = [*without(part)] if isinstance(part, dict) else []
            for less in changed + ([None] if isinstance(here, list) else []):
                whole = [*parts[:number], less, *parts[number + 1 :]] if isinstance(here, list) else less
                yield {**found, name: whole}


def typed(columns: Any, found: Any) -> dict[str, Any]:
    """A record as shown by bronze."""

    def one(item: Any, here: Any) -> Any:
        if here is None:
            return None
        if item.fields:
            return typed(item.fields, here)
        if item.type == "date":
            return dt.date.fromisoformat(here)
        if item.type == "timestamp":
            return dt.datetime.fromisoformat(here).replace(tzinfo=None)
        return Decimal(here) if item.type.startswith("decimal") else here

    shown = {}
    for item in columns:
        here = found.get(item.name)
        shown[item.name] = [one(item, part) for part in here] if item.repeated and here is not None else one(item, here)
    return shown


def check(contract: Contract, dice: random.Random) -> None:
    """Ingest records with all, few, no values and one value removed; read them with DuckDB."""
    full = record(contract.columns, True)
    variants = list(itertools.islice(without(full), 500))
    records = [{}, record(contract.columns, False), full, *dice.sample(variants, min(len(variants), 40))]
    with tempfile.TemporaryDirectory() as folder:
        landing, lake = Landing(f"{folder}/raw-clicks"), Store(f"{folder}/lake")
        landing.put("a.json", b"".join(json.dumps(item).encode() + b"\n" for item in records))

        report = ingest_feed(contract, landing, lake, START)

        good = [item for item in records if not lacking(contract.columns, item)]
        bad = [number for number, item in enumerate(records, 1) if lacking(contract.columns, item)]
        assert (report.rows, report.quarantined) == (len(good), len(bad))
        state = Ledger(lake, "clicks").state()
        found = list(bad_records(lake, state, Selection()))
        assert {item.reason for item in found} <= {"missing_required"}
        assert [item.line for item in found] == bad
        assert {item.column for item in found} <= {path for path, rules in contract.walk() if rules.required}
        query = bronze_query(contract, lake.uri, state.bronze_files())
        with duckdb.connect() as connection:
            connection.execute("CREATE SCHEMA bronze")
            connection.execute(f"CREATE VIEW {contract.table} AS {query}")
            rows = connection.execute("SELECT * FROM bronze.clicks ORDER BY _source_line").to_arrow_table().to_pylist()
            kinds = dict(connection.execute("SELECT column_name, column_type FROM (DESCRIBE bronze.clicks)").fetchall())
            empty = bronze_query(contract, lake.uri, [])
            connection.execute(f"SELECT * FROM ({empty}) UNION ALL SELECT * FROM bronze.clicks")
            feed_changes(lake, {"clicks": contract}, {}, connection)
        declared = [item.name for item in contract.columns]
        assert [{name: row[name] for name in declared} for row in rows] == [
            typed(contract.columns, item) for item in good
        ]
        if contract.constraints:
            names = [item.name for item in contract.constraints]
            marked = [row["_warnings"] for row, item in zip(rows, good, strict=True) if item == full]
            assert marked == [names] * len(marked) != []
        assert list(kinds) == [name for name, _, _ in sql_columns(contract)]
        assert {row["_rescued_data"] for row in rows} <= {None}
        assert file_types(columns_json(contract)) == {
            path: Type(kind.base, kind.repeated) for path, kind in types_of(contract).items()
        }
        assert Record.parse(state.contract) == Record.of(contract)
        for name, kind, _ in sql_columns(contract):  # as SQLMesh reads them
            assert exp.DataType.build(kind, dialect="duckdb").sql("duckdb"), name
        assert external_models([contract])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(contracts(), st.randoms(use_true_random=False))
def test_every_contract_tolerates_missing_values(contract: Contract, dice: random.Random) -> None:
    check(contract, dice)


def nested(levels: int, **rules: Any) -> dict[str, Any]:
    """A struct within a struct within …"""
    inner = column("x", "integer", required=True)
    for _ in range(levels - 1):
        inner = column("x", "struct", fields=[inner], **rules)
    return inner


def contract_of(*others: dict[str, Any], **fields: Any) -> Contract:
    return Contract.model_validate(
        {
            "feed": "clicks",
            "domain": "web",
            "version": 1,
            "kind": "event",
            "owner": "tests",
            "description": "x",
            "source": {"bucket": "raw-clicks"},
            "key": ["id"],
            "event_time": "at",
            "freshness_seconds": 60,
            "columns": [*COLUMNS, *others],
        }
        | fields
    )


@pytest.mark.parametrize(
    "contract",
    [
        contract_of(nested(31)),
        contract_of(nested(16, repeated=True)),
        contract_of(
            column("a", "struct", fields=[column("list", "struct", fields=[column("element", "string")])]),
            column("a_list_element", "timestamp"),
        ),
        contract_of(
            column("a", "timestamp", repeated=True),
            column("b", "struct", repeated=True, fields=[column("a", "struct", fields=[column("list", "string")])]),
        ),
        contract_of(*(column(f"a_{word}", "struct", fields=[column(word, "string")]) for word in sorted(KEYWORDS))),
        contract_of(*(column(word, "string") for word in sorted(KEYWORDS - {"at"}))),
        contract_of(column("a", "decimal(38, 38)"), column("b", "decimal(1, 0)")),
        contract_of(clock_skew_seconds=10**10, freshness_seconds=10**10, epoch="0001-01-01", version=2**31 - 1),
    ],
    ids=[
        "structs",
        "lists",
        "list.element",
        "lists of times",
        "members named as SQL",
        "columns named as SQL",
        "decimals",
        "longest times",
    ],
)
def test_contracts_at_the_limits_of_the_grammar_are_ingested(contract: Contract) -> None:
    check(contract, random.Random(1))


def test_a_sql_keyword_as_a_column_is_known_to_sqlmesh() -> None:
    (model,) = yaml.safe_load(external_models([contract_of(*(column(word, "string") for word in KEYWORDS - {"at"}))]))
    known = create_external_model("bronze.clicks", columns=model["columns"])
    assert {*KEYWORDS, "id", "at", "event_date"} <= known.columns_to_types.keys()


SKU = column("sku", "string", required=True)
ITEM = column("item", "struct", repeated=True, fields=[column("id", "string", required=True), column("t", "timestamp")])


@pytest.mark.parametrize(
    ("others", "fields", "fault"),
    [
        ((ITEM,), {"key": ["item.id"]}, "key: 'item.id' is a struct, a list or within a list"),
        ((column("ids", "string", repeated=True, required=True),), {"key": ["ids"]}, "key: 'ids' is"),
        ((column("s", "struct", required=True, fields=[column("x", "string")]),), {"key": ["s"]}, "key: 's' is"),
        ((column("t", "timestamp", repeated=True, required=True),), {"event_time": "t"}, "event_time: 't' is"),
        ((ITEM,), {"event_time": "item.t"}, "event_time: 'item.t' is"),
        ((ITEM,), {"latest_by": ["item.t"]}, "latest_by: 'item.t' is"),
        ((ITEM,), {"references": [{"column": "item.id", "feed": "x", "key": "x"}]}, "references: 'item.id' is"),
        ((column("event_date", "date"),), {}, "have the names of bronze's partition columns"),
        ((column("ingest_date", "date"),), {"kind": "entity", "event_time": None}, "have the names of bronze's"),
        ((column("n", "decimal(39, 0)"),), {}, "expected decimal(p, s) with p from 1 to 38"),
        ((column("n", "decimal(0, 0)"),), {}, "expected decimal(p, s) with p from 1 to 38"),
        ((column("n", "decimal(5, 6)"),), {}, "and s up to p"),
        ((nested(32),), {}, "is nested deeper than 31 levels"),
        ((nested(17, repeated=True),), {}, "is nested deeper than 31 levels"),
        ((), {"feed": "order"}, "'order' is an SQL keyword"),
        ((), {"clock_skew_seconds": 10**18}, "less than or equal to 10000000000"),
        ((), {"freshness_seconds": 10**18}, "less than or equal to 10000000000"),
        ((), {"version": 2**63}, "less than 2147483648"),
        ((), {"source": {"bucket": "raw", "full_sweep_hours": float("inf")}}, "less than or equal to"),
    ],
)
def test_contract_that_could_not_be_ingested_is_refused(
    others: tuple[dict[str, Any], ...], fields: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        contract_of(*others, **fields)
    assert fault in str(caught.value)


def test_an_entity_may_have_a_column_event_date() -> None:
    check(contract_of(column("event_date", "date"), kind="entity", event_time=None), random.Random(1))


def lines(*members: dict[str, Any], **rules: Any) -> dict[str, Any]:
    return column("lines", "struct", repeated=True, fields=list(members), **rules)


def test_required_members_of_lists_are_required_of_each_element(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    parts = column("parts", "struct", repeated=True, fields=[column("no", "integer", required=True)])
    feeds = {
        "optional": (lines(SKU, parts), [4, 5, 6, 7], "lines.sku"),
        "demanded": (lines(SKU, parts, required=True), [3, 4, 5, 6, 7], "lines.sku"),
        "within": (lines(column("sku", "string"), parts), [7, 8], "lines.parts.no"),
    }
    for feed, (agreed, _, _) in feeds.items():
        checkout.agree(agreed, feed=feed, max_quarantined_share=1)
        checkout.put(
            "a.json",
            {"lines": [{"sku": "a"}, {"sku": "b", "parts": [{"no": 1}]}]},
            {"lines": []},
            {},
            {"lines": [{"sku": "a"}, {}]},
            {"lines": [{"sku": "a"}, {"sku": None}]},
            {"lines": [None]},
            {"lines": [{"sku": None, "parts": [{"no": 1}, {"no": None}]}]},
            {"lines": [{"sku": "a", "parts": []}, {"sku": "b", "parts": [{"no": 1}, {}]}]},
            feed=feed,
        )
    checkout.lake("contracts", "--write")
    checkout.lake("ingest")
    shown = json.loads(checkout.lake("quarantine", "show", "--json", "--limit", "99").stdout)
    for feed, (_, bad, path) in feeds.items():
        found = {item["line"]: (item["reason"], item["column"]) for item in shown if item["feed"] == feed}
        wanted = dict.fromkeys(bad, ("missing_required", path))
        wanted |= {8: ("missing_required", "lines.parts.no")}
        wanted |= {3: ("missing_required", "lines")} if feed == "demanded" else {}
        assert found == wanted
    checkout.lake("verify", "--deep")
