"""The command line of the mutants."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlmesh import Context
from sqlmesh.core.console import NoopConsole, set_console

from ingest.errors import ConfigError
from ingest.process import collect_rarely
from ingest.settings import PROJECT
from tests.mutants.equivalent import read_equivalent
from tests.mutants.measure import REQUIRED_SHARE, Outcome, all_faults, check_entries, domains, measure, sample


def show(outcome: Outcome, by_domain: dict[str, list[str]]) -> None:
    """Print the faults that nothing noticed, then the numbers of each model, of each domain and of all."""
    for fault in outcome.survived:
        print(f"not noticed: {fault}")
    for fault, test in outcome.disproved.items():
        print(f"listed as equivalent, but noticed by {test}: {fault}")
    print(f"{'model':<42}{'faults':>8}{'noticed':>9}{'survived':>10}{'equivalent':>12}{'share':>8}")
    models = [model for models in by_domain.values() for model in models]
    for name, part in ({model: [model] for model in models} | by_domain | {"all": models}).items():
        found = outcome.of(part)
        same, passed, failed = len(found.equivalent), len(found.noticed), len(found.survived)
        print(f"{name:<42}{passed + failed + same:>8}{passed:>9}{failed:>10}{same:>12}{found.share:>8.1%}")


@contextmanager
def open_project() -> Iterator[Context]:
    """Load the project over a home without data, so that no lake is locked while faults are tried."""
    with tempfile.TemporaryDirectory(prefix="lakemesh-mutants-") as home:
        dotenv = Path(home) / "dotenv"
        dotenv.touch()
        for name in ("WAREHOUSE_PATH", "STATE_PATH", "LAKE_URI"):
            os.environ.pop(name, None)
        os.environ.update(LAKE_HOME=home, LAKE_GATEWAY="local", SQLMESH_DOTENV_PATH=str(dotenv))
        set_console(NoopConsole())
        context = Context(paths=str(PROJECT))
        try:
            yield context
        finally:
            context.close()


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
    with open_project() as context:
        try:
            faults, entries = all_faults(context), read_equivalent()
            check_entries(entries, faults)
        except ConfigError as error:
            print(error, file=sys.stderr)
            return 2
        unknown = set(chosen.model or ()) - {fault.model for fault in faults}
        if unknown:
            parser.error(f"no SQL model with unit tests is called {', '.join(sorted(unknown))}")
        wanted = [fault for fault in faults if not chosen.model or fault.model in chosen.model]
        tried = sample(wanted, chosen.faults, chosen.seed)
        outcome = measure(context, tried, entries, lambda model: print(f"{model} …", file=sys.stderr, flush=True))
        show(outcome, domains(context, tried))
    return 0 if outcome.suffices else 1


if __name__ == "__main__":
    sys.exit(main())
