"""`lake` as tests/torture.py runs it: `python -m tests.torture_worker CONTRACTS ARGUMENTS…`

It takes another folder of contracts, and a checkpoint or a compaction needs few entries and files, so that a short run
meets them too. Once everything is imported it stops (SIGSTOP) until it is told to go on: then a random kill hits the
work and not the start-up, and processes that shall meet begin together.
"""

from __future__ import annotations

import signal
import sys
from functools import cache
from pathlib import Path

import ingest.compact
import ingest.contract
import ingest.ledger


def main() -> None:
    """Runs one command of `lake`."""
    folder = Path(sys.argv.pop(1))
    ingest.ledger.CHECKPOINT_ENTRIES = 4
    ingest.compact.MIN_FILES = 2
    ingest.contract.contracts = cache(lambda: ingest.contract.load_contracts(folder))
    # only now, so that they take what was set
    from pipeline import cli, cycle, maintain, quarantine, show  # noqa: F401  all that the commands import later

    signal.raise_signal(signal.SIGSTOP)
    cli.main()


if __name__ == "__main__":
    main()
