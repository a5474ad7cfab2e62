"""`lake live`."""

from __future__ import annotations

from contextlib import closing

import click

from pipeline.cli.common import exits, open_lake
from pipeline.process.interrupt import interruptible

PORT = 8010


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes any that is free."
)
@click.option(
    "--lateness",
    type=click.FloatRange(0, 3600),
    default=10.0,
    show_default=True,
    help="Seconds that a window waits for late events after its end.",
)
@exits
def live(port: int, lateness: float) -> int:
    """Show the shop's numbers as they happen, beside the release, on this machine.

    They are provisional: the release has the audited ones. Reads the topics of the shop's feeds; takes nothing from
    `lake ingest` or `lake stream`, and writes nothing but what closed windows showed.
    """
    from ingest.settings import PROJECT
    from pipeline.live.pages import Pages
    from pipeline.live.process import Process
    from pipeline.live.rebuild import Rebuild
    from pipeline.live.rules import Rules
    from pipeline.live.server import LiveServer
    from pipeline.live.source import Source
    from pipeline.live.topics import Topics

    lake = open_lake()
    rules = Rules.of(PROJECT)
    process = Process(lake, rules, lateness)

    def opened(rebuild: Rebuild) -> Source:
        now = process.microseconds
        return Topics(lake.kafka, process.decoder.contracts, rebuild.next_offsets, rebuild.floor, now)

    server = LiveServer(port, process.hub, Pages(lake.releases))
    server.start()
    click.echo(server.address)
    try:
        with interruptible(code=0), closing(lake.store):
            process.run(opened)
    except KeyboardInterrupt:
        click.echo("stopped: the next start rebuilds what is live", err=True)
    finally:
        server.stop()
    return 0
