"""deploy/terraform as far as it can be read without Terraform; `make terraform` does the rest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Template
from typing import Any

import pytest

from ingest.settings import PROJECT, Settings

FOLDER = PROJECT / "deploy" / "terraform"
POLICIES = sorted((FOLDER / "policies").glob("*.json"))
ENVIRONMENTS = sorted((FOLDER / "environments").glob("*.tfvars"))
MODULES = sorted((FOLDER / "modules").iterdir())
CALL = re.compile(r'^module "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r'^variable "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)


def statements(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["Statement"]
    return found


def text(folder: Path) -> str:
    return "\n".join(file.read_text() for file in sorted(folder.glob("*.tf")))


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_policy_names_single_actions_and_its_own_resources(path: Path) -> None:
    for statement in statements(path):
        assert statement["Sid"]
        if statement["Effect"] == "Deny":
            continue
        assert not [action for action in statement["Action"] if "*" in action]
        anywhere = statement["Resource"] == ["*"]
        assert not anywhere or "Condition" in statement or statement["Action"] == ["ecr:GetAuthorizationToken"]


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_terraform_gives_a_policy_all_its_values(path: Path) -> None:
    wanted = set(Template(path.read_text()).get_identifiers())
    places = [text(folder) for folder in MODULES]
    if path.stem in ("ingester", "cycle", "maintenance", "serve"):
        block = re.search(r"^  buckets = \{\n(.*?)^  \}", text(FOLDER / "modules" / "roles"), re.MULTILINE | re.DOTALL)
        assert block is not None
        given = set(re.findall(r"^    (\w+) +=", block[1], re.MULTILINE))
        assert wanted <= given
        return
    calls = [
        found for place in places for found in re.findall(rf"/{path.stem}\.json\", \{{(.*?)\}}\)", place, re.DOTALL)
    ]
    assert calls
    for call in calls:
        assert set(re.findall(r"^\s*(\w+) +=", call, re.MULTILINE)) == wanted


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_module_gets_what_it_declares_and_gives_what_is_used(module: Path) -> None:
    root = text(FOLDER)
    (body,) = [body for name, body in CALL.findall(root) if name == module.name]
    given = set(re.findall(r"^  (\w+) +=", body, re.MULTILINE)) - {"source", "count"}
    assert given == {name for name, _ in VARIABLE.findall((module / "variables.tf").read_text())}
    outputs = set(re.findall(r'^output "(\w+)"', (module / "outputs.tf").read_text(), re.MULTILINE))
    assert set(re.findall(rf"module\.{module.name}(?:\[\*\])?\.(\w+)", root)) == outputs


@pytest.mark.parametrize("folder", [FOLDER, *MODULES], ids=lambda path: path.name)
def test_what_is_named_is_declared_and_what_is_declared_is_named(folder: Path) -> None:
    code = re.sub(r"^\s*#.*$", "", text(folder), flags=re.MULTILINE)
    variables = {name for name, _ in VARIABLE.findall(code)}
    assert set(re.findall(r"\bvar\.(\w+)", code)) == variables
    blocks = re.findall(r"^locals \{\n(.*?)^\}", code, re.MULTILINE | re.DOTALL)
    values = {name for block in blocks for name in re.findall(r"^  (\w+) +=", block, re.MULTILINE)}
    assert set(re.findall(r"\blocal\.(\w+)", code)) == values
    resources = set(re.findall(r'^resource "(\w+)" "(\w+)"', code, re.MULTILINE))
    assert set(re.findall(r"(?<![\w.\"])(aws_\w+)\.(\w+)", code)) <= resources


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_sets_what_has_no_default(path: Path) -> None:
    declared = dict(VARIABLE.findall((FOLDER / "variables.tf").read_text()))
    given = set(re.findall(r"^(\w+) +=", path.read_text(), re.MULTILINE))
    assert given <= set(declared)
    assert {name for name, body in declared.items() if "  default " not in body} <= given
    assert f'environment     = "{path.stem}"' in path.read_text()


def test_tasks_get_settings_that_exist_and_secrets_as_secrets() -> None:
    fields = {name.upper(): field for name, field in Settings.model_fields.items()}
    root = text(FOLDER)
    named = set(re.findall(r"^ +([A-Z][A-Z_]+) +=", root, re.MULTILINE))
    assert named - {"AWS_REGION", "PGSSLMODE"} <= set(fields)
    assert not [name for name in named & set(fields) if not fields[name].repr]
    secret = set(re.findall(r'"([A-Z][A-Z_]+)"', dict(VARIABLE.findall(root))["secret_settings"]))
    assert secret
    assert not [name for name in secret if fields[name].repr]


def test_the_documentation_names_every_policy_module_and_alarm() -> None:
    page = (PROJECT / "docs" / "aws.md").read_text()
    assert [path.stem for path in POLICIES if f"`{path.stem}`" not in page and path.stem != "bucket"] == []
    assert [name for name in ("noncurrent_days", "secret_settings", "landing_writers") if f"`{name}`" not in page] == []
