"""Write a lake of a released version, for the tests of upgrades: `python -m tests.make_older_lake 0.1` (minutes).

The version's own source is taken from the history of this repository and runs in an environment from its own lock, at
a fixed time. It writes a landing, ingests and plans it, and makes two releases. The result, a file in tests/data, has
all that an operator of that version has on disk: landing, lake, state, warehouse and releases.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from ingest.settings import PROJECT

COMMITS = {"0.1": "f11ca6d", "0.2": "87e1b01"}
"""The last commit of each released version: the changelog of the next begins after it."""
FIRST, SECOND = "2026-11-22T06:00", "2026-11-23T06:00"
"""When the two releases are made, UTC."""
SAMPLE = "--events 240 --days 12 --accounts 8 --unknown-fields 0.02 --unknown-users 0.01 --malformed 0.004".split()
KEPT = PROJECT / "tests/data"
PLACE = "/var/tmp/lakemesh-versions"
"""Where the lakes are made: their catalogs name it."""
_STAMP = (2026, 11, 23, 6, 0, 0)


def make(version: str, folder: Path) -> Path:
    """Make the lake of a version and keep it.

    Args:
        folder: for source, environment and lake. Warehouse and catalogs name it, so a neutral place is best.

    Returns:
        The file.

    Raises:
        subprocess.CalledProcessError: a command of that version failed.
    """
    source, home = folder / "source", folder / "home"
    for old in (source, home):
        shutil.rmtree(old, ignore_errors=True)
    source.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", COMMITS[version]], cwd=PROJECT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "x", "-C", source], input=archive, check=True)
    python = _environment(source, folder / "venv")

    def run(moment: str, *command: str) -> None:
        print(f"{version} at {moment}: {' '.join(command)}", file=sys.stderr)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LAKE_", "PYTHONPATH"))}
        variables = kept | {"LAKE_HOME": str(home), "LAKE_START": "2026-01-01"}
        subprocess.run([python, "-m", "benchmarks.at", moment, *command], cwd=source, env=variables, check=True)

    run(FIRST, "lake", "sample", *SAMPLE, "--end", "2026-11-21", "--late", "0.02", "--duplicates", "0.02")
    run(FIRST, "lake", "ingest")
    run(FIRST, "sqlmesh", "plan", "--auto-apply", "--no-prompts", "--skip-tests")
    run(FIRST, "lake", "run")
    run(SECOND, "lake", "sample", *SAMPLE, "--end", "2026-11-22", "--days", "1", "--events", "30", "--seed", "2")
    run(SECOND, "lake", "run")
    return _keep(home, KEPT / f"upgrade_{version.replace('.', '_')}.zip")


def _environment(source: Path, folder: Path) -> Path:
    """A virtual environment with the version and what its lock names."""
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        pip = [python, "-m", "pip", "install", "-q"]
        subprocess.run([*pip, "--require-hashes", "-r", source / "requirements.lock"], check=True)
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", source], check=True)
    return python


def _keep(home: Path, path: Path) -> Path:
    """Pack a home without locks and logs, its members in order and of one date."""
    path.unlink(missing_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as kept:
        for file in sorted(home.rglob("*")):
            if file.is_file() and not file.name.endswith((".lock", ".wal")) and ".cache" not in file.parts:
                info = zipfile.ZipInfo(file.relative_to(home).as_posix(), _STAMP)
                info.compress_type = zipfile.ZIP_LZMA
                kept.writestr(info, file.read_bytes())
    return path


def main() -> None:
    """Make the lakes of the versions given, by default all."""
    parser = argparse.ArgumentParser(prog="python -m tests.make_older_lake", description=__doc__)
    parser.add_argument("versions", nargs="*", help=f"by default all: {', '.join(COMMITS)}")
    parser.add_argument("--folder", type=Path, default=Path(PLACE))
    options = parser.parse_args()
    for version in options.versions or COMMITS:
        made = make(version, options.folder / version)
        print(f"{made.relative_to(PROJECT)}: {made.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
