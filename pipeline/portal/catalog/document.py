"""`catalog.json`: read, and described as a JSON schema."""

from __future__ import annotations

from typing import Any

import msgspec

from ingest.errors import ConfigError
from pipeline.portal.catalog.entries import FORMAT_VERSION, Catalog, Entry


def from_json(data: bytes, name: str) -> Catalog:
    """Read `catalog.json`.

    Args:
        name: its address, for the error.

    Raises:
        ConfigError: it is damaged, or another version of Lakemesh wrote it.
    """
    try:
        found = msgspec.json.decode(data, type=Catalog)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{name} is no catalog: {error}; the next release writes a new one") from None
    if found.format != FORMAT_VERSION:
        raise ConfigError(f"{name} has format {found.format}; expected {FORMAT_VERSION}: another Lakemesh wrote it")
    return found


def schema() -> dict[str, Any]:
    """The JSON schema of `catalog.json`, with the descriptions of entries.py."""
    found: dict[str, Any] = msgspec.json.schema(Catalog)
    for name, kind in found["$defs"].items():
        struct = next(item for item in _structs() if item.__name__ == name)
        kind["description"], described = _documented(struct)
        kind["additionalProperties"] = False
        for field in msgspec.structs.fields(struct):
            kind["properties"][field.encode_name]["description"] = described[field.name]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Catalog of a release"} | found


def _structs() -> list[type[Entry]]:
    return list(Entry.__subclasses__())


def _documented(struct: type[Entry]) -> tuple[str, dict[str, str]]:
    """The first sentence of a docstring, and the descriptions of its attributes."""
    text, _, listed = (struct.__doc__ or "").partition("Attributes:")
    found: dict[str, str] = {}
    for line in listed.strip().splitlines():
        name, colon, meaning = line.strip().partition(": ")
        if colon and name.isidentifier():
            found[name] = meaning
        else:
            found[list(found)[-1]] += f" {line.strip()}"
    return " ".join(text.split()), found
