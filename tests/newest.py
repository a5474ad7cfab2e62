"""The project on the newest libraries: `python -m tests.newest` (`make newest`; minutes, needs the network).

An environment of its own gets the newest SQLMesh and the newest DuckDB and pyspark that this SQLMesh allows, which the
locks pin, and the newest of all others within the ranges of pyproject.toml. In it run the unit tests of all models, the
tests of connections and catalogs, and the demo up to a release. A second one gets the newest DuckDB that there is, and
reads that release and the catalogs that the tests write. Exit code 1 if anything fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ingest.settings import PROJECT

FREE = ("sqlmesh", "duckdb")
"""Pinned by pyproject.toml, and the newest here."""
READER = "duckdb-extension-httpfs"
"""DuckDB's S3 reader: one per version of DuckDB, published later. Without the one that fits, S3 is not tested here."""
SHOWN = ("sqlmesh", "sqlglot", "duckdb", READER, "pyspark", "pyarrow", "obstore", "pydantic")
TESTS = (
    *("tests/pipeline/test_config.py", "tests/pipeline/releases/test_catalog.py"),
    *("tests/pipeline/releases/test_rollups.py", "tests/pipeline/metrics/test_query.py"),
)
READ = """
import duckdb, sys
reader = duckdb.connect()
reader.execute(f"ATTACH '{sys.argv[1]}' AS lake (READ_ONLY)")
names = [f"{schema}.{name}" for schema, name in reader.execute(
    "SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = 'lake' AND NOT internal").fetchall()]
rows = sum(reader.execute(f"SELECT COUNT(*) FROM lake.{name}").fetchone()[0] for name in names)
assert names and rows, "the release is empty"
print(f"DuckDB {duckdb.__version__} read {len(names)} tables with {rows:,} rows")
"""


def requirements() -> list[str]:
    """The direct dependencies, with those of tests and charts; free ones without their version."""
    package = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = package["optional-dependencies"]
    found = [Requirement(item) for item in (*package["dependencies"], *extras["dev"], *extras["portal"])]
    for item in found:
        if item.name in FREE:
            item.specifier = SpecifierSet()
    return [str(item) for item in found if item.name != READER]


def pyspark(python: Path) -> str:
    """The requirement of pyspark by which the installed SQLMesh tests itself."""
    query = "from importlib.metadata import requires; print(*requires('sqlmesh'), sep='\\n')"
    listed = subprocess.run([python, "-c", query], capture_output=True, text=True, check=True).stdout.splitlines()
    found = [Requirement(line) for line in listed if Requirement(line).name == "pyspark"]
    return f"pyspark{found[0].specifier}" if found else "pyspark"


def environment(folder: Path, *wanted: str) -> Path:
    """An environment with the newest of what is wanted; the path of its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    install(folder / "bin/python", *wanted)
    return folder / "bin/python"


def install(python: Path, *wanted: str) -> None:
    """Install the newest of what is wanted into an environment, by uv where there is one."""
    uv = shutil.which("uv")
    pip = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    subprocess.run([*pip, "-q", "--upgrade", *wanted], cwd=PROJECT, check=True)


def show_versions(python: Path) -> None:
    """Print what an environment has of the libraries that matter."""
    query = "import sys; from importlib.metadata import version; print(*(f'{n} {version(n)}' for n in sys.argv[1:]))"
    subprocess.run([python, "-c", query, *SHOWN], check=True)


def main() -> int:
    """Make both environments and run everything; 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.newest", description="Run the project on newest libraries.")
    parser.add_argument("--keep", action="store_true", help="use the environments that an earlier run has made")
    options = parser.parse_args()
    folder, other = PROJECT / ".venv-newest", PROJECT / ".venv-duckdb"
    if options.keep:
        python, reader = folder / "bin/python", other / "bin/python"
    else:
        python, reader = environment(folder, *requirements()), environment(other, "duckdb")
        install(python, pyspark(python))
        install(python, "--no-deps", READER)
        install(python, "--no-deps", "--no-build-isolation", "-e", ".")
    show_versions(python)

    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="lakemesh-newest-") as home:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LAKE_")}
        variables = kept | {
            "LAKE_HOME": home,
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "NEWEST_DUCKDB": str(reader),
        }
        for title, command in {
            "unit tests of all models": ["sqlmesh", "test"],
            "connections and catalogs": ["pytest", "-q", "-s", *TESTS],
            "the demo": ["make", f"BIN={folder.name}/bin", "demo-steps"],
            "its release, read by the newest DuckDB": [
                str(reader),
                "-I",
                "-c",
                READ,
                f"{home}/published/current.duckdb",
            ],
        }.items():
            print(f"== {title}", flush=True)
            if subprocess.run(command, cwd=PROJECT, env=variables, check=False).returncode:
                failed.append(title)
    print("failed: " + ", ".join(failed) if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
