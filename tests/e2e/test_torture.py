"""The short form of `make torture`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture import Torture


@pytest.mark.usefixtures("clean_settings")
def test_random_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    outcome = Torture(tmp_path / "torture", seed=1).run(kills=20)
    assert outcome.faults == ()
    assert outcome.killed >= 20
    assert outcome.looks > 5
    assert outcome.entries > 3
