"""A person by identifiers, and which records of bronze are the person's, as SQL: pure functions over contracts.

    named = named_identifiers(["user_id=u1", "customer_id=7"], contracts)   {"user_id": {"u1"}, "customer_id": {"7"}}
    condition(contract, subject)                                            what selects the person's rows

Values are texts, as people write them; integers without sign and zeros in front. Which identifiers are one person's
is found by pipeline/checks/subject.py, in the lake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ingest.contracts.column import Column
from ingest.contracts.contract import Contract
from ingest.errors import ConfigError
from ingest.sql import dotted, literal

_INTEGER = re.compile(r"-?\d+")
LEAST, MOST = -(1 << 63), (1 << 63) - 1
"""What an integer of bronze can be."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """An identifier of persons.

    Attributes:
        name: as in requests, such as `user_id`.
        type: of its columns, `string` or `integer`.
        is_shared: whether several persons may have the same value.
        feeds: with a column of it.
    """

    name: str
    type: str
    is_shared: bool
    feeds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """A person.

    Attributes:
        values: of each identifier, by its name.
        found_in: the feed that leads to a value, by name and value; values that were named are not in it.
    """

    values: Mapping[str, frozenset[str]]
    found_in: Mapping[tuple[str, str], str]

    def of(self, name: str | None) -> frozenset[str]:
        """The person's values of an identifier."""
        return self.values.get(name or "", frozenset())


def known_identifiers(contracts: Iterable[Contract]) -> dict[str, Identifier]:
    """The identifiers that contracts name; shared if any column says so, since others may have it then.

    Raises:
        ConfigError: two contracts give an identifier different types, so that no value could be compared.
    """
    found: dict[str, Identifier] = {}
    for contract in contracts:
        for path, column in contract.identifiers().items():
            name = str(column.identifies)
            before = found.get(name, Identifier(name, column.type, False, ()))
            if before.type != column.type:
                raise ConfigError(
                    f"{contract.name}: {path} identifies {name} as {column.type}, but {before.feeds[0]} as "
                    f"{before.type}; expected one type"
                )
            feeds = tuple(dict.fromkeys((*before.feeds, contract.feed)))
            found[name] = Identifier(name, column.type, before.is_shared or column.shared, feeds)
    return found


def named_identifiers(texts: Iterable[str], contracts: Iterable[Contract]) -> dict[str, frozenset[str]]:
    """Read identifiers such as `user_id=u1`.

    Raises:
        ConfigError: no contract has the identifier, or no value of it can be that; messages have no value.
    """
    known = known_identifiers(contracts)
    found: dict[str, frozenset[str]] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if name not in known:
            raise ConfigError(
                f"no contract has an identifier {name if separator else ''}".rstrip()
                + f"; expected IDENTIFIER=VALUE with one of {', '.join(sorted(known))}"
            )
        if not value.strip():
            raise ConfigError(f"{name} has no value; expected {name}=VALUE")
        found[name] = found.get(name, frozenset()) | {canonical(known[name], value)}
    if not found:
        raise ConfigError(f"no person is named; expected IDENTIFIER=VALUE with one of {', '.join(sorted(known))}")
    return found


def canonical(identifier: Identifier, value: str) -> str:
    """A value as bronze's text of it.

    Raises:
        ConfigError: the identifier is an integer, and the value is none.
    """
    if identifier.type != "integer":
        return value
    try:
        number = int(value)
    except ValueError:
        number = MOST + 1
    if not LEAST <= number <= MOST:
        raise ConfigError(f"{identifier.name} is an integer of 64 bits, and the given value is none; expected one")
    return str(number)


def condition(contract: Contract, subject: Subject) -> str:
    """SQL that is true of the person's rows of a feed; empty if its contract has no identifier of the person.

    A row is the person's if one of its identifiers is. A shared one counts only where no identifier of somebody else is
    in the row: the cookie of a device leads to what nobody was logged in for, not to what another customer did.
    """
    own: list[str] = []
    shared: list[str] = []
    for path, column in contract.identifiers().items():
        if subject.of(column.identifies):
            (shared if column.shared else own).append(has(path, column, subject.of(column.identifies)))
    if shared:
        others = [_of_another(path, contract.leaf(path), subject) for path in _personal(contract)]
        none = "".join(f" AND NOT COALESCE({other}, FALSE)" for other in others)
        own.append(f"(({' OR '.join(shared)}){none})")
    return " OR ".join(own)


def has(path: str, column: Column, values: Iterable[str]) -> str:
    """SQL that is true of rows with one of the values in a column; typed, so that files without it are not read."""
    possible = values if column.type != "integer" else [value for value in values if _INTEGER.fullmatch(value)]
    listed = ", ".join(sorted(map(_literal(column), possible)))
    if not listed:
        return "FALSE"
    if column.repeated:
        return f"LIST_HAS_ANY({dotted(path)}, [{listed}])"
    return f"{dotted(path)} IN ({listed})"


def matches(contract: Contract, subject: Subject) -> dict[str, str]:
    """By the path of each column that identifies the person, the SQL that is true of rows where it does."""
    return {
        path: has(path, column, subject.of(column.identifies))
        for path, column in contract.identifiers().items()
        if subject.of(column.identifies)
    }


def leads(contract: Contract) -> tuple[dict[str, Column], dict[str, Column]]:
    """The columns of a contract whose identifiers in one record are of one person: those that lead to the others, and
    all of them. A shared one leads nowhere."""
    found = {path: contract.leaf(path) for path in contract.one_person}
    return {path: column for path, column in found.items() if not column.shared}, found


def _personal(contract: Contract) -> list[str]:
    """The columns that say of whom a record is, where a shared identifier is in it too."""
    identifiers = contract.identifiers()
    candidates = contract.one_person or tuple(identifiers)
    return [path for path in candidates if not identifiers[path].shared]


def _of_another(path: str, column: Column, subject: Subject) -> str:
    """SQL that is true of rows that name somebody else in a column."""
    name, values = dotted(path), subject.of(column.identifies)
    if column.repeated:
        return f"LEN({name}) > 0 AND NOT {has(path, column, values)}" if values else f"LEN({name}) > 0"
    is_given = f"{name} <> ''" if column.type == "string" else f"{name} IS NOT NULL"
    return f"({is_given} AND NOT {has(path, column, values)})" if values else is_given


def _literal(column: Column) -> Callable[[str], str]:
    return str if column.type == "integer" else literal
