"""Commands that change nothing: `lake status`, `lake why`, `lake verify`."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict

import click

from pipeline.cli.common import as_json_text, exits, feed_arguments, json_option


@click.command()
@feed_arguments
@click.option("--days", default=7, show_default=True, type=click.IntRange(min=0), help="How many days of loading.")
@json_option
@exits
def status(feeds: tuple[str, ...], days: int, as_json: bool) -> int:
    """Show what waits in the landing, what is loaded, and since when."""
    from ingest.contract import select
    from ingest.settings import settings
    from pipeline.show import show_status
    from pipeline.status import feed_status

    found = [feed_status(contract, settings(), days) for contract in select(feeds)]
    text = as_json_text([asdict(feed) for feed in found]) if as_json else show_status(found, dt.datetime.now(dt.UTC))
    click.echo(text)
    return 0


@click.command()
@click.argument("key")
@json_option
@exits
def why(key: str, as_json: bool) -> int:
    """Tell one object's whole life: its versions, loads, files, and each bad line with its reason.

    KEY is bucket/key, as in the column _source_file.
    """
    from ingest.settings import settings
    from pipeline.show import show_life
    from pipeline.why import life_of

    life = life_of(key, settings())
    click.echo(as_json_text({"state": life.state, **asdict(life)}) if as_json else show_life(life))
    return 0


@click.command()
@feed_arguments
@click.option("--deep", is_flag=True, help="Read every source object again and compare each row.")
@json_option
@exits
def verify(feeds: tuple[str, ...], deep: bool, as_json: bool) -> int:
    """Check that landing, ledger and lake tell the same story; exit 1 and the differences otherwise."""
    from ingest.contract import select
    from ingest.errors import LostLedger
    from ingest.settings import settings
    from ingest.store import Store
    from pipeline.continuity import known, must_be_the_known_lake
    from pipeline.show import show_verdicts
    from pipeline.verify import verify_feed

    lake = Store(settings().lake_uri, settings())
    others = known(settings(), lake)
    verdicts = [verify_feed(contract, settings(), deep, others) for contract in select(feeds)]
    click.echo(as_json_text([asdict(verdict) for verdict in verdicts]) if as_json else show_verdicts(verdicts))
    try:
        must_be_the_known_lake(lake, others)
    except LostLedger as error:
        click.echo(f"error: {error}", err=True)
        return 1
    return int(any(verdict.differences for verdict in verdicts))
