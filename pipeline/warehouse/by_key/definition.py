"""What a model of the kind `by_key` declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlglot import exp
from sqlmesh.core.model import Model

from ingest.errors import ConfigError

NAME = "by_key"
_PROPERTIES = ("key", "logged", "through")


@dataclass(frozen=True, slots=True)
class ByKey:
    """The declaration of a model.

    Attributes:
        key: column that every row of the result and of the sources is computed by: the rows of one value follow from
            the sources' rows of that value, and from whole tables that lack the column.
        logged: the columns whose changed values are recorded, the key first; models downstream may have these as key.
        through: columns by which sources without the key are computed. What changed in these are the keys that another
            source, which has both columns, has beside the changed values.
    """

    key: str
    logged: tuple[str, ...]
    through: tuple[str, ...] = ()


def by_key(model: Model) -> ByKey | None:
    """The declaration of a model of this kind; None for any other kind.

    Raises:
        ConfigError: it names no key, or a column that the model lacks, or is not written in SQL.
    """
    if not model.kind.is_custom or model.kind.materialization.lower() != NAME:
        return None
    if not model.is_sql:
        raise ConfigError(
            f"{model.name}: kind by_key expects a SQL model, whose query can be limited to keys; use kind FULL"
        )
    properties = {name.lower(): value for name, value in model.kind.materialization_properties.items()}
    key, logged, through = (_columns(properties.get(name)) for name in _PROPERTIES)
    names = [*key, *logged]
    unknown = [name for name in names if name not in model.columns_to_types_or_raise]
    if len(key) != 1 or unknown or properties.keys() - set(_PROPERTIES):
        raise ConfigError(
            f"{model.name}: kind by_key expects materialization_properties (key = <column>), and optionally "
            "logged = (<columns>), of the model's columns, and through = (<columns>), of its sources; found "
            f"{', '.join(map(str, properties)) or 'nothing'}"
            + (f", and {', '.join(unknown)} is not a column" if unknown else "")
        )
    return ByKey(names[0], tuple(dict.fromkeys(names)), tuple(dict.fromkeys(through)))


def _columns(value: Any) -> list[str]:
    """The columns that a property names, in lower case."""
    if isinstance(value, exp.Expression):
        return [item.name.lower() for item in value.find_all(exp.Identifier)]
    return [str(value).lower()] if value else []
