"""What the project declares about personal columns: the files below `privacy/` (docs/privacy.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ingest.contracts.classes import Class, subject_name
from ingest.contracts.processing import LegalBasis
from ingest.definitions import faults, read_mapping
from ingest.errors import ConfigError
from ingest.text import printable
from pipeline.access.classes import Declaration

FOLDER = "privacy"
MINIMUM_GROUP_SIZE = "minimum_group_size"
"""Variable of config.yaml: no page or report names a group of a quasi-identifying dimension that is smaller."""
DEFAULT_GROUP_SIZE = 5


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Columns(_Strict):
    names: tuple[str, ...] = Field(min_length=1)
    class_: Class = Field(alias="class")
    becomes: Class | None = None
    subject: Annotated[str, AfterValidator(subject_name)] | None = None
    purpose: str = ""
    legal_basis: LegalBasis | None = None
    retention: str = ""
    reason: str = ""

    @model_validator(mode="after")
    def _explained(self) -> Self:
        if wrong := [name for name in self.names if name.count(".") != 2]:
            raise ValueError(f"'{wrong[0]}' is not a column; expected layer.table.column")
        if not self.class_.is_personal and self.becomes is None:
            raise ValueError(f"{self.names[0]}: class none needs no entry; remove it")
        if self.class_ is self.becomes:
            raise ValueError(f"{self.names[0]}: `becomes` repeats the class; expected another class, or no `becomes`")
        if bool(self.reason.strip()) == bool(self.subject):
            raise ValueError(
                f"{self.names[0]}: expected `subject` for a column of a seed, `reason` for one with an inherited class"
            )
        if bool(self.subject) != bool(self.purpose.strip() and self.legal_basis and self.retention.strip()):
            raise ValueError(
                f"{self.names[0]}: expected `purpose`, `legal_basis` and `retention` for a column of a seed, and only "
                "for one"
            )
        if self.subject and self.becomes is not None:
            raise ValueError(f"{self.names[0]}: a column of a seed has its class; expected no `becomes`")
        return self


class _Groups(_Strict):
    tables: tuple[str, ...] = Field(min_length=1)
    size: str | None = None
    reason: str = ""

    @model_validator(mode="after")
    def _explained(self) -> Self:
        if bool(self.reason.strip()) == bool(self.size):
            raise ValueError(
                f"{self.tables[0]}: expected `size`, the column that counts what a row sums up, or `reason`, why no "
                "group is too small"
            )
        return self


class _File(_Strict):
    columns: tuple[_Columns, ...] = ()
    groups: tuple[_Groups, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """How small groups of a table with quasi-identifying columns are recognised.

    Attributes:
        size: the additive column that counts what a row sums up; None if no group can be too small.
        reason: why none can be, if so.
        place: the file.
    """

    size: str | None
    reason: str
    place: str


@dataclass(frozen=True, slots=True)
class Privacy:
    """What the project declares.

    Attributes:
        columns: declarations by table and column.
        groups: by table.
    """

    columns: Mapping[str, Mapping[str, Declaration]]
    groups: Mapping[str, Group]


def minimum_group_size(variables: Mapping[str, Any]) -> int:
    """The least size of a group that may be named: the project's variable, or its default.

    Args:
        variables: of config.yaml.

    Raises:
        ConfigError: the variable is no whole number.
    """
    found = variables.get(MINIMUM_GROUP_SIZE)
    if found is None:
        return DEFAULT_GROUP_SIZE
    if not str(found).isdecimal():
        raise ConfigError(
            f"config.yaml: variable {MINIMUM_GROUP_SIZE} is {printable(str(found))}; expected a whole number, such as "
            f"{DEFAULT_GROUP_SIZE}"
        )
    return int(str(found))


def load_privacy(folder: Path) -> Privacy:
    """Read all files `<folder>/*.yaml`; none of them if there is no such folder.

    Raises:
        ConfigError: a file is invalid, or a column or table is declared twice; the message names file and fault.
    """
    columns: dict[str, dict[str, Declaration]] = {}
    groups: dict[str, Group] = {}
    for path in sorted(folder.glob("*.yaml")):
        place, found = f"{folder.name}/{path.name}", _read(path)
        for entry in found.columns:
            for name in entry.names:
                table, _, column = name.rpartition(".")
                own = columns.setdefault(table, {})
                if column in own:
                    raise ConfigError(f"{place}: {name} is already declared in {own[column].place}; remove one of them")
                reason = " ".join(entry.reason.split())
                own[column] = Declaration(
                    entry.class_,
                    entry.becomes,
                    entry.subject,
                    reason,
                    place,
                    " ".join(entry.purpose.split()),
                    entry.legal_basis,
                    " ".join(entry.retention.split()),
                )
        for group in found.groups:
            for table in group.tables:
                if table in groups:
                    other = groups[table].place
                    raise ConfigError(f"{place}: {table} is already declared in {other}; remove one of them")
                groups[table] = Group(group.size, " ".join(group.reason.split()), place)
    return Privacy(columns, groups)


def _read(path: Path) -> _File:
    raw = read_mapping(path, "a mapping with `columns` and `groups`")
    try:
        return _File.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {faults(error)}") from None
