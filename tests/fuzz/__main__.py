"""The command line of the fuzzer."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz import run
from tests.fuzz.objects import Landed, account_of, draw_objects, objects


def replay(place: str, batch: int) -> list[str]:
    """Load one object again, alone, and show it."""
    name, _, number = place.partition("/")
    item = draw_objects(int(name), batch)[int(number)]
    print(f"{item!r:.4000}\n{account_of(item)!r:.4000}")
    with tempfile.TemporaryDirectory(prefix="lakemesh-fuzz-") as folder:
        outcome = run.check([item], Path(folder))
    print(f"{outcome.memory:.0f} MB, {outcome.seconds:.2f} s")
    return outcome.faults


def shrink(examples: int, number: int) -> None:
    """Search within this process for an object on which lake and account disagree, and shrink it."""

    @seed(number)
    @settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(objects())
    def agrees(item: Landed) -> None:
        assert run.check_here([item]).faults == []

    agrees()


def main() -> int:
    """Run the fuzzer; exit 1 when lake and account disagree."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=run.__doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=250, help="objects of one `lake ingest`")
    parser.add_argument("--replay", metavar="BATCH/NUMBER", help="load one object again, alone, and show it")
    parser.add_argument("--shrink", action="store_true", help="shrink the first disagreement, in this process")
    chosen = parser.parse_args()
    if chosen.shrink:
        shrink(chosen.objects, chosen.seed)
        return 0
    if chosen.replay:
        faults = replay(chosen.replay, chosen.batch)
    else:
        total = run.run(chosen.objects, chosen.seed, chosen.batch, lambda text: print(text, flush=True))
        faults = total.faults
        print(f"seed {chosen.seed}: {dict(total.counts)}")
    print("".join(f"fault {fault}\n" for fault in faults), end="")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
