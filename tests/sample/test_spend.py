"""Exports of marketing spend: several versions of a date, campaigns of the visits, channels of the seed."""

from __future__ import annotations

import csv
import datetime as dt
from collections import defaultdict
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest

from ingest.contracts.contract import contracts
from ingest.formats.delimited import from_csv
from ingest.records.parts import Piece
from ingest.settings import PROJECT
from ingest.steps.parse import Parser
from sample.generate import batches
from sample.objects import SPEND, SampleObject, Tally
from sample.options import SampleOptions
from sample.spend import HEADER, RESTATED_DAYS
from sample.trouble import SPEND_FORMS, broken_spend
from sample.visits import CHANNELS

OPTIONS = SampleOptions(dt.date(2026, 3, 31), events=1, days=31, orders=62, accounts=0)
TROUBLED = replace(OPTIONS, late=0.2, duplicates=0.2, malformed=0.1, unknown_fields=0.2)


@cache
def objects(options: SampleOptions) -> list[SampleObject]:
    return [item for batch in batches(options) if batch.bucket == SPEND for item in batch.draw()]


@cache
def rows() -> list[dict[str, str]]:
    return [row for item in objects(OPTIONS) for row in csv.DictReader(item.body.decode().splitlines())]


def parsed(body: bytes) -> tuple[int, int]:
    """The number of rows and of rejected records that the contract makes of an object."""
    contract = contracts()["marketing_spend"]
    lines = b"".join(from_csv([body], contract, "spend.csv"))
    found = Parser(contract, [dt.datetime(2026, 4, 1, tzinfo=dt.UTC)]).parse([Piece(0, 1, lines)])
    return len(found.rows), len(found.rejects)


def test_every_row_is_read_by_its_contract_and_counted() -> None:
    tally = sum((item.tally for item in objects(OPTIONS)), Tally())
    assert tally == Tally(spend=len(rows()))
    assert [sum(found) for found in zip(*(parsed(item.body) for item in objects(OPTIONS)), strict=True)] == [
        tally.spend,
        0,
    ]


def test_each_export_restates_the_last_dates() -> None:
    versions: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows():
        versions[row["spend_date"], row["channel"], row["campaign"]].append(row)
        age = dt.date.fromisoformat(row["exported_at"][:10]) - dt.date.fromisoformat(row["spend_date"])
        assert 1 <= age.days <= RESTATED_DAYS
    settled = {key: found for key, found in versions.items() if key[0] <= "2026-03-28"}
    assert {len(found) for found in settled.values()} == {RESTATED_DAYS}
    changed = 0
    for found in settled.values():
        found.sort(key=lambda row: row["exported_at"])
        changed += any(earlier["amount"] != later["amount"] for earlier, later in pairwise(found))
    assert changed > 0.8 * len(settled)


def test_campaigns_are_those_of_visits_and_channels_those_of_the_seed() -> None:
    with (PROJECT / "seeds/channel_groups.csv").open() as file:
        known = {row["channel"] for row in csv.DictReader(file)}
    assert {row["channel"] for row in rows()} <= known
    assert {row["campaign"] for row in rows()} <= {campaign for _, _, campaign, _ in CHANNELS if campaign}
    assert {row["currency"] for row in rows()} == {"EUR", "USD"}
    assert all(int(row["impressions"]) >= int(row["clicks"]) >= 0 <= float(row["amount"]) for row in rows())
    assert any(row["impressions"] == "0" for row in rows()), "a date without spend"


def test_spend_grows_with_the_shop() -> None:
    def total(options: SampleOptions) -> float:
        found = [row for item in objects(options) for row in csv.DictReader(item.body.decode().splitlines())]
        return sum(float(row["amount"]) for row in found)

    assert total(replace(OPTIONS, orders=186)) == pytest.approx(3 * total(OPTIONS), rel=0.2)


def test_trouble_has_the_rates_of_the_options() -> None:
    tally = sum((item.tally for item in objects(TROUBLED)), Tally())
    read, rejects = (sum(found) for found in zip(*(parsed(item.body) for item in objects(TROUBLED)), strict=True))
    assert (read, rejects) == (tally.spend + tally.repeated, tally.broken)
    for count, share in ((tally.delayed, 0.2), (tally.repeated, 0.2), (tally.broken, 0.1), (tally.extended, 0.2)):
        assert count == pytest.approx(share * tally.spend, rel=0.35)
    keys = [item.key for item in objects(TROUBLED)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("form", range(SPEND_FORMS))
def test_each_broken_form_is_rejected(form: int) -> None:
    row = "2026-03-01,email,weekly,1.25,EUR,360,25,2026-03-02 04:51:00.000"
    for line in (row, row.replace("1.25", "0.00")):
        assert parsed("\n".join([HEADER, broken_spend(line, form), row]).encode()) == (1, 1)


def test_objects_of_a_date_do_not_depend_on_the_last_one_and_are_known_before() -> None:
    exact = TROUBLED, replace(TROUBLED, end=dt.date(2026, 3, 20), days=20, orders=40)
    longer, found = ({item.key: item.body for item in objects(options)} for options in exact)
    assert {key: longer[key] for key in found} == found
    for batch in batches(exact[1]):
        if batch.bucket == SPEND:
            assert [item.key for item in batch.draw()] == batch.keys


def test_there_is_no_spend_without_a_shop() -> None:
    assert objects(replace(OPTIONS, orders=0)) == []
