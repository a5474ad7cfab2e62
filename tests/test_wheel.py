"""A wheel contains all packages and contracts, and works on the project that LAKE_PROJECT names."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ingest.settings import PROJECT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of a wheel built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in tracked.splitlines():
        if name.startswith(("ingest/", "pipeline/", "sample/", "pyproject.toml", "README.md", "LICENSE")):
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((PROJECT / name).read_bytes())
    build = [sys.executable, "-c", "import sys, setuptools.build_meta as b; print(b.build_wheel(sys.argv[1]))", folder]
    subprocess.run(build, cwd=folder / "source", capture_output=True, check=True)
    (wheel,) = folder.glob("lakemesh-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


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
