"""Definitions: what a ratio takes from its parts, and the message of each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.errors import ConfigError
from pipeline.metrics.definition import Direction, Metric, base_names, load_metrics
from pipeline.metrics.period import Grain
from tests.pipeline.metrics.definitions import YAML, load


def test_a_metric_has_what_its_table_states(shop: dict[str, Metric]) -> None:
    metric = shop["sales"]
    assert (metric.time, metric.grains[0], metric.owner, metric.domain) == ("date", Grain.DAY, "shop", "shop")
    assert metric.dimensions == {"country": "Country", "store": "Store"}


def test_a_metric_may_state_its_own(shop: dict[str, Metric]) -> None:
    assert shop["buyers"].grains == (Grain.DAY,)


def test_a_ratio_has_what_its_numerator_has(shop: dict[str, Metric]) -> None:
    metric = shop["balance_per_customer"]
    assert (metric.table, metric.time) == ("gold.balances_monthly", "month_date")
    assert metric.dimensions == shop["balance"].dimensions


def test_a_ratio_of_ratios_has_the_parts_of_both(tmp_path: Path) -> None:
    more = """
  refund_quota: {label: Quota, description: A ratio of ratios., unit: times, format: decimal,
    measure: {ratio: [return_rate, web_share]}, direction: none}
"""
    found = load(tmp_path, YAML + more)
    assert base_names(found, "refund_quota") == ("returns", "sales", "web_sales", "sales")
    assert found["refund_quota"].table == "gold.sales_daily"


def test_no_folder_is_no_metrics(tmp_path: Path) -> None:
    assert load_metrics(tmp_path / "none") == {}


def test_a_name_is_unique_over_all_domains(tmp_path: Path) -> None:
    (tmp_path / "bakery.yaml").write_text(YAML)
    with pytest.raises(ConfigError, match=r"shop.yaml: metric sales is already defined in bakery.yaml"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("label: Sales, ", "", "metric sales: label: Field required"),
        ("{sum: sales}", "{sum: sales, last: sales}", "metric sales: measure: is {'sum': 'sales', 'last': 'sales'};"),
        ("{sum: sales}", "{mean: sales}", "metric sales: measure: is {'mean': 'sales'}; expected one of sum, count"),
        ("{sum: sales}", "{sum: MAX(sales)}", "metric sales: measure: sum is 'MAX(sales)'; expected a column"),
        ("{sum: sales}", "{sum: (SELECT 1)}", "metric sales: measure: sum is '(SELECT 1)'; expected a column"),
        ("{sum: sales}", "{sum: sales * returned}", "sum is 'sales * returned'; expected a column, or columns"),
        ("{sum: sales}", "{sum: sales + 1}", "metric sales: measure: sum is 'sales + 1'; expected a column"),
        ("{sum: sales}", "{sum: other.sales}", "metric sales: measure: sum is 'other.sales'; expected a column"),
        ("{sum: sales}", "{count: sales + returned}", "measure: count is 'sales + returned'; expected one column"),
        ("{ratio: [returns, sales]}", "{ratio: [returns]}", "return_rate: measure: ratio is ['returns']; expected"),
        ("{ratio: [returns, sales]}", "{ratio: [returns, sold]}", "return_rate: ratio of sold, which is not defined"),
        ("{ratio: [returns, sales]}", "{ratio: [sold, sales]}", "return_rate: ratio of sold; expected metrics of the"),
        ("{ratio: [returns, sales]}", "{ratio: [return_rate, sales]}", "return_rate: ratio of return_rate; expected"),
        ("{ratio: [returns, sales]}", "{ratio: [returns, buyers]}", "return_rate: ratio of buyers, which is stored"),
        ("{ratio: [returns, sales]}", "{ratio: [returns, balance]}", "balance is computed from gold.balances_monthly;"),
        ("direction: up, synonyms", "direction: north, synonyms", "sales: direction: Input should be 'up', 'down'"),
        ("format: integer", "format: number", "metric sales: format: Input should be 'integer'"),
        ("table: gold.sales_daily", "table: sales", "metric sales"),
        ("table: gold.sales_daily", "table: [gold.sales_daily]", "metric sales: table: Input should be a valid string"),
        (
            "{ratio: [returns, sales]}",
            "{ratio: [returns, return_rate]}",
            "metric return_rate: ratio of return_rate; expected metrics of the same file, and no circle",
        ),
        (
            "{ratio: [web_sales, sales]}",
            "{ratio: [web_sales, return_rate]}}\n  circle: {label: C, description: C., unit: share, format: percent,\n"
            "    measure: {ratio: [web_share, circle]}",
            "metric circle: ratio of circle; expected metrics of the same file, and no circle",
        ),
        ("  sales: {", "  Sales: {", "metric Sales: name: 'Sales' is not a valid name"),
        ("  sales: {", "  week: {", "metric week: name: 'week' is not a valid name"),
        ("  sales: {", "  country: {", "metric country has the name of a dimension of"),
        (
            "country: Country, store: Store",
            "month: Month",
            "metric sales: dimensions.month.[key]: 'month' is not a",
        ),
        ("  sales: {", "  sales_before: {", "name: 'sales_before' is not a valid name; expected lower_snake_case, no"),
        ("where: store = 'web'", "where: store =", "metric web_sales: where: 'store =' is not an SQL condition"),
        ("where: store = 'web'", "where: store in (SELECT 1)", "expected a condition on columns of the table alone"),
        ("where: store = 'web'", "where: 's.store = 1'", "expected a condition on columns of the table alone"),
        (
            "{ratio: [returns, sales]}",
            "{ratio: [returns, sales]}, where: a = 1",
            "return_rate: where a = 1; exp",
        ),
        ("not_over: [currency]", "not_over: [country]", "metric fees: not_over country; expected one of its"),
        ("    time: date\n", "    date: date\n", "its table has the field date; expected time, grains, dimensions"),
        ("grains: [day, week", "grains: [hour, week", "metric sales: grains.0: Input should be 'day', 'week'"),
        ("owner: shop\n", "owner: shop\ncolour: red\n", "unknown field colour; expected owner, tables and metrics"),
        ("owner: shop\n", "", "metric sales: owner: String should have at least 1 character"),
        ("synonyms: [items sold, orders]", "colour: red", "metric sales: colour: Extra inputs are not permitted"),
        ("metrics:\n", "metrics: []\nother:\n", "metrics is a list; expected a mapping"),
        ("owner: shop\n", "owner: [\n", "shop.yaml: not valid YAML"),
        ("  returns: {", "  sales: {", "shop.yaml: not valid YAML: sales is given twice"),
        ("label: Sales, ", "label: Sales, label: Sold, ", "shop.yaml: not valid YAML: label is given twice"),
    ],
)
def test_a_mistake_is_named_with_file_and_metric(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in YAML
    with pytest.raises(ConfigError) as error:
        load(tmp_path, YAML.replace(old, new, 1))
    assert str(tmp_path / "shop.yaml") in str(error.value)
    assert message in str(error.value)


def test_a_circle_over_two_files_is_named(tmp_path: Path) -> None:
    """Both ratios state their table, so that they take nothing from their parts."""
    ratio = "{{label: A, description: B., unit: share, format: percent, table: gold.sales_daily, time: date, "
    ratio += "grains: [day], measure: {{ratio: [sales, {}]}}, direction: up}}"
    (tmp_path / "bakery.yaml").write_text(f"owner: shop\nmetrics:\n  one: {ratio.format('two')}\n")
    with pytest.raises(ConfigError, match=r"metric (one: ratio of two|two: ratio of one); expected .* no circle"):
        load(tmp_path, f"{YAML}  two: {ratio.format('one')}\n")


@pytest.mark.parametrize(("direction", "verdicts"), [("up", (1, -1, 0)), ("down", (-1, 1, 0)), ("none", (0, 0, 0))])
def test_a_change_is_judged_by_what_is_good(shop: dict[str, Metric], direction: str, verdicts: tuple[int, ...]) -> None:
    metric = shop["sales"].model_copy(update={"direction": Direction(direction)})
    assert tuple(map(metric.verdict, (2, -0.5, 0))) == verdicts
