"""A contract that cannot read the loaded data stops its feed, and nothing else of a cycle."""

from __future__ import annotations

import pytest

from ingest.contracts.contract import contracts
from tests.engagement import cycle, play
from tests.home import Home


def test_cycle_goes_on_with_the_other_feeds(running: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gold is published from the loaded feeds, and from the rejected feed's bronze by its recorded contract."""
    events = contracts()["events"]
    columns = [item.model_copy(update={"type": "integer"}) if item.name == "name" else item for item in events.columns]
    changed = contracts() | {"events": events.model_copy(update={"columns": tuple(columns), "version": 99})}
    running.put("events", "late.json", play("late", "2026-01-02"))
    running.put("users", "moved.json", {"user_id": "u1", "country_code": "de"})
    try:
        with monkeypatch.context() as patch:
            patch.setattr("ingest.contracts.contract.load_contracts", lambda: changed)
            contracts.cache_clear()
            done = cycle(running)
    finally:
        contracts.cache_clear()
    assert (done.exit_code, done.outcome, len(done.errors)) == (2, "published", 1)
    assert done.errors[0].startswith("events: the contract is incompatible with loaded data: column 'name'")
    assert {country for country, *_ in running.rows("SELECT country_code FROM silver.users")} == {"de"}
