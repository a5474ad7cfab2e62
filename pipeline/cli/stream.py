"""`lake stream`."""

from __future__ import annotations

import sys
import time
from contextlib import suppress

import click

from ingest.errors import LakemeshError
from pipeline.cli.common import Output, exits, feed_arguments, json_option, open_lake, show_error
from pipeline.cli.every import interval

NOTE_SECONDS = 3600.0
"""How often a stream keeps what it used."""
_STUCK_SECONDS = 600.0
"""Without a pass over all feeds for so long, `lake health` counts a stream as stuck: a load is bounded."""
_SHOWN = ("feed", "loads", "messages", "rows", "quarantined")


@click.command()
@feed_arguments
@click.option("--every", default="5s", show_default=True, callback=interval, help="From one load's start to the next.")
@json_option
@exits
def stream(feeds: tuple[str, ...], every: float, output: Output) -> int:
    """Load topics of Kafka into bronze, again and again, until SIGTERM or Ctrl-C.

    Only bronze and its ledger are written; `lake run` or `lake ingest` marks and computes what the loads changed. Any
    number of streams share out the partitions. The load at work ends with its commit.
    """
    from ingest.contracts.contract import select
    from ingest.process import lean_process
    from ingest.records.report import FeedReport
    from pipeline.cli.show_stream import show_load, show_streamed
    from pipeline.cycle.stream import stream as load_again_and_again
    from pipeline.cycle.usage import metered
    from pipeline.process.heartbeat import beat
    from pipeline.process.interrupt import stoppable

    lean_process()
    noted_at = time.monotonic()

    def failed(feed: str, error: LakemeshError) -> None:
        show_error(error if str(error).startswith(feed) else f"{feed}: {error}")

    def loaded(report: FeedReport) -> None:
        nonlocal noted_at
        print(show_load(report), file=sys.stderr, flush=True)
        if time.monotonic() > noted_at + NOTE_SECONDS:
            noted_at = time.monotonic()
            note()

    heard = float("-inf")

    def at_work() -> None:
        nonlocal heard
        if time.monotonic() - heard > every:
            heard = time.monotonic()
            with suppress(OSError):  # the loads themselves do not need this disk
                beat(lake.options, "stream", every + _STUCK_SECONDS)

    lake = open_lake()
    with stoppable() as stop, metered(lake, "lake stream", lambda error: failed("usage", error)) as note:
        done = load_again_and_again(lake, select(feeds), every, stop, failed, loaded, at_work)
    output.show([{name: getattr(own, name) for name in _SHOWN} for own in done], lambda: show_streamed(done))
    return max((own.exit_code for own in done), default=0)
