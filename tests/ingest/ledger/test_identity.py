"""A lake keeps its identity when one of its two copies is lost, and never gets a second identity."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest.errors import ConfigError
from ingest.ledger.identity import PLACES, lake_id, name_lake
from ingest.storage.store import Store


@pytest.mark.parametrize("lost", PLACES)
@pytest.mark.parametrize("content", [None, b""])
def test_either_copy_is_enough(tmp_path: Path, lost: str, content: bytes | None) -> None:
    store = Store(str(tmp_path))
    assert lake_id(store) == ""
    identity = name_lake(store)
    (tmp_path / lost).unlink()
    if content is not None:
        (tmp_path / lost).write_bytes(content)
    assert lake_id(store) == identity
    assert name_lake(store, "another") == identity
    assert [(tmp_path / place).read_text() for place in PLACES] == [identity] * 2


def test_lake_gets_the_identity_known_elsewhere(tmp_path: Path) -> None:
    assert name_lake(Store(str(tmp_path)), "known") == lake_id(Store(str(tmp_path))) == "known"


def test_ledger_of_another_lake_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    name_lake(store)
    store.put(PLACES[0], b"another")
    with pytest.raises(ConfigError, match="ledger/_lake_id is another"):
        lake_id(store)


def test_one_of_many_concurrent_identities_wins(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: name_lake(Store(str(tmp_path))), range(40)))) == 1
