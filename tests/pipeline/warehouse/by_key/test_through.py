"""A source that logs several columns of `through` leads to the keys beside the changed values of each."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import duckdb
from sqlglot import exp
from sqlmesh.core.dialect import parse
from sqlmesh.core.model import load_sql_based_model

from materializations import by_key as _  # noqa: F401  SQLMesh knows the kind by its class
from pipeline.warehouse.by_key.definition import by_key
from pipeline.warehouse.by_key.log import Log, State
from pipeline.warehouse.by_key.sources import Sources

ITEMS, TASTES = (exp.to_table(f"s.{name}", dialect="duckdb") for name in ("items", "tastes"))
MODEL = """MODEL (name s.tastes, dialect duckdb, kind CUSTOM (materialization 'by_key',
  materialization_properties (key = product, logged = customer)));
SELECT 1::INT AS product, 1::INT AS customer, 1::INT AS stars"""


def test_changed_values_of_any_column_lead_to_keys() -> None:
    read: Any = SimpleNamespace(model=load_sql_based_model(parse(MODEL, default_dialect="duckdb")))
    child: Any = SimpleNamespace(model=SimpleNamespace(name="s.sales"))
    declared = by_key(read.model)
    assert declared is not None
    with duckdb.connect(":memory:") as connection:
        connection.execute("CREATE SCHEMA s")
        connection.execute("CREATE TABLE s.items (orders INT, product INT, customer INT)")
        connection.execute("INSERT INTO s.items VALUES (1, 10, 100), (2, 11, 101), (3, 12, 102), (4, 12, 101)")
        connection.execute("CREATE TABLE s.tastes (product INT, customer INT, stars INT)")
        log = Log(connection, TASTES)
        log.begin(declared.logged)
        log.write(State("d", {}, "i", 0, 0, 0))

        # GIVEN a query by the product alone, the customer alone, or both: what it reads by is not known here
        leads = {"product": [ITEMS], "customer": [ITEMS]}
        sources: Any = Sources(connection, None, {})  # type: ignore[arg-type]  # no feed is read
        before = sources._by_key(TASTES, child, read, declared, "orders", leads).position
        connection.execute("CREATE TEMP TABLE changed_keys AS SELECT 10 AS key")
        connection.execute("CREATE TEMP TABLE differing_rows AS SELECT 10 AS product, 101 AS customer")
        log.add(1, (0, 1), declared.logged)
        log.write(State("d", {}, "i", 1, 0, 0))

        # WHEN a row of a product and a customer changes THEN the orders of either are computed, and no others
        changed = sources._by_key(TASTES, child, read, declared, "orders", leads).changed(before)
        assert sorted(connection.execute(changed).fetchall()) == [(1,), (2,), (4,)]
        changed = sources._by_key(TASTES, child, read, declared, "orders", {"customer": [ITEMS]}).changed(before)
        assert sorted(connection.execute(changed).fetchall()) == [(2,), (4,)]
