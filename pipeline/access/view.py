"""What a role sees of a table: which rows, and each column as it is shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
from sqlglot import exp, parse_one

from ingest.contracts.classes import Class
from ingest.errors import ConfigError
from ingest.sql import identifier
from pipeline.access.classes import NOTHING, Classed
from pipeline.access.masks import Mask, Show
from pipeline.access.role_keys import fingerprint
from pipeline.access.roles import FILE, LEAST_KEY, Role

_UNKNOWN = Classed(Class.SENSITIVE, Class.SENSITIVE)


@dataclass(frozen=True, slots=True)
class View:
    """What a role sees of a table.

    Attributes:
        columns: name, type, mask and subject of each, in order.
        where: the condition on rows; empty for all.
        size: the column that counts what a row sums up, if groups in the table can be too small.
        persons: in a table whose rows are of persons, the quasi-identifying columns that are shown.
        identities: the columns that say of whom a row is; one person may have several rows.
        least: the least size of a group.
        key: fingerprint of the role's key if a column is hashed.
    """

    columns: tuple[tuple[str, str, Mask, str], ...]
    where: str
    size: str | None
    persons: tuple[str, ...]
    identities: tuple[str, ...]
    least: int
    key: str

    @property
    def digest(self) -> str:
        """Changes with whatever the role would see of the same rows."""
        columns = [(name, kind, str(mask), subject) for name, kind, mask, subject in self.columns]
        about = json.dumps([columns, self.where, self.size, self.persons, self.identities, self.least, self.key])
        return hashlib.sha256(about.encode()).hexdigest()[:12]

    @property
    def masked(self) -> frozenset[str]:
        """The columns that are not shown as they are."""
        return frozenset(name for name, _, mask, _ in self.columns if mask.show is not Show.CLEAR)

    @property
    def depends_on_all_rows(self) -> bool:
        """Whether what is shown of a row depends on other rows."""
        return bool(self.persons)

    def sql(self, source: str) -> str:
        """The query of what the role sees of rows; in the order of what it sees, which gives nothing away.

        Args:
            source: of the clear rows, as after FROM.
        """
        masked = {name: mask.sql(name, kind, subject) for name, kind, mask, subject in self.columns}
        listed = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in masked.items())
        conditions = [f"({self.where})"] if self.where else []
        if self.size:
            conditions.append(f"{identifier(self.size)} >= {self.least}")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        if not self.persons:
            return f"SELECT {listed} FROM {source}{where} ORDER BY ALL"
        clear = {f"identity {number}": name for number, name in enumerate(self.identities)}
        listed = ", ".join([listed, *(f"{identifier(name)} AS {identifier(alias)}" for alias, name in clear.items())])
        group = f"{self._persons_of_group(clear)} >= {self.least}"
        shown = ", ".join(
            f"CASE WHEN {group} THEN {identifier(name)} END AS {identifier(name)}"
            if name in self.persons
            else identifier(name)
            for name in masked
        )
        return f"SELECT {shown} FROM (SELECT {listed} FROM {source}{where}) AS shown ORDER BY ALL"

    def _persons_of_group(self, identities: Iterable[str]) -> str:
        """How many persons at most share the quasi-identifying columns of a row: by the column with the fewest values,
        in which a row without one counts as a person."""
        over = f"OVER (PARTITION BY {', '.join(map(identifier, self.persons))})"
        counts = [
            f"COUNT(DISTINCT {name}) {over} + COUNT(*) {over} - COUNT({name}) {over}"
            for name in map(identifier, identities)
        ]
        return f"LEAST({', '.join([f'COUNT(*) {over}', *counts])})"


def view_of(
    role: Role,
    table: str,
    columns: Sequence[tuple[str, str]],
    classes: Mapping[str, Classed],
    group: tuple[str | None, bool],
    key: str | None,
) -> View:
    """What a role sees of a table.

    Args:
        columns: name and type of each.
        classes: what is known of the columns; those that are not in it, which a release of before may have, count as
            sensitive.
        group: the column that counts what a row sums up, and whether the project says that no group can be too small.
        key: the role's key; None if it has none.

    Raises:
        ConfigError: a mask does not suit its column, a condition names a column that the table lacks, or there is no
            key.
    """
    found: list[tuple[str, str, Mask, str]] = []
    for name, kind in columns:
        known = classes.get(name, _UNKNOWN)
        mask, subject = role.mask(table, name, known.class_), ",".join(sorted(known.subjects)) or "value"
        try:
            mask.sql(name, kind, subject)
        except ValueError as error:
            raise ConfigError(f"{FILE}: role {role.name}, {table}: {error}") from None
        found.append((name, kind, mask, subject))
    names = {name for name, *_ in found}
    where = role.condition(table)
    if where and (missing := sorted(_columns_of(where) - names)):
        raise ConfigError(
            f"{FILE}: role {role.name}: the condition on rows of {table} names {missing[0]}; expected one of "
            f"{', '.join(sorted(names))}"
        )
    if where:
        _must_bind(where, role, table, columns)
    is_hashed = any(mask.show is Show.HASH for _, _, mask, _ in found)
    if is_hashed and len(key or "") < LEAST_KEY:
        raise ConfigError(
            f"role {role.name} shows hashes in {table}, so expected its key, at least {LEAST_KEY} characters, in "
            f'LAKE_ROLE_KEYS=\'{{"{role.name}": "…"}}\''
        )
    quasi = tuple(
        name
        for name, _, mask, _ in found
        if classes.get(name, NOTHING).class_ is Class.QUASI and mask.show is not Show.NULL
    )
    size, is_safe = group
    if not quasi or is_safe:
        size, persons = None, tuple[str, ...]()
    else:
        persons = () if size else quasi
    print_of_key = fingerprint(key) if is_hashed and key else ""
    identities = _identities([name for name, _ in columns], classes) if persons else ()
    return View(tuple(found), where, size, persons, identities, role.minimum_group_size, print_of_key)


def _identities(names: Iterable[str], classes: Mapping[str, Classed]) -> tuple[str, ...]:
    """The columns that say of whom a row is: direct ones, else the sensitive ones, as the key of a child is."""
    for class_ in (Class.DIRECT, Class.SENSITIVE):
        if found := tuple(name for name in names if classes.get(name, NOTHING).class_ is class_):
            return found
    return ()


def _must_bind(condition: str, role: Role, table: str, columns: Iterable[tuple[str, str]]) -> None:
    """Check that a condition can be evaluated on the table's columns.

    Raises:
        ConfigError: it cannot, or is no condition.
    """
    row = ", ".join(f"CAST(NULL AS {kind}) AS {identifier(name)}" for name, kind in columns)
    with duckdb.connect() as connection:
        try:
            query = f"SELECT typeof(met), met FROM (SELECT ({condition}) AS met FROM (SELECT {row}))"
            ((kind, _),) = connection.execute(query).fetchall()
        except duckdb.Error as error:
            raise ConfigError(
                f"{FILE}: role {role.name}: the condition on rows of {table} fails: {str(error).splitlines()[0]}"
            ) from None
    if kind != "BOOLEAN":
        raise ConfigError(
            f"{FILE}: role {role.name}: the condition on rows of {table} is a {kind}; expected a comparison"
        )


def _columns_of(condition: str) -> set[str]:
    return {column.name for column in parse_one(condition, dialect="duckdb").find_all(exp.Column)}


def as_rows(role: Role, views: Mapping[str, View]) -> list[dict[str, str]]:
    """What a role sees, a row per column, for people to review."""
    return [
        {
            "role": role.name,
            "table": table,
            "rows": view.where or "all",
            "groups": f"of {view.least} and more" if view.size or view.persons else "all",
            "column": name,
            "shown": str(mask),
        }
        for table, view in sorted(views.items())
        for name, _, mask, _ in view.columns
    ]
