"""Run a command of the project at another time.

python -m benchmarks.at 2026-11-01T06:00 lake run
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from typing import Any

import time_machine


def main() -> None:
    """Run `lake` or `sqlmesh`, with its arguments, at the UTC time given first."""
    moment = dt.datetime.fromisoformat(sys.argv[1]).replace(tzinfo=dt.UTC)
    name, sys.argv = sys.argv[2], sys.argv[2:]
    if os.environ.get("AWS_ENDPOINT_URL"):
        _sign_now()
    with time_machine.travel(moment):
        if name == "lake":
            from pipeline.cli import program

            program()  # as the command does, so that what it used before the command counts too
        elif name == "sqlmesh":
            from sqlmesh.cli.main import cli

            cli()
        else:
            sys.exit(f"{name}: expected lake or sqlmesh")


def _sign_now() -> None:
    """Let boto3 sign requests by the real time: a store refuses a signature of another time."""
    import botocore.auth

    def current(remove_tzinfo: bool = True) -> Any:
        now = time_machine.escape_hatch.datetime.datetime.now(dt.UTC)
        return now.replace(tzinfo=None) if remove_tzinfo else now

    botocore.auth.get_current_datetime = current


if __name__ == "__main__":
    main()
