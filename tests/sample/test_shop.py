"""The shop of the sample: its changes are what the connector would write, and reach the feeds with their trouble."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from dataclasses import replace

import pytest

from ingest.contracts.contract import contracts
from ingest.records.parts import Piece
from ingest.steps.parse import Parser
from sample.captured import PARTITIONS, shop_days
from sample.customers import addresses
from sample.generate import generate
from sample.objects import SHOP, SampleObject, Tally
from sample.options import SampleOptions
from sample.shop import Shop

OPTIONS = SampleOptions(dt.date(2026, 1, 20), events=1, days=20, orders=120, accounts=0)
TROUBLED = replace(OPTIONS, late=0.1, duplicates=0.1, malformed=0.1, unknown_fields=0.1)


def objects(options: SampleOptions) -> list[SampleObject]:
    return [item for item in generate(options) if item.bucket in SHOP]


def test_objects_of_a_date_do_not_depend_on_the_last_one() -> None:
    longer, shorter = (
        {(item.bucket, item.key): item.body for item in objects(options)}
        for options in (OPTIONS, replace(OPTIONS, end=dt.date(2026, 1, 15), days=15, orders=90))
    )
    assert shorter
    assert {key: longer[key] for key in shorter} == shorter


def test_every_record_is_read_by_its_contract_and_counted() -> None:
    by_bucket = {contract.source.bucket: contract for contract in contracts().values()}
    tally, rows, skipped = Tally(), 0, Counter[str]()
    for item in objects(OPTIONS):
        parsed = Parser(by_bucket[item.bucket], [dt.datetime(2026, 1, 21, tzinfo=dt.UTC)]).parse(
            [Piece(0, 1, item.body)]
        )
        assert parsed.rejects == []
        rows += len(parsed.rows)
        skipped.update(skip.kind for skip in parsed.skipped)
        tally += item.tally
    assert (tally.changes, tally.delayed, tally.repeated, tally.broken) == (rows, 0, 0, 0)
    assert skipped == {"tombstone": tally.tombstones}
    assert tally.tombstones > 0


def test_trouble_has_the_rates_of_the_options() -> None:
    plain, troubled = (sum((item.tally for item in objects(options)), Tally()) for options in (OPTIONS, TROUBLED))
    total = plain.changes + plain.tombstones
    for count in (troubled.delayed, troubled.repeated, troubled.broken):
        assert 0.05 * total < count < 0.15 * total
    assert troubled.extended > 0
    assert troubled.changes < plain.changes, "some arrive after the last date"


def test_records_of_a_key_are_in_order_within_their_partition() -> None:
    written = [item for day in Shop(OPTIONS).days() for item in day]
    positions: dict[tuple[str, str], list[int]] = {}
    for item in written:
        if item.record["value"] and item.record["value"]["op"] != "r":
            key = (item.table, json.dumps(item.record["key"]))
            positions.setdefault(key, []).append(item.record["value"]["source"]["lsn"])
    assert max(map(len, positions.values())) > 2
    assert all(found == sorted(found) for found in positions.values())
    assert PARTITIONS > 1


@pytest.mark.parametrize(
    ("changed", "kind"), [(replace(OPTIONS, reloads=0.5), "t"), (replace(OPTIONS, resnapshots=0.5), "r")]
)
def test_switches(changed: SampleOptions, kind: str) -> None:
    def operations(options: SampleOptions) -> Counter[str]:
        values = [item.record["value"] for day in Shop(options).days() for item in day]
        return Counter(value["op"] for value in values if value)

    plain = operations(OPTIONS)
    assert operations(changed)[kind] > plain[kind]
    assert set("rcud") <= set(plain)


def test_there_is_no_shop_by_default() -> None:
    assert not list(shop_days(replace(OPTIONS, orders=0)))


def test_some_customers_have_the_address_of_an_account_and_nothing_else_changes() -> None:
    alone, beside = (Shop(replace(OPTIONS, accounts=count)) for count in (0, 40))
    for shop in (alone, beside):
        for _ in shop.days():
            pass
    accounts = set(addresses(beside.options, 2026))
    rows = beside.database.rows["customers"]
    shared = {key[0] for key, row in rows.items() if row["email"] in accounts}
    assert 4 < len(shared) == len({rows[key,]["email"] for key in shared}) < len(rows) / 2
    for table, found in alone.database.rows.items():
        for key, row in found.items():
            email = {"email": row["email"]} if table == "customers" and key[0] in shared else {}
            assert beside.database.rows[table][key] | email == row
