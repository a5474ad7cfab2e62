"""A column of a contract: name, type, and whose values they are."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from ingest.contracts.classes import Class, subject_name
from ingest.contracts.source import Strict
from ingest.contracts.type_names import MAX_DIGITS, meant_by

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TYPE = re.compile(r"string|boolean|integer|double|date|timestamp|struct|decimal\((\d{1,2}), ?(\d{1,2})\)")


class Unit(StrEnum):
    """What an integer counts that stands for a time, from 1970 in UTC."""

    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    MICROSECONDS = "microseconds"
    NANOSECONDS = "nanoseconds"


DEFAULT_UNIT = Unit.MICROSECONDS
"""The connectors' precision for a timestamp without a zone."""


def lower_snake_case(value: str) -> str:
    """Return a name unchanged.

    Raises:
        ValueError: it is not lower_snake_case.
    """
    if not _NAME.fullmatch(value):
        raise ValueError(f"'{value}' is not a valid name; expected lower_snake_case")
    return value


def _type(value: str) -> str:
    found = _TYPE.fullmatch(value)
    if not found:
        raise ValueError(f"'{value}' is not a type; expected {meant_by(value)}")
    if found[1] and not (1 <= int(found[1]) <= MAX_DIGITS and int(found[2]) <= int(found[1])):
        raise ValueError(
            f"'{value}' is not a type; expected decimal(p, s) with p from 1 to {MAX_DIGITS}, and s up to p"
        )
    return value


class Column(Strict):
    """One field of a record. `repeated` makes it a list, `fields` are the fields of a struct.

    Attributes:
        class_: `class` in the contract; the fields of a struct have at least the class of the struct.
        subject: whose values they are, the kind of person: account, child, customer, …; of a classed column only.
        identifies: the identifier that the values are, named as in requests of persons: user_id, customer_id, …
        shared: whether several persons may have the same value of it, as of the cookie of a device.
        not_personal: why a column whose name looks like that of a personal one is none; reviewed as code.
        unit: of a timestamp of a change feed, what an integer counts when the envelope has no schema; by default
            DEFAULT_UNIT.
    """

    name: Annotated[str, AfterValidator(lower_snake_case)]
    type: Annotated[str, AfterValidator(_type)]
    description: str = Field(min_length=1)
    required: bool = False
    class_: Class = Field(default=Class.NONE, alias="class")
    subject: Annotated[str, AfterValidator(subject_name)] | None = None
    identifies: Annotated[str, AfterValidator(lower_snake_case)] | None = None
    shared: bool = False
    not_personal: str = ""
    repeated: bool = False
    unit: Unit | None = None
    fields: tuple[Column, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _no_pii(cls, data: Any) -> Any:
        if isinstance(data, dict) and "pii" in data:
            raise ValueError(
                f"column '{data.get('name')}': `pii` is no field; expected `class` (direct, quasi or sensitive) and "
                "`subject` (whose value it is), as in `class: direct, subject: account`; nothing for other columns"
            )
        return data

    @model_validator(mode="after")
    def _owned(self) -> Self:
        if self.is_personal != (self.subject is not None):
            raise ValueError(
                f"column '{self.name}': class {self.class_} has no subject; expected whose value it is, as in "
                "`subject: account`"
                if self.is_personal
                else f"column '{self.name}': a subject without a class; expected `class` direct, quasi or sensitive"
            )
        return self

    @model_validator(mode="after")
    def _judged(self) -> Self:
        if self.not_personal and self.is_personal:
            raise ValueError(
                f"column '{self.name}': class {self.class_} and not_personal contradict; expected one of them"
            )
        return self

    @model_validator(mode="after")
    def _identifying(self) -> Self:
        if self.identifies and not self.class_.is_restricted:
            raise ValueError(f"column '{self.name}': identifies a person; expected `class` direct or sensitive")
        if self.identifies and self.type not in ("string", "integer"):
            raise ValueError(f"column '{self.name}': an identifier of type {self.type}; expected string or integer")
        if self.shared and not self.identifies:
            raise ValueError(f"column '{self.name}': shared is of identifiers; expected `identifies` beside it")
        return self

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if self.unit and self.type != "timestamp":
            raise ValueError(f"column '{self.name}': unit is of timestamps; expected no unit for type {self.type}")
        return self

    @property
    def is_personal(self) -> bool:
        """Whether its values are about a person, so that commands mask them."""
        return self.class_.is_personal

    @model_validator(mode="after")
    def _members(self) -> Self:
        if (self.type == "struct") != bool(self.fields):
            raise ValueError(f"column '{self.name}': a struct, and only a struct, has fields")
        return self
