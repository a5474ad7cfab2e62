"""How classes of columns follow lineage: pure functions over the uses of columns and what was declared about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from graphlib import TopologicalSorter

from ingest.contracts.classes import Class, strictest
from ingest.contracts.contract import Contract
from ingest.contracts.processing import LegalBasis
from ingest.contracts.schema import sql_columns

RESCUED = "_rescued_data"
ANYBODY = "anybody"
"""Subject of fields that no contract knows."""


class Reach(StrEnum):
    """How a column reaches the output of a query.

    `value`: the output is the column, or is calculated from it. `aggregate`: the output counts or sums it over rows,
    so that no single value is in it. `window`: it only groups, orders or numbers the rows that the output reads.
    """

    VALUE = "value"
    AGGREGATE = "aggregate"
    WINDOW = "window"

    def then(self, outer: Reach) -> Reach:
        """Return how a column reaches the output of an outer query, which in turn uses this output by `outer`."""
        return outer if self is Reach.VALUE else self


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """One column that an output column is computed from.

    Attributes:
        table: its table, as in `bronze.events`.
        column: its name; a field of a struct by its dotted path.
        per: of a sum or mean, the columns that it is grouped by, with their tables: if one of them identifies a
            person, the result is still about that person.
    """

    table: str
    column: str
    reach: Reach = Reach.VALUE
    per: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The column with its table."""
        return f"{self.table}.{self.column}"


Uses = Mapping[str, Mapping[str, tuple[Use, ...]]]
"""What each output column uses, by table and column. Tables that nothing computes have columns without uses."""


@dataclass(frozen=True, slots=True)
class Classed:
    """What is known of a column.

    Attributes:
        class_: its class.
        inherited: the class that lineage gives it; differs from `class_` where a declaration changed it.
        subjects: the kinds of persons that it is about; those of what it is made of even where its class is none.
        origins: the columns of contracts, seeds and other sources whose class it inherits, with their tables.
        reason: why it is carried, or has another class than lineage gives it; empty without a declaration.
    """

    class_: Class = Class.NONE
    inherited: Class = Class.NONE
    subjects: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    reason: str = ""


NOTHING = Classed()
Classification = Mapping[str, Mapping[str, Classed]]
"""What is known of each column, by table and column; `bronze` has fields of structs by their dotted path too."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a file below `privacy/` says of a column.

    Attributes:
        class_: the class that the column has by lineage; for a source, the class that it has.
        becomes: the class that it has instead; None to keep it.
        subject: of a source, whose value it is.
        reason: why.
        place: the file.
        purpose, legal_basis, retention: of a source: why it is processed, and how long it is kept.
    """

    class_: Class
    becomes: Class | None
    subject: str | None
    reason: str
    place: str
    purpose: str = ""
    legal_basis: LegalBasis | None = None
    retention: str = ""


def of_contracts(contracts: Iterable[Contract]) -> dict[str, dict[str, Classed]]:
    """Return the classes of bronze: those of the contracts, and of fields that no contract knows."""
    found: dict[str, dict[str, Classed]] = {}
    for contract in contracts:
        columns = found[contract.table] = {name: NOTHING for name, _, _ in sql_columns(contract)}
        for path, (class_, subject) in contract.classes().items():
            columns[path] = _source(f"{contract.table}.{path}", class_, subject)
        columns[RESCUED] = _source(f"{contract.table}.{RESCUED}", Class.SENSITIVE, ANYBODY)
    return found


def classify(
    sources: Classification, uses: Uses, declarations: Mapping[str, Mapping[str, Declaration]]
) -> dict[str, dict[str, Classed]]:
    """Return the class of every column.

    A column has the strictest class of those whose values reach it, or are summed per person, unless a declaration
    gives it another one.

    Args:
        sources: the columns that contracts class.
        uses: by table and column; tables may be in any order, and may read themselves, but not one another in circles.
        declarations: by table and column. Of a column that lineage gives another class than its declaration expects,
            the declaration does not count.
    """
    found: dict[str, dict[str, Classed]] = {table: dict(columns) for table, columns in sources.items()}

    def of(table: str, column: str) -> Classed:
        columns, path = found.get(table, {}), column
        while path and path not in columns:
            path = path.rpartition(".")[0]  # a field of a struct that has no class of its own
        return columns.get(path, NOTHING)

    def is_about(use: Use) -> bool:
        """Whether the output is still about the persons whose values a column has."""
        keys = (of(*_split(key)) for key in use.per)
        per_person = use.reach is Reach.AGGREGATE and any(key.class_.is_restricted for key in keys)
        return use.reach is Reach.VALUE or per_person

    for table in _ordered(uses):
        columns = found.setdefault(table, {})
        derived = {name: own for name, own in uses[table].items() if name not in columns}
        columns |= dict.fromkeys(derived, NOTHING)
        for _ in range(len(derived) + 1):  # once, and again while a table that reads itself changes
            before = dict(columns)
            for name, own in derived.items():
                carried = [of(use.table, use.column) for use in own if is_about(use)]
                declared = declarations.get(table, {}).get(name)
                if declared and declared.subject and not own:
                    columns[name] = _source(f"{table}.{name}", declared.class_, declared.subject)
                else:
                    columns[name] = _inherited(carried, declared)
            if columns == before:
                break
    return found


def _inherited(carried: list[Classed], declared: Declaration | None) -> Classed:
    inherited = strictest(item.class_ for item in carried)
    subjects = frozenset[str]().union(*(item.subjects for item in carried))
    origins = frozenset[str]().union(*(item.origins for item in carried if item.class_.is_personal))
    if declared is None or declared.class_ is not inherited:
        return Classed(inherited, inherited, subjects, origins)
    final = inherited if declared.becomes is None else declared.becomes
    return Classed(final, inherited, subjects, origins, declared.reason)


def _ordered(uses: Uses) -> list[str]:
    """The tables, each after those that it reads."""
    reads = {
        table: {read for own in columns.values() for use in own for read in (use.table, *_tables(use.per))} - {table}
        for table, columns in uses.items()
    }
    return [table for table in TopologicalSorter(reads).static_order() if table in uses]


def _tables(names: Iterable[str]) -> Iterable[str]:
    return (_split(name)[0] for name in names)


def _split(name: str) -> tuple[str, str]:
    """`silver.users.country_code` → (`silver.users`, `country_code`); a field of a struct keeps its dots."""
    schema, table, column = name.split(".", 2)
    return f"{schema}.{table}", column


def _source(name: str, class_: Class, subject: str | None) -> Classed:
    if not class_.is_personal:
        return NOTHING
    return Classed(class_, class_, frozenset((subject,) if subject else ()), frozenset((name,)))
