"""Run `lake` with the contracts of a folder, measured: `python -m tests.fuzz.lake CONTRACTS ARGUMENTS…`

The last line of its standard error is its peak memory in MB and its CPU time in seconds, by wait4. A small process
starts it, because a child of a large process counts the memory of its parent as its own.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run one command of `lake` in its own process."""
    arguments = [sys.executable, "-c", "from tests.fuzz.lake import work; work()", *sys.argv[1:]]
    _, status, usage = os.wait4(os.posix_spawn(sys.executable, arguments, os.environ), 0)
    print(f"\n{usage.ru_maxrss / 1024:.1f} {usage.ru_utime + usage.ru_stime:.3f}", file=sys.stderr)
    sys.exit(os.waitstatus_to_exitcode(status))


def work() -> None:
    """Run the command in this process."""
    from functools import cache
    from pathlib import Path

    import ingest.contracts.contract

    folder = Path(sys.argv.pop(1))
    ingest.contracts.contract.contracts = cache(lambda: ingest.contracts.contract.load_contracts(folder))
    from pipeline import cli  # only now, so that it uses what was set

    cli.main()


if __name__ == "__main__":
    main()
