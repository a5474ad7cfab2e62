"""`lake stream` in a process of its own that is killed at a moment of its commits, or after a while.

    python -m tests.stream_worker MOMENT NUMBER lake-arguments…

MOMENT is `write` (files are written, nothing is committed), `commit` (within the put of the entry, before it is made),
`answer` (the entry is there, the process does not know yet), or `never`; NUMBER is how often it is passed first.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from ingest.ledger.ledger import Ledger
from ingest.steps.topic_load import TopicLoad
from ingest.storage.store import Store

left = int(sys.argv[2])


def kill() -> None:
    """End the process, once it has passed often enough."""
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run one command."""
    moment = sys.argv[1]
    run, commit, put_new = TopicLoad.run, Ledger.commit, Store.put_new

    def written(self: TopicLoad, *arguments: Any) -> Any:
        entry = run(self, *arguments)
        kill()
        return entry

    def putting(self: Store, key: str, data: bytes) -> bool:
        if key.startswith("ledger/") and moment == "commit":
            kill()
        return put_new(self, key, data)

    def answered(self: Ledger, *arguments: Any) -> int:
        found = commit(self, *arguments)
        kill()
        return found

    if moment == "write":
        TopicLoad.run = written  # type: ignore[method-assign]
    if moment == "commit":
        Store.put_new = putting  # type: ignore[method-assign]
    if moment == "answer":
        Ledger.commit = answered  # type: ignore[method-assign]
    from pipeline.cli import program

    sys.argv = ["lake", *sys.argv[3:]]
    program()


if __name__ == "__main__":
    main()
