"""What a release consists of: wheel, source archive, merged lock and SBOM, byte for byte the same from one commit.

    python -m pipeline.dev.release dist         build them
    python -m pipeline.dev.release dist --check     build them twice, compare, and install the wheel by itself

The SBOM lists what an image installs: the locks of the core, of charts and of Kafka. cyclonedx-py is in
requirements-release.lock.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

from ingest.errors import ConfigError, LakemeshError
from ingest.settings import PROJECT
from pipeline.dev.version import stated

LOCKS = ("requirements.lock", "requirements-portal.lock", "requirements-kafka.lock")
"""What deploy/Dockerfile installs."""
PACKAGES = ("ingest", "pipeline", "sample")
SBOM, LOCK = "lakemesh.cdx.json", "lakemesh.lock"
_BUILD = "import sys, setuptools.build_meta as b; to = sys.argv[1]; b.build_wheel(to); b.build_sdist(to)"


def build(folder: Path) -> list[Path]:
    """Build the files of a release from the tracked files, into an empty folder.

    Raises:
        ConfigError: this is no checkout, or a tool is missing or fails.
    """
    stamp = int(_run(["git", "log", "-1", "--format=%ct"], PROJECT))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="lakemesh-") as name:
        source = Path(name)
        for tracked in _run(["git", "ls-files"], PROJECT).splitlines():
            if tracked.startswith((*(f"{package}/" for package in PACKAGES), "pyproject.toml", "README.md", "LICENSE")):
                target = source / tracked
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(PROJECT / tracked, target)
                os.utime(target, (stamp, stamp))
        _run([sys.executable, "-c", _BUILD, str(folder.resolve())], source, SOURCE_DATE_EPOCH=str(stamp))
    (archive,) = folder.glob("*.tar.gz")
    archive.write_bytes(_without_surroundings(archive.read_bytes(), stamp))
    (folder / LOCK).write_text(merged_lock(PROJECT), encoding="utf-8")
    command = ["requirements", "--pyproject", str(PROJECT / "pyproject.toml"), "--output-reproducible", "--of", "JSON"]
    tool = shutil.which("cyclonedx-py") or str(Path(sys.executable).with_name("cyclonedx-py"))
    _run([tool, *command, "-o", SBOM, LOCK], folder, SOURCE_DATE_EPOCH=str(stamp))
    return sorted(folder.iterdir())


def merged_lock(project: Path) -> str:
    """Return the locks as one: each package once, since those of extras follow the first."""
    found: dict[str, str] = {}
    for name in LOCKS:
        for block in re.split(r"\n(?=[a-z0-9])", (project / name).read_text(encoding="utf-8").strip()):
            found.setdefault(re.split(r" \\\n", block, maxsplit=1)[0], block)
    return "\n".join(found[name] for name in sorted(found)) + "\n"


def check(folder: Path) -> list[str]:
    """Build twice and try the result; return what is wrong with it, one line each."""
    files = build(folder)
    with tempfile.TemporaryDirectory(prefix="lakemesh-") as name:
        again = {path.name: _digest(path) for path in build(Path(name) / "again")}
        found = [f"{path.name} differs between two builds" for path in files if again[path.name] != _digest(path)]
        (wheel,) = folder.glob("*.whl")
        found += _incomplete(wheel)
        found += _wrong_sbom(folder)
        expected = f"lake {stated(PROJECT)['pyproject.toml']}"
        shown = _installed(wheel, folder / LOCK, Path(name) / "environment")
    return found if shown == expected else [*found, f"the installed wheel says {shown!r}; expected {expected!r}"]


def _incomplete(wheel: Path) -> list[str]:
    """Tracked files of the packages that a wheel lacks."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tracked = _run(["git", "ls-files", *PACKAGES], PROJECT).splitlines()
    return [f"{wheel.name} lacks {name}" for name in tracked if name not in names]


def _wrong_sbom(folder: Path) -> list[str]:
    """What the SBOM has more or less than the lock; its form is checked by the tool that writes it."""
    listed = json.loads((folder / SBOM).read_text(encoding="utf-8"))["components"]
    locked = re.findall(r"^([a-z0-9._-]+)==([^ ;]+)", (folder / LOCK).read_text(encoding="utf-8"), re.MULTILINE)
    different = {(item["name"], item["version"]) for item in listed} ^ set(locked)
    return [f"{SBOM} and {LOCK} differ in {name} {version}" for name, version in sorted(different)]


def _installed(wheel: Path, lock: Path, folder: Path) -> str:
    """What `lake --version` of a wheel says in an environment of its own, with what the lock names."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    _run([*pip, "--require-hashes", "-r", str(lock.resolve())], folder)
    _run([*pip, "--no-deps", str(wheel.resolve())], folder)
    return _run([str(folder / "bin/lake"), "--version"], folder).strip()


def _without_surroundings(data: bytes, stamp: int) -> bytes:
    """A tar.gz with its members in order, of one time and of nobody."""
    target = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as old,
        gzip.GzipFile(fileobj=target, mode="wb", filename="", mtime=stamp) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for item in sorted(old.getmembers(), key=lambda member: member.name):
            item.mtime, item.uid, item.gid, item.uname, item.gname, item.pax_headers = stamp, 0, 0, "", "", {}
            item.mode = 0o755 if item.isdir() or item.mode & 0o100 else 0o644
            new.addfile(item, old.extractfile(item) if item.isfile() else None)
    return target.getvalue()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(command: list[str], folder: Path, **variables: str) -> str:
    """The output of a command in a folder, without this project's settings and paths.

    Raises:
        ConfigError: it is missing, or fails.
    """
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LAKE_PROJECT")}
    try:
        done = subprocess.run(command, cwd=folder, env=kept | variables, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ConfigError(f"{command[0]} is not installed; run `make setup-release`") from None
    if done.returncode:
        raise ConfigError(f"{' '.join(command[:4])} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def main() -> int:
    """Build, and check if wanted; 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.dev.release", description="Build a release.")
    parser.add_argument("folder", type=Path, help="for the files, which replace its content")
    parser.add_argument("--check", action="store_true", help="build twice, compare, and install the wheel")
    options = parser.parse_args()
    try:
        found = check(options.folder) if options.check else []
        files = sorted(options.folder.iterdir()) if options.check else build(options.folder)
    except LakemeshError as error:
        found, files = [str(error)], []
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    for path in files:
        print(f"{_digest(path)}  {path.name}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
