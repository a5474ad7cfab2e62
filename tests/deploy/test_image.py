"""The Dockerfile's build steps, executed in order on this machine: the locks install, and what they make is `lake`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.settings import PROJECT
from tests.container import context, instructions, variables

PLACES = ("/venv", "/builder", "/build", "/lakemesh")


def stage(name: str) -> list[tuple[str, str]]:
    """The instructions of a stage of the Dockerfile."""
    found: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for instruction, rest in instructions():
        if instruction == "FROM":
            current = found.setdefault(rest.split(" AS ")[-1], [])
        else:
            current.append((instruction, rest))
    return found[name]


@pytest.mark.slow
def test_build_steps_make_an_environment_that_runs_lake(tmp_path: Path) -> None:
    # GIVEN what Docker would send, and places of this machine for those of the image
    source = tmp_path / "context"
    for name in context():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, source / name)

    def placed(text: str) -> str:
        return re.sub("|".join(PLACES), lambda found: f"{tmp_path}{found[0]}", text)

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    (extras,) = [rest.split("=", 1)[1].strip('"') for name, rest in stage("build") if name == "ARG"]
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path), "EXTRAS": extras}
    environment |= {
        name: value for name, value in os.environ.items() if name.lower().startswith(("pip_", "http", "ssl"))
    }

    # WHEN its steps are executed
    for name in ("build", "project"):
        folder = tmp_path
        for instruction, rest in stage(name):
            if instruction == "WORKDIR":
                folder = Path(placed(rest))
                folder.mkdir(parents=True)
            elif instruction == "COPY":
                *names, target = rest.split()
                for path in [
                    path for pattern in names for path in ([source] if pattern == "." else source.glob(pattern))
                ]:
                    place = folder if target in (".", "./") else folder / target
                    whole = path.is_dir()
                    shutil.copytree(path, place, dirs_exist_ok=True) if whole else shutil.copy(path, place)
            elif instruction == "RUN":
                done = subprocess.run(
                    ["sh", "-c", placed(rest)], cwd=folder, env=environment, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, done.stdout + done.stderr

    # THEN the environment has the product with its extras, nothing for development, and the project beside it
    def run(*command: str) -> str:
        own = variables() | {"LAKE_PROJECT": f"{tmp_path}/lakemesh", "LAKE_HOME": f"{tmp_path}/data", "HOME": "/tmp"}
        own["PATH"] = f"{tmp_path}/venv/bin:/usr/bin:/bin"
        done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "Usage: lake" in run("lake", "--help")
    for module in ("vl_convert", "confluent_kafka", "mcp", "prometheus_client", "psycopg2"):
        run("python", "-c", f"import {module}")
    installed = run("python", "-c", "from importlib.metadata import distributions as d; print(*(i.name for i in d()))")
    assert not {"pytest", "mypy", "moto", "playwright"} & set(installed.split())
    folders = {path.name for path in (tmp_path / "lakemesh").iterdir()}
    assert {"config.yaml", "models", "macros"} <= folders
    assert not {"ingest", "pipeline", "sample", "pyproject.toml", "tests"} & folders
    assert list((tmp_path / "lakemesh" / "macros" / "__pycache__").glob("*.pyc"))
    assert "no role is defined" in run("lake", "access")
    assert run("lake", "health") == ""
