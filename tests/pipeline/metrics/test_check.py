"""The project's definitions agree with its models and its documentation, and each disagreement is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlglot import exp
from sqlmesh import Context

from ingest.errors import ConfigError
from ingest.settings import PROJECT
from pipeline.metrics.check import Described, described, faults
from pipeline.metrics.definition import load_metrics
from pipeline.metrics.document import BEGIN, END, document
from tests.pipeline.metrics.definitions import YAML, load

COMMENTS = {
    "sales": "Sold, additive",
    "returned": "Came back, additive",
    "amount": "Paid, additive",
    "buyers": "Distinct; NOT additive",
}
SALES = Described(
    {
        "date": exp.DataType.build("date"),
        "country": exp.DataType.build("text"),
        "store": exp.DataType.build("text"),
        "sales": exp.DataType.build("bigint"),
        "returned": exp.DataType.build("bigint"),
        "amount": exp.DataType.build("decimal(18, 4)"),
        "buyers": exp.DataType.build("bigint"),
    },
    COMMENTS,
    ("date", "country", "store"),
)
MONTHS = Described(
    {
        "month_date": exp.DataType.build("date"),
        "country": exp.DataType.build("text"),
        "plan": exp.DataType.build("text"),
        "balance": exp.DataType.build("decimal(18, 6)"),
        "customers": exp.DataType.build("bigint"),
        "currency": exp.DataType.build("text"),
        "fees": exp.DataType.build("decimal(18, 4)"),
    },
    {"customers": "NOT additive over months", "fees": "Fees, additive per currency"},
    ("month_date", "country", "plan"),
)
INVOICES = Described(
    {
        "issued": exp.DataType.build("date"),
        "country": exp.DataType.build("text"),
        "number": exp.DataType.build("int"),
        "invoice_id": exp.DataType.build("text"),
    },
    {},
    ("invoice_id",),
)
TABLES = {
    "gold.sales_daily": SALES,
    "gold.balances_monthly": MONTHS,
    "gold.fees_monthly": MONTHS,
    "gold.invoices": INVOICES,
}


def test_the_project_agrees(project: Context) -> None:
    definitions = load_metrics(PROJECT / "metrics")
    assert len(definitions) > 80
    assert faults(definitions, described(project)) == []


def test_the_list_in_the_documentation_is_generated() -> None:
    text = (PROJECT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert document(text, load_metrics(PROJECT / "metrics")) == text, "run `lake metrics check --write`"


def test_definitions_that_agree_have_no_fault(tmp_path: Path) -> None:
    assert faults(load(tmp_path), TABLES) == []


def commented(**comments: str) -> Described:
    return replace(SALES, comments=COMMENTS | comments)


def typed(table: Described, **types: str) -> Described:
    return replace(table, types={**table.types, **{name: exp.DataType.build(kind) for name, kind in types.items()}})


@pytest.mark.parametrize(
    ("tables", "fault"),
    [
        (
            {"gold.sales_daily": typed(SALES, date="timestamp")},
            "metric sales: its time date is TIMESTAMP; expected",
        ),
        ({"gold.sales_daily": typed(SALES, sales="text")}, "metric sales: sales is TEXT; expected a number"),
        (
            {"gold.sales_daily": typed(SALES, amount="double")},
            "metric turnover: amount is DOUBLE; expected DECIMAL",
        ),
        (
            {"gold.sales_daily": commented(sales="Sold")},
            "metric sales: sales is described as 'Sold', but it would",
        ),
        ({"gold.sales_daily": commented(sales="Sold, NOT additive")}, "but it would be summed over time; expected"),
        ({"gold.sales_daily": commented(sales="additive over stores, not over days")}, "summed over time; expected"),
        ({"gold.sales_daily": commented(sales="additive per country")}, "expected country in not_over"),
        (
            {"gold.sales_daily": commented(sales="additive over days, not over country or store")},
            "expected country, store in not_over",
        ),
        (
            {"gold.balances_monthly": replace(MONTHS, comments={"customers": "NOT additive"})},
            "expected stored",
        ),
        (
            {"gold.sales_daily": replace(SALES, grain=("date", "hour"))},
            "metric buyers: stored per date, hour",
        ),
        (
            {"gold.invoices": replace(INVOICES, grain=("number",))},
            "metric invoices: count of invoice_id; expected",
        ),
    ],
)
def test_what_the_model_does_not_allow_is_a_fault(tmp_path: Path, tables: dict[str, Described], fault: str) -> None:
    found = faults(load(tmp_path), TABLES | tables)
    assert any(fault in line for line in found), found
    assert all(line.startswith("metrics/shop.yaml: metric ") for line in found)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "country: Country, plan: Plan",
            "land: Country, plan: Plan",
            "gold.balances_monthly has no column land",
        ),
        ("{sum: sales}", "{sum: sold}", "metric sales: gold.sales_daily has no column sold; it has date, country"),
        ("where: store = 'web'", "where: shop = 'web'", "metric web_sales: gold.sales_daily has no column shop"),
        ("    time: date\n", "    time: day_date\n", "metric sales: gold.sales_daily has no column day_date"),
        (
            "table: gold.fees_monthly",
            "table: silver.fees",
            "metric fees: silver.fees is not published",
        ),
    ],
)
def test_what_the_model_lacks_is_a_fault(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert any(fault in line for line in faults(load(tmp_path, YAML.replace(old, new, 1)), TABLES))


def test_a_reason_allows_to_sum_what_is_not_called_additive(tmp_path: Path) -> None:
    tables = TABLES | {"gold.sales_daily": commented(sales="Sold")}
    text = YAML.replace("{sum: sales}", "{sum: sales}, additive_reason: Each is sold once")
    found = faults(load(tmp_path, text), tables)
    assert not any("metric sales:" in line for line in found)


def test_a_list_replaces_the_one_between_the_markers(tmp_path: Path) -> None:
    definitions = load(tmp_path)
    once = document(f"# Before\n{BEGIN}\nold\n{END}\nafter\n", definitions)
    assert once.startswith(f"# Before\n{BEGIN}\n\n### Shop\n")
    assert once.endswith(f"{END}\nafter\n")
    assert "| `fees` | **Fees**: In their currency. | sum of `fees` in `gold.fees_monthly` | month" in once
    assert "\nold\n" not in once
    assert document(once, definitions) == once


def test_a_text_without_markers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lacks the markers"):
        document("# Metrics", load(tmp_path))
