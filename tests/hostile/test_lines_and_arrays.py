"""The line is the unit of an object; only a body that is a JSON array as a whole is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.ledger.ledger import Ledger
from ingest.storage.store import Store
from tests.hostile.command import Lakehouse, line

GOOD = b"".join(line(f"g{number}") for number in range(1000))
ELEMENTS = b",\n".join(line(f"a{number}").strip() for number in range(50))
BODIES: dict[str, tuple[bytes, int, int]] = {
    "log line first": (b"[INFO] start\n" + GOOD, 1000, 1),
    "unfinished first": (b'{"cut":\n' + GOOD, 1000, 1),
    "both": (b'[INFO] start\n{"cut":\n' + GOOD, 1000, 2),
    "array line first": (b'["header", "of", "a", "log"]\n' + GOOD, 1000, 1),
    "open bracket first": (b"[\n" + GOOD, 1000, 1),
    "quote that never ends": (b'["x\n' + GOOD, 1000, 1),
    "array": (b"[" + ELEMENTS + b"]", 50, 0),
    "array over lines": (b"[\n" + ELEMENTS + b"\n]\n", 50, 0),
    "array of a bad element": (b"[" + ELEMENTS + b', 7, {"event_id": 1}]', 50, 2),
    "form feed in an array": (b"[\x0c]", 0, 1),
    "empty array": (b" [ ]\n", 0, 0),
    "BOM and array": (b"\xef\xbb\xbf\r\n[" + ELEMENTS.replace(b"\n", b"\r\n") + b"]\r\n", 50, 0),
}
"""Body, rows and rejected records of each object."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Rows and rejected records of each object, after one `lake ingest` of all objects."""
    lake = Lakehouse(tmp_path_factory.mktemp("lines") / "home")
    bucket: Path = lake.bucket()
    for number, (body, _, _) in enumerate(BODIES.values()):
        (bucket / f"{number}.json").write_bytes(body)
    (bucket / "trailing.json").write_bytes(b"[" + ELEMENTS + b"]xx\n" + line("after"))
    done = lake.lake("ingest", "events", "--json")
    assert "Traceback" not in done.err
    verified = lake.lake("verify", "events", "--deep")
    assert verified.code == 0, verified.out + verified.err
    store = Store(str(lake.home / "lake"))
    state = Ledger(store, "events").state()
    rejected = [f"{store.uri}/{path}" for path in state.files if path.startswith("quarantine/")]
    return dict(state.objects), duckdb.sql(
        f"SELECT _source_file, _source_line, reason, raw FROM read_parquet({rejected}) ORDER BY ALL"
    ).fetchall()


@pytest.mark.parametrize("name", BODIES)
def test_line_is_the_unit_unless_the_whole_body_is_an_array(loaded: Any, name: str) -> None:
    objects, rejected = loaded
    body, rows, bad = BODIES[name]
    source_file = f"raw-events/{list(BODIES).index(name)}.json"
    found = objects[source_file]
    assert (found.rows, found.quarantined, found.records) == (rows, bad, rows + bad)
    kept = [bytes(raw) for name, _, _, raw in rejected if name == source_file]
    assert len(kept) == bad
    if name == "form feed in an array":  # blanks that JSON does not define are kept as a JSON text
        assert kept == [b'"\\f"']
    else:
        assert all(raw and raw in body for raw in kept), "the bytes of what is rejected are kept"


def test_text_after_an_array_makes_its_lines_the_units(loaded: Any) -> None:
    objects, rejected = loaded
    found = objects["raw-events/trailing.json"]
    reasons = {reason for name, _, reason, _ in rejected if name == "raw-events/trailing.json"}
    assert found.rows == 1
    assert found.records == 51
    assert "corrupt_object" not in reasons
