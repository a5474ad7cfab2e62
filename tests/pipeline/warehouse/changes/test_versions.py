"""The versions of random databases: equal to the source, whatever order its changes arrive in and however often."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ingest.contracts.contract import Contract, contracts
from ingest.records.parts import Piece
from ingest.steps.parse import Parser
from pipeline.warehouse.changes import ALWAYS, marks_query, versions_query
from sample.database import Row, as_json
from tests.captured import OPENED, Customers

FIRST = dt.datetime.fromisoformat(ALWAYS)
# no column tells when a customer was created: the first version holds from always
CONTRACT = contracts()["customers"].model_copy(update={"created_at": None})


class Histories:
    """Computes versions of change records."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("CREATE SCHEMA bronze")

    def of(self, records: Sequence[Row], contract: Contract = CONTRACT) -> list[tuple[Any, ...]]:
        """customer_id, name, note, accepts_marketing, valid_from, valid_to, is_deleted, by key and time."""
        self.load(records, contract)
        query = versions_query(contract, "marks")
        return self.connection.execute(
            "SELECT customer_id, name, note, accepts_marketing, valid_from, valid_to, is_deleted "
            f"FROM ({query}) ORDER BY customer_id, valid_from"
        ).fetchall()

    def load(self, records: Sequence[Row], contract: Contract) -> None:
        """Fill bronze and the marks with records."""
        lines = "".join(f"{as_json(record)}\n" for record in records).encode()
        parsed = Parser(contract, [OPENED]).parse([Piece(0, 1, lines)])
        assert parsed.rejects == []
        rows = parsed.rows.append_column("_source_file", pa.array(["f"] * len(parsed.rows), pa.string()))
        rows = rows.append_column("_source_modified_at", pa.array([OPENED] * len(rows), pa.timestamp("us", "UTC")))
        self.connection.register("parsed", rows)
        self.connection.execute("CREATE OR REPLACE TEMP TABLE customers AS FROM parsed")
        self.connection.execute("CREATE OR REPLACE VIEW bronze.customers AS FROM temp.customers")
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE marks AS {marks_query(['customers'])}")


@pytest.fixture(scope="module")
def histories() -> Iterator[Histories]:
    found = Histories()
    yield found
    found.connection.close()


@pytest.mark.parametrize("seed", range(12))
def test_current_rows_equal_the_table_though_changes_were_missed(histories: Histories, seed: int) -> None:
    customers = Customers(seed, 100, loses_place=True)
    records = customers.database.records
    in_order = histories.of(records)
    assert [row[:4] for row in in_order if row[5] is None and not row[6]] == customers.rows
    shuffled = [*records, *random.Random(seed).choices(records, k=len(records) // 2)]
    random.Random(seed).shuffle(shuffled)
    assert histories.of(shuffled) == in_order


@pytest.mark.parametrize("seed", range(12))
def test_versions_equal_the_history_of_the_table(histories: Histories, seed: int) -> None:
    customers = Customers(seed, 120, loses_place=False)
    records = list(customers.database.records)
    random.Random(seed).shuffle(records)
    expected, seen = [], set()
    for *row, since, until, is_deleted in customers.history():
        is_first = row[0] not in seen and not is_deleted
        seen.add(row[0])
        expected.append((*row, FIRST if is_first else since, until, is_deleted))
    assert histories.of(records) == expected


def test_the_databases_have_every_kind_of_change() -> None:
    databases = [Customers(seed, 120, loses_place=seed % 2 == 0).database for seed in range(24)]
    values = [record["value"] for database in databases for record in database.records]
    kinds = Counter(value["op"] if value else "tombstone" for value in values)
    assert min(kinds[kind] for kind in ("r", "c", "u", "d", "t", "tombstone")) > 10
    by_transaction: dict[tuple[int, int], list[int]] = {}
    for number, database in enumerate(databases):
        for record in database.records:
            if (value := record["value"]) and value["op"] != "r":
                by_transaction.setdefault((number, value["source"]["txId"]), []).append(value["source"]["lsn"])
    spans = sorted((number, min(found), max(found)) for (number, _), found in by_transaction.items())
    overlaps = [one for one, two in pairwise(spans) if one[0] == two[0] and two[1] < one[2]]
    assert overlaps, "no two transactions interleave"


def event(
    operation: str,
    position: int,
    row: Row | None,
    *,
    previous: int | None,
    flag: str = "false",
    at: int = 0,
    order: int = 1,
) -> Row:
    """A change of customer 1, as the connector tells it."""
    micros = (OPENED - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1) + at
    value = {
        "before": {"customer_id": 1} if row is None else None,
        "after": None if row is None else {"customer_id": 1, **row},
        "source": {
            "connector": "postgresql",
            "lsn": position,
            "sequence": f'[{"null" if previous is None else chr(34) + str(previous) + chr(34)},"{position}"]',
            "txId": position,
            "snapshot": flag,
            "ts_us": micros,
        },
        "transaction": {"id": "1", "total_order": order, "data_collection_order": order},
        "op": operation,
    }
    if operation == "t":
        value["before"] = None
    return {"key": {"customer_id": 1}, "value": value}


def at(micros: int) -> dt.datetime:
    return OPENED.replace(tzinfo=None) + dt.timedelta(microseconds=micros)


def brief(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """name, valid_from, valid_to, is_deleted."""
    return [(row[1], *row[4:]) for row in rows]


def test_a_clock_that_goes_backwards_orders_nothing(histories: Histories) -> None:
    changes = [
        event("c", 10, {"name": "first"}, previous=5, at=100),
        event("u", 20, {"name": "second"}, previous=15, at=50),
        event("u", 30, {"name": "third"}, previous=25, at=200),
    ]
    assert brief(histories.of(changes)) == [("second", FIRST, at(200), False), ("third", at(200), None, False)]


def test_a_transaction_that_was_open_at_a_snapshot_commits_after_it(histories: Histories) -> None:
    """It wrote before the snapshot's position, which has the row before."""
    changes = [
        event("r", 10, {"name": "old"}, previous=None, flag="last", at=0),
        event("r", 50, {"name": "old"}, previous=None, flag="last", at=100),
        event("u", 40, {"name": "new"}, previous=60, at=200),
    ]
    assert brief(histories.of(changes)) == [("old", FIRST, at(200), False), ("new", at(200), None, False)]


def test_the_first_commit_after_a_snapshot_does_not_tell_what_came_before(histories: Histories) -> None:
    changes = [
        event("r", 10, {"name": "old"}, previous=None, flag="last", at=0),
        event("u", 20, {"name": "early"}, previous=None, at=50),
        event("r", 90, {"name": "missed"}, previous=None, flag="last", at=100),
        event("u", 80, {"name": "late"}, previous=None, at=200),
    ]
    names = [name for name, *_ in brief(histories.of(changes))]
    assert names == ["old", "early", "missed", "late"]


def test_a_key_that_a_complete_snapshot_lacks_was_deleted(histories: Histories) -> None:
    other = event("r", 50, {"name": "other"}, previous=None, flag="last", at=100)
    other["value"]["after"]["customer_id"] = 2
    changes = [event("c", 10, {"name": "gone"}, previous=5, at=0), other]
    assert brief(histories.of(changes)) == [
        ("gone", FIRST, at(100), False),
        ("gone", at(100), None, True),
        ("other", FIRST, None, False),
    ]
    other["value"]["source"]["snapshot"] = "true"  # more rows follow
    assert brief(histories.of(changes)) == [("gone", FIRST, None, False), ("other", FIRST, None, False)]


def test_rows_that_an_incremental_snapshot_reads_come_after_what_was_streamed(histories: Histories) -> None:
    changes = [
        event("u", 20, {"name": "streamed"}, previous=15, at=50),
        event("r", 20, {"name": "read"}, previous=None, flag="incremental", at=100),
    ]
    assert [name for name, *_ in brief(histories.of(changes))] == ["streamed", "read"]


def test_a_deletion_of_an_unknown_row_is_known_only_as_such(histories: Histories) -> None:
    assert brief(histories.of([event("d", 10, None, previous=5, at=7)])) == [(None, at(7), None, True)]


def test_a_row_that_came_and_went_in_one_transaction_was_never_there(histories: Histories) -> None:
    came, went = event("c", 10, {"name": "brief"}, previous=5, at=7), event("d", 11, None, previous=5, at=7)
    assert histories.of([came, went]) == []
    again = event("c", 30, {"name": "kept"}, previous=25, at=9)
    assert brief(histories.of([came, went, again])) == [("kept", FIRST, None, False)]
    changed = event("u", 10, {"name": "there"}, previous=5, at=7)
    assert brief(histories.of([changed, went])) == [("there", at(7), None, True)]


def test_a_table_may_consist_of_its_key(histories: Histories) -> None:
    contract = CONTRACT.model_copy(update={"columns": CONTRACT.columns[:1], "constraints": ()})
    changes = [
        event("r", 10, {}, previous=None, flag="last", at=0),
        event("r", 50, {}, previous=None, flag="last", at=50),
        event("d", 60, None, previous=55, at=100),
    ]
    histories.load(changes, contract)
    query = f"SELECT valid_from, valid_to, is_deleted FROM ({versions_query(contract, 'marks')}) ORDER BY valid_from"
    found = histories.connection.execute(query).fetchall()
    assert found == [(FIRST, at(100), False), (at(100), None, True)]


def test_a_truncate_ends_only_what_began_before(histories: Histories) -> None:
    changes = [
        event("c", 10, {"name": "before"}, previous=5, at=0),
        event("t", 20, None, previous=15, at=100),
        event("c", 30, {"name": "after"}, previous=25, at=200),
    ]
    assert brief(histories.of(changes)) == [
        ("before", FIRST, at(100), False),
        ("before", at(100), at(200), True),
        ("after", at(200), None, False),
    ]


def test_values_that_updates_leave_out_hold_on_through_changes_and_are_told_from_null(histories: Histories) -> None:
    gone = "__debezium_unavailable_value"
    changes = [
        event("c", 10, {"name": "a", "note": "long"}, previous=5, at=0),
        event("u", 20, {"name": "b", "note": gone}, previous=15, at=100),
        event("u", 30, {"name": "c", "note": None}, previous=25, at=200),
        event("u", 40, {"name": "d", "note": gone}, previous=35, at=300),
    ]
    assert [row[1:3] for row in histories.of(changes)] == [("a", "long"), ("b", "long"), ("c", None), ("d", None)]


def test_other_databases_are_ordered_by_what_their_contract_names(histories: Histories) -> None:
    """MySQL's log is ordered as transactions commit; its files, positions and rows are numbers within text."""
    contract = CONTRACT.model_copy(
        update={"source": CONTRACT.source.model_copy(update={"order": ("file", "pos", "row")})}
    )

    def change(operation: str, file: int, position: int, row: int, at: int, name: str) -> Row:
        record = event(operation, 0, {"name": name}, previous=None)
        origin = {"connector": "mysql", "file": f"mysql-bin.{file:06d}", "pos": position, "row": row}
        flag = "last" if operation == "r" else "false"
        record["value"]["source"] = origin | {"snapshot": flag, "ts_us": 1_767_225_600_000_000 + at}
        return record

    changes = [
        change("r", 9, 5, 0, 1, "read"),
        change("u", 10, 4, 0, 4, "fourth"),
        change("u", 9, 30, 1, 3, "third"),
        change("u", 9, 30, 0, 3, "second"),
        change("u", 9, 9, 0, 2, "first"),
    ]
    names = [row[1] for row in histories.of(changes, contract)]
    assert names == ["read", "first", "third", "fourth"], "of two changes at one time the last counts"
