"""From changed values of a column to the keys beside them: what `through` of a model declares."""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp
from sqlmesh.core.snapshot import Snapshot

from ingest.errors import ConfigError
from ingest.sql import identifier
from pipeline.warehouse.by_key.definition import ByKey, by_key


def leads_of(
    snapshot: Snapshot, parents: Iterable[tuple[Snapshot, exp.Table]], wanted: ByKey
) -> dict[str, list[exp.Table]]:
    """By each column of `through`, the sources that have it beside the key.

    Raises:
        ConfigError: none has, or no source without the key is computed by the column.
    """
    found: dict[str, list[exp.Table]] = {}
    for column in wanted.through:
        is_read = False
        found[column] = []
        for read, table in parents:
            columns, declared = read.model.columns_to_types_or_raise, by_key(read.model)
            if column in columns and wanted.key in columns:
                found[column].append(table)
            is_read |= wanted.key not in columns and declared is not None and column in declared.logged
        expected = ""
        if not found[column]:
            expected = f"a source with {wanted.key} and {column}, which says of whom the changed values are"
        elif not is_read:
            expected = f"a source without {wanted.key} that is computed by {column} or logs it"
        if expected:
            raise ConfigError(
                f"{snapshot.model.name}: expected {expected}, since it is computed by {wanted.key} through {column}; "
                f"add it to the query, or remove {column} from through in its materialization_properties"
            )
    return found


def led_by(changed: str, key: str, column: str, tables: Iterable[exp.Table]) -> str:
    """The query of the keys beside the changed values of a column.

    Which keys had such a value before does not matter: a key that lost it changed itself.
    """
    return " UNION ".join(
        f"SELECT led.{identifier(key)} AS key FROM {table.sql('duckdb')} AS led "
        f"WHERE led.{identifier(column)} IN (SELECT key FROM ({changed}))"
        for table in tables
    )
