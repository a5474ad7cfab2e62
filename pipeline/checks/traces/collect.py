"""What is looked for: the identifiers of a person with the columns that have them, and other personal values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ingest.contracts.contract import Contract
from pipeline.access.classes import Reach
from pipeline.checks.traces.value import SHORTEST, Value
from pipeline.warehouse.lineage import Lineage

_KEYS = ("_id", "_ids", "_key")
"""Endings of the names of keys. What else is computed from an identifier, as amounts and counts per person are, is not
one, and has short numbers of its own."""


def identifier_columns(contracts: Iterable[Contract], lineage: Lineage | None = None) -> dict[str, frozenset[str]]:
    """Names of the columns that have an identifier, by its name: those of contracts, and what lineage makes of them.

    Args:
        lineage: of the project. Without it, short identifiers are not looked for in columns that models rename.
    """
    found: dict[str, set[str]] = {}
    for contract in contracts:
        for path, column in contract.identifiers().items():
            names = found.setdefault(str(column.identifies), {str(column.identifies)})
            names.add(path.rpartition(".")[2])
            waiting = [f"{contract.table}.{path}"]
            seen = set(waiting)
            while lineage and waiting:
                for edge in lineage.readers(waiting.pop()):
                    if edge.reach is Reach.VALUE and edge.target not in seen:
                        seen.add(edge.target)
                        waiting.append(edge.target)
                        name = edge.target.rpartition(".")[2]
                        if name.endswith(_KEYS):
                            names.add(name)
    return {name: frozenset(names) for name, names in found.items()}


def values_of(
    identifiers: Mapping[str, Iterable[str]],
    texts: Mapping[str, str],
    columns: Mapping[str, frozenset[str]],
    group: str = "person",
) -> list[Value]:
    """The values of a person to look for.

    Args:
        identifiers: values by the name of the identifier.
        texts: other personal values by a label, the name of their column and a number as in `email 2`. What is
            shorter than a distinctive text is looked for in columns of that name.
        columns: of `identifier_columns`.
        group: distinguishes persons that are looked for together.
    """
    found = []
    for name, own in sorted(identifiers.items()):
        ordered = sorted(own)
        for number, text in enumerate(ordered, 1):
            label = name if len(ordered) == 1 else f"{name} {number}"
            found.append(Value(label, text, columns.get(name, frozenset({name})) | {name}, group=group))
    for label, text in texts.items():
        own_columns = frozenset({label.rpartition(" ")[0] or label}) if len(text.encode()) < SHORTEST else frozenset()
        found.append(Value(label, text, own_columns, ignores_case="@" in text))
    return found
