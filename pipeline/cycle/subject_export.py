"""Everything about one person, with where it comes from, as files: GDPR articles 15 and 20. `lake subject export`.

<folder>/feeds/<feed>.json, .csv             rows of bronze
         rejected/<feed>.json, .csv          records of the quarantine, open and discarded
         tables/<schema>.<table>.json, .csv  rows of the current release
         summary.json                        the person's identifiers; why each feed is processed and how long; counts
         for_review.json, .csv               places in other persons' records that mention the person, without content
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlmesh import Context
from sqlmesh.core.console import NoopConsole, set_console

from ingest.contracts.contract import Contract
from ingest.contracts.schema import extra_columns
from ingest.errors import LakemeshError
from ingest.ledger.identity import lake_id
from ingest.settings import PROJECT
from pipeline.access.masking import HIDDEN
from pipeline.access.subjects import Subject
from pipeline.checks.subject import SubjectSearch
from pipeline.checks.subject_records import Record, Rejected, Source
from pipeline.checks.subject_tables import TableSearch
from pipeline.cycle.subject_folder import SubjectFolder
from pipeline.lake import Lake
from pipeline.releases.release import Release
from pipeline.warehouse.classes import project_classes
from pipeline.warehouse.damage import lake_damage

EXPORTED = "subject_exported"
"""The entry of the audit log."""
_SOURCE = ("object", "line", "modified_at", "load", "ingested_at")
_REVIEW = ("where", "feed", *_SOURCE, "by")


@dataclass(frozen=True, slots=True)
class SubjectExport:
    """What was exported.

    Attributes:
        identifiers: number of the person's values, by identifier.
        feeds: number of rows of bronze, by feed; without feeds that have none.
        rejected: number of records of the quarantine, by feed.
        tables: number of rows of the release, by table.
        for_review: places that mention the person in records of others, or may do so.
        release: its number; None if nothing is published yet.
        related: columns of the release's tables that give further identifiers, which no contract says are the person's.
    """

    folder: str
    identifiers: Mapping[str, int]
    feeds: Mapping[str, int]
    rejected: Mapping[str, int]
    tables: Mapping[str, int]
    for_review: int
    release: int | None
    related: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found; there is no folder then."""
        return not (self.feeds or self.rejected or self.tables or self.for_review)


def export_subject(
    lake: Lake,
    contracts: Mapping[str, Contract],
    named: Mapping[str, frozenset[str]],
    folder: Path,
    because: str = "",
) -> SubjectExport:
    """Write everything about the person with the named identifiers to a new folder, and a note to the audit log.

    Changes nothing else, and may run beside writers. Nothing is left of an export that fails, or finds nothing.

    Args:
        contracts: by feed.
        named: see `pipeline.access.subjects.named_identifiers`.
        because: the reason for the audit log, such as the number of the request.

    Raises:
        ConfigError: the folder exists or cannot be written, or an identifier is not that of one person.
        DamagedLake: a file is missing or cannot be read.
        RetriableError: the lake or the release cannot be read.
    """
    target = SubjectFolder(folder)
    try:
        with target.made(), lake.connect() as connection:
            return _Export(lake, SubjectSearch(lake.store, contracts, connection), target).write(named, because)
    except (FileNotFoundError, pa.ArrowException) as error:
        raise lake_damage(lake.store, contracts.values()) or LakemeshError(
            f"{type(error).__name__}: a file of the lake cannot be read; nothing was exported, `lake verify --deep` "
            "names it"
        ) from error


@dataclass(slots=True)
class _Export:
    lake: Lake
    search: SubjectSearch
    folder: SubjectFolder
    review: list[dict[str, Any]] = field(default_factory=list)

    def write(self, named: Mapping[str, frozenset[str]], because: str) -> SubjectExport:
        now = dt.datetime.now(dt.UTC)
        subject = self.search.closure(named)
        feeds = {feed: self._rows(feed, subject) for feed in self.search.contracts}
        rejected = {feed: self._rejected(feed, subject) for feed in self.search.contracts}
        release = self.lake.releases.current()
        tables, related = self._tables(release, subject) if release else ({}, {})
        done = SubjectExport(
            str(self.folder.path),
            {name: len(values) for name, values in sorted(subject.values.items())},
            _counted(feeds),
            _counted(rejected),
            _counted(tables),
            len(self.review),
            release.number if release else None,
            tuple(f"{table}.{column}" for table, columns in related.items() for column in columns),
        )
        if done.is_empty:
            self.folder.remove()
            return done
        self.folder.write_records("for_review", _REVIEW, self.review)
        self.folder.write("summary", self._summary(subject, done, release, related, now))
        self.lake.audit_log.append(EXPORTED, _entry(done, because), now)
        return done

    def _rows(self, feed: str, subject: Subject) -> int:
        contract = self.search.contracts[feed]
        names = [column.name for column in contract.columns] + list(extra_columns(contract))

        def own() -> Iterator[dict[str, Any]]:
            for record in self.search.records_of(feed, subject):
                if record.is_of_another:
                    self._note("bronze", record)
                else:
                    shown = without_others(contract, record.values, subject)
                    yield _provenance(record) | shown | {"rescued": record.rescued}

        return self.folder.write_records(f"feeds/{feed}", ("feed", *_SOURCE, "by", *names, "rescued"), own())

    def _rejected(self, feed: str, subject: Subject) -> int:
        fields = ("reason", "column", "detail", "discarded", "record")

        def own() -> Iterator[dict[str, Any]]:
            for item in self.search.rejected_of(feed, subject):
                if item.is_sure:
                    fault = (item.reason, item.column, item.detail, item.discarded, item.raw)
                    yield _provenance(item) | dict(zip(fields, fault, strict=True))
                else:
                    self._note("quarantine" if item.discarded is None else "discarded", item)

        return self.folder.write_records(f"rejected/{feed}", ("feed", *_SOURCE, "by", *fields), own())

    def _tables(self, release: Release, subject: Subject) -> tuple[dict[str, int], dict[str, Any]]:
        set_console(NoopConsole())
        classes = project_classes(Context(paths=str(PROJECT)), self.search.contracts).columns
        with self.lake.releases.connect(release.number) as connection:
            found = TableSearch(release, connection, classes, self.search, subject)
            counts = {}
            for table in found.tables():
                names = [name for name, _, _ in release.tables[table].columns]
                rows = ({"by": row.by} | dict(row.values) for row in found.rows(table))
                counts[table] = self.folder.write_records(f"tables/{table}", ("by", *names), rows)
            return counts, found.related()

    def _note(self, where: str, item: Record | Rejected) -> None:
        self.review.append({"where": where} | _provenance(item))

    def _summary(
        self,
        subject: Subject,
        done: SubjectExport,
        release: Release | None,
        related: Mapping[str, Any],
        now: dt.datetime,
    ) -> dict[str, Any]:
        identifiers = [
            {"identifier": name, "value": value, "found_in": subject.found_in.get((name, value), "the request")}
            for name, values in sorted(subject.values.items())
            for value in sorted(values)
        ]
        feeds = [
            _described(self.search.contracts[feed]) | {"rows": done.feeds.get(feed, 0), "rejected": rejected}
            for feed in self.search.contracts
            if (rejected := done.rejected.get(feed, 0)) or feed in done.feeds
        ]
        tables = [
            {
                "table": name,
                "description": release.tables[name].description,
                "rows": rows,
                "columns": {column: text for column, _, text in release.tables[name].columns},
            }
            for name, rows in done.tables.items()
            if release
        ]
        return {
            "exported_at": now,
            "lake": lake_id(self.lake.store),
            "release": {"number": release.number, "published_at": release.published_at} if release else None,
            "identifiers": identifiers,
            "feeds": feeds,
            "tables": tables,
            "related": related,
            "for_review": done.for_review,
        }


def without_others(contract: Contract, values: Mapping[str, Any], subject: Subject) -> dict[str, Any]:
    """A record without identifiers of other persons of the kinds that the person has.

    The list of an account's children is the account's, but to one of these children the others are none of its data.
    """
    shown = dict(values)
    for path, column in contract.identifiers().items():
        own = subject.of(column.identifies)
        if own:
            _hide(shown, path.split("."), own)
    return shown


def _hide(values: dict[str, Any], path: list[str], own: frozenset[str]) -> None:
    name, *rest = path
    found = values.get(name)
    if rest and isinstance(found, dict):
        values[name] = dict(found)
        _hide(values[name], rest, own)
    elif isinstance(found, list):
        values[name] = [item if item is None or str(item) in own else HIDDEN for item in found]
    elif found not in (None, "") and str(found) not in own:
        values[name] = HIDDEN


def _provenance(item: Record | Rejected) -> dict[str, Any]:
    source: Source = item.source
    return {"feed": item.feed} | asdict(source) | {"by": item.by}


def _described(contract: Contract) -> dict[str, Any]:
    """What article 15(1) says of the processing to a person."""
    found: dict[str, Any] = {
        "feed": contract.feed,
        "description": contract.description,
        "source": contract.source.name,
    }
    personal = contract.personal
    found["processing"] = personal.model_dump(mode="json", exclude_defaults=True) if personal else None
    found["columns"] = {path: column.description for path, column in contract.walk()}
    return found


def _entry(done: SubjectExport, because: str) -> dict[str, Any]:
    """What the audit log says: of whom, by number of identifiers alone."""
    about: dict[str, Any] = {
        "identifiers": dict(done.identifiers),
        "rows": sum(done.feeds.values()),
        "rejected": sum(done.rejected.values()),
        "rows_of_tables": sum(done.tables.values()),
        "release": done.release,
    }
    return about | ({"because": because} if because else {})


def _counted(found: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in found.items() if count}
