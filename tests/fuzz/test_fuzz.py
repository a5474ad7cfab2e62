"""The short form of `make fuzz`."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.fuzz.account import Account
from tests.fuzz.objects import Landed, account_of
from tests.fuzz.run import check_here, run


def test_every_object_matches_its_account(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        total = run(300, int(os.environ.get("FUZZ_SEED", "1")), 300, lambda text: print(f"\n{text}", end=""))
    assert total.faults == []
    assert min(total.counts[name] for name in ("good", "bad", "lines", "array", "csv", "parquet", "ignored")) > 0


@pytest.mark.parametrize("line", [b'{"id":"a"}', b'{"id":1}', b'{"id":"a","new":1}', b"x"])
def test_the_comparison_detects_a_difference(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    item = Landed("frozen", "a.jsonl", line + b"\n", "lines")
    assert check_here([item]).faults == []
    account = account_of(item)
    other = Account(good={1: {"id": "b"}}) if account.good else Account(good={1: {"id": "a"}}, bad={2: None})
    monkeypatch.setattr("tests.fuzz.run.account_of", lambda _: other)
    assert check_here([item]).faults != []


def test_the_account_is_independent_of_the_project() -> None:
    for name in ("account", "formats", "records", "objects"):
        text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        assert not re.search(r"^\s*(from|import) (ingest|pipeline|sample)\b", text, re.MULTILINE), name
