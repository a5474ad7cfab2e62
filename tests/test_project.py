"""What the repository itself must keep: no addresses, no leftovers, a lock that fits, documents that lead somewhere."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ingest.settings import PROJECT, Settings

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


def tracked() -> list[Path]:
    """The files of the repository; of the folder when it is no checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=PROJECT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip(f"not a git checkout: {listed.stderr.strip()}")
    return [PROJECT / name for name in listed.stdout.splitlines() if (PROJECT / name).is_file()]


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        yield path.relative_to(PROJECT), path.read_text(encoding="utf-8")


def test_no_file_names_a_package_index_or_a_place_on_a_machine() -> None:
    forbidden = re.compile(
        r"--index-url|--extra-index-url|--find-links|//[\w.-]*(?:pypi|pythonhosted)\.|/(?:Users|root|work)/\w"
    )
    own = Path("tests/test_project.py")
    assert [str(path) for path, text in texts() if path != own and forbidden.search(text)] == []


def test_no_leftovers() -> None:
    names = [path.name for path in tracked()]
    assert [name for name in names if name.endswith((".bak", ".orig", ".rej", ".tmp", ".duckdb", ".env"))] == []
    words = re.compile(r"\b(?:TODO|FIXME|XXX)\b")
    own = Path("tests/test_project.py")
    assert [str(path) for path, text in texts() if path != own and words.search(text)] == []


def test_every_module_says_what_it_is() -> None:
    modules = [path for path in tracked() if path.suffix == ".py" and path.stat().st_size]
    assert len(modules) > 40
    assert [str(path) for path in modules if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []


def test_lock_pins_every_direct_dependency_with_hashes() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[\[<>=!~ ]", item, maxsplit=1)[0].lower().replace("_", "-") for item in wanted}
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    assert names - pinned == set()
    for block in re.split(r"\n(?=[a-z0-9])", lock.strip()):
        assert "--hash=sha256:" in block, block.split("\n")[0]
    for item in wanted:
        if exact := re.fullmatch(r"([\w-]+)(?:\[\w+\])?==([\w.]+)", item):
            assert f"\n{exact[1]}=={exact[2]}" in f"\n{lock}", item


def test_relative_links_lead_somewhere() -> None:
    broken = []
    for path in tracked():
        if path.suffix == ".md":
            for target in LINK.findall(path.read_text(encoding="utf-8")):
                if "://" not in target and not (path.parent / target).exists():
                    broken.append(f"{path.relative_to(PROJECT)}: {target}")
    assert broken == []


def test_readme_tree_names_every_folder() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    folders = {path.relative_to(PROJECT).parts[0] for path in tracked() if len(path.relative_to(PROJECT).parts) > 1}
    assert [name for name in sorted(folders) if not name.startswith(".") and f"\n{name}/" not in readme] == []


def test_decisions_are_numbered_without_gaps_and_have_their_parts() -> None:
    files = sorted((PROJECT / "docs" / "decisions").glob("*.md"))
    assert [path.name[:4] for path in files] == [f"{number:04d}" for number in range(1, len(files) + 1)]
    for path in files:
        text = path.read_text(encoding="utf-8")
        parts = ("Status: ", "## Context", "## Decision", "## Consequences")
        assert [part for part in parts if part not in text] == [], path.name


def test_env_example_explains_every_setting() -> None:
    text = (PROJECT / ".env.example").read_text(encoding="utf-8")
    offered = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", text, re.MULTILINE))
    aliases = {"aws_endpoint_url": "AWS_ENDPOINT_URL", "aws_region": "AWS_REGION"}
    assert set(offered) == {aliases.get(name, name.upper()) for name in Settings.model_fields}
    assert offered["LAKE_HOME"] == "data"
    assert offered["LAKE_START"] == str(Settings.model_fields["lake_start"].default)
    assert offered["AWS_REGION"] == Settings.model_fields["aws_region"].default


def test_workflow_runs_the_gate() -> None:
    workflow = yaml.safe_load((PROJECT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    steps = [step.get("run") for job in workflow["jobs"].values() for step in job["steps"]]
    assert "bash .ci/run" in steps


def test_hooks_are_the_tools_of_the_environment() -> None:
    hooks = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    entries = [hook["entry"] for repo in hooks["repos"] for hook in repo["hooks"]]
    assert entries
    assert [entry for entry in entries if not entry.startswith(".venv/bin/")] == []
