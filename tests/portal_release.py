"""Releases made by hand, three years of a small domain, for the tests of their pages."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Mapping
from pathlib import Path

import duckdb

from ingest.settings import read_settings
from pipeline.portal.publication import Sources
from pipeline.releases.catalog import write_catalog
from pipeline.releases.release import (
    Release,
    ReleaseFile,
    Releases,
    ReleaseTable,
    catalog_key,
    file_key,
    manifest_key,
)

FIRST, LAST = dt.date(2023, 11, 1), dt.date(2026, 10, 31)
NOW = dt.datetime(2026, 11, 1, 6, 30, tzinfo=dt.UTC)
HOSTILE = "</script><img src=x onerror=alert(1)><!--"
METRICS = """
owner: shop
tables:
  gold.plays_daily:
    time: date
    grains: [day, week, month, quarter, year]
    dimensions: {country_code: Country, device: Device}
  gold.mrr_monthly:
    time: month_date
    grains: [month, quarter, year]
    dimensions: {plan: Plan}
  gold.cohorts:
    time: cohort_date
    grains: [month]
    dimensions: {month_number: Months since the first}
    not_over: [month_number]
metrics:
  plays: {label: Plays, description: What was played., unit: plays, format: integer, table: gold.plays_daily,
    measure: {sum: plays}, direction: up, synonyms: [sessions]}
  finished: {label: Finished, description: Played to the end., unit: plays, format: integer, table: gold.plays_daily,
    measure: {sum: finished}, direction: up}
  finish_rate: {label: Finish rate, description: Finished ÷ plays., unit: share, format: percent,
    measure: {ratio: [finished, plays]}, direction: up}
  time_spent: {label: Time spent, description: Seconds., unit: seconds, format: duration, table: gold.plays_daily,
    measure: {sum: seconds}, direction: up}
  active: {label: Active users, description: Distinct users of the day., unit: users, format: integer,
    table: gold.active_daily, time: date, grains: [day], measure: {stored: users}, direction: up}
  mrr: {label: MRR, description: At the end., unit: reporting_currency, format: currency, table: gold.mrr_monthly,
    measure: {last: closing}, direction: up}
  new_mrr: {label: New MRR, description: New., unit: reporting_currency, format: currency, table: gold.mrr_monthly,
    measure: {sum: new}, direction: up}
  lost_mrr: {label: Lost MRR, description: Lost., unit: reporting_currency, format: currency, table: gold.mrr_monthly,
    measure: {sum: lost}, direction: up}
  cohort_size: {label: Cohort, description: Customers at first., unit: customers, format: integer, table: gold.cohorts,
    measure: {sum: size}, direction: up}
  cohort_kept: {label: Kept, description: Customers kept., unit: customers, format: integer, table: gold.cohorts,
    measure: {sum: kept}, direction: up}
  cohort_rate: {label: Kept of the cohort, description: Kept ÷ cohort., unit: share, format: percent,
    measure: {ratio: [cohort_kept, cohort_size]}, direction: up}
  fees: {label: Fees, description: In their currency., unit: its currency, format: currency, table: gold.fees,
    time: month_date, grains: [month, year], dimensions: {currency: Currency}, not_over: [currency],
    measure: {sum: fees}, direction: none}
"""
USE = """
title: Use
question: How much is played?
owner: shop
order: 1
filters: [country_code, device]
tiles:
  - {kind: number, metrics: [plays], width: 3}
  - {kind: number, metrics: [finish_rate], width: 3}
  - {kind: number, metrics: [time_spent], width: 3}
  - {kind: number, metrics: [active], width: 3}
  - {kind: line, metrics: [plays], title: Plays over time}
  - {kind: bar, metrics: [finished], title: Finished over time}
  - {kind: bar, metrics: [plays, finish_rate], by: country_code, title: Countries}
  - {kind: stacked, metrics: [plays], by: device, title: Devices}
  - {kind: heatmap, metrics: [finish_rate], by: device, grain: month, title: Devices by month}
  - {kind: funnel, metrics: [plays, finished], title: From start to end}
  - {kind: line, metrics: [active], title: Active by day}
"""
MONEY = """
title: Money
question: What recurs?
owner: shop
order: 2
period: 12m
filters: [plan]
tiles:
  - {kind: number, metrics: [mrr], width: 3}
  - {kind: number, metrics: [fees], width: 3}
  - {kind: waterfall, metrics: [mrr, new_mrr, lost_mrr], labels: {new_mrr: New, lost_mrr: Lost}, title: What moved MRR}
  - {kind: cohort, metrics: [cohort_rate], by: month_number, title: Cohorts, width: 12}
  - {kind: table, metrics: [fees], by: currency, title: Fees by currency}
  - {kind: section, title: Reports}
  - kind: table
    title: Themes
    sql: SELECT theme, exits, rate, checked_at, is_late FROM gold.themes ORDER BY exits DESC
    columns: {rate: {format: percent}, is_late: {label: Late, bad: true}}
  - {kind: text, title: About, text: "One paragraph.\\n\\nAnother with </script>."}
"""


def source_tables() -> dict[str, tuple[str, str]]:
    """The SQL of each table and its time column, deterministic."""
    days = f"(SELECT UNNEST(GENERATE_SERIES(DATE '{FIRST}', DATE '{LAST}', INTERVAL 1 DAY))::DATE AS date)"
    months = f"(SELECT UNNEST(GENERATE_SERIES(DATE '{FIRST}', DATE '{LAST}', INTERVAL 1 MONTH))::DATE AS month_date)"
    hostile = HOSTILE.replace("'", "''")
    places = (
        f"(VALUES ('de', 7), ('fr', 5), ('in', 11), (NULL, 2), ('{hostile}', 1), ('', 1)) AS places(country_code, size)"
    )
    devices = "(VALUES ('phone', 3), ('tablet', 1)) AS devices(device, share)"
    plays = "(1 + size * share + (HASH(date, country_code, device) % 9)::INT)"
    return {
        "gold.plays_daily": (
            f"SELECT date, country_code, device, {plays}::BIGINT AS plays, "
            f"({plays} * (HASH(device, date) % 100)::INT // 100)::BIGINT AS finished, "
            f"ROUND({plays} * 61.37, 3)::DOUBLE AS seconds FROM {days}, {places}, {devices} "
            "WHERE NOT (device = 'tablet' AND HASH(date, country_code) % 3 = 0)",
            "date",
        ),
        "gold.active_daily": (f"SELECT date, (20 + HASH(date) % 30)::BIGINT AS users FROM {days}", "date"),
        "gold.mrr_monthly": (
            "SELECT month_date, plan, (1000.123456 * size + 3.7 * DATE_DIFF('MONTH', DATE '2023-11-01', month_date))"
            "::DECIMAL(18, 6) AS closing, 4.2::DECIMAL(18, 6) AS new, -0.5::DECIMAL(18, 6) AS lost "
            f"FROM {months}, (VALUES ('basic', 1), ('old', 2)) AS plans(plan, size) "
            "WHERE plan <> 'old' OR month_date < DATE '2026-03-01'",
            "month_date",
        ),
        "gold.cohorts": (
            "SELECT month_date AS cohort_date, number::INT AS month_number, 40::BIGINT AS size, "
            f"(40 - 2 * number)::BIGINT AS kept FROM {months}, RANGE(12) AS numbers(number) "
            f"WHERE month_date + INTERVAL (number) MONTH <= DATE '{LAST}'",
            "cohort_date",
        ),
        "gold.fees": (
            "SELECT month_date, currency, (amount * MONTH(month_date))::DECIMAL(18, 4) AS fees "
            f"FROM {months}, (VALUES ('EUR', 1.25), ('JPY', 150)) AS currencies(currency, amount)",
            "month_date",
        ),
        "gold.themes": (
            f"SELECT * FROM (VALUES ('{hostile}', 3::BIGINT, 0.5::DOUBLE, TIMESTAMP '2026-10-31 04:05:06', TRUE), "
            "('=1+1', 2, NULL, NULL, FALSE)) AS themes(theme, exits, rate, checked_at, is_late)",
            "",
        ),
    }


def make_release(
    published: Releases, number: int, changed: Mapping[str, tuple[str, str]] | None = None, held: bool = False
) -> Release:
    """Store a release in the real format, and point readers to it.

    Args:
        changed: per table the month of one part, as 2026-01 (empty for all), and a statement that changes its rows;
            other files are those of the release before.
    """
    before = published.get(number - 1) if number > 1 else None
    tables = {}
    with duckdb.connect() as maker, tempfile.TemporaryDirectory() as folder:
        for name, (query, time) in source_tables().items():
            part, statement = (changed or {}).get(name, ("", ""))
            if before is not None and not statement:
                tables[name] = before.tables[name]
                continue
            maker.execute(f"CREATE OR REPLACE TABLE made AS {query}")
            if statement:
                maker.execute(statement)
            kinds = [(column, kind, "") for column, kind, *_ in maker.execute("DESCRIBE made").fetchall()]
            where = f"STRFTIME({time}, '%Y-%m')" if time else "''"
            parts = [found for (found,) in maker.execute(f"SELECT DISTINCT {where} FROM made ORDER BY 1").fetchall()]
            files = [] if before is None else [file for file in before.tables[name].files if part and file.part != part]
            for item in [part] if part else parts:
                key, path = file_key(name, number, item), Path(folder) / "part.parquet"
                maker.execute(f"COPY (SELECT * FROM made WHERE {where} = '{item}') TO '{path}' (FORMAT parquet)")
                published.store.put(key, path.read_bytes())
                files.append(ReleaseFile(key, item, 1, path.stat().st_size))
            files.sort(key=lambda file: file.part)
            tables[name] = ReleaseTable(name, "1", f"Table {name}.", tuple(kinds), tuple(files), time_column=time)
        audits = tuple({"name": f"audit_{place}", "scope": "all dates", "rows": 0} for place in range(3))
        release = Release(number, NOW, "lake", {"events": number}, number, tables, audits)
        path = Path(folder) / "catalog.duckdb"
        write_catalog(published, path, release)
        published.store.put(catalog_key(number), path.read_bytes())
    published.store.put(manifest_key(number), release.to_json())
    published.point_to(number, withhold=held)
    return release


def project(folder: Path) -> Sources:
    """The definitions of the small domain, as a project has them."""
    for name, text in (("metrics/shop", METRICS), ("dashboards/use", USE), ("dashboards/money", MONEY)):
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Sources(folder / "metrics", folder / "dashboards", "EUR")


def releases() -> Releases:
    """The releases of the settings of this process."""
    return Releases(read_settings())
