"""The data contract of a feed: the single source of truth for its schema and rules."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from ingest.contracts import bounds
from ingest.contracts.classes import Class, strictest
from ingest.contracts.column import Column, lower_snake_case
from ingest.contracts.constraint import Constraint
from ingest.contracts.keywords import KEYWORDS
from ingest.contracts.processing import OnErasure, Processing
from ingest.contracts.retirement import check_retirement
from ingest.contracts.source import DEBEZIUM, LONGEST_SECONDS, Completeness, Source, Strict
from ingest.definitions import faults, read_mapping
from ingest.errors import ConfigError
from ingest.settings import PROJECT

_OWN = PROJECT / "ingest" / "contracts"
CONTRACTS = _OWN if _OWN.is_dir() else Path(__file__).resolve().parent
MAX_LEVELS = 31
"""Greatest nesting of structs and lists; with the record itself half of a parser's limit (fields.MAX_NESTING)."""


def _feed(value: str) -> str:
    if value in KEYWORDS | {"values"}:
        raise ValueError(f"'{value}' is an SQL keyword and cannot name a table; expected another name")
    return lower_snake_case(value)


class Kind(StrEnum):
    """The kind of a feed.

    `event`: immutable facts, dated by their event time. `entity`: versions of a key, of which the latest counts.
    `change`: what a database did to the rows of a table, in the order of its log.
    """

    EVENT = "event"
    ENTITY = "entity"
    CHANGE = "change"


class Reference(Strict):
    """A column whose values are keys of another feed."""

    column: str
    feed: str
    key: str


class Contract(Strict):
    """The agreement between the producer of a feed and its readers.

    Attributes:
        version: increased with each change of columns or constraints.
        key: columns that identify a fact (within its event date) or an entity.
        event_time: timestamp column that dates an event.
        latest_by: columns whose greatest values win among the versions of one key, before modification time and name.
        created_at: timestamp column of a change feed; the first version of a key holds from its value.
        dates: timestamp columns of an entity or a change feed with the UTC dates on which a version states facts of its
            own, as `updated_at` does for the state of a subscription. A changed version affects those dates of what is
            computed from the feed. Facts of event feeds that refer to the entity are found by their references; an
            entity with neither affects every date.
        epoch: an event before this UTC date is impossible and is quarantined.
        clock_skew_seconds: how far an event time may lie after the object's modification time.
        freshness_seconds: maximum age of the newest loaded object; beyond it the feed is late.
        completeness: of an event feed, when a day is complete; without it a day is computed on schedule.
        overwritten: what happens when an object gets new content under its old name: `replace` shows the new rows
            instead of the old ones, `refuse` keeps the old ones and fails until an operator resolves it.
        unknown_fields: `rescue` keeps unknown fields in `_rescued_data`; `evolve` does too, and each ingest that meets
            such fields reports how to propose them for the contract; `freeze` quarantines the record.
        max_line_bytes: a longer line is rejected; quarantine keeps only its beginning.
        max_quarantined_share: share of one ingest's records that may be quarantined before the ingest counts as
            failed; the data is kept either way.
        personal: why the feed has personal data, how long, and what an erasure leaves of it; None erases all.
        one_person: columns whose identifiers in one record are of one person, so that one leads to the others. A shared
            one is led to, and leads nowhere.
        constraints: rules for values, and whether a record that violates one is quarantined or loaded with a warning.
    """

    feed: Annotated[str, AfterValidator(_feed)]
    domain: Annotated[str, AfterValidator(lower_snake_case)]
    version: int = Field(ge=1, lt=1 << 31)
    kind: Kind
    owner: str
    description: str = Field(min_length=1)
    source: Source
    key: tuple[str, ...] = Field(min_length=1)
    event_time: str | None = None
    latest_by: tuple[str, ...] = ()
    created_at: str | None = None
    dates: tuple[str, ...] = ()
    epoch: dt.date = dt.date(2000, 1, 1)
    clock_skew_seconds: int = Field(default=86_400, ge=0, le=LONGEST_SECONDS)
    freshness_seconds: int = Field(ge=1, le=LONGEST_SECONDS)
    completeness: Completeness | None = None
    unknown_fields: str = Field(default="rescue", pattern="^(rescue|evolve|freeze)$")
    bad_records: str = Field(default="quarantine", pattern="^quarantine$")
    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    max_line_bytes: int = Field(default=16 << 20, ge=1024)
    overwritten: str = Field(default="replace", pattern="^(replace|refuse)$")
    references: tuple[Reference, ...] = ()
    personal: Processing | None = None
    one_person: tuple[str, ...] = ()
    columns: tuple[Column, ...] = Field(min_length=1)
    constraints: tuple[Constraint, ...] = ()

    @property
    def name(self) -> str:
        """The name on the command line: `domain/feed`."""
        return f"{self.domain}/{self.feed}"

    @property
    def table(self) -> str:
        """The name of the feed's table in SQLMesh."""
        return f"bronze.{self.feed}"

    def leaf(self, path: str) -> Column:
        """Return the column at a dotted path.

        Raises:
            ValueError: no such column is declared.
        """
        for declared, column in self.walk():
            if declared == path:
                return column
        raise ValueError(f"column '{path}' is not declared")

    def walk(self) -> Iterator[tuple[str, Column]]:
        """Yield every column with its dotted path, parents first."""

        def below(columns: tuple[Column, ...], prefix: str) -> Iterator[tuple[str, Column]]:
            for column in columns:
                yield prefix + column.name, column
                yield from below(column.fields, f"{prefix}{column.name}.")

        return below(self.columns, "")

    @property
    def on_erasure(self) -> OnErasure:
        """What an erasure does with a person's records."""
        return self.personal.on_erasure if self.personal else OnErasure.DELETE

    def identifiers(self) -> dict[str, Column]:
        """Return the columns that identify persons, by dotted path."""
        return {path: column for path, column in self.walk() if column.identifies}

    def classes(self) -> dict[str, tuple[Class, str | None]]:
        """Return the class and the subject of every column by dotted path.

        A field of a struct has at least the class of the struct; a struct as a whole has the strictest class within it.
        """
        own: dict[str, tuple[Class, str | None]] = {}
        for path, column in self.walk():
            around = own.get(path.rpartition(".")[0], (Class.NONE, None))
            mine = (column.class_, column.subject)
            own[path] = mine if strictest((around[0], mine[0])) is mine[0] and mine[1] else around
        whole = dict(own)
        for path in reversed(own):
            parent = path.rpartition(".")[0]
            if parent and strictest((whole[parent][0], whole[path][0])) is not whole[parent][0]:
                whole[parent] = whole[path]
        return whole

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        counts = Counter(path for path, _ in self.walk())
        if duplicates := {path for path, count in counts.items() if count > 1}:
            raise ValueError(f"columns declared twice: {sorted(duplicates)}")
        reserved = {"ingest_date", "event_date"} if self.kind is Kind.EVENT else {"ingest_date"}
        if clashes := sorted(reserved & counts.keys()):
            raise ValueError(f"columns {clashes} have the names of bronze's partition columns; expected other names")
        lists: dict[str, int] = {}  # number of lists around a value, its own included
        for path, column in self.walk():
            lists[path] = lists.get(path.rpartition(".")[0], 0) + column.repeated
            if path.count(".") + 1 + lists[path] > MAX_LEVELS:
                raise ValueError(f"column '{path}' is nested deeper than {MAX_LEVELS} levels of structs and lists")
        for name, named in (
            ("key", self.key),
            ("event_time", (self.event_time,) if self.event_time else ()),
            ("latest_by", self.latest_by),
            ("created_at", (self.created_at,) if self.created_at else ()),
            ("dates", self.dates),
            ("references", tuple(reference.column for reference in self.references)),
            ("one_person", self.one_person),
        ):
            if nested := [path for path in named if self.leaf(path).type == "struct" or lists[path]]:
                raise ValueError(
                    f"{name}: '{nested[0]}' is a struct, a list or within a list; expected a column with one value per "
                    "record"
                )
        bounds.check(self.constraints, dict(self.walk()))
        if optional := [path for path in self.key if not self.leaf(path).required]:
            raise ValueError(f"key columns must be required: {optional}")
        if self.kind is Kind.ENTITY and self.event_time:
            raise ValueError("an entity feed has no event_time; use latest_by")
        if self.kind is Kind.ENTITY and self.completeness:
            raise ValueError("an entity feed has no days; completeness is for event feeds")
        self._check_persons(lists)
        self._check_changes()
        if wrong := [path for path in self.dates if self.leaf(path).type not in ("timestamp", "date")]:
            raise ValueError(f"dates must be timestamps or dates: {wrong}")
        if self.kind is Kind.EVENT:
            if self.dates:
                raise ValueError("an event feed is dated by its event_time; dates are for entities")
            if not self.event_time:
                raise ValueError("an event feed needs event_time")
            column = self.leaf(self.event_time)
            if column.type != "timestamp" or not column.required or "." in self.event_time:
                raise ValueError(f"event_time '{self.event_time}' must be a required top-level timestamp")
        return self

    def _check_persons(self, lists: dict[str, int]) -> None:
        """Check what the contract says of persons.

        Raises:
            ValueError: it contradicts itself, or an erasure could not do what it says.
        """
        identifiers, classes = self.identifiers(), self.classes()
        if unknown := [path for path in self.one_person if path not in identifiers]:
            raise ValueError(f"one_person: {unknown} identify nobody; expected columns with `identifies`")
        for path, column in identifiers.items():
            nested = lists[path] - column.repeated
            if nested or (column.repeated and "." in path):
                raise ValueError(f"column '{path}' identifies persons within a list of structs; expected one value")
        if not self.personal or self.on_erasure is not OnErasure.PSEUDONYMISE:
            return
        quasi = [path for path, (found, _) in classes.items() if found is Class.QUASI]
        if wrong := [path for path in self.personal.keep if path not in quasi]:
            raise ValueError(f"keep: {wrong} are not quasi-identifying columns; expected some of {quasi}")
        lost = [path for path in self.nulled() if self.leaf(path).required]
        if lost:
            raise ValueError(
                f"columns {lost} are required and personal: they cannot be pseudonymised; expected on_erasure: delete, "
                "or optional columns"
            )

    def nulled(self) -> list[str]:
        """Return the columns of which pseudonymised records keep no value, by dotted path."""
        kept = {*self.identifiers(), *(self.personal.keep if self.personal else ())}
        own = {path: column for path, column in self.walk() if column.is_personal and path not in kept}
        return [path for path in own if not any(path.startswith(f"{around}.") for around in own)]

    def _check_changes(self) -> None:
        """Check what a change feed must have, may have alone and must not have.

        Raises:
            ValueError: the contract contradicts itself.
        """
        is_change, is_envelope = self.kind is Kind.CHANGE, self.source.format == DEBEZIUM
        column = self.leaf(self.created_at) if self.created_at else None
        counted = [path for path, column in self.walk() if column.unit]
        for is_wrong, message in (
            (is_change and not is_envelope, f"a change feed is read from envelopes; expected source.format {DEBEZIUM}"),
            (
                is_envelope and not is_change,
                f"source.format {DEBEZIUM} has change events; expected kind: {Kind.CHANGE}",
            ),
            (is_change and self.event_time, "a change feed has no event_time: the source's log orders it"),
            (is_change and self.latest_by, "a change feed has no latest_by: the source's log orders it"),
            (is_change and self.completeness, "a change feed has no days; completeness is for event feeds"),
            (column and not is_change, f"created_at is of change feeds; expected none for kind: {self.kind}"),
            (
                column and (column.type != "timestamp" or "." in str(self.created_at)),
                f"created_at '{self.created_at}' must be a top-level timestamp",
            ),
            (
                counted and not is_change,
                f"unit is of change feeds; expected none for kind: {self.kind}, found it at {counted}",
            ),
        ):
            if is_wrong:
                raise ValueError(message)


def load_contract(path: Path) -> Contract:
    """Read one contract file.

    Raises:
        ConfigError: the contract is invalid; the message names the file and each fault.
    """
    raw = read_mapping(path, "a mapping of contract fields")
    try:
        return Contract.model_validate({"feed": path.name.split(".", 1)[0], "domain": path.parent.name} | raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {faults(error)}") from None


def load_contracts(folder: Path = CONTRACTS) -> dict[str, Contract]:
    """Read all contracts by feed, in name order, and check their references.

    Raises:
        ConfigError: a file is invalid, a feed is declared twice or a reference has no target.
    """
    contracts: dict[str, Contract] = {}
    for path in sorted(folder.glob("*/*.yaml")):
        contract = load_contract(path)
        if contract.feed in contracts:
            raise ConfigError(f"{path}: feed '{contract.feed}' is already declared by {contracts[contract.feed].name}")
        contracts[contract.feed] = contract
    for contract in contracts.values():
        for reference in contract.references:
            target = contracts.get(reference.feed)
            if target is None or target.key != (reference.key,):
                raise ConfigError(
                    f"{contract.name}: reference {reference.column} -> {reference.feed}.{reference.key} has no target; "
                    "expected a declared feed and the only column of its key"
                )
        check_retirement(contract.name, {other.name: other.source for other in contracts.values()})
    return contracts


@cache
def contracts() -> dict[str, Contract]:
    """Return the project's contracts by feed, read once."""
    return load_contracts()


def select(feeds: tuple[str, ...]) -> list[Contract]:
    """Return the contracts of the named feeds (`events` or `engagement/events`), or of all.

    Raises:
        ConfigError: a name is unknown.
    """
    known = contracts()
    if not feeds:
        return list(known.values())
    by_name = {contract.name: contract for contract in known.values()} | known
    if unknown := [feed for feed in feeds if feed not in by_name]:
        raise ConfigError(f"unknown feed {', '.join(unknown)}; expected one of {', '.join(sorted(known))}")
    return list({by_name[feed].feed: by_name[feed] for feed in feeds}.values())
