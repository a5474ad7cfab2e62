"""The short form of `make serve-soak`: every answer is of one release while it moves and cycles are killed."""

from __future__ import annotations

from pathlib import Path

from tests.serve_soak import soak


def test_each_answer_is_of_one_release_while_cycles_are_killed(tmp_path: Path) -> None:
    found = soak(tmp_path, clients=20, seconds=25, every=3, pause=0.5)
    assert list(found.faults) == []
    assert len(found.publisher.published) >= 2
    assert len(found.ledger.releases) >= 2
    kinds = {"sql", "metrics", "table", "catalog", "revalidation", "portal", "tools"}
    assert kinds <= {kind for kind, seconds in found.ledger.seconds.items() if seconds}
