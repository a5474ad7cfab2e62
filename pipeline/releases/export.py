"""Publish gold, and what else is tagged, from the warehouse as the next release, at a cost by what changed."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlglot import exp

from ingest.errors import ConflictError
from ingest.sql import identifier, identifiers
from ingest.upkeep.clean import Cleaning
from pipeline.releases.buckets import division
from pipeline.releases.catalog import write_catalog
from pipeline.releases.changes import Change
from pipeline.releases.release import (
    Buckets,
    Release,
    ReleaseFile,
    Releases,
    ReleaseTable,
    catalog_key,
    file_key,
    manifest_key,
    suspect_key,
)
from pipeline.releases.rollups import store_rollups, within
from pipeline.warehouse.engine import DIALECT, Engine
from pipeline.warehouse.project import plain_name


def publish(
    published: Releases,
    engine: Engine,
    changed: Mapping[str, Change],
    before: Release | None,
    about: Release,
    withhold: bool = False,
) -> Release:
    """Write the next release and switch readers to it.

    Safe to interrupt at any point: a release exists once its manifest does, and readers see it once the pointer moved.

    Args:
        before: the newest release, whose unchanged files are reused.
        about: number, positions and audits of the new release; its tables are filled in here.
        withhold: whether readers stay on their release, as after a rollback.

    Raises:
        ConflictError: another process published a release of that number first.
        RetriableError, ConfigError: PUBLISHED_URI cannot be used.
    """
    store = published.store
    names = set(changed)
    staged: dict[str, Path] = {}
    tables: dict[str, ReleaseTable] = {}
    dates: dict[str, tuple[str, ...]] = {}
    # tables first; a view that reads unpublished tables is stored like a table
    for name, change in changed.items():
        old = before.tables.get(name) if before else None
        table = describe_table(change.name, str(change.snapshot.version), change.snapshot.model, names)
        if not table.query:
            files, written, buckets = _files(published, engine, change, old, about.number)
            staged |= written
            table = replace(table, files=files, buckets=buckets)
            days = change.recomputed.dates
            if written and change.is_gold:
                is_by_date = change.snapshot.model.time_column is not None
                dates[name] = tuple(sorted(map(str, days))) if is_by_date and days is not None else ("all",)
        tables[name] = table
    store.publish(staged)
    tables |= store_rollups(published, tables, before, about.number)
    release = replace(about, tables=tables, dates=dates)
    with tempfile.TemporaryDirectory(prefix="lakemesh-") as folder:
        path = Path(folder) / "catalog.duckdb"
        write_catalog(published, path, release)
        store.put(catalog_key(release.number), path.read_bytes())
    if not store.put_new(manifest_key(release.number), release.to_json()):
        raise ConflictError(f"{store.uri}: release {release.number} was published by another process")
    if not withhold:
        published.point_to(release.number)
    store.close()
    return release


def prune(published: Releases, keep: int, now: dt.datetime, grace: dt.timedelta = dt.timedelta(days=1)) -> int:
    """Delete all but the newest releases, and the files that only those used.

    The current release and releases younger than the grace period stay.

    Args:
        keep: number of newest releases to keep.

    Returns:
        The number of deleted releases.
    """
    numbers = published.numbers()
    current = published.pointer().get("state")
    old = [number for number in numbers[:-keep] if number != current]
    expired = [release for number in old if (release := published.get(number)).published_at < now - grace]
    if not expired:
        return 0
    deleted = {release.number for release in expired}
    used = {file.key for number in numbers if number not in deleted for file in _files_of(published.get(number))}
    for release in expired:
        # the manifest first: without it the release does not exist
        published.store.delete([key(release.number) for key in (manifest_key, catalog_key, suspect_key)])
    published.store.delete({file.key for release in expired for file in _files_of(release)} - used)
    return len(expired)


def sweep(published: Releases, until: int = 0) -> Cleaning:
    """Delete orphans of killed publications: files that no release names and no future release can name.

    A file's name contains the number of the release that it was written for. Once a release of that number exists, a
    process that still writes for it will fail; until then the file stays. So neither a clock nor a grace period is
    needed.

    Args:
        until: number up to which no process can still write, if it is greater than that of the newest release.

    Raises:
        RetriableError: the store cannot be reached.
        ConfigError: a newer version of Lakemesh wrote a release.
    """
    found = [*published.store.list("tables"), *published.store.list("states")]  # before the releases are read
    numbers = published.numbers()
    releases = [published.get(number) for number in numbers]
    used = {file.key for release in releases for file in _files_of(release)}
    used |= {key(number) for number in numbers for key in (manifest_key, catalog_key, suspect_key)}
    newest = max([until, *numbers])
    orphans = [item for item in found if item.key not in used and _number_of(item.key) <= newest]
    published.store.delete(item.key for item in orphans)
    return Cleaning(len(orphans), sum(item.size for item in orphans))


def _number_of(key: str) -> int:
    """The number of the release that a file was written for."""
    name = key.split("/")[1] if key.startswith("states/") else key.rsplit("/", 1)[1]
    return int(name[:20])


def _files_of(release: Release) -> Iterable[ReleaseFile]:
    return (file for table in release.tables.values() for file in table.files)


def describe_table(name: str, version: str, model: Any, published: set[str]) -> ReleaseTable:
    """A model's entry in the manifest, still without files; with its query if it is a view of published tables alone.

    Args:
        name: with schema, as `gold.<table>`.
        published: names of all published tables and views.
    """
    kinds = model.columns_to_types_or_raise
    columns = tuple((name, kind.sql(DIALECT), model.column_descriptions.get(name, "")) for name, kind in kinds.items())
    query = ""
    if model.kind.is_view and {plain_name(parent) for parent in model.depends_on} <= published:
        query = catalog_query(model.render_query_or_raise())
    return ReleaseTable(
        name,
        version,
        model.description or "",
        columns,
        query=query,
        grain=tuple(dict.fromkeys(column.name for grain in model.grains for column in grain.find_all(exp.Column))),
        time_column=model.time_column.column.name if model.time_column else "",
        not_null=tuple(name for name in kinds if name in _never_null(model)),
    )


def has_same_definition(change: Change, old: ReleaseTable, published: set[str]) -> bool:
    """Whether a published table's version, columns, comments, query and grain equal the model's current ones.

    Args:
        published: names of all published tables and views.
    """
    new = describe_table(change.name, str(change.snapshot.version), change.snapshot.model, published)
    comparable = replace(old, files=(), query=old.query or old.rollup, rollup="", buckets=None)
    return replace(comparable, time_column="") == replace(new, time_column="")


def _never_null(model: Any) -> set[str]:
    """Columns that a blocking audit `not_null` checks in every row."""
    return {
        column.name
        for name, arguments in model.audits
        if name == "not_null" and not arguments.keys() & {"condition", "blocking"}
        for column in arguments["columns"].find_all(exp.Column)
    }


def catalog_query(query: exp.Query) -> str:
    """A query with table names as in the catalog: `gold.x`."""
    found = query.copy()
    for table in found.find_all(exp.Table):
        table.set("catalog", None)
    return str(found.sql(DIALECT, comments=False))


def _files(
    published: Releases, engine: Engine, change: Change, old: ReleaseTable | None, number: int
) -> tuple[tuple[ReleaseFile, ...], dict[str, Path], Buckets | None]:
    """The files of a table, unchanged ones reused, the staged paths of new ones, and how its keys are divided."""
    recomputed, time = change.recomputed, change.snapshot.model.time_column
    if old is not None and not recomputed.changed:
        return old.files, {}, old.buckets
    kept: Iterable[ReleaseFile] = ()
    buckets = None
    if time is None:
        parts = {"": "TRUE"}
        divided = division(engine, change, old)
        if divided:
            buckets, kept = divided.buckets, divided.kept
            parts = {divided.part(bucket): divided.where(bucket) for bucket in divided.numbers}
    else:
        column = time.column.name
        if old is None or recomputed.dates is None:
            months = _months(engine, change, column)
        else:
            months = sorted({f"{day:%Y-%m}" for day in recomputed.dates})
            kept = [file for file in old.files if file.part not in months]
        parts = {month: within(column, month) for month in months}
    written = [_export(published, engine, change, number, part, where) for part, where in parts.items()]
    files = [file for _, file in written if file.rows]
    for path, file in written:
        if not file.rows:
            published.store.discard([path])
    staged = {file.key: path for path, file in written if file.rows}
    return tuple(sorted([*kept, *files], key=lambda file: (file.part, file.key))), staged, buckets


def _months(engine: Engine, change: Change, column: str) -> list[str]:
    month = f"STRFTIME({identifier(column)}, '%Y-%m')"
    query = f"SELECT DISTINCT {month} AS part FROM {change.snapshot.table_name()} ORDER BY 1"
    _, rows = engine.select(exp.maybe_parse(query, dialect=DIALECT))
    return [part for (part,) in rows]


def _export(
    published: Releases, engine: Engine, change: Change, number: int, part: str, where: str
) -> tuple[Path, ReleaseFile]:
    key = file_key(change.name, number, part)
    path = published.store.stage(key)
    kinds = change.snapshot.model.columns_to_types_or_raise
    columns = identifiers(kinds)
    order = ", ".join(dict.fromkeys(_order(change)))
    query = f"SELECT {columns} FROM {change.snapshot.table_name()} WHERE {where}{' ORDER BY ' * bool(order)}{order}"
    rows = engine.export(exp.maybe_parse(query, dialect=DIALECT), kinds, path)
    return path, ReleaseFile(key, part, rows, path.stat().st_size)


def _order(change: Change) -> Iterable[str]:
    """Order by date and then grain, so that rows that a dashboard filters together are stored together."""
    model = change.snapshot.model
    if model.time_column:
        yield model.time_column.column.sql(DIALECT, identify=True)
    for grain in model.grains:
        for column in grain.find_all(exp.Column):
            yield column.sql(DIALECT, identify=True)
