"""A lost or damaged ledger is rebuilt, and bronze then has the same rows as before."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ingest.contracts.contract import contracts
from ingest.errors import ConfigError
from ingest.ledger.ledger import Ledger
from ingest.storage.store import Store
from pipeline.cli import main
from pipeline.cycle.maintain import maintain_feed
from pipeline.lake import Lake
from pipeline.warehouse.bronze import bronze_query
from pipeline.warehouse.duck import connect
from tests.handle import verify_feed
from tests.home import Home

EVENTS = contracts()["events"]


def event(name: str, day: str = "2026-01-02") -> dict[str, Any]:
    return {"event_id": name, "name": "n", "occurred_at": f"{day} 10:00:00", "user_id": "u"}


def bronze(home: Home) -> list[tuple[Any, ...]]:
    """(object, line, event) of every visible row."""
    files = ledger(home).live_files()
    with connect(home.options) as reader:
        query = bronze_query(EVENTS, home.options.lake_uri, files)
        return reader.execute(f"SELECT _source_file, _source_line, event_id FROM ({query}) ORDER BY ALL").fetchall()


def ledger(home: Home) -> Ledger:
    return Ledger(Store(home.options.lake_uri), "events")


def remove(home: Home, key: str) -> None:
    root = home.landing("events").root
    assert root is not None
    (root / key).unlink()


@pytest.fixture
def lived(home: Home) -> Home:
    """A lake with a history: replaced, compacted and deleted objects, bad lines, leftovers of a crash."""
    home.put("events", "kept.json", event("k1"), event("k2", "2026-01-03"), b"{")
    home.put("events", "gone.json", event("old"), event("old2"))
    home.ingest()
    home.put("events", "gone.json", event("g1"), b"[]", event("g3", "2026-01-03"))
    home.put("events", "other.json", event("o1"))
    home.ingest()
    maintain_feed(Lake(home.options), EVENTS, dt.timedelta(hours=24))
    remove(home, "gone.json")
    folder = Path(home.options.lake_uri) / "bronze/events/ingest_date=2026-01-01/event_date=2026-01-02"
    folder.mkdir(parents=True)
    (folder / "20260101T000000-0123456789ab-0.parquet").write_bytes(b"PAR1 and then the power went")
    return home


def lose(home: Home) -> None:
    for path in sorted((Path(home.options.lake_uri) / "ledger/events").rglob("*.parquet")):
        path.unlink()


def corrupt(home: Home) -> None:
    (Path(home.options.lake_uri) / "ledger/events" / f"{1:020d}.parquet").unlink()


@pytest.mark.parametrize("harm", [lose, corrupt])
def test_rebuilt_bronze_has_the_same_rows(lived: Home, harm: Callable[[Home], None]) -> None:
    before = bronze(lived)
    assert [row[2] for row in before] == ["g1", "g3", "k1", "k2", "o1"]
    harm(lived)

    result = CliRunner().invoke(main, ["ledger", "rebuild", "events", "--yes", "--json"])

    assert result.exit_code == 0, result.stderr
    (done,) = json.loads(result.stdout)
    assert (done["reload"], done["objects"], done["records"]) == (2, 1, 3)
    summary = lived.ingest()
    assert summary.dates["events"] == (dt.date(2026, 1, 2), dt.date(2026, 1, 3))
    assert bronze(lived) == before
    assert verify_feed(EVENTS, lived.options, deep=True).differences == []
    assert maintain_feed(Lake(lived.options), EVENTS, dt.timedelta(0)).cleaning.files > 0
    assert bronze(lived) == before
    assert not lived.ingest().dates.get("events")


def test_intact_ledger_is_left_alone_unless_forced(lived: Home) -> None:
    before = bronze(lived)
    refused = CliRunner().invoke(main, ["ledger", "rebuild", "events", "--yes"])
    assert refused.exit_code == 2
    assert "is complete" in refused.stderr
    forced = CliRunner().invoke(main, ["ledger", "rebuild", "events", "--yes", "--force"])
    assert forced.exit_code == 0, forced.stderr
    assert list((Path(lived.options.lake_uri) / "ledger/_lost").iterdir())
    lived.ingest()
    assert bronze(lived) == before


@pytest.mark.parametrize("operation", ["put", "delete", "put_new"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_interrupted_rebuild_resumes_and_ingest_is_refused_meanwhile(
    lived: Home, monkeypatch: pytest.MonkeyPatch, operation: str, number: int
) -> None:
    before = bronze(lived)
    corrupt(lived)
    calls = iter(range(1, 100))
    original = getattr(Store, operation)

    def die(self: Store, *arguments: Any) -> Any:
        if next(calls) == number:
            raise KeyboardInterrupt
        return original(self, *arguments)

    with monkeypatch.context() as crash:
        crash.setattr(Store, operation, die)
        interrupted = CliRunner().invoke(main, ["ledger", "rebuild", "events", "--yes"]).exit_code
    if interrupted:
        with pytest.raises(ConfigError, match=r"a rebuild was interrupted|is missing"):
            ledger(lived).state()
        assert CliRunner().invoke(main, ["ledger", "rebuild", "events", "--yes"]).exit_code == 0
    lived.ingest()
    assert bronze(lived) == before


def test_feed_without_loads_has_nothing_to_rebuild(home: Home) -> None:
    result = CliRunner().invoke(main, ["ledger", "rebuild", "events", "--yes"])
    assert result.exit_code == 2, result.stderr
