"""All places of a lake are searched: what a cycle wrote of a person is found, in a lake on disk and in a bucket."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.contracts.contract import contracts
from ingest.settings import Settings, read_settings, settings
from ingest.storage.store import Store
from pipeline.access.classes import Reach, Use
from pipeline.checks.traces import places
from pipeline.checks.traces.collect import identifier_columns, values_of
from pipeline.checks.traces.find import find_traces
from pipeline.checks.traces.places import landing_places, place_at, places_of
from pipeline.checks.traces.trace import Kind, Scan
from pipeline.checks.traces.value import Value
from pipeline.lake import Lake
from pipeline.releases.release import Releases
from pipeline.releases.roles import register
from pipeline.warehouse.lineage import Lineage
from tests.engagement import cycle, play
from tests.home import Home

UPDATED = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}
PERSON, OTHER = "person-5f0c77aa91", "person-5f0c77aa912"


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes of this machine have temporary folders too."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "PROJECT", tmp_path)


def search(options: Settings, *values: Value, rewritten: bool = False) -> Scan:
    lake = Lake(options)
    found = find_traces(places_of(options, lake.store, lake.releases, rewritten=rewritten), values)
    lake.store.close()
    return found


def values(user: str, *children: str) -> list[Value]:
    columns = identifier_columns(contracts().values())
    return values_of({"user_id": {user}, "child_id": children}, {"name 1": f"Name of {user}"}, columns)


@pytest.mark.usefixtures("engagement")
def test_what_a_cycle_writes_of_a_person_is_found_and_of_others_is_not(home: Home) -> None:
    home.put("users", "a.json", {"user_id": PERSON, "children_ids": ["c7"], "nick": f"Name of {PERSON}", **UPDATED})
    home.put("users", "b.json", {"user_id": OTHER, "children_ids": ["c70", "c77"], **UPDATED})
    bad = {"event_id": "bad", "user_id": PERSON, "occurred_at": "soon"}
    plays = [play(f"e{number}", "2026-01-01", user) for number, user in enumerate((PERSON, OTHER, "u1", "u10"))]
    plays.append(play("child", "2026-01-02", PERSON) | {"child_id": "c7"})
    home.put("events", "a.json", *plays, json.dumps(bad).encode())
    home.plan()
    cycle(home)

    scan = search(home.options, *values(PERSON, "c7"))

    found = {(trace.place, trace.label) for trace in scan.of(Kind.FOUND)}
    assert {("lake", "user_id"), ("lake", "child_id"), ("lake", "name 1")} <= found
    assert {("warehouse", "user_id"), ("warehouse", "child_id")} <= found
    assert {place for place, _ in found} == {"lake", "warehouse", "releases"}
    hashes = {trace.encoding for trace in scan.of(Kind.FOUND) if trace.place == "releases"}
    assert hashes == {"MD5"}  # keys of accounts and of children in them
    where = " ".join(trace.where for trace in scan.of(Kind.FOUND) if trace.place == "lake")
    assert "quarantine" in where
    assert "bronze" in where
    assert not scan.of(Kind.UNREADABLE)
    assert scan.objects["lake"] > 5
    assert scan.bytes["warehouse"] > 0
    assert PERSON not in " ".join(map(str, scan.traces))
    landed = find_traces(landing_places(home.options, ["raw-users", "raw-events"]), values(PERSON, "c7"))
    assert {trace.place for trace in landed.traces} == {"landing raw-users", "landing raw-events"}

    for user, child in (("person-5f0c77aa9", "c8"), ("u2", "c"), ("e1x", "a10")):
        clean = search(home.options, *values(user, child), rewritten=True)
        assert [str(trace) for trace in clean.traces] == []


def test_each_place_is_searched_once(clean_settings: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("LAKE_HOME", str(home))
    monkeypatch.setenv("NOTIFICATIONS_PATH", str(tmp_path / "documents"))
    options = read_settings()
    published = Releases(options)
    published.store.put("current.json", b"{}")
    register(published, ["analyst"])
    planted = {
        "lake": home / "lake/anything/x.bin",
        "releases": home / "published/portal/x.html",
        "releases of analyst": home / "published-analyst/portal/data.js",
        "warehouse": home / "warehouse.duckdb",
        "state": home / "state.duckdb.tmp/x.block",
        "home": home / "reports/x.html",
        "notifications": tmp_path / "documents/x.json",
        f"logs and caches of {tmp_path}": tmp_path / "logs/sqlmesh_1.log",
        "temporary folders": tmp_path / "temporary/lakemesh-ab/x",
    }
    (tmp_path / "temporary/other").mkdir()
    others = [home / "landing/raw-events/x.json", tmp_path / "temporary/other/x", tmp_path / "elsewhere.txt"]
    for number, path in enumerate([*planted.values(), *others]):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".duckdb":
            with duckdb.connect(path) as connection:
                connection.execute("CREATE TABLE t AS SELECT ? AS a", [f"user {PERSON}"])
        else:
            path.write_text(f"<p>{number} {PERSON}</p>")
    (home / "lake/anything" / ".draft-x").write_text(PERSON)

    scan = search(options, Value("user_id", PERSON))

    assert {trace.place for trace in scan.of(Kind.FOUND)} == set(planted)
    assert set(scan.objects) == set(planted)
    assert sum(scan.objects.values()) == len(planted) + 3  # a draft, the pointer, the roles
    assert not scan.of(Kind.UNREADABLE)


def test_objects_of_a_bucket(s3_server: dict[str, str], clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    options = read_settings()
    store = Store("s3://shared/traces", options)
    target = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [PERSON, "b"]}), target)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.duckdb"
        with duckdb.connect(path) as connection:
            connection.execute("CREATE TABLE t AS SELECT ? AS a", [PERSON])
        database = path.read_bytes()
    objects: dict[str, bytes] = {
        "a.parquet": bytes(target.getvalue()),
        "a.duckdb": database,
        "a.gz": gzip.compress(f"x {PERSON}\n".encode()),
        f"user_id={PERSON}/empty": b"",
        "large.txt": b"." * (9 << 20) + PERSON.encode(),
        "clean.txt": OTHER.encode(),
    }
    for key, data in objects.items():
        store.put(key, data)

    scan = find_traces([place_at("bucket", store.uri, options)], [Value("user_id", PERSON)])

    assert {trace.where.split(",")[0] for trace in scan.traces} == {
        *("a.parquet", "a.duckdb", "a.gz", "user_id=<user_id>/empty", "large.txt")
    }
    assert not scan.of(Kind.UNREADABLE)
    assert scan.objects == {"bucket": 6}


def test_a_place_that_cannot_be_listed_is_a_trace_and_stops_no_other(
    s3_server: dict[str, str], clean_settings: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    options = read_settings()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a.txt").write_text(PERSON)
    wanted = [
        place_at("bucket", "s3://no-such-bucket-here", options),
        place_at("folder", str(tmp_path / "folder"), options),
    ]
    seen: list[Any] = []
    scan = find_traces(wanted, [Value("user_id", PERSON)], progress=lambda *at: seen.append(at))
    assert [(trace.place, trace.kind) for trace in scan.traces] == [
        ("bucket", Kind.UNREADABLE),
        ("folder", Kind.FOUND),
    ]
    assert seen[-1] == ("folder", 1, len(PERSON))


def test_columns_of_identifiers_follow_lineage_to_keys_alone() -> None:
    uses = {
        "bronze.users": {"user_id": ()},
        "silver.users": {"owner_id": (Use("bronze.users", "user_id"),)},
        "gold.dim": {
            "holder_key": (Use("silver.users", "owner_id"),),
            "user_count": (Use("silver.users", "owner_id", Reach.AGGREGATE),),
            "has_user": (Use("silver.users", "owner_id"),),
        },
    }
    columns = identifier_columns(contracts().values(), Lineage(uses))
    assert columns["user_id"] == {"user_id", "owner_id", "holder_key"}
    assert columns["child_id"] == {"child_id", "children_ids"}


def test_values_that_are_not_distinctive_are_looked_for_in_their_columns() -> None:
    columns = identifier_columns(contracts().values())
    found = values_of({"customer_id": {"7"}}, {"name 2": "Ann", "email 1": "a@b.org"}, columns)
    assert [(one.label, sorted(one.columns), one.ignores_case) for one in found] == [
        ("customer_id", ["customer_id"], False),
        ("name 2", ["name"], False),
        ("email 1", [], True),
    ]
