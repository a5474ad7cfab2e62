"""`lake` with the contracts of a folder, measured: `python -m tests.fuzz.lake CONTRACTS ARGUMENTS…`

The last line of its standard error is the peak of its memory in MB and its CPU time in seconds, by wait4. A small
process starts it: one that a large process starts counts the memory of that as its own.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Runs one command of `lake`, in a process of its own."""
    arguments = [sys.executable, "-c", "from tests.fuzz.lake import work; work()", *sys.argv[1:]]
    _, status, usage = os.wait4(os.posix_spawn(sys.executable, arguments, os.environ), 0)
    print(f"\n{usage.ru_maxrss / 1024:.1f} {usage.ru_utime + usage.ru_stime:.3f}", file=sys.stderr)
    sys.exit(os.waitstatus_to_exitcode(status))


def work() -> None:
    """Runs it in this process."""
    from functools import cache
    from pathlib import Path

    import ingest.contracts.contract

    folder = Path(sys.argv.pop(1))
    ingest.contracts.contract.contracts = cache(lambda: ingest.contracts.contract.load_contracts(folder))
    from pipeline import cli  # only now, so that it takes what was set

    cli.main()


if __name__ == "__main__":
    main()
