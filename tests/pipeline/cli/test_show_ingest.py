"""Contracts as people see them."""

from __future__ import annotations

from pathlib import Path

import yaml

from ingest.contracts.contract import CONTRACTS, load_contract
from pipeline.cli.show_ingest import show_contracts


def test_a_field_of_a_classed_struct_is_shown_with_the_class_that_it_has(tmp_path: Path) -> None:
    raw = yaml.safe_load((CONTRACTS / "engagement" / "activities.yaml").read_text(encoding="utf-8"))
    fields = [
        {"name": "town", "type": "string", "description": "Where."},
        {"name": "street", "type": "string", "description": "Which.", "class": "direct", "subject": "child"},
    ]
    author = {"name": "author", "type": "struct", "class": "quasi", "subject": "account", "description": "Who."}
    path = tmp_path / "engagement" / "activities.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump({**raw, "columns": [*raw["columns"], {**author, "fields": fields}]}))

    shown = {words[0]: words for words in map(str.split, show_contracts([load_contract(path)]).splitlines()) if words}

    assert shown["author.town"][1:] == ["string", "quasi:", "account", "Where."]
    assert shown["author.street"][1:] == ["string", "direct:", "child", "Which."]
    assert shown["author"][1:4] == ["struct", "direct:", "child"]
