"""`lake portal`."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from pipeline.cli.common import exits, open_lake


@click.command()
@click.option("--release", "number", type=click.IntRange(min=1), help="A kept release; by default the current one.")
@click.option("--path", "only_path", is_flag=True, help="Print where the pages are, and open nothing.")
@exits
def portal(number: int | None, only_path: bool) -> int:
    """Open the pages of a release in a browser: dashboards and definitions of metrics.

    On S3 the address is printed; docs/portal.md says how to serve it.
    """
    from pipeline.portal.publication import address, is_behind

    releases = open_lake().releases
    place = address(releases, number)
    click.echo(place)
    if number is None and (shown := is_behind(releases)) is not None:
        click.echo(f"note: its pages show release {shown}; the next cycle writes those of the current one", err=True)
    if only_path or "://" in place:
        return 0
    path, _, query = place.partition("?")
    if not webbrowser.open(Path(path).as_uri() + (f"?{query}" if query else "")):
        click.echo("no browser was found; open that file in one", err=True)
    return 0
