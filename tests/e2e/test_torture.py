"""The short form of `make torture`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture import Torture


@pytest.mark.usefixtures("clean_settings")
@pytest.mark.parametrize("ingesters", [1, 3])
def test_random_kills_lose_and_duplicate_nothing(tmp_path: Path, ingesters: int) -> None:
    outcome = Torture(tmp_path / "torture", seed=1, ingesters=ingesters).run(kills=6)
    assert outcome.faults == ()
    assert outcome.killed >= 6
    assert outcome.lost >= 1
    assert outcome.looks > 3
    assert outcome.entries > 1
