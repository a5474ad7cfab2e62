"""Who sees what: the roles in `access/roles.yaml` (docs/governance.md), and what they make of each table."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from ingest.contracts.classes import Class
from ingest.definitions import faults, read_mapping
from ingest.errors import ConfigError
from ingest.sql import identifier
from pipeline.access.classes import NOTHING, Classed
from pipeline.access.masks import Mask, Show, fingerprint

FILE = Path("access", "roles.yaml")
LEAST_KEY = 16
"""Least number of characters of a role's key."""
_DEFAULTS = {Class.NONE: "clear", Class.QUASI: "clear", Class.DIRECT: None, Class.SENSITIVE: None}
_ALLOWED = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Not, exp.And, exp.Or, exp.Neg),
    *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.In, exp.Between, exp.Is, exp.Like, exp.Cast, exp.DataType),
)
"""What the condition on rows may consist of: nothing in it reads another table or file."""

_UNKNOWN = Classed(Class.SENSITIVE, Class.SENSITIVE)
_Mask = Annotated[Mask, BeforeValidator(Mask.parse)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class _Columns(_Strict):
    names: tuple[str, ...] = Field(min_length=1)
    show: _Mask

    @model_validator(mode="after")
    def _named(self) -> Self:
        if wrong := [name for name in self.names if name.count(".") != 2]:
            raise ValueError(f"'{wrong[0]}' is not a column; expected layer.table.column, each may be *")
        return self


class _Rows(_Strict):
    tables: tuple[str, ...] = Field(min_length=1)
    where: str

    @model_validator(mode="after")
    def _plain(self) -> Self:
        try:
            condition = parse_one(self.where, dialect="duckdb")
        except SqlglotError:
            raise ValueError(f"'{self.where}' is not a condition; expected for instance country_code = 'DE'") from None
        if found := next((node for node in condition.walk() if not isinstance(node, _ALLOWED)), None):
            raise ValueError(
                f"'{self.where}' has {found.sql('duckdb')}; expected comparisons of the table's own columns with "
                "literals, joined by AND, OR and NOT"
            )
        return self


class Role(_Strict):
    """A role.

    Attributes:
        tables, except_: patterns of the tables that it sees, such as `gold.rpt_*`, and of those among them that it
            does not.
        classes: how columns of a class are shown; direct and sensitive ones not at all by default.
        columns: how single columns are shown, whatever their class.
        rows: conditions on the clear values of rows.
        minimum_group_size: groups of persons that are smaller are not shown.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")
    description: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    tables: tuple[str, ...] = Field(min_length=1)
    except_: tuple[str, ...] = Field(default=(), alias="except")
    classes: dict[Class, _Mask] = {}
    columns: tuple[_Columns, ...] = ()
    rows: tuple[_Rows, ...] = ()
    minimum_group_size: int = Field(default=5, ge=1)

    def sees(self, table: str) -> bool:
        """Whether the role has the table, given with its schema."""
        return _matches(table, self.tables) and not _matches(table, self.except_)

    def mask(self, table: str, column: str, class_: Class) -> Mask:
        """How a column is shown: the first entry that names it, else its class decides."""
        for entry in self.columns:
            if _matches(f"{table}.{column}", entry.names):
                return entry.show
        return self.classes.get(class_) or Mask.parse(_DEFAULTS[class_])

    def condition(self, table: str) -> str:
        """The condition on a table's rows; empty for all."""
        found = [f"({entry.where})" for entry in self.rows if _matches(table, entry.tables)]
        return " AND ".join(found)


class _File(_Strict):
    roles: tuple[Role, ...]


def load_roles(folder: Path) -> tuple[Role, ...]:
    """The roles of a project; none without the file.

    Raises:
        ConfigError: the file is invalid; the message names it and the fault.
    """
    path = folder / FILE
    if not path.is_file():
        return ()
    try:
        found = _File.model_validate(read_mapping(path, "a mapping with `roles`")).roles
    except ValidationError as error:
        raise ConfigError(f"{path}: {faults(error)}") from None
    names = [role.name for role in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"{path}: role {min(twice)} is defined twice; remove one of them")
    return found


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


def _columns_of(condition: str) -> set[str]:
    return {column.name for column in parse_one(condition, dialect="duckdb").find_all(exp.Column)}


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def store_of(published_uri: str, role: str) -> str:
    """Where a role's releases are, beside the releases of everything.

    >>> store_of("s3://lake/published", "analyst")
    's3://lake/published-analyst'
    """
    return f"{published_uri.rstrip('/')}-{role}"


def schema_of(serving_schema: str, role: str) -> str:
    """The schema of a role in Postgres."""
    return re.sub(r"\W", "_", f"{serving_schema}_{role}")


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
