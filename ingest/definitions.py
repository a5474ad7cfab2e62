"""Files in which the project defines things, such as metrics and reports: read strictly, with faults in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ingest.errors import ConfigError
from ingest.strict_yaml import load_yaml


def read_mapping(path: Path, expected: str) -> dict[str, Any]:
    """Read a YAML file whose document is a mapping.

    Args:
        expected: the mapping in words, as in "a mapping with `columns` and `groups`".

    Raises:
        ConfigError: it is not YAML, or another document; the message names the file and what was expected.
    """
    try:
        found = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        kind = "empty" if found is None else "a list" if isinstance(found, list) else "a single value"
        raise ConfigError(f"{path}: expected {expected}; it is {kind}")
    return {str(key): value for key, value in found.items()}


def faults(error: ValidationError, count_from: int = 0) -> str:
    """What pydantic found wrong, each fault with its place, as in `columns.0.class: Field required`.

    Args:
        count_from: the number of the first item of a list.
    """
    found = []
    for fault in error.errors():
        place = ".".join(str(part + count_from if isinstance(part, int) else part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        found.append(f"{place}: {message}" if place else message)
    return "; ".join(found)
