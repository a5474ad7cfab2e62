"""Files below privacy/ are checked when they are read; an error names the file and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.contracts.classes import Class
from ingest.contracts.processing import LegalBasis
from ingest.errors import ConfigError
from pipeline.access.classes import Declaration
from pipeline.access.privacy import DEFAULT_GROUP_SIZE, Group, load_privacy, minimum_group_size

KEPT = {"names": ["gold.x.person_id"], "class": "direct", "reason": "Joined by it."}
WHY = {"purpose": "Pays them.", "legal_basis": "contract", "retention": "ten years"}
OWNED = {"names": ["seeds.people.person_id"], "class": "direct", "subject": "employee", **WHY}


def write(folder: Path, content: Any, name: str = "hr") -> Path:
    """The folder privacy with one more file."""
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    (folder / "privacy").mkdir(exist_ok=True)
    (folder / "privacy" / f"{name}.yaml").write_text(text)
    return folder / "privacy"


def test_entries_of_all_files_by_table_and_column(tmp_path: Path) -> None:
    write(tmp_path, {"columns": [OWNED], "groups": [{"tables": ["gold.y"], "size": "n"}]}, "a")
    found = load_privacy(write(tmp_path, {"columns": [{**KEPT, "becomes": "quasi", "reason": "Two\n lines."}]}))
    assert found.columns == {
        "seeds.people": {
            "person_id": Declaration(
                Class.DIRECT, None, "employee", "", "privacy/a.yaml", "Pays them.", LegalBasis.CONTRACT, "ten years"
            )
        },
        "gold.x": {"person_id": Declaration(Class.DIRECT, Class.QUASI, None, "Two lines.", "privacy/hr.yaml")},
    }
    assert found.groups == {"gold.y": Group("n", "", "privacy/a.yaml")}


def test_project_without_the_folder_declares_nothing(tmp_path: Path) -> None:
    found = load_privacy(tmp_path / "privacy")
    assert (found.columns, found.groups) == ({}, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("columns: [", "privacy/hr.yaml: not valid YAML"),
        ("- a", "privacy/hr.yaml: expected a mapping with `columns` and `groups`"),
        ({"colums": []}, "colums: Extra inputs are not permitted"),
        ({"columns": [{**KEPT, "names": ["x.person_id"]}]}, "'x.person_id' is not a column; expected layer.table"),
        ({"columns": [{**KEPT, "class": "none"}]}, "class none needs no entry"),
        ({"columns": [{**KEPT, "becomes": "direct"}]}, "`becomes` repeats the class"),
        ({"columns": [{**KEPT, "reason": " "}]}, "expected `subject` for a column of a seed, `reason` for one"),
        ({"columns": [{**OWNED, "becomes": "none"}]}, "a column of a seed has its class; expected no `becomes`"),
        ({"columns": [{**OWNED, "purpose": ""}]}, "expected `purpose`, `legal_basis` and `retention` for a column"),
        ({"columns": [{**KEPT, **WHY}]}, "for a column of a seed, and only for one"),
        ({"columns": [KEPT, KEPT]}, "gold.x.person_id is already declared in privacy/hr.yaml; remove one of them"),
        ({"groups": [{"tables": ["gold.x"]}]}, "gold.x: expected `size`, the column that counts what a row sums"),
        ({"groups": [{"tables": ["gold.x"] * 2, "size": "n"}]}, "gold.x is already declared in privacy/hr.yaml"),
    ],
)
def test_fault_is_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_privacy(write(tmp_path, content))
    assert message in str(error.value)


def test_column_is_declared_in_one_file(tmp_path: Path) -> None:
    write(tmp_path, {"columns": [KEPT]}, "a")
    with pytest.raises(ConfigError, match=r"hr.yaml: gold.x.person_id is already declared in privacy/a.yaml"):
        load_privacy(write(tmp_path, {"columns": [KEPT]}))


def test_least_group_is_five_unless_the_project_says_otherwise() -> None:
    assert minimum_group_size({}) == minimum_group_size({"minimum_group_size": None}) == DEFAULT_GROUP_SIZE == 5
    assert minimum_group_size({"minimum_group_size": "20"}) == 20


@pytest.mark.parametrize("value", ["many", -1, 2.5, True, ""])
def test_least_group_that_is_no_whole_number_is_an_error(value: object) -> None:
    with pytest.raises(ConfigError, match=r"config.yaml: variable minimum_group_size is .*; expected a whole number"):
        minimum_group_size({"minimum_group_size": value})
