"""Many clients of `lake serve` while the release moves every few seconds and cycles are killed.

    python -m tests.serve_soak --clients 100 --minutes 5 --every 5        (make serve-soak)

A lake of the engagement models is made, and a server started on it with a key per client. Clients ask in turn for SQL,
metrics, all pages of a table, the catalog, pages of the release, tools and what they have already (If-None-Match);
a few ask for more than the limits allow or hang up, and one asks without a pause. Each answer must be of one release:
its tables agree, its header and body name it, no client gets an older one later, and all answers of a release, of
whatever kind, have the same numbers. Every status must be documented. At the end the server must show what plain Python
counts in the landing, and the audit log must have every read.

Exits with 1 and lists the faults if there is any.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.api import family, memory
from benchmarks.measure import this_machine
from pipeline.access.audit_log import AuditLog
from pipeline.api.reads import WHAT
from tests import rebuilt
from tests.pipeline.api.serving import Server, World, serving
from tests.soak_clients import GREEDY, IDENTITY, MIX, ROUGH, Client, Ledger
from tests.soak_publisher import Publisher, run, small_lake

RATE = 240
"""Requests a minute of one caller: more than a client with pauses asks for."""
MOST_GROWTH = 64 << 20
"""Bytes that the server's own process may gain between the first and the last third of the time."""

LEAST_ANSWERED = 0.9
"""Share of questions that must be answered, however busy the machine is."""
MOST_SHOWN = 10
"""Faults of a kind that are printed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory at a moment: proportional set size of the server's process, and with all workers, bytes."""

    own: int
    all: int
    workers: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a soak found."""

    ledger: Ledger
    publisher: Publisher
    samples: Sequence[Sample]
    ended: int
    wall: float
    faults: Sequence[str]


def soak(folder: Path, clients: int, seconds: float, every: float, pause: float, seed: int = 1) -> Outcome:
    """Run clients and a publisher over a lake of their own.

    Args:
        folder: an empty one, for the lake.
        every: seconds between releases.
        pause: mean seconds between the questions of a client.
    """
    made = small_lake(folder, 2000, 10)
    names = [f"c{place:03}" for place in range(clients)]
    keys = {name: f"lake_key-of-client-{name}-in-the-soak" for name in names}
    variables = {
        "LAKE_API_KEYS": json.dumps(
            {name: {"sha256": hashlib.sha256(key.encode()).hexdigest(), "role": "*"} for name, key in keys.items()}
        ),
        "LAKE_API_WORKERS": "4",
        "LAKE_API_RATE": str(RATE),
    }
    ledger, dice, faults, samples = Ledger(), random.Random(seed), [], []
    with serving(made, **variables) as server:
        port, began = int(server.address.rpartition(":")[2]), time.monotonic()
        until = began + seconds
        rough = max(1, clients // 20)
        mixes = [(GREEDY, 0.0), *[(ROUGH, pause)] * rough, *[(MIX, pause)] * (clients - rough - 1)]
        threads = []
        for name, (mix, wait) in zip(names, mixes, strict=True):
            client = Client(port, name, keys[name], ledger, random.Random(f"{seed} {name}"), wait)
            threads.append(threading.Thread(target=client.live, args=(until, mix)))
        publisher = Publisher(made, every, dice)
        publisher.start()
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            samples.append(sample(server.pid))
            time.sleep(min(2.0, seconds / 20))
        wall = time.monotonic() - began
        publisher.stop()
        server.key = keys[names[-1]]
        faults += last_release(made, server)
        ended = int(server.get("/healthz").json["workers_ended"])
    faults += unnoted(made, ledger, names[1 + rough : -1])  # the last one was asked once more
    third = len(samples) // 3
    first, last = (statistics.median(item.own for item in part) for part in (samples[:third], samples[-third:]))
    if last - first > MOST_GROWTH:
        faults.append(f"the server grew from {first / 1e6:.0f} to {last / 1e6:.0f} MB")
    answered = sum(number for (status, _), number in ledger.answers.items() if status in (200, 304))
    if answered < LEAST_ANSWERED * sum(ledger.answers.values()):
        faults.append(f"only {answered:,} of {sum(ledger.answers.values()):,} requests were answered")
    return Outcome(ledger, publisher, samples, ended, wall, [*faults, *publisher.faults, *ledger.faults])


def sample(pid: int) -> Sample:
    """The memory of a server now."""
    pids = family(pid)
    return Sample(memory([pid]), memory(pids), len(pids) - 1)


def last_release(made: World, server: Server) -> list[str]:
    """Run a last cycle; the server must show what plain Python counts."""
    run(made, "pipeline", "run")
    number = made.releases.pointer()["state"]
    time.sleep(1.5)
    reply = server.sql(IDENTITY)
    if reply.status != 200:
        return [f"at the end: {reply.status} {reply.body[:500]!r}"]
    plays = sum(plays for plays, *_ in rebuilt.daily(made.home / "landing").values())
    found = reply.json["rows"][0]
    expected = {"release": number, "daily": plays, "most_played": plays}
    shown = {"release": reply.json["release"], "daily": found["daily"], "most_played": found["most_played"]}
    return [] if shown == expected else [f"at the end: {shown}, expected {expected}"]


def unnoted(made: World, ledger: Ledger, names: Sequence[str]) -> list[str]:
    """Reads of these clients that the audit log has more or less often than they were answered."""
    log = AuditLog(made.releases.store.__class__(made.options.lake_uri, made.options))
    noted: Counter[tuple[str, str]] = Counter()
    for event in log.events():
        for item in event.about["reads"] if event.what == WHAT else ():
            noted[item["by"], item["how"]] += item["reads"]
    asked = [(name, how) for name in names for how in ("sql", "metrics", "table")]
    return [
        f"audit log: {name} read by {how} {ledger.read[name, how]} times, {noted[name, how]} are noted"
        for name, how in asked
        if ledger.read[name, how] != noted[name, how]
    ]


def show(outcome: Outcome) -> None:
    """Print what was measured."""
    ledger, publisher = outcome.ledger, outcome.publisher
    count = sum(map(len, ledger.seconds.values()))
    print(f"{this_machine()}; {outcome.wall:.0f} s, {count:,} answers, {count / outcome.wall:.0f} a second")
    moments = [publisher.began, *publisher.published]
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    print(
        f"{len(publisher.published)} releases, one per {outcome.wall / max(1, len(publisher.published)):.1f} s "
        f"(longest without {max(gaps, default=0):.0f} s), of which {publisher.again} states published again; "
        f"{publisher.finished} cycles ended, {publisher.killed} killed; clients read {len(ledger.releases)} releases"
    )
    print("\n| | answers | p50 ms | p95 ms | p99 ms |\n|---|---|---|---|---|")
    for kind, seconds in sorted(ledger.seconds.items()):
        if len(seconds) > 1:
            cut = statistics.quantiles(seconds, n=100)
            shown = " | ".join(f"{cut[place - 1] * 1000:,.0f}" for place in (50, 95, 99))
            print(f"| {kind} | {len(seconds):,} | {shown} |")
    print("\n| status | answers |\n|---|---|")
    for (status, problem), number in sorted(ledger.answers.items()):
        print(f"| {status} {problem} | {number:,} |")
    places = (len(outcome.samples) // 10, len(outcome.samples) // 2, -1)
    own, everything = ([f"{getattr(outcome.samples[at], name) / 1e6:.0f}" for at in places] for name in ("own", "all"))
    print(
        f"\nMB after a tenth, half and all of the time: the server's process {', '.join(own)}; with workers "
        f"{', '.join(everything)}, at most {max(item.all for item in outcome.samples) / 1e6:.0f}; "
        f"{outcome.ended} workers ended\n{len(outcome.faults)} faults"
    )
    seen: Counter[str] = Counter()
    for text in outcome.faults:
        seen[text.split(maxsplit=2)[1]] += 1
        if seen[text.split(maxsplit=2)[1]] <= MOST_SHOWN:
            print(f"fault: {text}")


def main() -> int:
    """Run the soak, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--every", type=float, default=5, help="seconds between releases")
    parser.add_argument("--pause", type=float, default=2, help="mean seconds between the questions of a client")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakemesh-soak-") as folder:
        found = soak(Path(folder), chosen.clients, chosen.minutes * 60, chosen.every, chosen.pause, chosen.seed)
        show(found)
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
