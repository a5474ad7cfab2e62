"""A release whose rows are known, published as files without a warehouse."""

from __future__ import annotations

import datetime as dt
import random
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from ingest.settings import PROJECT, Settings
from pipeline.metrics.definition import Metric
from pipeline.releases.catalog import write_catalog
from pipeline.releases.release import Release, ReleaseFile, Releases, ReleaseTable, catalog_key, file_key, manifest_key
from pipeline.report.definition import ReportDefinition, load_reports
from pipeline.report.report import Report, make_report

FIRST, LAST = dt.date(2026, 2, 2), dt.date(2026, 6, 20)
"""A Monday, and a Saturday on which France plays a quarter of what it usually does."""
PUBLISHED = dt.datetime(2026, 6, 21, 5, tzinfo=dt.UTC)
MARKUP = '<img src=x onerror="alert(1)"></td>\x1b[31m'
COUNTRIES = ("fr", "de", MARKUP, None, "va")
"""The last one has too few plays to be named, and the one before is the next smallest."""
_USERS = ("daily_active_users", "weekly_active_users", "monthly_active_users", "active_user_days")
_MRR = "DECIMAL(18, 6)"
TABLES: dict[str, dict[str, str]] = {
    "gold.activity_engagement_metrics": {
        "date": "DATE",
        "country_code": "TEXT",
        "os_name": "TEXT",
        "subscription_status": "TEXT",
        "activity_type": "TEXT",
        "activities_played": "BIGINT",
        "completed_plays": "BIGINT",
        "capped_time_spent": "DOUBLE",
    },
    "gold.rpt_active_users_by_country": {
        "date": "DATE",
        "country_code": "TEXT",
        "user_kind": "TEXT",
        **dict.fromkeys(_USERS, "BIGINT"),
    },
    "gold.rpt_mrr_daily": {"date": "DATE", "mrr": _MRR},
    "gold.fct_mrr_daily": {"date": "DATE", "currency": "TEXT", "paying_subscriptions": "BIGINT"},
    "gold.rpt_mrr_trailing": {"month_date": "DATE", "base_mrr": _MRR, "retained_mrr": _MRR, "capped_mrr": _MRR},
    "gold.rpt_mrr_monthly": {"month_date": "DATE", "churned_accounts": "BIGINT", "opening_accounts": "BIGINT"},
}
"""Columns with types."""
Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Published:
    """A release with the rows of its tables, as dictionaries."""

    releases: Releases
    release: Release
    rows: Rows
    metrics: dict[str, Metric]

    def sum(self, column: str, first: dt.date, last: dt.date | None = None, **where: Any) -> int:
        """The sum of a column of engagement from one day to another."""
        return sum(
            row[column]
            for row in self.rows["gold.activity_engagement_metrics"]
            if first <= row["date"] <= (last or first) and all(row[name] == value for name, value in where.items())
        )

    def report(self, name: str | ReportDefinition, published_at: dt.datetime = PUBLISHED, **options: Any) -> Report:
        """The report on this release, as if it had been published at another time."""
        release = replace(self.release, published_at=published_at)
        definition = load_reports(PROJECT / "reports", self.metrics)[name] if isinstance(name, str) else name
        options = {"currency": "EUR", "minimum_group": 5, "now": published_at + dt.timedelta(hours=1)} | options
        with self.releases.connect(release.number) as connection:
            return make_report(definition, self.metrics, release, connection, **options)


def rows_of_tables() -> Rows:
    """The same rows each time."""
    chance = random.Random(7)
    values: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
    days = [FIRST + dt.timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
    for number, day in enumerate(days):
        for country in COUNTRIES:
            for system in ("iOS", "Android"):
                usual = {"fr": 90, "de": 60, "va": 1, None: 15}.get(country, 20) + (30 if day.weekday() > 4 else 0)
                plays = 2 if country == "va" else round(usual * chance.uniform(0.9, 1.1))
                if day == LAST and country == "fr":
                    plays = 30
                completed = round(plays * (0.7 if system == "iOS" else 0.6) * chance.uniform(0.95, 1.05))
                seconds = plays * chance.uniform(95, 105)
                values["gold.activity_engagement_metrics"].append(
                    (day, country, system, "active", "game", plays, completed, seconds)
                )
        for country in ("fr", "de"):
            active = chance.randint(40, 60)
            values["gold.rpt_active_users_by_country"].append((day, country, "account", active, 200, 500, 1400))
        values["gold.rpt_mrr_daily"].append((day, 12_000 + number + chance.randint(-3, 3)))
        for currency in ("EUR", "USD"):
            values["gold.fct_mrr_daily"].append((day, currency, 300 + number + chance.randint(-2, 2)))
    for month in range(2, 6):
        first = dt.date(2026, month, 1)
        values["gold.rpt_mrr_trailing"].append((first, 1000, 900 + month, 850))
        values["gold.rpt_mrr_monthly"].append((first, month, 200))
    return {name: [dict(zip(TABLES[name], row, strict=True)) for row in rows] for name, rows in values.items()}


def publish(folder: Path, rows: Rows, columns: dict[str, dict[str, str]]) -> Releases:
    """Publish tables as release 1, below a folder."""
    releases = Releases(Settings(lake_home=str(folder)))
    connection = duckdb.connect()
    tables = {}
    for name, described in columns.items():
        listed = ", ".join(f"{column} {kind}" for column, kind in described.items())
        connection.execute(f"CREATE OR REPLACE TABLE made ({listed})")
        if rows[name]:
            marks = ", ".join("?" * len(rows[name][0]))
            connection.executemany(f"INSERT INTO made VALUES ({marks})", [list(row.values()) for row in rows[name]])
        key = file_key(name, 1, "")
        path = folder / "published" / key
        path.parent.mkdir(parents=True)
        connection.execute(f"COPY made TO '{path}' (FORMAT parquet)")
        kinds = tuple((item[0], item[1], "") for item in connection.execute("DESCRIBE made").fetchall())
        file = ReleaseFile(key, "", len(rows[name]), path.stat().st_size)
        tables[name] = ReleaseTable(name, "1", name, kinds, (file,))
    release = Release(1, PUBLISHED, "lake", {"events": 1}, 1, tables, ({"name": "a", "scope": "all", "rows": 0},))
    with tempfile.TemporaryDirectory() as draft:
        catalog = Path(draft) / "catalog.duckdb"
        write_catalog(releases, catalog, release)
        releases.store.put(catalog_key(1), catalog.read_bytes())
    releases.store.put(manifest_key(1), release.to_json())
    releases.point_to(1)
    return releases
