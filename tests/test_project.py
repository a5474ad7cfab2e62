"""Rules of the repository itself: no addresses, no leftovers, a matching lock, documents without dead links."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ingest.settings import PROJECT, Settings, read_settings
from pipeline.warehouse.spark.session import ARGUMENTS

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
QUOTED_PATH = re.compile(
    r"`((?:ingest|pipeline|models|macros|audits|linter|tests|docs|deploy|external_models)/[\w./-]*)`"
)
QUOTED_TABLE = re.compile(r"\b((?:silver|gold|seeds)\.[a-z_0-9]+)\b")
OWN = Path("tests/test_project.py")
AWS_NAMES = {"aws_endpoint_url": "AWS_ENDPOINT_URL", "aws_region": "AWS_REGION"}


def tracked() -> list[Path]:
    """The files of the repository, or of the folder when it is no checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=PROJECT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip(f"not a git checkout: {listed.stderr.strip()}")
    return [PROJECT / name for name in listed.stdout.splitlines() if (PROJECT / name).is_file()]


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as kept:
                texts = [kept.read(name).decode(errors="replace") for name in kept.namelist()]
            yield path.relative_to(PROJECT), "\n".join(texts)
            continue
        if path.suffix == ".png":  # bytes that spell a word by chance
            continue
        errors = "replace" if path.suffix == ".parquet" else "strict"
        yield path.relative_to(PROJECT), path.read_text(encoding="utf-8", errors=errors)


def test_no_file_names_a_package_index_or_a_local_path() -> None:
    forbidden = re.compile(
        r"--index-url|--extra-index-url|--find-links"
        r"|\b(?:pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|ghcr\.io|quay\.io|docker\.io)\b"
        r"|(?<![\w.:/])/(?:Users|root|work|home|tmp|mnt|opt)/\w"
    )
    found = {str(path): match[0] for path, text in texts() if path != OWN and (match := forbidden.search(text))}
    assert found == {}


def test_no_leftovers() -> None:
    names = [path.name for path in tracked()]
    assert [name for name in names if name.endswith((".bak", ".orig", ".rej", ".tmp", ".duckdb", ".env"))] == []
    words = re.compile(r"\b(?:TODO|FIXME|XXX)\b")
    binary = {".parquet", ".png", ".zip"}  # compressed bytes may spell anything
    found = [str(path) for path, text in texts() if words.search(text) and path.suffix not in binary]
    assert [path for path in found if path != str(OWN)] == []


def test_license_is_that_of_the_package_metadata() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    text = (PROJECT / "LICENSE").read_text(encoding="utf-8")
    assert text.split()[:4] == ["Apache", "License", "Version", "2.0,"]


def test_every_module_has_a_docstring() -> None:
    modules = [path for path in tracked() if path.suffix == ".py" and path.stat().st_size]
    assert len(modules) > 40
    packages = [path for path in modules if path.relative_to(PROJECT).parts[0] in ("ingest", "pipeline", "sample")]
    assert {path.parent / "__init__.py" for path in packages} <= set(modules)
    assert [str(path) for path in modules if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize(
    ("file", "extra"),
    [
        ("requirements.lock", "dev"),
        ("requirements-core.lock", ""),
        ("requirements-portal.lock", "portal"),
        ("requirements-postgres.lock", "postgres"),
        ("requirements-sources.lock", "sources"),
        ("requirements-kafka.lock", "kafka"),
        ("requirements-notebook.lock", "notebook"),
        ("requirements-serve.lock", "serve"),
        ("requirements-openlineage.lock", "openlineage"),
        ("requirements-release.lock", "release"),
    ],
)
def test_lock_pins_every_direct_dependency_within_its_range_with_hashes(file: str, extra: str) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = project["dependencies"] if extra in ("", "dev") else []  # that of an extra is installed on top
    wanted = [Requirement(item) for item in (*needed, *project["optional-dependencies"].get(extra, []))]
    lock = (PROJECT / file).read_text(encoding="utf-8")
    pinned: dict[str, list[str]] = {}
    for block in re.split(r"\n(?=[a-z0-9])", lock.strip()):
        assert "--hash=sha256:" in block, block.split("\n")[0]
        name, version = re.split(r"==|[ ;\\]", block, maxsplit=2)[:2]
        pinned.setdefault(name, []).append(version)
    outside = {
        str(item): versions
        for item in wanted
        if not (versions := pinned.get(canonicalize_name(item.name), []))
        or not all(item.specifier.contains(version) for version in versions)
    }
    assert outside == {}


def test_relative_links_resolve() -> None:
    broken = []
    for path in tracked():
        if path.suffix == ".md":
            for target in LINK.findall(path.read_text(encoding="utf-8")):
                if "://" not in target and not (path.parent / target).exists():
                    broken.append(f"{path.relative_to(PROJECT)}: {target}")
    assert broken == []


def test_documents_name_files_and_tables_that_exist() -> None:
    tables = {f"{path.relative_to(PROJECT).parts[1]}.{path.stem}" for path in (PROJECT / "models").rglob("*.sql")}
    documents = [PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md")]
    for document in documents:
        text = document.read_text(encoding="utf-8")
        assert [name for name in QUOTED_PATH.findall(text) if not (PROJECT / name).exists()] == [], document
        added = set(re.findall(r"^ *name ((?:silver|gold)\.\w+),", text, re.MULTILINE))  # models shown by a how-to
        assert set(QUOTED_TABLE.findall(text)) <= tables | added, document


def test_readme_tree_matches_the_repository() -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"^## Where things are\n+```text\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    folders = {path.relative_to(PROJECT).parts[0] for path in tracked() if len(path.relative_to(PROJECT).parts) > 1}
    named = re.findall(r"^(\S+)/\s", tree, re.MULTILINE)
    assert sorted(named) == sorted(name for name in folders if not name.startswith("."))


def test_the_index_has_every_page_and_decision() -> None:
    index = (PROJECT / "docs" / "README.md").read_text()
    pages = [*(PROJECT / "docs").glob("*.md"), *(PROJECT / "docs" / "how-to").glob("*.md")]
    named = {path.as_posix() for path in map(Path, LINK.findall(index))}
    assert {path.relative_to(PROJECT / "docs").as_posix() for path in pages} - named == {"README.md"}
    decisions = {path.name[:4]: path for path in (PROJECT / "docs" / "decisions").glob("*.md")}
    listed = re.findall(r"^- \[(\d+)\]\(decisions/(\d{4})-", index, re.MULTILINE)
    assert [f"{int(number):04d}" for number, _ in listed] == sorted(decisions)
    assert [name for _, name in listed] == sorted(decisions)


def test_decisions_are_numbered_without_gaps_and_have_all_sections() -> None:
    files = sorted((PROJECT / "docs" / "decisions").glob("*.md"))
    assert [path.name[:4] for path in files] == [f"{number:04d}" for number in range(1, len(files) + 1)]
    for path in files:
        text = path.read_text(encoding="utf-8")
        parts = ("Status: ", "## Context", "## Decision", "## Consequences")
        assert [part for part in parts if part not in text] == [], path.name


def offered() -> dict[str, str]:
    """The variables of .env.example with their values; each occurs once."""
    text = (PROJECT / ".env.example").read_text(encoding="utf-8")
    pairs = re.findall(r"^# ([A-Z][A-Z0-9_]*)=(.*)$", text, re.MULTILINE)
    assert len(dict(pairs)) == len(pairs)
    assert all(line.startswith("#") for line in text.splitlines() if line), "copied as it is, it changes nothing"
    return dict(pairs)


def test_env_example_explains_exactly_the_variables_that_are_read() -> None:
    settings = {AWS_NAMES.get(name, name.upper()) for name in Settings.model_fields}
    sqlmesh = set(re.findall(r"env_var\('(\w+)'", (PROJECT / "config.yaml").read_text(encoding="utf-8")))
    compose = set(re.findall(r"\$\{(\w+)", (PROJECT / "docker-compose.yml").read_text(encoding="utf-8")))
    assert set(offered()) == settings | sqlmesh | compose | {ARGUMENTS}


def test_env_example_shows_the_defaults_and_the_local_store(
    clean_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN the settings without any variable, and with all those of the example
    monkeypatch.delenv("LAKE_HOME")
    defaults = read_settings().model_dump()
    clean_settings.with_name("dotenv").write_text("".join(f"{name}={value}\n" for name, value in offered().items()))
    for name in offered():
        monkeypatch.setenv(name, "")  # put back after the test: .env lands in the process environment
    shown = read_settings().model_dump()

    # THEN they differ only in the access to S3, which is that of docker compose
    different = {name for name in defaults if shown[name] != defaults[name]}
    assert different == {"aws_endpoint_url", "aws_access_key_id", "aws_secret_access_key"}
    assert shown["aws_access_key_id"] == offered()["LOCAL_S3_ACCESS_KEY"]
    assert shown["aws_secret_access_key"] == offered()["LOCAL_S3_SECRET_KEY"]
    assert f"env_var('LAKE_GATEWAY', '{offered()['LAKE_GATEWAY']}')" in (PROJECT / "config.yaml").read_text()


def test_workflow_runs_the_gate_on_the_oldest_python_and_a_newer_one() -> None:
    workflow = yaml.safe_load((PROJECT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    assert set(workflow) == {"name", True, "permissions", "jobs"}  # YAML 1.1 reads `on` as true
    assert workflow["permissions"] == {"contents": "read"}
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] > 0
        steps = job["steps"]
        assert all(("uses" in step) != ("run" in step) for step in steps)
        assert [step["run"] for step in steps if "run" in step] == ["bash .ci/run"]
        pythons = job["strategy"]["matrix"]["python"]
        assert all(isinstance(version, str) for version in pythons), "3.10 without quotes is 3.1"
        assert f">={pythons[0]}" == project["requires-python"]
        assert len(pythons) > 1
    assert (PROJECT / ".ci" / "run").is_file()


def test_hooks_match_the_tools_of_the_environment_and_of_make_lint() -> None:
    hooks = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    entries = [hook["entry"] for repo in hooks["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}
    assert [entry for entry in entries if not entry.startswith(".venv/bin/")] == []
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    commands = [" ".join(re.findall(r"[a-z]+", line)[:2]) for line in recipe.replace(" >/dev/null", "").splitlines()]
    hooked = [" ".join(re.findall(r"[a-z]+", entry.removeprefix(".venv/bin/"))[:2]) for entry in entries]
    assert sorted(commands) == sorted(hooked)
