"""`lake metrics` on a release made by hand: tables, JSON, CSV, and one clear line per mistake."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest.settings import settings
from ingest.sql import literal
from pipeline.cli import main
from tests.gold_states import GoldStates, Table
from tests.pipeline.metrics.definitions import COLUMNS, YAML, rows

Lake = Callable[..., Result]


def published(name: str) -> Table:
    """A table of the small domain, as a release stores it."""
    text, columns = COLUMNS[name]
    types = dict(column.strip().split(" ", 1) for column in columns.replace("(18, ", "(18,").split(", "))
    selects = (
        ", ".join(f"{'NULL' if cell is None else literal(cell)} AS {column}" for column, cell in row.items())
        for row in rows(text)
    )
    return Table(types, {"": " UNION ALL ".join(f"SELECT {select}" for select in selects)})


@pytest.fixture
def lake(clean_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Run `lake metrics ARGUMENTS` in a project with the small domain and two releases."""
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "shop.yaml").write_text(YAML)
    monkeypatch.setattr(sys.modules["pipeline.cli.metrics"], "PROJECT", tmp_path)
    gold = GoldStates(settings())
    gold.publish(sales_daily=published("sales_daily"))
    gold.publish(**{name: published(name) for name in COLUMNS})

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(main, ["metrics", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def test_a_query_shows_values_totals_and_the_release(lake: Lake) -> None:
    shown = lake("query", "sales", "return_rate", "turnover", "--by", "month,country", "--since", "2026-01-01").stdout
    assert shown.splitlines() == [
        "period      country  sales  return_rate  turnover",
        "2026-01-01  de           5       40.0 %     50.70",
        "2026-01-01  fr          11       18.2 %    111.30",
        "2026-01-01  it's         2       50.0 %     20.60",
        "2026-01-01  -            1      100.0 %     10.40",
        "total                   19       31.6 %    193.00",
        "",
        shown.splitlines()[-2],
        "ledger positions: events 2",
    ]
    assert shown.splitlines()[-2].startswith("release 2, published 20")
    assert shown.splitlines()[-2].endswith("; complete to 2026-01-14; passed 0 audits")


def test_a_comparison_shows_the_change_and_of_a_share_the_points(lake: Lake) -> None:
    lines = lake("query", "sales", "return_rate", "--by", "week", "--compare", "previous").stdout.splitlines()
    assert lines[:5] == [
        "period      sales  before   change  return_rate  before    change",
        "2025-12-22      4       -        -       25.0 %       -         -",
        "2025-12-29      9       -        -       44.4 %       -         -",
        "2026-01-05     10       9  +11.1 %       30.0 %  44.4 %  -14.4 pp",
        "2026-01-12      8      10  -20.0 %       25.0 %  30.0 %   -5.0 pp",
    ]


def test_a_refused_total_is_named(lake: Lake) -> None:
    shown = lake("query", "fees", "--by", "month,currency").stdout
    assert "no total of fees: it cannot be summed over currency; group by it or fix it to one value" in shown
    assert "complete to 2026-02-28" in shown


def test_json_has_exact_amounts_and_where_they_come_from(lake: Lake) -> None:
    found = json.loads(lake("query", "turnover", "--where", "country=it's", "--json").stdout)
    assert found["rows"] == [{"turnover": "20.6000"}]
    assert (found["release"], found["positions"], found["complete_to"]) == (2, {"events": 2}, "2026-01-14")
    assert found["columns"][0]["unit"] == "reporting_currency"
    assert "'it''s'" in found["sql"]


def test_csv_is_the_rows(lake: Lake) -> None:
    found = lake("query", "turnover", "balance", "--by", "month", "--csv").stdout
    assert list(csv.reader(StringIO(found)))[:4] == [
        ["period", "turnover", "balance"],
        ["2025-10-01", "", "10.000001"],
        ["2025-11-01", "", "17.000005"],
        ["2025-12-01", "120.6000", "11.000004"],
    ]


def test_an_older_release_answers_with_its_own_tables(lake: Lake) -> None:
    assert "release 1, " in lake("query", "sales", "--release", "1").stdout
    refused = lake("query", "balance", "--release", "1")
    assert refused.exit_code == 2
    assert "balance cannot be computed from this release" in refused.stderr
    assert lake("query", "sales", "--release", "9").exit_code == 2


def test_sql_is_shown_without_running_it(lake: Lake) -> None:
    shown = lake("query", "sales", "--by", "week", "--sql").stdout
    assert "FROM gold.sales_daily" in shown
    assert "UNION ALL" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("query", "orders"), 2, "error: there is no metric 'orders'; did you mean sales?"),
        (("query", "sales", "--by", "plan"), 2, "error: sales has no dimension 'plan'; it has country, store"),
        (("query", "sales", "--by", "week,month"), 2, "week and month are two grains; expected at most one"),
        (("query", "sales", "--where", "country"), 2, "error: 'country' is not a filter; expected for instance"),
        (("query", "sales", "--since", "yesterday"), 2, "Invalid value for '--since'"),
        (("query", "sales", "--csv", "--json"), 2, "expected at most one of --csv, --sql and --json"),
        (("query", "sales", "--compare", "year"), 2, "error: a comparison needs a grain, or since and until"),
        (("query", "sales", "--compare", "next"), 2, "Invalid value for '--compare'"),
        (("describe", "sale"), 2, "error: there is no metric 'sale'; did you mean sales"),
        (("list", "bakery"), 2, "error: no metrics of a domain 'bakery'; expected one of shop"),
    ],
)
def test_a_mistake_is_one_line(lake: Lake, arguments: tuple[str, ...], code: int, message: str) -> None:
    result = lake(*arguments)
    assert result.exit_code == code
    assert message in result.stderr


def test_nothing_published_is_named(clean_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "shop.yaml").write_text(YAML)
    monkeypatch.setattr(sys.modules["pipeline.cli.metrics"], "PROJECT", tmp_path)
    result = CliRunner().invoke(main, ["metrics", "query", "sales"])
    assert (result.exit_code, "nothing is published yet" in result.stderr) == (2, True)


def test_a_definition_is_explained(lake: Lake) -> None:
    shown = lake("describe", "fees").stdout
    assert "measure        sum of fees" in shown
    assert "summed         over time and dimensions; never over currency" in shown
    assert json.loads(lake("describe", "return_rate", "--json").stdout)["measure"]["ratio"] == ["returns", "sales"]


def test_metrics_are_listed(lake: Lake) -> None:
    lines = lake("list", "shop").stdout.splitlines()
    assert lines[0].split() == ["metric", "domain", "label", "unit"]
    assert len(lines) == 1 + 13
    assert len(json.loads(lake("list", "--json").stdout)) == 13


def test_values_cannot_control_the_terminal(lake: Lake, tmp_path: Path) -> None:
    evil = Table(
        {"date": "DATE", "country": "TEXT", "store": "TEXT", "sales": "BIGINT"},
        {"": ("SELECT DATE '2026-01-01' AS date, chr(27) || '[31m[bold]' AS country, 'web' AS store, 1 AS sales")},
    )
    GoldStates(settings()).publish(sales_daily=evil)
    for output in ((), ("--csv",), ("--json",)):
        shown = lake("query", "sales", "--by", "country", *output).stdout
        assert "\x1b" not in shown
        assert "[31m[bold]" in shown
