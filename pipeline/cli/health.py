"""`lake health`."""

from __future__ import annotations

import datetime as dt

import click

from pipeline.cli.common import exits, show_error


@click.command()
@click.argument("names", nargs=-1, metavar="[COMMAND]...")
@exits
def health(names: tuple[str, ...]) -> int:
    """Check that processes which run for long are at work: `run --every`, `maintain --every`, `stream`.

    Exit 1 if one was due and is not heard of; named ones must have run with this LAKE_HOME. Reads one small file each:
    neither lake nor state is opened. `lake serve` answers at /healthz and /readyz instead.
    """
    from ingest.settings import settings
    from pipeline.process.heartbeat import overdue

    found = list(overdue(settings(), names, dt.datetime.now(dt.UTC)))
    return max((show_error(sentence) for sentence in found), default=0)
