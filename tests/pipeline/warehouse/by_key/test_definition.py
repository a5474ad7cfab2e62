"""Declarations of the kind by_key."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlglot import exp
from sqlmesh import Context
from sqlmesh.core.dialect import parse
from sqlmesh.core.model import CustomKind, Model, create_python_model, load_sql_based_model

from ingest.errors import ConfigError
from materializations import by_key as _  # noqa: F401  SQLMesh knows the kind by its class
from pipeline.warehouse.by_key.definition import ByKey, by_key
from pipeline.warehouse.by_key.sources import Source, follows_from
from pipeline.warehouse.by_key.through import leads_of


def declared(properties: str, kind: str = "CUSTOM (materialization 'by_key'{})") -> Model:
    text = f"MODEL (name silver.t, dialect duckdb, kind {kind.format(properties)}); "
    return load_sql_based_model(parse(text + "SELECT 1::INT AS a, 2::INT AS b, 3::INT AS c", default_dialect="duckdb"))


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ("key = a", ByKey("a", ("a",))),
        ("key = a, logged = b", ByKey("a", ("a", "b"))),
        ("key = a, logged = (c, b)", ByKey("a", ("a", "c", "b"))),
        ("KEY = A, LOGGED = (B, A)", ByKey("a", ("a", "b"))),
        ("key = 'a'", ByKey("a", ("a",))),
        ('key = "a"', ByKey("a", ("a",))),
        ("key = a, through = x", ByKey("a", ("a",), ("x",))),
        ("key = a, logged = b, through = (x, y, x)", ByKey("a", ("a", "b"), ("x", "y"))),
    ],
)
def test_key_and_logged_columns(properties: str, expected: ByKey) -> None:
    assert by_key(declared(f", materialization_properties ({properties})")) == expected


@pytest.mark.parametrize(
    ("properties", "found"),
    [
        ("", "found nothing"),
        (", materialization_properties (logged = a)", "found logged"),
        (", materialization_properties (key = (a, b))", "found key"),
        (", materialization_properties (key = d)", "found key, and d is not a column"),
        (", materialization_properties (key = a, logged = (b, d))", "found key, logged, and d is not a column"),
        (", materialization_properties (key = a, loged = b)", "found key, loged"),
    ],
)
def test_wrong_declaration_names_the_model_and_what_is_expected(properties: str, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        by_key(declared(properties))
    assert str(caught.value).startswith("silver.t: kind by_key expects materialization_properties (key = <column>)")
    assert str(caught.value).endswith(found)


def parent(name: str, columns: str, kind: str) -> tuple[Any, exp.Table]:
    """A source of a model, as a snapshot and its physical table."""
    text = f"MODEL (name s.{name}, dialect duckdb, kind {kind}); SELECT "
    text += ", ".join(f"1::INT AS {column}" for column in columns.split())
    return SimpleNamespace(model=load_sql_based_model(parse(text, default_dialect="duckdb"))), exp.to_table(f"s.{name}")


def keyed(key: str) -> str:
    return f"CUSTOM (materialization 'by_key', materialization_properties (key = {key}))"


ITEMS, PRODUCTS = (
    parent("items", "orders product", keyed("orders")),
    parent("products", "product name", keyed("product")),
)
COSTS = parent("costs", "product cost", "FULL")
SALES = SimpleNamespace(model=SimpleNamespace(name="s.sales"))


def test_sources_with_both_columns_lead_from_one_to_the_other() -> None:
    wanted = ByKey("orders", ("orders",), ("product",))
    assert leads_of(SALES, [ITEMS, PRODUCTS, COSTS], wanted) == {"product": [ITEMS[1]]}
    assert leads_of(SALES, [ITEMS, PRODUCTS], ByKey("orders", ("orders",))) == {}


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ([PRODUCTS, COSTS], "expected a source with orders and product, which says of whom the changed values are"),
        ([ITEMS, COSTS], "expected a source without orders that is computed by product or logs it"),
    ],
)
def test_sources_that_do_not_lead_to_the_key_are_refused(parents: list[Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        leads_of(SALES, parents, ByKey("orders", ("orders",), ("product",)))
    assert str(caught.value).startswith(f"s.sales: {expected}, since it is computed by orders through product")
    assert "remove product from through" in str(caught.value)


def test_other_kinds_declare_nothing() -> None:
    assert by_key(declared("", "FULL")) is None
    assert by_key(declared("", "CUSTOM (materialization 'other')")) is None


def test_a_model_in_python_is_refused() -> None:
    kind = CustomKind(dialect="duckdb", materialization="by_key", materialization_properties=exp.Tuple(expressions=[]))
    python = create_python_model("silver.python", "execute", {}, kind=kind, columns={"a": "int"})
    with pytest.raises(ConfigError, match=r"silver\.python: kind by_key expects a SQL model"):
        by_key(python)


def test_no_model_of_the_project_is_always_computed_as_a_whole(project: Context) -> None:
    found = [model for model in project.models.values() if by_key(model)]
    assert len(found) >= 11
    for model in found:
        sources = [Source(exp.to_table(name, dialect="duckdb"), False, [], None) for name in model.depends_on]
        assert follows_from(model.render_query_or_raise(), sources), model.name
