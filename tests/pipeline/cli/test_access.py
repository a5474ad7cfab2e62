"""`lake access`: who sees what, and rules that do not fit the models, without a lake and without keys."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest.settings import PROJECT
from pipeline.cli import main
from tests.home import copy_project

pytestmark = pytest.mark.usefixtures("clean_settings")


def access(*options: str) -> Result:
    return CliRunner().invoke(main, ["access", *options])


def test_example_of_the_docs_fits_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = re.search(r"```yaml\n(roles:.*?)```", (PROJECT / "docs" / "governance.md").read_text(), re.DOTALL)
    assert example is not None
    folder = copy_project(tmp_path / "project")
    monkeypatch.setattr("ingest.settings.PROJECT", folder)
    path = folder / "access" / "roles.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(example[1])
    result = access("--json")
    assert (result.exit_code, result.stderr) == (0, "")
    shown = {(row["table"], row["column"]): row["shown"] for row in json.loads(result.stdout)}
    assert shown["gold.dim_account", "country_code"] == "null"
    assert shown["gold.dim_customer", "customer_id"] == "hash"
    assert ("gold.fct_sessions", "visitor_key") not in shown

    path.write_text(example[1].replace("gold.dim_account.country_code", "gold.dim_account.county_code"))
    result = access("analyst")
    assert result.exit_code == 2
    assert "role analyst: gold.dim_account.county_code matches nothing that the role sees" in result.stderr


def test_without_roles_everybody_sees_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.settings.PROJECT", tmp_path)
    result = access()
    assert (result.exit_code, result.stdout.strip()) == (
        0,
        "no role is defined: whoever can read the releases reads everything",
    )
