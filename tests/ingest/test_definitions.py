"""Files of definitions: a mistake is named with the file, its place and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError, model_validator

from ingest.definitions import faults, read_mapping
from ingest.errors import ConfigError


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a mapping with `columns`; it is empty"),
        (b"- 1\n", "expected a mapping with `columns`; it is a list"),
        (b"columns\n", "expected a mapping with `columns`; it is a single value"),
        (b"columns: [\n", "not valid YAML: "),
        (b"columns: \xff\n", "not valid YAML: 'utf-8' codec can't decode"),
        (b"columns: 1\ncolumns: 2\n", "not valid YAML: columns is given twice"),
    ],
)
def test_what_is_no_mapping_is_an_error_of_one_line_with_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "hr.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_mapping(path, "a mapping with `columns`")
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


def test_names_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "hr.yaml"
    path.write_text("2026: {a: 1}\n")
    assert read_mapping(path, "a mapping") == {"2026": {"a": 1}}


class Item(BaseModel):
    name: str


class Items(BaseModel):
    items: tuple[Item, ...] = ()

    @model_validator(mode="after")
    def _some(self) -> Items:
        if not self.items:
            raise ValueError("expected an item")
        return self


def test_every_fault_is_named_with_its_place() -> None:
    with pytest.raises(ValidationError) as error:
        Items.model_validate({"items": [{}, {"name": 1}]})
    assert faults(error.value) == "items.0.name: Field required; items.1.name: Input should be a valid string"
    with pytest.raises(ValidationError) as error:
        Items.model_validate({})
    assert faults(error.value) == "expected an item"
