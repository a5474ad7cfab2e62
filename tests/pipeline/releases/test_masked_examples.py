"""Rows that audits found are masked by the classes of every layer, not only by the names in contracts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlmesh import Context

from pipeline.releases.audits import masked_examples
from pipeline.warehouse.project import Project, RunConsole
from tests.classed import classed_project

ROW: dict[str, Any] = {"account_name": "Alice", "account_key": "k", "email": None, "is_current": True}


def test_columns_that_models_renamed_are_hidden(project: Context) -> None:
    (masked,) = masked_examples(Project(project, RunConsole()), (ROW,))
    assert masked == {"account_name": "***", "account_key": "***", "email": None, "is_current": True}


def test_everything_is_hidden_while_classes_cannot_be_read(tmp_path: Path) -> None:
    with classed_project(tmp_path, {}, "columns: [") as context:
        (masked,) = masked_examples(Project(context, RunConsole()), (ROW,))
    assert masked == {"account_name": "***", "account_key": "***", "email": None, "is_current": "***"}


def test_texts_in_columns_that_an_audit_names_itself_are_hidden(project: Context) -> None:
    row = {"label_of_an_audit": "Alice!", "rows_of_an_audit": 3, "plan_id": "gold", "description": "ada@example.com"}
    (masked,) = masked_examples(Project(project, RunConsole()), (row,))
    assert masked == row | {"label_of_an_audit": "***", "description": "***"}
