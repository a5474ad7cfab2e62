"""Package, changelog, chart and tag state one version; the workflow of a release has no more rights than it needs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.settings import PROJECT
from pipeline.dev.release import merged_lock
from pipeline.dev.version import CHANGELOG, CHART, notes, problems, stated

WORKFLOWS = PROJECT / ".github/workflows"
CHANGES = """# Changelog

## [Unreleased]

## [1.4.0] - 2026-12-01

- A change.

## [1.3.0] - 2026-11-01

- An older change.
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files of a project at version 1.4.0, with a chart."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "lakemesh"\nversion = "1.4.0"\n')
    (tmp_path / CHANGELOG).write_text(CHANGES)
    (tmp_path / CHART).parent.mkdir(parents=True)
    (tmp_path / CHART).write_text("version: 1.4.0\nappVersion: 1.4.0\n")
    return tmp_path


def workflow(name: str) -> dict[Any, Any]:
    return yaml.safe_load((WORKFLOWS / name).read_text(encoding="utf-8"))


def test_package_changelog_and_chart_agree() -> None:
    assert problems(PROJECT) == []


def test_version_is_that_of_the_installed_package() -> None:
    done = subprocess.run([sys.executable, "-m", "pipeline", "--version"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"lake {stated(PROJECT)['pyproject.toml']}\n", "")


def test_prepared_release_has_the_changes_of_its_version_as_notes(project: Path) -> None:
    assert problems(project, "v1.4.0") == []
    assert notes(project) == "- A change."


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("pyproject.toml", "1.4.0", "1.4.1", "CHANGELOG.md says 1.4.0, pyproject.toml 1.4.1"),
        (CHART, "appVersion: 1.4.0", "appVersion: 1.3.0", f"{CHART} appVersion says 1.3.0, pyproject.toml 1.4.0"),
        (CHART, "version: 1.4.0\n", "version: 0.1.0\n", f"{CHART} version says 0.1.0, pyproject.toml 1.4.0"),
        (CHANGELOG, "[1.4.0] - 2026-12-01", "[1.4.0]", "CHANGELOG.md: 1.4.0 has no date"),
        (CHANGELOG, "- A change.\n", "", "CHANGELOG.md: 1.4.0 has no changes"),
        (CHANGELOG, "[Unreleased]\n", "[Unreleased]\n\n- More.\n", "CHANGELOG.md has unreleased changes"),
        ("pyproject.toml", "1.4.0", "1.4", "1.4 is no semantic version"),
        ("pyproject.toml", "1.4.0", "1.4.0.dev1", "the tag v1.4.0 is not that of version 1.4.0.dev1"),
    ],
)
def test_what_does_not_agree_stops_a_release(project: Path, file: str, old: str, new: str, expected: str) -> None:
    path = project / file
    path.write_text(path.read_text().replace(old, new, 1))

    assert any(expected in line for line in problems(project, "v1.4.0")), problems(project, "v1.4.0")


def test_merged_lock_has_every_line_of_the_locks_once() -> None:
    merged = re.findall(r"^[a-z0-9._-]+==.*$", merged_lock(PROJECT), re.MULTILINE)
    core = re.findall(r"^[a-z0-9._-]+==.*$", (PROJECT / "requirements.lock").read_text(), re.MULTILINE)

    assert len(merged) == len(set(merged))
    assert set(core) <= set(merged)
    assert {line.split("==")[0] for line in merged} > {"sqlmesh", "vl-convert-python", "confluent-kafka"}


@pytest.mark.parametrize("name", sorted(path.name for path in WORKFLOWS.glob("*.yml")))
def test_workflows_read_the_repository_and_nothing_else_unless_a_job_says_so(name: str) -> None:
    found = workflow(name)
    assert found["permissions"] == {"contents": "read"}
    for job in found["jobs"].values():
        assert "uses" in job or job["timeout-minutes"] > 0
        for step in job.get("steps", ()):
            assert "uses" not in step or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step
            assert "${{" not in step.get("run", ""), "a name from outside would be run as a command"


def test_actions_are_commits_that_name_their_version_and_a_bot_keeps_them_current() -> None:
    named: dict[str, set[tuple[str, str]]] = {}
    for path in WORKFLOWS.glob("*.yml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "uses: " in line and "uses: ./" not in line:
                found = re.fullmatch(r".*uses: (\S+)@(\S+) # (v\d+\.\d+\.\d+)", line)
                assert found is not None, line
                named.setdefault(found[1], set()).add((found[2], found[3]))
    assert len(named) > 5
    assert all(len(versions) == 1 for versions in named.values()), named
    bot = yaml.safe_load((PROJECT / ".github/dependabot.yml").read_text(encoding="utf-8"))
    assert [item["package-ecosystem"] for item in bot["updates"]] == ["github-actions"]


def test_release_waits_for_the_gate_and_only_its_last_job_writes_to_the_repository() -> None:
    found = workflow("release.yml")
    assert found[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 reads `on` as true
    jobs = found["jobs"]
    assert jobs["gate"]["uses"] == "./.github/workflows/ci.yml"
    assert "workflow_call" in workflow("ci.yml")[True]
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "gate": None,
        "build": "gate",
        "images": "build",
        "publish": ["build", "images"],
    }
    assert [name for name, job in jobs.items() if job.get("permissions", {}).get("contents") == "write"] == ["publish"]
    commands = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    for target in (command.removeprefix("make ") for command in commands if command.startswith("make ")):
        assert f"\n{target}:" in makefile
    dockerfile = (PROJECT / "deploy/Dockerfile").read_text(encoding="utf-8")
    for item in jobs["images"]["strategy"]["matrix"]["include"]:
        assert f" AS {item['runtime']}\n" in dockerfile
        assert all((PROJECT / f"requirements-{extra}.lock").is_file() for extra in item["extras"].split())
