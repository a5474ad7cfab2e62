"""Years of enriched plays, and their gold as `lake publish` writes it: the data that benchmarks/serving.py queries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from ingest.settings import PROJECT, Settings
from pipeline.releases.catalog import write_catalog
from pipeline.releases.export import catalog_query, describe_table
from pipeline.releases.release import (
    Release,
    ReleaseFile,
    Releases,
    ReleaseTable,
    catalog_key,
    file_key,
    manifest_key,
)
from pipeline.releases.rollups import store_rollups
from pipeline.warehouse.engine import FILE_FORMAT
from sample.devices import APPS, PLATFORMS
from sample.plays import COLLECTIONS
from sample.users import COUNTRIES

FIRST = dt.date(2023, 11, 1)
USERS, ACTIVITIES, SLOTS = 50_000, 600, 4096
DAILY, POPULARITY = "gold.activity_engagement_metrics", "gold.activity_popularity_daily"
MODELS = (DAILY, POPULARITY, f"{DAILY}_monthly", f"{DAILY}_weekly", "gold.rpt_most_played_activities")
SILVER = "silver.activity_events_enriched"


def make_silver(folder: Path, events: int, days: int) -> None:
    """Write plays of a fixed catalogue by users with a country, a device, an app and a status per month."""
    platforms = [
        (f"{name}|{version}", weight) for name, found in PLATFORMS.items() for version, weight in found.items()
    ]
    with duckdb.connect() as writer:
        for name, weights in (
            ("platforms", platforms),
            ("apps", list(APPS.items())),
            ("collections", [(name, 60 if name else 6900) for name in COLLECTIONS]),
            ("countries", [(country, 1) for country in COUNTRIES]),
        ):
            _fill_slots(writer, name, weights)
        writer.execute(
            f"CREATE TEMP TABLE users AS SELECT i, 'user_' || i AS user_id, "
            "countries.value AS country_code, SPLIT_PART(platforms.value, '|', 1) AS os_name, "
            "SPLIT_PART(platforms.value, '|', 2) AS os_version, apps.value AS app_version "
            f"FROM RANGE({USERS}) AS numbers(i) JOIN platforms ON platforms.slot = HASH(i, 1) % {SLOTS} "
            f"JOIN apps ON apps.slot = HASH(i, 2) % {SLOTS} JOIN countries ON countries.slot = HASH(i, 3) % {SLOTS}"
        )
        writer.execute(
            "CREATE TEMP TABLE activities AS SELECT i, FORMAT('activity_{:03d}', i) AS activity_id, "
            "'Title of ' || i AS activity_name, "
            "['game', 'video', 'traceable', 'audiobook'][1 + i % 4] AS activity_type, "
            f"'subtype_' || i % 9 AS activity_subtype FROM RANGE({ACTIVITIES}) AS numbers(i)"
        )
        writer.execute(f"COPY (SELECT * EXCLUDE i FROM activities) TO '{folder}/activities.parquet' (FORMAT parquet)")
        per_day = events / days
        # the bits of one hash: user (20), activity (20), collection (12), and whether it was completed
        statement = (
            "SELECT 'event_' || numbers.i AS event_id, users.user_id, activities.activity_id, "
            "(numbers.bits % 90000) / 100.0::DOUBLE AS duration_seconds, "
            "(numbers.bits >> 52) % 100 < 61 AS completed_flag, "
            "users.os_name, users.os_version, users.app_version, collections.value AS collection_id, "
            "activities.activity_name, activities.activity_type, activities.activity_subtype, users.country_code, "
            "CASE (users.i + MONTH(numbers.day)) % 4 WHEN 0 THEN 'subscribed' WHEN 1 THEN 'trial' WHEN 2 THEN 'free' "
            "ELSE 'lapsed' END AS subscription_status, numbers.day AS date "
            "FROM (SELECT i, HASH(i) AS bits, (DATE '{first}' + FLOOR(i / {per_day})::INTEGER)::DATE AS day, "
            "(HASH(i) & 1048575) / 1048576.0::DOUBLE AS who, ((HASH(i) >> 20) & 1048575) / 1048576.0::DOUBLE AS what "
            "FROM RANGE({start}, {end}) AS made(i)) AS numbers "
            f"JOIN users ON users.i = FLOOR(numbers.who * numbers.who * {USERS})::BIGINT "
            "JOIN activities "
            f"ON activities.i = FLOOR(numbers.what * numbers.what * numbers.what * {ACTIVITIES})::BIGINT "
            "JOIN collections ON collections.slot = (numbers.bits >> 40) & 4095"
        )
        for start in range(0, days, 30):
            rows = {"start": int(start * per_day), "end": int(min(start + 30, days) * per_day)}
            query = statement.format(first=FIRST, per_day=per_day, **rows)
            writer.execute(f"COPY ({query}) TO '{folder}/events-{start:05d}.parquet' (FORMAT parquet)")


def silver(folder: Path) -> duckdb.DuckDBPyConnection:
    """A connection with the events under the names that the models read."""
    reader = duckdb.connect()
    reader.execute("CREATE SCHEMA silver")
    reader.execute(f"CREATE VIEW {SILVER} AS SELECT * FROM READ_PARQUET('{folder}/events-*.parquet')")
    reader.execute(f"CREATE VIEW silver.activities AS SELECT * FROM READ_PARQUET('{folder}/activities.parquet')")
    return reader


def _fill_slots(writer: duckdb.DuckDBPyConnection, name: str, weights: list[tuple[str, int]]) -> None:
    """Create a table of SLOTS slots, shared among the values by weight."""
    total, position = sum(weight for _, weight in weights), 0
    slots: list[str] = []
    for value, weight in weights:
        position += weight
        slots += [value] * (SLOTS * position // total - len(slots))
    writer.execute(f"CREATE TEMP TABLE {name} (slot UBIGINT, value TEXT)")
    writer.execute(f"INSERT INTO {name} SELECT UNNEST(RANGE({SLOTS})), UNNEST($1::TEXT[])", [slots])


def publish_gold(history: Path, options: Settings, days: int, late: dt.date | None = None) -> None:
    """Publish gold by the models' own SQL, one file per month, as `lake publish` writes it.

    Args:
        late: for a second release, in which each group of this day has one more play; files of other months are shared.
    """
    published = Releases(options)
    before = published.newest()
    number = before.number + 1 if before else 1
    tables: dict[str, ReleaseTable] = {}
    with _models() as models, silver(history) as reader:
        reader.execute("CREATE SCHEMA gold")
        for name, model in models.items():
            table = describe_table(name, "1", model, set(MODELS))
            if not table.query:
                shared = {file.part: file for file in before.tables[name].files} if before else {}
                files = []
                for part, start, end in _months(days) if table.time_column else [("", FIRST, last_day(days))]:
                    if part in shared and late and part and part != f"{late:%Y-%m}":
                        files.append(shared[part])
                        continue
                    query = catalog_query(model.render_query_or_raise(start=start, end=end))
                    if late and table.time_column:  # rows of other days stay unchanged
                        plays = "plays" if name == POPULARITY else "activities_played"
                        more = f"({plays} + (date = DATE '{late}')::BIGINT)::BIGINT"
                        path = f"{published.store.uri}/{shared[part].key}"
                        query = f"SELECT * REPLACE ({more} AS {plays}) FROM READ_PARQUET('{path}') AS found"
                    files.append(_write(reader, published, table, number, part, query))
                table = replace(table, files=tuple(file for file in files if file.rows))
                paths = [f"{published.store.uri}/{file.key}" for file in table.files]
                reader.execute(f"CREATE VIEW {name} AS SELECT * FROM READ_PARQUET({paths})")
            tables[name] = table
    tables |= store_rollups(published, tables, before, number)
    state = Release(number, dt.datetime.now(dt.UTC), "benchmark", {"events": number}, number, tables)
    catalog = Path(options.lake_home) / "catalog.duckdb"
    catalog.unlink(missing_ok=True)
    write_catalog(published, catalog, state)
    published.store.put(catalog_key(number), catalog.read_bytes())
    catalog.unlink()
    published.store.put_new(manifest_key(number), state.to_json())
    published.point_to(number)


@contextmanager
def _models() -> Iterator[dict[str, Any]]:
    """The measured models of the project."""
    from sqlmesh import Context

    context = Context(paths=str(PROJECT))
    yield {name: context.get_model(name, raise_if_missing=True) for name in MODELS}
    context.close()


def last_day(days: int) -> dt.date:
    return FIRST + dt.timedelta(days=days - 1)


def _months(days: int) -> Iterator[tuple[str, dt.date, dt.date]]:
    """Yield each month of the history: its part, its first and its last day."""
    day = FIRST
    while day <= last_day(days):
        after = (day + dt.timedelta(days=31)).replace(day=1)
        yield f"{day:%Y-%m}", day, after - dt.timedelta(days=1)
        day = after


def _write(
    reader: duckdb.DuckDBPyConnection, published: Releases, table: ReleaseTable, number: int, part: str, query: str
) -> ReleaseFile:
    key = file_key(table.name, number, part)
    path = published.store.stage(key)
    order = ", ".join(f'"{column}"' for column in table.grain)
    (rows,) = reader.execute(
        f"COPY (SELECT * FROM ({query}) AS found ORDER BY {order}) TO '{path}' {FILE_FORMAT}"
    ).fetchone() or (0,)
    size = path.stat().st_size
    published.store.publish({key: path})
    return ReleaseFile(key, part, int(rows), size)
