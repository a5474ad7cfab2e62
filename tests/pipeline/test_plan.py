"""`sqlmesh plan --test-changed-only` runs the unit tests of what changed, as docs/environments.md says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import sqlmesh
from sqlmesh import Context
from sqlmesh.core.config import Config, DuckDBConnectionConfig, GatewayConfig, ModelDefaultsConfig
from sqlmesh.core.console import NoopConsole, set_console
from sqlmesh.utils.errors import PlanError

from ingest.settings import PROJECT

TEST = """test_{table}:
  model: {model}
  inputs:
{inputs}
  outputs:
    query:
    - {{number: {expected}}}
"""
FILES = {
    "seeds/rates.csv": "rate\n2\n",
    "models/rates.sql": "MODEL (name seeds.rates, kind SEED (path '../seeds/rates.csv'), columns (rate INT));",
    "models/prices.sql": "MODEL (name silver.prices, kind FULL); SELECT 1::INT AS number",
    "models/totals.sql": """MODEL (name gold.totals, kind FULL);
SELECT (prices.number * rates.rate)::INT AS number FROM silver.prices AS prices CROSS JOIN seeds.rates AS rates""",
    "models/doubles.sql": "MODEL (name gold.doubles, kind FULL); SELECT @twice(@step)::INT AS number",
    "macros/twice.py": """from sqlmesh import macro

@macro()
def twice(evaluator, number):
    return number * 2
""",
    "tests/test_prices.yaml": TEST.format(table="prices", model="silver.prices", inputs="    {}", expected=1),
    "tests/test_totals.yaml": TEST.format(
        table="totals",
        model="gold.totals",
        inputs="    silver.prices: [{number: 3}]\n    seeds.rates: [{rate: 5}]",
        expected=15,
    ),
    "tests/test_doubles.yaml": TEST.format(table="doubles", model="gold.doubles", inputs="    {}", expected=4),
}


class Counting(NoopConsole):
    """Count the unit tests that a plan runs."""

    def __init__(self) -> None:
        super().__init__()
        self.tests = 0

    def log_test_results(self, result: Any, *_: Any, **__: Any) -> None:
        self.tests += result.testsRun


def run_by_plan(folder: Path, step: int = 2, **options: bool) -> int:
    """The number of unit tests that a plan for production runs.

    Args:
        step: a variable of the project.

    Raises:
        PlanError: one of them fails.
    """
    console = Counting()
    set_console(console)
    database = DuckDBConnectionConfig(database=str(folder / "warehouse.duckdb"))
    config = Config(
        model_defaults=ModelDefaultsConfig(dialect="duckdb", start="2026-01-01"),
        gateways={"": GatewayConfig(connection=database)},
        variables={"step": step},
    )
    context = Context(paths=str(folder), config=config)
    try:
        context.plan(auto_apply=True, no_prompts=True, **options)
    finally:
        context.close()
    return console.tests


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose production is up to date."""
    folder = tmp_path_factory.mktemp("planned")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert run_by_plan(folder) == 3
    return folder


@pytest.fixture
def project(planned: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return shutil.copytree(planned, tmp_path / "project", ignore=shutil.ignore_patterns(".cache"))


def change(project: Path, name: str, old: str, new: str) -> None:
    path = project / name
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_nothing_changed_runs_none(project: Path) -> None:
    assert run_by_plan(project, test_changed_only=True) == 0
    assert run_by_plan(project) == 3


def test_changed_model_runs_its_tests_and_those_of_its_readers(project: Path) -> None:
    change(project, "models/prices.sql", "1::INT", "(3 - 2)::INT")
    assert run_by_plan(project, test_changed_only=True) == 2


def test_changed_seed_runs_the_tests_of_its_readers(project: Path) -> None:
    change(project, "seeds/rates.csv", "2", "4")
    assert run_by_plan(project, test_changed_only=True) == 1


def test_changed_macro_runs_the_tests_of_models_that_use_it(project: Path) -> None:
    change(project, "macros/twice.py", "number * 2", "number * 3")
    with pytest.raises(PlanError, match="failing test"):
        run_by_plan(project, test_changed_only=True)
    change(project, "macros/twice.py", "number * 3", "2 * number")
    assert run_by_plan(project, test_changed_only=True) == 1


def test_changed_variable_runs_the_tests_of_models_that_use_it(project: Path) -> None:
    with pytest.raises(PlanError, match="failing test"):
        run_by_plan(project, step=3, test_changed_only=True)


def test_failing_test_is_run_until_it_passes(project: Path) -> None:
    change(project, "models/prices.sql", "1::INT", "2::INT")
    for _ in range(2):
        with pytest.raises(PlanError, match="failing test"):
            run_by_plan(project, test_changed_only=True)


def test_changed_test_of_an_unchanged_model_is_left_out(project: Path) -> None:
    change(project, "tests/test_prices.yaml", "number: 1", "number: 2")
    assert run_by_plan(project, test_changed_only=True) == 0
    with pytest.raises(PlanError, match="failing test"):
        run_by_plan(project)


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs the program patch")
def test_patch_for_sqlmesh_applies_to_the_installed_version() -> None:
    file = PROJECT / "docs" / "upstream" / f"sqlmesh-{sqlmesh.__version__}-unit-tests.patch"
    packages = Path(sqlmesh.__file__).parents[1]
    command = ["patch", "-p1", "--dry-run", "--fuzz=0", "--input", str(file)]
    done = subprocess.run(command, cwd=packages, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
