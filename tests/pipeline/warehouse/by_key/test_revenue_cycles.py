"""Tables that are computed by key, in whole cycles: what is computed of them, and their rows in all environments."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from ingest.contracts.contract import contracts
from pipeline.cycle.maintain import maintain
from pipeline.lake import Lake
from pipeline.warehouse.by_key.table import Table
from tests import revenue_records
from tests.revenue_world import Revenue

READERS = {"invoices", "invoice_lines", "fct_invoices", "fct_revenue_recognition"}
"""silver.invoices and what reads it."""
INVOICES = {*READERS, "invoice_refunds"}
"""What reads bronze.invoices, directly or through other tables."""


class Counted:
    """Counts what computations do, by model.

    Attributes:
        wholes: computations as a whole.
        keys: changed keys that were computed.
        rows: rows that were written or deleted.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.wholes: dict[str, int] = {}
        self.keys: dict[str, int] = {}
        self.rows: dict[str, int] = {}
        compute, differing = Table.compute, Table._find_differing_rows

        def counted(table: Table, query: Any, sources: Any, interval: Any, replace_all: Any) -> None:
            def replaced() -> None:
                self._add(self.wholes, table, 1)
                replace_all()

            compute(table, query, sources, interval, replaced)

        def found(table: Table, query: Any) -> None:
            differing(table, query)
            self._add(self.keys, table, self._count(table, "changed_keys"))
            self._add(self.rows, table, self._count(table, "differing_rows"))

        patch.setattr(Table, "compute", counted)
        patch.setattr(Table, "_find_differing_rows", found)

    def _count(self, table: Table, name: str) -> int:
        return int(table.cursor.execute(f"SELECT COUNT(*) FROM temp.{name}").fetchone()[0])

    def _add(self, counts: dict[str, int], table: Table, count: int) -> None:
        name = table.table.name.split("__")[1]
        counts[name] = counts.get(name, 0) + count


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def invoice(name: str, **fields: Any) -> dict[str, Any]:
    """An invoice of one line, of which the first version is paid and not refunded."""
    return revenue_records.invoice(name, fields.pop("updated_at", "2026-01-01T00:00:00Z"), **fields)


def test_one_changed_invoice_among_many_is_computed_alone(revenue: Revenue, counted: Counted) -> None:
    """Counts of keys and rows, not times; the same invoice moved by compaction and by an overwrite."""
    revenue.put("invoices", *(invoice(f"n{number}") for number in range(500)))
    revenue.cycle()
    assert counted.keys == dict.fromkeys(INVOICES, 500)
    assert counted.wholes == {}

    # WHEN one is refunded
    counted.keys.clear()
    counted.rows.clear()
    refund = invoice("n7", updated_at="2026-03-01T00:00:00Z", amount_refunded=119)
    key = revenue.put("invoices", refund)
    revenue.cycle()

    # THEN one is computed; its line is the same, and a refund is new
    assert counted.keys == dict.fromkeys(INVOICES, 1)
    rows = {"invoices": 2, "invoice_lines": 0, "invoice_refunds": 1, "fct_invoices": 2, "fct_revenue_recognition": 1}
    assert counted.rows == rows

    # WHEN the object is written again as it was, files are compacted, and days pass
    counted.keys.clear()
    revenue.home.put("invoices", key, refund)
    for _ in range(3):
        revenue.put("invoices", refund | {"invoice_id": "n8"})
    revenue.cycle()
    assert counted.keys == dict.fromkeys(INVOICES, 1)  # n8; n7 was only seen again
    counted.keys.clear()
    lake = Lake(revenue.home.options)
    maintain(lake, contracts().values(), dt.timedelta(0))
    revenue.day()
    revenue.run()

    # THEN nothing is computed
    assert (counted.keys, counted.wholes) == ({}, {})


MODEL = "models/silver/revenue/invoices.sql"
NUMBER, OTHER = "invoices.number::TEXT AS", "COALESCE(invoices.number, 'none')::TEXT AS"


def change(branch: Path, old: str, new: str, model: str = MODEL) -> None:
    """Edit a model."""
    path = branch / model
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))


def test_changed_model_of_an_environment_is_right_there_and_after_promotion(
    revenue: Revenue, branch: Path, counted: Counted
) -> None:
    # GIVEN an environment, and records that arrive while it exists
    change(branch, NUMBER, OTHER)
    revenue.plan("dev")
    assert counted.wholes == dict.fromkeys(READERS, 1)
    counted.wholes.clear()
    revenue.put("invoices", invoice("n1"))
    revenue.cycle()

    # WHEN it is promoted, and reverted after records arrived again
    revenue.plan()
    revenue.put("invoices", invoice("n2", status="void"))
    revenue.load()
    change(branch, OTHER, NUMBER)
    revenue.plan()

    # THEN tables are right at each step, and were computed by key
    assert counted.wholes == {}


def test_a_plan_that_changes_no_rows_leaves_the_next_cycles_by_key(
    revenue: Revenue, branch: Path, counted: Counted
) -> None:
    """The snapshot that it replaced stays in the state for a week, with the last day that it computed."""
    change(branch, "One row per invoice, as", "One row per invoice, just as")
    revenue.plan()
    for number in range(2):
        revenue.day()
        revenue.put("invoices", invoice(f"n{number}"))
        revenue.cycle()
    assert counted.wholes == {}


@pytest.mark.slow
def test_forward_only_change_is_computed_as_a_whole_in_its_environment_and_in_production(
    revenue: Revenue, branch: Path, counted: Counted
) -> None:
    change(branch, NUMBER, OTHER)
    revenue.home.plan("dev", forward_only=True)
    revenue.put("invoices", invoice("n1"))
    revenue.load()
    revenue.run()
    revenue.plan("dev", forward_only=True)
    assert counted.wholes == dict.fromkeys(READERS, 1)

    revenue.home.plan(forward_only=True)
    revenue.put("invoices", invoice("n2"))
    revenue.cycle()
    assert counted.wholes == dict.fromkeys(READERS, 2)


def test_restated_tables_are_computed_as_a_whole(revenue: Revenue, counted: Counted) -> None:
    """GIVEN rows that something else made wrong."""
    context = revenue.home.context()
    name = next(item.table_name() for item in context.snapshots.values() if item.name.endswith('."silver"."invoices"'))
    context.engine_adapter.execute(f"UPDATE {name} SET status = 'wrong'")
    revenue.home.close(context)

    revenue.plan(restate_models=["silver.invoices"])

    assert counted.wholes == dict.fromkeys(READERS, 1)


def test_tables_follow_bronze_while_its_ledger_is_lost(revenue: Revenue) -> None:
    """GIVEN a ledger without its first entry, so that bronze shows what it showed before."""
    entry = next(Path(revenue.home.options.lake_uri).glob("ledger/invoices/*1.parquet"))
    away = entry.rename(entry.with_suffix(".away"))

    revenue.day()
    revenue.run()
    revenue.check()

    # WHEN it is restored
    away.rename(entry)
    revenue.put("invoices", invoice("n1"))
    revenue.cycle()
