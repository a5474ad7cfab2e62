"""What the lake has about a person: which identifiers are the person's, and the records that have them.

    search = SubjectSearch(store, contracts, connection)
    subject = search.closure(named_identifiers(["user_id=u1"], contracts.values()))
    search.found(feed, subject)         number of rows and files, to preview
    search.records_of(feed, subject)    the rows
    search.rejected_of(feed, subject)   records of the quarantine, open and discarded

A search reads each feed at the ledger's position of its first look, of Parquet only columns of identifiers until a file
has a row of the person, and one batch of rows at a time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import pyarrow.parquet as pq

from ingest import sql
from ingest.contracts.classes import Class
from ingest.contracts.column import Column
from ingest.contracts.contract import Contract
from ingest.contracts.schema import LINEAGE, extra_columns
from ingest.errors import ConfigError
from ingest.ledger.files import LakeFile
from ingest.ledger.ledger import Ledger
from ingest.ledger.quarantine import DISCARDED, OPEN, discard_reason
from ingest.ledger.state import LedgerState
from ingest.storage.store import Store
from pipeline.access.classes import RESCUED
from pipeline.access.mentions import Mentions
from pipeline.access.subjects import Subject, canonical, condition, has, known_identifiers, leads, matches
from pipeline.checks.subject_records import Found, Record, Rejected, Source
from pipeline.process.duck import translate_errors
from pipeline.warehouse.bronze import FILE, bronze_query, readable

BATCH = 1_000
MOST_VALUES, MOST_OF_OTHERS = 100, 10
"""Values of one identifier that a person can have, and that each further person adds if several are searched together;
shared ones apart. More are of a placeholder such as `unknown`."""


class SubjectSearch:
    """Searches a lake for persons.

    Args:
        lake: bronze, quarantine and ledger.
        contracts: by feed.
        connection: that can read the lake.
    """

    def __init__(self, lake: Store, contracts: Mapping[str, Contract], connection: duckdb.DuckDBPyConnection) -> None:
        self._lake, self._connection = lake, connection
        self.contracts = contracts
        self._states: dict[str, LedgerState] = {}
        self._shapes: dict[str, Contract] = {}
        self.identifiers = known_identifiers(contracts.values())

    def closure(self, named: Mapping[str, frozenset[str]], persons: int = 1) -> Subject:
        """The person who has the named identifiers: with those that records give together with them.

        Records of feeds with `one_person` lead from one identifier to the others. A shared one is led to and leads
        nowhere: several persons may have it.

        Args:
            persons: how many have the named identifiers.

        Raises:
            ConfigError: an identifier leads to more values of another than a person can have, as `unknown` would.
            RetriableError: the lake cannot be read.
        """
        values, found_in = {name: set(own) for name, own in named.items()}, dict[tuple[str, str], str]()
        asked: dict[str, dict[str, set[str]]] = {}  # what has been looked for, by feed and path
        most = MOST_VALUES + MOST_OF_OTHERS * (persons - 1)
        is_growing = True
        while is_growing:
            is_growing = False
            for feed, contract in self.contracts.items():
                leading, together = leads(contract)
                new = {
                    path: values.get(str(column.identifies), set()) - asked.setdefault(feed, {}).setdefault(path, set())
                    for path, column in leading.items()
                }
                if len(together) < 2 or not any(new.values()):
                    continue
                for path, asked_now in new.items():
                    asked[feed][path] |= asked_now
                for name, value in self._together(feed, {path: own for path, own in new.items() if own}, together):
                    own = values.setdefault(name, set())
                    if value not in own:
                        own.add(value)
                        found_in[name, value] = feed
                        is_growing = True
                    if len(own) > most and not self.identifiers[name].is_shared:
                        whom = "one person" if persons == 1 else f"{persons:,} persons"
                        raise ConfigError(
                            f"records of {feed} lead from {whom} to more than {most:,} of {name}, so one of the "
                            f"identifiers is none, such as a placeholder; expected identifiers of {whom}"
                        )
        return Subject({name: frozenset(own) for name, own in values.items()}, found_in)

    def _together(
        self, feed: str, wanted: Mapping[str, set[str]], together: Mapping[str, Column]
    ) -> Iterator[tuple[str, str]]:
        """Names and values of the identifiers in records that have one of the wanted ones."""
        wheres = " OR ".join(has(path, together[path], own) for path, own in wanted.items())
        for path, column in together.items():
            query = f"SELECT DISTINCT {sql.dotted(path)} FROM ({self._bronze(feed)}) AS bronze WHERE {wheres}"
            for (value,) in self._rows(query):
                if value is not None and str(value).strip():
                    name = str(column.identifies)
                    yield name, canonical(self.identifiers[name], str(value))

    def found(self, feed: str, subject: Subject) -> Found:
        """Count a feed's rows that the person's identifiers are in."""
        where = condition(self._shape(feed), subject)
        files = self._files_with(feed, where) if where else {}
        return Found(sum(files.values()), tuple(sorted(files)))

    def tuples_of(self, feed: str, paths: tuple[str, ...], subject: Subject) -> set[tuple[str, ...]]:
        """The values of several columns together, as texts, in the person's rows of a feed."""
        where = condition(self._shape(feed), subject)
        files = list(self._files_with(feed, where)) if where else []
        if not files:
            return set()
        listed = ", ".join(f"{sql.dotted(path)}::TEXT" for path in paths)
        query = f"SELECT DISTINCT {listed} FROM ({self._bronze(feed, files)}) AS bronze WHERE {where}"
        return {row for row in self._rows(query) if None not in row}

    def records_of(self, feed: str, subject: Subject) -> Iterator[Record]:
        """Yield the person's rows of a feed, in the order of their sources.

        Besides rows that an identifier is in, those of feeds without any that refer to such a row, as items do to their
        order; and rows with an identifier in a rescued field.

        Raises:
            RetriableError: the lake cannot be read.
        """
        shape = self._shape(feed)
        where = condition(shape, subject)
        if where:
            yield from self._read(feed, where, matches(shape, subject), list(self._files_with(feed, where)))
        else:
            for place, related in self._related(feed, subject):
                yield from self._read(feed, related, {place: related}, list(self._files_with(feed, related)))
        yield from self._rescued_of(feed, subject, where)

    def _related(self, feed: str, subject: Subject) -> Iterator[tuple[str, str]]:
        """For each feed with rows of the person that this one refers to: its key, and the SQL that is true of rows that
        refer to one."""
        shape = self._shape(feed)
        for item in shape.references:
            other = self.contracts.get(item.feed)
            if other is None or shape.identifiers():
                continue
            where = condition(self._shape(item.feed), subject)
            if where:
                files = list(self._files_with(item.feed, where))
                keys = f"SELECT {sql.dotted(item.key)} FROM ({self._bronze(item.feed, files)}) AS related WHERE {where}"
                if files:
                    yield f"{item.feed}.{item.key}", f"{sql.dotted(item.column)} IN ({keys})"

    def _rescued_of(self, feed: str, subject: Subject, where: str) -> Iterator[Record]:
        """Yield rows that have the person in a rescued field alone."""
        mentions = Mentions(self.identifiers, subject)
        may = f"{RESCUED} IS NOT NULL AND (CONTAINS({RESCUED}, '\\') OR REGEXP_MATCHES({RESCUED}, $pattern))"
        only = f"({may}) AND NOT COALESCE({where}, FALSE)" if where else may
        parameters = {"pattern": mentions.pattern}
        files = list(self._files_with(feed, only, parameters))
        for record in self._read(feed, only, {RESCUED: "TRUE"}, files, parameters):
            shape = self._shape(feed)
            mention = mentions.of(shape, record.rescued or "")
            if mention:
                others = [path for path, column in shape.identifiers().items() if not column.shared]
                is_named = any(value_at(record.values, path) not in (None, "", []) for path in others)
                is_own = mentions.is_sure(mention) and not is_named
                yield Record(feed, record.source, record.values, record.rescued, record.by, not is_own)

    def direct_values(self, feed: str, subject: Subject) -> dict[str, set[str]]:
        """Directly identifying texts of the person's rows by path, without those that rows of others have too."""
        shape = self._shape(feed)
        where = condition(shape, subject)
        files = list(self._files_with(feed, where)) if where else []
        found: dict[str, set[str]] = {}
        for path, (kind, _) in shape.classes().items() if files else ():
            column = shape.leaf(path)
            around = [shape.leaf(path.rsplit(".", depth)[0]) for depth in range(path.count(".") + 1)]
            if (
                kind is not Class.DIRECT
                or column.type != "string"
                or column.identifies
                or any(c.repeated for c in around)
            ):
                continue
            name = sql.dotted(path)
            own = f"SELECT DISTINCT {name} FROM ({self._bronze(feed, files)}) AS own WHERE ({where}) AND {name} <> ''"
            others = f"SELECT {name} FROM ({self._bronze(feed)}) AS others WHERE NOT COALESCE({where}, FALSE)"
            found[path] = {text for (text,) in self._rows(f"({own}) EXCEPT ({others})")}
        return found

    def rejected_of(self, feed: str, subject: Subject) -> Iterator[Rejected]:
        """Yield the records of a feed's quarantine, open and discarded, that have the person.

        Raises:
            FileNotFoundError, pyarrow.ArrowException: a file is missing or damaged.
        """
        mentions, contract = Mentions(self.identifiers, subject), self.contracts[feed]
        for path, file in sorted(self._state(feed).files.items()):
            if not path.startswith((OPEN, DISCARDED)):
                continue
            why = discard_reason(file) if path.startswith(DISCARDED) else None
            with self._lake.open(path) as source:
                for batch in pq.ParquetFile(source).iter_batches(BATCH):
                    for row in batch.to_pylist():
                        mention = mentions.of(contract, row["raw"])
                        if mention:
                            by = tuple(sorted(mention.by_field or mention.by_value))
                            fault = (row["reason"], row["column"], row["detail"], row["raw"])
                            yield Rejected(feed, _source(row), *fault, why, by, mentions.is_sure(mention))

    def _read(
        self,
        feed: str,
        where: str,
        by: Mapping[str, str],
        files: list[str],
        parameters: Mapping[str, str] | None = None,
    ) -> Iterator[Record]:
        if not files:
            return
        shape = self._shape(feed)
        names = [column.name for column in shape.columns] + list(extra_columns(shape))
        listed = sql.identifiers([*names, *LINEAGE])
        flags = ", ".join(f"CASE WHEN {is_met} THEN {sql.literal(path)} END" for path, is_met in by.items())
        query = (
            f"SELECT {listed}, [{flags}] AS by_columns FROM ({self._bronze(feed, files)}) AS bronze WHERE {where} "
            "ORDER BY _source_file, _source_line, _source_modified_at"
        )
        for values in self._rows(query, parameters):
            row = dict(zip([*names, *LINEAGE, "by"], values, strict=True))
            own = tuple(path for path in row["by"] if path)
            yield Record(feed, _source(row), {name: row[name] for name in names}, row[RESCUED], own)

    def _files_with(self, feed: str, where: str, parameters: Mapping[str, str] | None = None) -> dict[str, int]:
        """The live files of a feed with rows that a condition is true of, and the number of such rows."""
        files = self._state(feed).bronze_files()
        if not files:
            return {}
        paths = {f"{self._lake.uri}/{file.path}": file.path for file in files}
        query = (
            f"SELECT {FILE}, COUNT(*) FROM ({self._bronze(feed, with_names=True)}) AS bronze WHERE {where} "
            f"GROUP BY {FILE}"
        )
        return {paths[name]: count for name, count in self._rows(query, parameters)}

    def _bronze(self, feed: str, paths: list[str] | None = None, with_names: bool = False) -> str:
        files: list[LakeFile] = self._state(feed).bronze_files()
        wanted = files if paths is None else [file for file in files if file.path in set(paths)]
        return bronze_query(self._shape(feed), self._lake.uri, wanted, with_names)

    def _rows(self, query: str, parameters: Mapping[str, str] | None = None) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query; queries may overlap."""
        with translate_errors(self._lake.uri), self._connection.cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'")
            cursor.execute(query, dict(parameters) if parameters else None)
            while rows := cursor.fetchmany(BATCH):
                yield from rows

    def _state(self, feed: str) -> LedgerState:
        if feed not in self._states:
            self._states[feed] = Ledger(self._lake, feed).live()
        return self._states[feed]

    def _shape(self, feed: str) -> Contract:
        """The contract that the feed's files can be read by."""
        if feed not in self._shapes:
            self._shapes[feed] = readable(self.contracts[feed], self._lake, self._state(feed))
        return self._shapes[feed]


def value_at(values: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path of a record; None where a struct around it is."""
    found: Any = values
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _source(row: Mapping[str, Any]) -> Source:
    times = [row[name].replace(tzinfo=dt.UTC) for name in ("_source_modified_at", "_ingested_at")]
    return Source(row["_source_file"], row["_source_line"], times[0], row["_load_id"], times[1])
