"""The commands of the README and of the pages for daily work, run unchanged, print what is shown."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ingest.contracts.contract import contracts
from ingest.settings import PROJECT
from pipeline.cli import main
from pipeline.dev.local_s3 import project_buckets, serve
from pipeline.portal.assets import is_installed
from tests.home import Home

README, RUNNING, SETTINGS, S3 = (
    (PROJECT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/running.md", "docs/settings.md", "docs/s3.md")
)
NOT_RUN = {
    "make demo": "CI runs it twice; its steps are run below",
    "make test": "is this",
    "make demo-s3": "the demo again; CI's tests run the same server",
    "docker compose up -d s3 init": "no Docker where tests run; tests/deploy/test_services.py runs its services",
    "docker compose logs -f init": "likewise",
    "sqlmesh plan dev": "needs a changed model; tests/e2e/test_environments.py changes some",
    "lake stream --every 5s": "needs a broker and runs until it is stopped; tests/pipeline/cycle/test_stream.py",
    "lake live": "needs a broker and runs until it is stopped; tests/pipeline/live",
    "source .venv/bin/activate": "the tests run in an environment already",
}
"""Commands that are not run here, and the reason. Every other command is run."""
PAGES = "lake portal --path"
"""Needs the extra `portal`, which CI has."""


def fenced(page: str) -> list[tuple[str, str]]:
    """(language, text) of a page's code blocks."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[list[str]]:
    """The command lines of a page's shell blocks, without comments."""
    commands = (text for kind, text in fenced(page) if kind == "sh")
    return [[re.split(r"\s{2,}#", line)[0] for line in text.splitlines()] for text in commands]


def shell(command: str, **variables: str) -> str:
    """Run a command and return its output.

    Raises:
        AssertionError: it fails.
    """
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "200"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=PROJECT,
        env=environment | variables,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def demo_steps(end: str) -> str:
    """The commands of `make demo`, from the Makefile, with a fixed last day."""
    command = ["make", "--no-print-directory", "-n", "demo-steps"]  # quiet, also under `make test`
    steps = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert steps.count("lake sample ") == 1
    return "set -e\n" + steps.replace("lake sample ", f"lake sample --end {end} ")


@pytest.fixture
def store(clean_settings: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A real S3 server with the project's buckets; only the commands have its settings."""
    with serve(tmp_path / "s3", project_buckets()) as variables:
        yield variables


def test_every_command_is_run_or_named_with_a_reason() -> None:
    pages = README, S3
    assert {kind for page in pages for kind, _ in fenced(page)} == {"sh", "sql", "text"}
    written = [line for page in pages for block in blocks(page) for line in block]
    assert [command for command in NOT_RUN if command not in written] == []
    for text in (text for kind, text in fenced(README) if kind == "text"):
        assert re.search(r"^(?:lake|sqlmesh|make|docker) ", text, re.MULTILINE) is None


@pytest.mark.timeout(1800)  # the whole demo, and every command of a day
def test_commands_do_what_the_readme_says(clean_settings: Path) -> None:
    # GIVEN the demo, which prints what the README shows
    quickstart, daily = blocks(README)
    assert quickstart == ["make demo", "make test"]
    (end,) = re.findall(r"a sample that ends on (\S+);", README)
    (expected,) = (text for kind, text in fenced(README) if kind == "text" and "== gold" in text)
    printed = shell(demo_steps(end)).splitlines()
    assert [line for line in expected.splitlines() if line not in printed] == []
    assert not any("Warning:" in line for line in printed)

    # WHEN more data arrives and the daily commands run
    shell("lake sample --seed 2 --events 500 --days 2 --accounts 10")
    key = next((Path(clean_settings) / "landing" / "raw-events").rglob("*.json*"))
    key_name = str(key.relative_to(Path(clean_settings) / "landing" / "raw-events"))
    run = [command for command in daily if command not in NOT_RUN and (is_installed() or command != PAGES)]
    shown = {command: shell(command.replace("KEY", f"'{key_name}'")) for command in run}

    # THEN each does what its comment says
    assert len(daily) == 14
    assert "gold.activity_engagement_metrics" in shown["lake run"]
    assert "waiting" in shown["lake status"]
    assert "No changes to plan" in shown["sqlmesh plan"]
    assert "current.duckdb" in shown["lake publish --list"]
    assert "portal/index.html" in shown[PAGES] if is_installed() else PAGES in daily
    assert "rows" in shown["lake why raw-events/KEY"]
    assert "unparsable" in shown["lake quarantine list"]
    assert shown["lake verify"].count("agrees") == len(contracts())

    # AND the readers' query returns the release after the rollback: the first one
    (statements,) = (text for kind, text in fenced(README) if kind == "sql")
    attach, query = statements.replace("data/published", f"{clean_settings}/published").strip().splitlines()
    with duckdb.connect() as reader:
        reader.execute(attach)
        assert reader.execute(query).fetchall()
    assert json.loads((Path(clean_settings) / "published" / "current.json").read_text())["state"] == 1


@pytest.mark.s3
@pytest.mark.timeout(1800)
def test_same_commands_work_over_s3(store: dict[str, str], tmp_path: Path) -> None:
    # GIVEN the README's block, with this server in place of the docker compose store
    (block,) = (block for block in blocks(S3) if any("AWS_ENDPOINT_URL" in line for line in block))
    script = "\n".join(block)
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        script = re.sub(rf"{name}=\S+", f"{name}={store[name]}", script)
    script = re.sub(r"LAKE_HOME=\S+", f"LAKE_HOME={tmp_path / 'home'}", script)
    exports = "\n".join(line for line in script.splitlines() if line.startswith("export "))
    reach = {name: store[name] for name in ("NO_PROXY", "no_proxy")}
    shell(f"{exports}\nlake sample --events 500 --days 2 --accounts 5", **reach)

    # WHEN it runs
    assert script.count("--auto-apply") == 1
    script = script.replace("--auto-apply", "--auto-apply --skip-tests")  # the unit tests of the models run separately
    shell(f"set -e\n{script}", **reach)

    # THEN gold is there, and the lake in the store
    shown = shell(
        f"{exports}\nsqlmesh fetchdf 'SELECT COUNT(*) > 0 AS is_filled FROM gold.activity_engagement_metrics'"
    )
    assert "True" in shown
    assert list((tmp_path / "s3" / "lake" / "ledger" / "events").glob("*.parquet"))
    assert not (tmp_path / "home" / "lake").exists()


def test_lake_commands_are_those_of_the_command_line() -> None:
    named = set(re.findall(r"(?:`|^|&& )lake (?!<)([a-z]+)", README + RUNNING, re.MULTILINE))
    assert named - {"-v"} == set(main.commands), "README and docs/running.md name every command, and no other"


def test_make_targets_are_those_of_the_makefile() -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", README + RUNNING + S3))
    listed = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert named - set(re.findall(r"make ([a-z0-9-]+)", listed)) == set()


def test_lakes_of_the_readme_and_of_the_demo_share_no_home(clean_settings: Path) -> None:
    """Warehouse and state belong to one lake: the S3 demo lives in LAKE_HOME/s3."""
    homes = re.findall(r"^export .*LAKE_HOME=(\S+)$", S3, re.MULTILINE)
    assert homes
    assert not {"data", "data/s3"} & set(homes)


def test_settings_are_explained_with_their_defaults(clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = dict(re.findall(r"^\| (`[A-Z][^|]*) \|([^|]*)\|", SETTINGS, re.MULTILINE))
    defaults = {}
    for names, values in rows.items():
        defaults |= dict(zip(re.findall(r"`(\w+)`", names), re.findall(r"`([^`]*)`", values), strict=False))
    monkeypatch.delenv("LAKE_HOME")
    options = Home().options
    values = options.model_dump().items()
    own = {name.upper(): value for name, value in values if value != "" and not name.startswith(("aws_", "pg"))}
    assert set(defaults) == set(own)
    for name, value in own.items():
        shown = defaults[name].replace("{LAKE_HOME}", defaults["LAKE_HOME"]).replace("…", defaults["LAKE_HOME"])
        expected = f"{value:04o}" if name.endswith("_MODE") else str(value)
        assert expected in {shown, str(PROJECT / shown)}, name
