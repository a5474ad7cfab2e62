"""Find the rows in which two releases differ, at the cost of the files that they do not share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingest.sql import dotted, identifier, identifiers, literal
from pipeline.process import duck
from pipeline.releases.catalog import create_views, parents
from pipeline.releases.release import Release, Releases, ReleaseTable
from pipeline.serving.types import NULL, as_text, is_text, nul_count
from pipeline.warehouse.duck import connect, parquet

BEFORE, AFTER = "before", "after"
_OLD, _NEW, _SLICES = "old_rows", "new_rows", "slices"


@dataclass(frozen=True, slots=True)
class Slices:
    """The slices of a table in which two releases differ; a slice is all rows with the same values of some columns.

    Attributes:
        columns: those columns: the time column, else the not-null columns of the grain.
        count: number of slices.
        old_rows: number of rows in them in the old release.
        new_rows: number of rows in them in the new release.
    """

    columns: tuple[str, ...]
    count: int
    old_rows: int
    new_rows: int


class Differences:
    """Compare two releases, or read one of them, and write rows as CSV files for COPY.

    Args:
        before: the old release; None if there is none.
        folder: for the files, which the caller deletes.
    """

    def __init__(self, published: Releases, before: Release | None, after: Release, folder: Path) -> None:
        self._published = published
        self._releases = {BEFORE: before, AFTER: after}
        self._folder = folder
        self._views: dict[str, set[str]] = {BEFORE: set(), AFTER: set()}
        self._files = 0
        self.nul_values: dict[str, int] = {}
        """Number of written values that contain the character NUL, by table and column."""
        self._reader = connect(published.options, published.options.published_uri)
        self._reader.execute(f"SET temp_directory = {literal(str(folder / 'spill'))}")

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()
        self._published.store.close()

    def is_changed(self, name: str) -> bool:
        """Whether a table's rows may differ between the releases."""
        before, after = self._releases[BEFORE], self._releases[AFTER]
        assert after is not None
        return before is None or name not in before.tables or _content(before, name) != _content(after, name)

    def slices(self, name: str) -> Slices | None:
        """Compare a table that is in both releases, whose changed rows `changed_rows` then writes.

        Returns:
            None if the whole table has to be replaced: files of the old release are gone, or no columns slice its rows.

        Raises:
            RetriableError: files of the new release cannot be read.
        """
        before, after = self._table(BEFORE, name), self._table(AFTER, name)
        columns = slice_columns(after)
        shared = {file.key for file in before.files} & {file.key for file in after.files}
        names = identifiers(column for column, _, _ in after.columns)
        try:
            self._fill(_OLD, f"SELECT {names} FROM {self._rows(BEFORE, name, shared)}")
        except duckdb.IOException:  # pruned or lost, so the old rows are unknown
            return None
        with self._readable(name):
            self._fill(_NEW, f"SELECT {names} FROM {self._rows(AFTER, name, shared)}")
        sided = f'SELECT {names}, 1 AS "~side" FROM {_NEW} UNION ALL SELECT {names}, -1 FROM {_OLD}'
        slice_names = identifiers(columns) or "TRUE AS slice"
        differing = f'SELECT {names} FROM ({sided}) AS sided GROUP BY {names} HAVING SUM("~side") <> 0'
        self._fill(_SLICES, f"SELECT DISTINCT {slice_names} FROM ({differing}) AS differing")
        count = self._count(f"FROM {_SLICES}")
        if not columns:
            return Slices((), 0, 0, 0) if not count else None
        return Slices(
            columns, count, self._count(self._within(_OLD, columns)), self._count(self._within(_NEW, columns))
        )

    def slice_file(self, name: str, found: Slices) -> Path:
        """Write the column values of the slices as CSV."""
        table = self._table(AFTER, name)
        return self._write(table, f"FROM {_SLICES}", [item for item in table.columns if item[0] in found.columns])

    def changed_rows(self, name: str, found: Slices) -> Path:
        """Write the rows of the given slices, as they are in the new release, to a CSV file."""
        table = self._table(AFTER, name)
        self._count_nul(table, self._within(_NEW, found.columns))
        return self._write(table, self._within(_NEW, found.columns))

    def all_rows(self, name: str) -> Iterator[Path]:
        """Write the new release's rows as CSV files, one after another.

        Raises:
            RetriableError: the rows cannot be read.
        """
        table = self._table(AFTER, name)
        uri = self._published.store.uri
        with self._readable(name):
            view = [self._rows(AFTER, name, set())] if table.query else []
        sources = view or [parquet(uri, [file.key]) for file in table.files]
        for source in sources:
            with self._readable(name):
                self._count_nul(table, f"FROM {source}")
                path = self._write(table, f"FROM {source}")
            yield path

    def _table(self, side: str, name: str) -> ReleaseTable:
        release = self._releases[side]
        assert release is not None
        return release.tables[name]

    def _rows(self, side: str, name: str, without: set[str]) -> str:
        """SQL after FROM for the rows of a table, except those of some of its files."""
        table = self._table(side, name)
        if table.query:
            self._create_views(side, name)
            return f"{side}.{dotted(name)}"
        keys = [file.key for file in table.files if file.key not in without]
        if keys:
            return parquet(self._published.store.uri, keys)
        columns = ", ".join(f"CAST(NULL AS {kind}) AS {identifier(column)}" for column, kind, _ in table.columns)
        return f"(SELECT {columns} WHERE FALSE) AS nothing"

    def _create_views(self, side: str, name: str) -> None:
        """Create a release's view and the views that it reads, but no others, since each opens its files."""
        release, created = self._releases[side], self._views[side]
        assert release is not None
        if not created:
            self._reader.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {side}")
            # a sum of floats depends on the order: with one thread, unchanged values are equal in both releases
            self._reader.execute("SET threads = 1")
        wanted = _closure(release, name) - created
        self._reader.execute(f"USE {side}")
        try:
            create_views(self._reader, self._published, [release.tables[item] for item in sorted(wanted)])
        finally:
            self._reader.execute("USE memory")
        created |= wanted

    def _fill(self, name: str, query: str) -> None:
        self._reader.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")

    def _write(self, table: ReleaseTable, source: str, columns: Iterable[tuple[str, str, str]] = ()) -> Path:
        self._files += 1
        path = self._folder / f"{self._files}.csv"
        chosen = list(columns) or list(table.columns)
        names = [identifier(name) for name, _, _ in chosen]
        texts = ", ".join(f"{as_text(name, kind)} AS {name}" for name, (_, kind, _) in zip(names, chosen, strict=True))
        self._reader.execute(
            f"COPY (SELECT {texts} {source}) TO {literal(str(path))} "
            f"(FORMAT csv, HEADER FALSE, NULLSTR '{NULL}', FORCE_QUOTE ({', '.join(names)}))"
        )
        return path

    def _count_nul(self, table: ReleaseTable, source: str) -> None:
        texts = [(name, kind) for name, kind, _ in table.columns if is_text(kind)]
        if not texts:
            return
        counts = ", ".join(nul_count(identifier(name), kind) for name, kind in texts)
        found = self._reader.execute(f"SELECT {counts} {source}").fetchone() or ()
        for (name, _), count in zip(texts, found, strict=True):
            if count:
                key = f"{table.name}.{name}"
                self.nul_values[key] = self.nul_values.get(key, 0) + count

    def _within(self, rows: str, columns: Iterable[str]) -> str:
        names = identifiers(columns)
        return f"FROM {rows} SEMI JOIN {_SLICES} USING ({names})"

    def _count(self, source: str) -> int:
        (count,) = self._reader.execute(f"SELECT COUNT(*) {source}").fetchone() or (0,)
        return int(count)

    def _readable(self, name: str) -> AbstractContextManager[None]:
        return duck.translate_errors(f"{self._published.store.uri}: {name} cannot be read")


def slice_columns(table: ReleaseTable) -> tuple[str, ...]:
    """The columns that define slices; never NULL."""
    if table.time_column:
        return (table.time_column,)
    return tuple(column for column in table.grain if column in table.not_null)


def _content(release: Release, name: str) -> object:
    """A value that is equal for two releases only if the table has the same rows in both."""
    table = release.tables[name]
    if not table.query:
        return tuple(sorted(file.key for file in table.files))
    return table.query, {parent: _content(release, parent) for parent in sorted(parents(table))}


def _closure(release: Release, name: str) -> set[str]:
    """A table and all tables that it reads, directly or indirectly."""
    return {name}.union(*(_closure(release, parent) for parent in parents(release.tables[name])))
