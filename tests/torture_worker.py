"""`lake` as tests/torture.py runs it: `python -m tests.torture_worker CONTRACTS [--fork] ARGUMENTS…`

It uses another folder of contracts, and few entries and files suffice for a checkpoint or a compaction, so that a short
run includes them. After all imports it stops (SIGSTOP) until it is continued: then a random kill hits the work and not
the start-up, and processes that must run concurrently begin together. With --fork it forks during the work, as the
loader of SQLMesh does, and the child outlives it by CHILD_SECONDS.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from functools import cache
from pathlib import Path

import ingest.contracts.contract
import ingest.ledger.ledger
import ingest.upkeep.compact

CHILD_SECONDS = 3.0


def fork() -> None:
    """Leave a child with all open descriptors of this process, except the pipes to its parent."""
    if os.fork() == 0:
        for stream in (1, 2):
            os.close(stream)
        time.sleep(CHILD_SECONDS)
        os._exit(0)


def main() -> None:
    """Run one command of `lake`."""
    folder = Path(sys.argv.pop(1))
    forks = sys.argv[1] == "--fork" and bool(sys.argv.pop(1))
    ingest.ledger.ledger.CHECKPOINT_ENTRIES = 4
    ingest.upkeep.compact.MIN_FILES = 2
    ingest.contracts.contract.contracts = cache(lambda: ingest.contracts.contract.load_contracts(folder))
    # only now, so that they use what was set
    from pipeline import cli
    from pipeline.checks import verify  # noqa: F401  what the commands import later
    from pipeline.cli import progress, show_ingest, show_upkeep  # noqa: F401
    from pipeline.cycle import ingest as ingest_cycle  # noqa: F401
    from pipeline.cycle import maintain, quarantine, recover  # noqa: F401

    if sys.argv[1] == "run":
        from pipeline.cycle import cycle  # noqa: F401  SQLMesh, which takes a second
        from pipeline.warehouse import project

        project.PROJECT = Path(os.environ["TORTURE_PROJECT"])
    signal.raise_signal(signal.SIGSTOP)
    if forks:
        timer = threading.Timer(random.uniform(0, 0.3), fork)
        timer.daemon = True
        timer.start()
    cli.main()


if __name__ == "__main__":
    main()
