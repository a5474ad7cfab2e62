"""Dashboards: the project's own over the project's own tables, and mistakes that are named."""

from __future__ import annotations

import datetime as dt
import textwrap
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from sqlmesh import Context

from ingest.errors import ConfigError
from ingest.settings import PROJECT
from pipeline.metrics.check import described
from pipeline.metrics.definition import Metric, load_metrics
from pipeline.portal.cubes import REST, read_cubes
from pipeline.portal.dashboard import Dashboard, load_dashboards
from pipeline.portal.facts import Facts
from pipeline.portal.guard import NOTHING, Guard
from pipeline.portal.write import write
from pipeline.releases.release import Release
from pipeline.warehouse.classes import project_classes
from tests.portal_release import METRICS, USE

ABOUT = "title: Page\nquestion: What?\nowner: shop\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Metric]:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.yaml").write_text(METRICS, encoding="utf-8")
    return load_metrics(folder)


@pytest.fixture(scope="module")
def empty(project: Context) -> Iterator[duckdb.DuckDBPyConnection]:
    """A release without rows: every published table with the columns of its model."""
    with duckdb.connect() as connection:
        for name, table in described(project).items():
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name.split('.')[0]}")
            columns = ", ".join(f'"{column}" {kind.sql("duckdb")}' for column, kind in table.types.items())
            connection.execute(f"CREATE TABLE {name} ({columns})")
        yield connection


def test_the_documented_example_is_a_page_over_existing_metrics(tmp_path: Path) -> None:
    document = (PROJECT / "docs" / "how-to" / "add_a_dashboard.md").read_text(encoding="utf-8")
    example = textwrap.dedent(document.split("   ```yaml\n", 1)[1].split("   ```\n", 1)[0])
    (tmp_path / "devices.yaml").write_text(example, encoding="utf-8")
    (page,) = load_dashboards(tmp_path, load_metrics(PROJECT / "metrics"))
    assert (page.title, page.filters) == ("Devices", ("os_name",))
    assert [(tile.kind, tile.metrics, tile.by) for tile in page.tiles] == [
        ("number", ("plays",), None),
        ("bar", ("plays", "completion_rate"), "os_name"),
    ]


def test_the_projects_pages_fit_its_tables_and_show_nothing_personal(
    project: Context, empty: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    metrics = load_metrics(PROJECT / "metrics")
    dashboards = load_dashboards(PROJECT / "dashboards", metrics)
    assert [page.name for page in dashboards] == [
        "executive",
        "overview",
        "engagement",
        "subscriptions",
        "sales",
        "customers",
        "analytics_questions",
        "pipeline",
        "cost",
    ]
    release = Release(1, dt.datetime(2026, 10, 1, tzinfo=dt.UTC), "", {}, 1, {})
    guard = Guard.of(project_classes(project, cache=tmp_path))
    assert guard.restricted["gold.fct_mrr_daily"] >= {"account_id"}
    made = write(release, empty, metrics, dashboards, Facts(), guard=guard)
    assert made.left_out == {}
    assert len(made.read) == len(dashboards)


@pytest.mark.parametrize(
    ("tiles", "expected"),
    [
        ("[{kind: number, metrics: [pleys]}]", "tile 1: there is no metric pleys"),
        ("[{kind: stacked, metrics: [plays], by: plan}]", "plays has no dimension plan; it has country_code, device"),
        ("[{kind: stacked, metrics: [plays]}]", "stacked has no `by`"),
        ("[{kind: stacked, metrics: [fees], by: currency}]", "fees must not be summed over currency"),
        ("[{kind: line, metrics: [plays, finish_rate]}]", "its metrics have the formats integer, percent"),
        ("[{kind: waterfall, metrics: [new_mrr, lost_mrr]}]", "new_mrr is no balance"),
        ("[{kind: number, metrics: [plays], colour: red}]", "tiles.1.colour: Extra inputs"),
        ("[{kind: table, sql: DELETE FROM gold.x, title: T}]", "expected exactly one SELECT"),
        ("[{kind: table, sql: SELECT 1 FROM x, title: T}]", "expected tables of a release"),
        ("[{kind: table, sql: \"SELECT * FROM read_csv('/etc/passwd')\", title: T}]", "expected tables of a release"),
        ("[{kind: table, sql: \"SELECT * FROM 'x/y.csv'\", title: T}]", "reads x/y.csv; expected tables of a release"),
        ("[{kind: table, sql: SELECT 1 FROM other.gold.x, title: T}]", "reads other.gold.x; expected tables"),
        ("[{kind: text, title: T}]", "text is empty"),
    ],
)
def test_a_mistake_is_named(shop: dict[str, Metric], tmp_path: Path, tiles: str, expected: str) -> None:
    (tmp_path / "board.yaml").write_text(f"{ABOUT}tiles: {tiles}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"board\.yaml") as raised:
        load_dashboards(tmp_path, shop)
    assert expected in str(raised.value)


def test_a_filter_is_a_dimension_of_the_page(shop: dict[str, Metric], tmp_path: Path) -> None:
    (tmp_path / "board.yaml").write_text(f"{ABOUT}filters: [plan]\ntiles: [{{kind: number, metrics: [plays]}}]\n")
    with pytest.raises(ConfigError, match="plan is no dimension of its metrics"):
        load_dashboards(tmp_path, shop)


def _page(folder: Path, text: str, shop: dict[str, Metric]) -> Dashboard:
    (folder / "board.yaml").write_text(text, encoding="utf-8")
    (page,) = load_dashboards(folder, shop)
    return page


def test_a_personal_column_is_in_no_page(shop: dict[str, Metric], tmp_path: Path) -> None:
    columns = {"gold.people": ("name", "age", "contact"), "gold.plays_daily": ("device", "plays")}
    guard = Guard({"gold.plays_daily": frozenset({"device"}), "gold.people": frozenset({"name", "contact.email"})})
    with pytest.raises(ConfigError, match=r"gold\.plays_daily\.device is personal"):
        guard.check(_page(tmp_path, USE, shop), shop, columns)
    for sql in (
        "SELECT p.name FROM gold.people AS p",
        "SELECT * FROM gold.people",
        "SELECT 1 FROM gold.people GROUP BY name",
        "SELECT p.* FROM gold.people AS p",
        "SELECT NAME FROM gold.people",
        "SELECT name FROM GOLD.PEOPLE",
        "SELECT p FROM gold.people AS p",
        "SELECT COLUMNS('na.*') FROM gold.people",
        "SELECT a FROM gold.people AS p(a, b, c)",
        "SELECT contact FROM gold.people",
        "SELECT contact.email FROM gold.people",
        "WITH t AS (FROM gold.people) SELECT age FROM t",
        "SELECT plays FROM gold.plays_daily WHERE plays > (SELECT COUNT(name) FROM gold.people)",
    ):
        page = _page(tmp_path, f'{ABOUT}tiles: [{{kind: table, title: T, sql: "{sql}"}}]\n', shop)
        with pytest.raises(ConfigError, match=r"gold\.people\.(name|contact\.email) is personal"):
            guard.check(page, shop, columns)
    for sql in (
        "SELECT age FROM gold.people",
        "SELECT contact.city FROM gold.people",
        "WITH names AS (SELECT age AS name FROM gold.people) SELECT name FROM names ORDER BY name",
        "SELECT * EXCLUDE (name, contact) FROM gold.people",
    ):
        page = _page(tmp_path, f'{ABOUT}tiles: [{{kind: table, title: T, sql: "{sql}"}}]\n', shop)
        guard.check(page, shop, columns)


def test_small_groups_of_a_quasi_identifier_are_one(shop: dict[str, Metric], tmp_path: Path) -> None:
    page = _page(tmp_path, f"{ABOUT}tiles: [{{kind: bar, metrics: [plays], by: country_code}}]\n", shop)
    guard = Guard(
        quasi={"gold.plays_daily": frozenset({"country_code"})}, sizes={"gold.plays_daily": "plays"}, minimum=5
    )
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE SCHEMA gold; CREATE TABLE gold.plays_daily AS "
            "SELECT DATE '2026-01-01' + n::INT AS date, country_code, 'phone' AS device, 2 AS plays, 1 AS finished, "
            "1.0 AS seconds FROM RANGE(3) AS days(n), (VALUES ('de'), ('fr'), (NULL)) AS places(country_code) "
            "WHERE country_code = 'de' OR n < 2"
        )
        whole, *others = read_cubes(connection, shop, page, guard)
        assert {row[1] for row in others[0].rows} == {"de", REST}
        assert sum(row[2] for row in others[0].rows) == sum(row[2] for row in whole.rows) == 14
        _, *others = read_cubes(connection, shop, page, NOTHING)
        assert {row[1] for row in others[0].rows} == {"de", "fr", None}


def test_many_values_of_a_dimension_are_the_largest_and_the_rest(shop: dict[str, Metric], tmp_path: Path) -> None:
    page = _page(tmp_path, f"{ABOUT}tiles: [{{kind: bar, metrics: [plays], by: country_code}}]\n", shop)
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE SCHEMA gold; CREATE TABLE gold.plays_daily AS SELECT DATE '2026-01-01' AS date, 'c' || n AS "
            "country_code, 'phone' AS device, n AS plays, 1 AS finished, 1.0 AS seconds FROM RANGE(1, 101) AS places(n)"
        )
        whole, divided = read_cubes(connection, shop, page, NOTHING)
        rest = [row[2] for row in divided.rows if row[1] == REST]
        assert rest == [sum(range(1, 77))]
        assert sum(row[2] for row in divided.rows) == whole.rows[0][2]


@pytest.mark.parametrize("unknown", [1, 1_000])
def test_the_rest_is_summed_by_period_with_unknown_values_and_without_undated_rows(
    shop: dict[str, Metric], tmp_path: Path, unknown: int
) -> None:
    """GIVEN 30 values, one of them unknown, on two days and on none, THEN 24 are kept and the rest adds up by day."""
    page = _page(tmp_path, f"{ABOUT}tiles: [{{kind: bar, metrics: [plays, time_spent], by: country_code}}]\n", shop)
    plays = {f"c{n}": n + 10 for n in range(1, 30)} | {None: unknown}
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE SCHEMA gold; CREATE TABLE gold.plays_daily "
            "(date DATE, country_code TEXT, device TEXT, plays BIGINT, finished BIGINT, seconds DOUBLE)"
        )
        days = [dt.date(2026, 1, 1), dt.date(2026, 1, 2)]
        rows = [
            (day, value, "phone", n, 1, n / 4 if n > 13 else None)
            for day in (*days, None)
            for value, n in plays.items()
        ]
        connection.executemany("INSERT INTO gold.plays_daily VALUES (?, ?, ?, ?, ?, ?)", rows)
        _, divided = read_cubes(connection, shop, page, NOTHING)
    kept = sorted(plays, key=lambda value: (-plays[value], str(value)))[:24]
    assert (None in kept) is (unknown == 1_000)
    rest = [n for value, n in plays.items() if value not in kept]
    values = sorted(value for value in kept if value is not None) + [None] * (None in kept)
    of_a_day = [*((value, plays[value], plays[value] / 4) for value in values)]
    of_a_day += [(REST, sum(rest), sum(n / 4 for n in rest if n > 13))]
    assert divided.rows == [(day, *row) for day in days for row in of_a_day]
