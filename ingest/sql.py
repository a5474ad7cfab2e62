"""Names and values as they stand in a SQL statement, for DuckDB, Spark's files and Postgres alike."""

from __future__ import annotations

from collections.abc import Iterable


def identifier(name: str) -> str:
    """Quote the name of a column or a table.

    >>> print(identifier("order"), identifier('a"b'))
    "order" "a""b"
    """
    return '"' + name.replace('"', '""') + '"'


def identifiers(names: Iterable[str]) -> str:
    """Quote names and join them by commas.

    >>> print(identifiers(["a", "b"]))
    "a", "b"
    """
    return ", ".join(map(identifier, names))


def dotted(path: str) -> str:
    """Quote each part of a dotted path: a table with its schema, or a member of a struct.

    >>> print(dotted("gold.users"))
    "gold"."users"
    """
    return ".".join(map(identifier, path.split(".")))


def literal(value: object) -> str:
    """Quote a text, or the text of a value.

    >>> print(literal("it's"))
    'it''s'
    """
    return "'" + str(value).replace("'", "''") + "'"


def files(uri: str, paths: Iterable[str]) -> str:
    """Quote the addresses of files below a URI and join them by commas, for a list of READ_PARQUET.

    >>> print(files("s3://lake", ["a", "b"]))
    's3://lake/a', 's3://lake/b'
    """
    return ", ".join(literal(f"{uri}/{path}") for path in paths)
