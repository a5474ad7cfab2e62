"""A wheel contains all packages and contracts, and works on the project that LAKE_PROJECT names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.settings import PROJECT
from tests.container import Image, needs_root, project, wheel
from tests.home import keep_domain, switch_rules_off


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of a wheel built from a copy of the sources."""
    return wheel(tmp_path_factory.mktemp("wheel"))


def lake(installed: Path, folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`lake` from the wheel, run in a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAKE_")}
    environment |= {"PYTHONPATH": str(installed), "LAKE_HOME": str(folder / "home")} | variables
    command = [sys.executable, "-m", "pipeline", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_every_package_is_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    for package in ("ingest", "pipeline", "sample"):
        missing = [
            path.relative_to(PROJECT)
            for path in (PROJECT / package).rglob("*.py")
            if not (installed / path.relative_to(PROJECT)).exists()
        ]
        assert missing == []
    assert "Usage:" in lake(installed, tmp_path, "--help").stdout


def test_contracts_come_from_the_wheel_unless_the_project_has_its_own(installed: Path, tmp_path: Path) -> None:
    shown = lake(installed, tmp_path, "contracts", "show", "events")
    assert "engagement/events" in shown.stdout, shown.stderr
    own = tmp_path / "ingest" / "contracts" / "engagement"
    own.mkdir(parents=True)
    text = (PROJECT / "ingest" / "contracts" / "engagement" / "users.yaml").read_text(encoding="utf-8")
    (own / "people.yaml").write_text(text.replace("users", "people"), encoding="utf-8")
    assert lake(installed, tmp_path, "contracts", "show", "people").returncode == 0
    assert "expected one of people" in lake(installed, tmp_path, "contracts", "show", "events").stderr


def test_project_is_the_one_that_lake_project_names(installed: Path, tmp_path: Path) -> None:
    alone = lake(installed, tmp_path, "run")
    assert alone.returncode == 2
    assert f"error: {tmp_path} has no config.yaml; expected a SQLMesh project: run this in its folder" in alone.stderr
    agrees = lake(installed, tmp_path, "contracts", LAKE_PROJECT=str(PROJECT))
    assert (agrees.returncode, agrees.stderr) == (0, "")


def test_a_cycle_runs_without_rights_where_only_the_home_can_be_written(installed: Path, tmp_path: Path) -> None:
    needs_root()
    # GIVEN the image's files, with the models of one domain, as its user sees them
    folder = project(tmp_path / "project")
    keep_domain(folder, "engagement")
    switch_rules_off(folder)
    image, data = Image(installed, folder), {"/data": tmp_path / "data"}
    kept = {path: path.stat().st_mtime_ns for path in [*installed.rglob("*"), *folder.rglob("*")]}
    rights = "grep -E '^(CapEff|NoNewPrivs)' /proc/self/status"
    probe = f"id -u; touch /lakemesh/x /site/x /usr/x /x 2>&1; touch /data/x $HOME/x; {rights}"
    shown = image.done(["sh", "-c", probe], writable=data)
    assert shown.split()[0] == "10001"
    assert shown.count("Read-only file system") == 4
    assert shown.split()[-4:] == ["CapEff:", "0000000000000000", "NoNewPrivs:", "1"]

    # WHEN it samples, ingests, plans and runs a cycle
    image.done(["lake", "sample", "--days", "2", "--accounts", "2"], writable=data)
    image.done(["lake", "ingest"], writable=data)
    plan = ["sqlmesh", "-p", "/lakemesh", "plan", "--auto-apply", "--no-prompts", "--skip-tests"]
    image.done(plan, writable=data)
    cycle = json.loads(image.done(["lake", "run", "--json"], writable=data).splitlines()[-1])

    # THEN there is a release, caches and logs lie in the home, and nothing else changed
    assert (cycle["outcome"], cycle["errors"]) == ("published", [])
    assert (tmp_path / "data" / "published" / "current.duckdb").exists()
    assert list((tmp_path / "data" / ".cache").iterdir())
    assert list((tmp_path / "data" / "logs").glob("sqlmesh_*.log"))
    assert {path: path.stat().st_mtime_ns for path in [*installed.rglob("*"), *folder.rglob("*")]} == kept
