"""What is wrong now: with the release, and with what it was not yet computed from."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import msgspec

from ingest.contracts.contract import contracts
from ingest.errors import LakemeshError
from pipeline.alerting.violations import contract_violations
from pipeline.api.core import Core
from pipeline.api.keys import Caller
from pipeline.api.snapshots import Snapshot

_BAD = ("bad", "warning")


async def wrong(core: Core, caller: Caller, snapshot: Snapshot) -> dict[str, Any]:
    """What somebody should look at, worst first; feeds only for callers without a role."""
    now = dt.datetime.now(dt.UTC)
    found = await core.health(caller, snapshot, now)
    facts: list[dict[str, str]] = msgspec.json.decode(found.outcome.body)
    wrong = [fact for state in _BAD for fact in facts if fact["state"] == state]
    if not caller.role:
        wrong += await asyncio.to_thread(_outside, core, now)
    return {
        "release": snapshot.release.number,
        "published_at": snapshot.release.published_at,
        "now": now.isoformat(timespec="seconds"),
        "wrong": wrong,
        "fine": [fact["what"] for fact in facts if fact["state"] == "good"],
    }


def _outside(core: Core, now: dt.datetime) -> list[dict[str, str]]:
    """Violations of contracts, and releases that a later audit found wrong."""
    lake = core.lake
    found = []
    try:
        violations = contract_violations(contracts().values(), lake.landings, lake.store, core.options.lake_start, now)
        found += [{"what": name, "state": "bad", "text": text} for name, text in violations.items()]
    except LakemeshError as error:
        found.append({"what": "feeds", "state": "bad", "text": f"the feeds cannot be judged: {error}"})
    for number, about in lake.releases.suspects().items():
        text = f"release {number}: a later pass over everything found rows: {about}"
        found.append({"what": f"release/{number}", "state": "bad", "text": text})
    return found
