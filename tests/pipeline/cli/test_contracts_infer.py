"""`lake contracts infer`: what it writes, prints and refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest.contracts import contract as contract_module
from ingest.contracts.contract import CONTRACTS, load_contract
from pipeline.cli import main

Lake = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project's contracts, to which the command writes."""
    copied = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, copied, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    monkeypatch.setattr(contract_module, "CONTRACTS", copied)
    return copied


@pytest.fixture
def lake(clean_settings: Path, folder: Path) -> Iterator[Lake]:
    """Run `lake contracts infer ARGUMENTS`."""

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(main, ["contracts", "infer", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    yield run
    contract_module.contracts.cache_clear()


@pytest.fixture
def samples(tmp_path: Path) -> str:
    path = tmp_path / "ratings.json"
    rows = [{"rating_id": f"r{n}", "rated_at": f"2026-01-{n % 28 + 1:02} 10:00:00", "stars": n % 5} for n in range(150)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"rating_id": "x", "stars": "five"}\n')
    return str(path)


def test_contract_is_written_for_review_and_its_trial_is_told(lake: Lake, folder: Path, samples: str) -> None:
    result = lake("engagement/ratings", samples)
    path = folder / "engagement" / "ratings.yaml"
    assert (result.exit_code, result.stderr) == (0, "")
    assert load_contract(path).event_time == "rated_at"
    lines = result.stdout.splitlines()
    assert lines[0] == "engagement/ratings: read 151 records (JSON) of 1 object"
    assert lines[1].startswith(
        "the contract accepts 150 of 151 records (99.34 %), 0 of them with fields that are no col"
    )
    assert lines[3].split()[:3] == ["1", "wrong_type", "stars"]
    assert f"written to {path}" in result.stdout.replace("\n", "")
    assert lines[-1] == "next: review it, then `lake contracts --write`"


def test_existing_contract_is_kept_unless_forced(lake: Lake, folder: Path, samples: str) -> None:
    before = (folder / "engagement" / "events.yaml").read_bytes()
    result = lake("engagement/events", samples)
    assert result.exit_code == 2
    assert "events.yaml is there already; `lake contracts propose` extends it" in result.stderr
    assert (folder / "engagement" / "events.yaml").read_bytes() == before
    assert lake("engagement/events", samples, "--force").exit_code == 0
    assert load_contract(folder / "engagement" / "events.yaml").key == ("rating_id",)


def test_stdout_has_the_contract_alone_and_nothing_is_written(lake: Lake, folder: Path, samples: str) -> None:
    result = lake("engagement/ratings", samples, "--stdout")
    assert result.exit_code == 0
    assert not (folder / "engagement" / "ratings.yaml").exists()
    (folder / "engagement" / "ratings.yaml").write_text(result.stdout)
    assert load_contract(folder / "engagement" / "ratings.yaml").key == ("rating_id",)
    assert "the contract accepts 150 of 151 records" in result.stderr


def test_json_has_the_trial_and_the_text(lake: Lake, samples: str) -> None:
    shown = json.loads(lake("engagement/ratings", samples, "--stdout", "--json", "--records", "100").stdout)
    assert (shown["records"], shown["accepted"], shown["share"], shown["path"]) == (100, 100, 1.0, None)
    assert shown["contract"].startswith("# Inferred from 100 records")
    assert shown["rejected"] == []


def test_missing_samples_are_one_line_and_exit_2(lake: Lake) -> None:
    result = lake("engagement/ratings")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: no samples: expected files, folders, s3://bucket/prefix")
    assert result.stderr.count("\n") == 1
