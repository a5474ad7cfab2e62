"""Who sees what: the roles in `access/roles.yaml` (docs/governance.md), and what they make of each table."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from ingest.contracts.classes import Class
from ingest.definitions import faults, read_mapping
from ingest.errors import ConfigError
from pipeline.access.masks import Mask

FILE = Path("access", "roles.yaml")
LEAST_KEY = 16
"""Least number of characters of a role's key."""
_DEFAULTS = {Class.NONE: "clear", Class.QUASI: "clear", Class.DIRECT: None, Class.SENSITIVE: None}
_ALLOWED = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Not, exp.And, exp.Or, exp.Neg),
    *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.In, exp.Between, exp.Is, exp.Like, exp.Cast, exp.DataType),
)
"""What the condition on rows may consist of: nothing in it reads another table or file."""

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
