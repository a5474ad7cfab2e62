"""The server follows the current release, each answer is of one release, and every read is in the audit log."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ingest.storage.store import Store
from pipeline.access.audit_log import AuditLog
from pipeline.api.keys import Caller
from pipeline.api.reads import WHAT, Reads
from pipeline.cli.show_access import show_log
from pipeline.portal.publication import Sources, refresh
from pipeline.portal.script import read_data_file
from pipeline.releases.export import prune
from tests.pipeline.api.serving import Server, World, entries, serving, tree

IDENTITY = "SELECT MIN(fees) AS fee, (SELECT MIN(new) FROM gold.mrr_monthly) AS new FROM gold.fees"


def changed(number: int) -> dict[str, tuple[str, str]]:
    fee = "UPDATE made SET fees = {}".format
    new = "UPDATE made SET new = {}".format
    return {"gold.fees": ("", fee(number)), "gold.mrr_monthly": ("", new(number))}


def test_publishing_while_clients_read_gives_one_release_per_answer(own_world: World) -> None:
    own_world.publish(2, has_roles=False, changed=changed(2))
    failures: list[Any] = []
    seen: Counter[int] = Counter()
    stop = threading.Event()

    def read(server: Server, place: int) -> None:
        while not stop.is_set():
            reply = server.sql(IDENTITY) if place % 2 else server.get("/v1/metrics/new_mrr/values", by="month")
            if reply.status != 200:
                failures.append((reply.status, reply.body))
                return
            number = int(reply.headers["lake-release"])
            if place % 2:
                row = reply.json["rows"][0]
                shown = {reply.json["release"], number, int(float(row["fee"])), int(float(row["new"]))}
            else:
                plans = {row["period"]: 2 if row["period"] < "2026-03-01" else 1 for row in reply.json["rows"]}
                months = {float(row["new_mrr"]) / plans[row["period"]] for row in reply.json["rows"]}
                shown = {reply.json["release"], number, *map(int, months)}
            if len(shown) != 1:
                failures.append(shown)
            seen[number] += 1

    with serving(own_world) as server:
        threads = [threading.Thread(target=read, args=(server, place)) for place in range(6)]
        for thread in threads:
            thread.start()
        for number in range(3, 6):
            time.sleep(1)
            own_world.publish(number, has_roles=False, changed=changed(number))
        time.sleep(3)
        stop.set()
        for thread in threads:
            thread.join()
        assert server.get("/readyz").json["release"] == 5
    assert failures == []
    assert seen[5] > 0
    assert len(seen) >= 3


def test_pages_that_follow_a_cursor_stay_with_their_release(own_world: World) -> None:
    with serving(own_world) as server:
        first = server.get("/v1/tables/gold.fees/rows", limit=40).json
        own_world.publish(2, has_roles=False, changed=changed(2))
        time.sleep(1.5)
        second = server.get("/v1/tables/gold.fees/rows", limit=40, cursor=first["next"])
        fresh = server.get("/v1/tables/gold.fees/rows", limit=40).json
        assert (first["release"], second.json["release"], fresh["release"]) == (1, 1, 2)
        assert second.headers["lake-release"] == "1"
        assert len({json.dumps(row) for row in first["rows"] + second.json["rows"]}) == 72
        # WHEN that release is pruned THEN the cursor says so
        for number in (3, 4):
            own_world.publish(number, has_roles=False)
        prune(own_world.releases, 2, dt.datetime.now(dt.UTC), dt.timedelta())
        time.sleep(1.5)
        gone = server.get("/v1/tables/gold.fees/rows", limit=40, cursor=first["next"])
        assert (gone.status, gone.kind) == (410, "release-gone")
        own_world.releases.roll_back(3)
        time.sleep(1.5)
        assert server.get("/readyz").json["release"] == 3


def test_pages_name_their_own_release_and_304_is_no_read(own_world: World) -> None:
    # GIVEN the pages of release 1, and release 2, whose pages are not written yet
    sources = Sources(own_world.folder / "project" / "metrics", own_world.folder / "project" / "dashboards", "EUR")
    refresh(own_world.releases, sources)
    own_world.publish(2, has_roles=False, changed=changed(2))
    with serving(own_world, LAKE_API_AUDIT_SECONDS="1") as server:
        for path in ("/portal/current.js", "/portal/releases/1.js"):
            page = server.get(path)
            assert (page.headers["lake-release"], read_data_file(page.body)["number"]) == ("1", 1)
            assert "lake-positions" not in page.headers
        index = server.get("/portal/index.html")
        assert "lake-release" not in index.headers
        assert server.get("/portal/index.html", {"If-None-Match": index.headers["etag"]}).status == 304
        tables = server.get("/v1/tables")
        assert tables.headers["lake-release"] == "2"
        assert server.get("/v1/tables", {"If-None-Match": tables.headers["etag"]}).status == 304
        # WHEN they are written THEN they name release 2, with all that its answers say
        refresh(own_world.releases, sources)
        page = server.get("/portal/current.js")
        assert (page.headers["lake-release"], read_data_file(page.body)["number"]) == ("2", 2)
        assert page.headers["lake-positions"] == tables.headers["lake-positions"]
    found = [item for event in entries_of(own_world) for item in event.about["reads"]]
    assert sum((Counter({item["how"]: item["reads"]}) for item in found), Counter()) == {"portal": 4, "catalog": 1}


def test_a_role_that_is_removed_or_gets_other_rules_is_followed(own_world: World) -> None:
    with serving(own_world, LAKE_API_KEYS=entries()) as server:
        ada = server.named("ada")
        before = ada.get("/v1/tables/gold.plays_daily/rows", limit=5)
        roles = own_world.folder / "project" / "access" / "roles.yaml"
        text = roles.read_text()
        roles.write_text(text.replace("country_code = 'de'", "country_code = 'fr'"))
        own_world.publish(2)
        time.sleep(1.5)
        after = ada.get("/v1/tables/gold.plays_daily/rows", limit=5)
        assert {row["country_code"] for row in before.json["rows"]} == {"de"}
        assert {row["country_code"] for row in after.json["rows"]} == {"fr"}
        roles.write_text(f"roles:\n{text[text.index('  - name: finance') :]}")
        time.sleep(1.5)
        assert ada.get("/v1/tables").status == 403
        assert server.named("fin").get("/v1/tables").status == 200


def test_without_a_release_the_server_waits_for_one(own_world: World) -> None:
    current = own_world.home / "published" / "current.json"
    kept = current.read_bytes()
    current.unlink()
    with serving(own_world) as server:
        assert (server.get("/readyz").status, server.get("/healthz").status) == (503, 200)
        assert server.get("/v1/tables").kind == "nothing-published"
        current.write_bytes(kept)
        assert server.get("/v1/tables").status == 200


def entries_of(made: World) -> list[Any]:
    log = AuditLog(Store(made.options.lake_uri, made.options))
    assert log.faults({}) == []
    return [event for event in log.events() if event.what == WHAT]


def test_reads_are_added_to_the_audit_log_in_batches_and_nothing_else_is_written(own_world: World) -> None:
    before = tree(own_world.folder)
    with serving(own_world, LAKE_API_KEYS=entries(), LAKE_API_AUDIT_SECONDS="1") as server:
        for _ in range(3):
            assert server.named("ada").get("/v1/tables/gold.fees/rows", limit=4).status == 200
        server.named("boss").sql("SELECT COUNT(*) FROM gold.fees WHERE currency <> 'somebody@example.com'")
        server.named("ada").get("/v1/tables/gold.mrr_monthly/rows")
    found = [item for event in entries_of(own_world) for item in event.about["reads"]]
    counts = {(item["by"], item["role"], item["how"], *item["of"]): [0, 0] for item in found}
    for item in found:
        counts[item["by"], item["role"], item["how"], *item["of"]][0] += item["reads"]
        counts[item["by"], item["role"], item["how"], *item["of"]][1] += item["rows"]
    assert counts == {("ada", "analyst", "table", "gold.fees"): [3, 12], ("boss", "", "sql", "gold.fees"): [1, 1]}
    assert "somebody" not in json.dumps(found)
    log = AuditLog(Store(own_world.options.lake_uri, own_world.options))
    shown = " ".join(show_log(list(log.events())).split())
    assert "ada as analyst: table of gold.fees" in shown
    assert tree(own_world.folder) == before
    assert list((own_world.home / "api").iterdir()) == []


def test_a_server_that_is_killed_loses_no_read(own_world: World) -> None:
    with serving(own_world, may_end=True) as server:
        for _ in range(5):
            server.get("/v1/tables/gold.fees/rows", limit=1)
        os.kill(server.pid, signal.SIGKILL)
    assert entries_of(own_world) == []
    with serving(own_world):
        end = time.monotonic() + 20
        while not entries_of(own_world) and time.monotonic() < end:
            time.sleep(0.2)
    (event,) = entries_of(own_world)
    assert [(item["of"], item["reads"], item["rows"]) for item in event.about["reads"]] == [(["gold.fees"], 5, 5)]


def test_a_batch_that_was_added_before_a_kill_is_not_added_again(tmp_path: Path, own_world: World) -> None:
    log = AuditLog(Store(own_world.options.lake_uri, own_world.options))
    reads = Reads(log, tmp_path, 60)
    reads.note(Caller("ada", "analyst"), "table", ["gold.fees"], 1, 7)
    (file,) = (tmp_path / "api").iterdir()
    kept = file.read_bytes()
    reads.flush()
    file.write_bytes(kept + b'{"cut sho')  # as if the process had been killed before it deleted the file
    Reads(log, tmp_path, 60).recover()
    assert len(entries_of(own_world)) == 1
    assert not file.exists()
