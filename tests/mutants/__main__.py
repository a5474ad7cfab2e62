"""The command line of the mutants."""

from __future__ import annotations

import argparse
import sys

from sqlmesh import Context
from sqlmesh.core.console import NoopConsole, set_console

from ingest.errors import ConfigError
from ingest.process import collect_rarely
from ingest.settings import PROJECT
from tests.mutants.equivalent import read_equivalent
from tests.mutants.measure import REQUIRED_SHARE, Outcome, all_faults, check_entries, measure, sample


def show(outcome: Outcome) -> None:
    """Print the faults that nothing noticed, then the numbers of each model, of each domain and of all."""
    for fault in outcome.survived:
        print(f"not noticed: {fault}")
    for fault, test in outcome.disproved.items():
        print(f"listed as equivalent, but noticed by {test}: {fault}")
    every = [*outcome.noticed, *outcome.survived, *outcome.equivalent, *outcome.disproved]
    print(f"{'model':<42}{'faults':>8}{'noticed':>9}{'survived':>10}{'equivalent':>12}{'share':>8}")
    for name in (*sorted({fault.model for fault in every}), ""):
        part = outcome.of(name)
        judged = len(part.noticed) + len(part.survived)
        same = len(part.equivalent)
        print(
            f"{name or 'all':<42}{judged + same:>8}{len(part.noticed):>9}{len(part.survived):>10}{same:>12}"
            f"{part.share:>8.1%}"
        )


def faults_wanted(text: str) -> int:
    """Read a number of faults, or `all`."""
    return sys.maxsize if text == "all" else int(text)


def main() -> int:
    """Run the mutants; exit 1 when the unit tests notice too few, 2 when the list of equivalent ones is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description="Put small faults into the models' queries and count how many their unit tests notice.",
        epilog=f"Exit code 1 below {REQUIRED_SHARE:.0%} of those that are not equivalent.",
    )
    parser.add_argument("--faults", type=faults_wanted, default=160, metavar="N|all", help="how many; default 160")
    parser.add_argument("--seed", type=int, default=1, help="which ones; the same seed chooses the same")
    parser.add_argument("--model", metavar="NAME", action="append", help="only this model; may be repeated")
    chosen = parser.parse_args()
    collect_rarely()
    set_console(NoopConsole())
    context = Context(paths=str(PROJECT))
    try:
        faults, entries = all_faults(context), read_equivalent()
        check_entries(entries, faults)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    if chosen.model:
        unknown = set(chosen.model) - {fault.model for fault in faults}
        if unknown:
            parser.error(f"no SQL model with unit tests is called {', '.join(sorted(unknown))}")
        faults = [fault for fault in faults if fault.model in chosen.model]
    outcome = measure(
        context,
        sample(faults, chosen.faults, chosen.seed),
        entries,
        lambda model: print(f"{model} …", file=sys.stderr, flush=True),
    )
    context.close()
    show(outcome)
    return 0 if outcome.suffices else 1


if __name__ == "__main__":
    sys.exit(main())
