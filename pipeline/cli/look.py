"""Commands that change nothing: `lake status`, `lake why`, `lake verify`."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict

import click

from pipeline.cli.common import (
    as_json_text,
    ask_each,
    exits,
    feed_arguments,
    json_option,
    raw_option,
    show_error,
    show_errors,
)


@click.command()
@feed_arguments
@click.option("--days", default=7, show_default=True, type=click.IntRange(min=0), help="How many days of loading.")
@json_option
@exits
def status(feeds: tuple[str, ...], days: int, as_json: bool) -> int:
    """Show what waits in the landing, what is loaded, and since when; exit 1 for objects that cannot be loaded."""
    from ingest.contracts.contract import select
    from ingest.errors import UnloadableObjects
    from ingest.settings import settings
    from pipeline.checks.landings import judge_absent
    from pipeline.checks.status import feed_status
    from pipeline.cli.show import show_status

    chosen = select(feeds)
    found, errors = ask_each(chosen, lambda contract: feed_status(contract, settings(), days))
    text = as_json_text([asdict(feed) for feed in found]) if as_json else show_status(found, dt.datetime.now(dt.UTC))
    click.echo(text)
    mistakes, notes = judge_absent([feed.no_landing for feed in found if feed.no_landing], len(chosen))
    for note in notes:
        click.echo(f"note: {note}", err=True)
    unloadable = [UnloadableObjects(feed.feed, feed.unloadable) for feed in found if feed.unloadable]
    return show_errors([*errors, *mistakes, *unloadable])


@click.command()
@click.argument("key")
@raw_option
@json_option
@exits
def why(key: str, raw: bool, as_json: bool) -> int:
    """Tell one object's whole life: its versions, loads, files, and each bad line with its reason.

    KEY is bucket/key, as in the column _source_file. Bad lines are masked as in `lake quarantine show`.
    """
    from ingest.settings import settings
    from pipeline.checks.trace import life_of, masked_life
    from pipeline.cli.show import show_life

    life = life_of(key, settings())
    life = life if raw else masked_life(life)
    click.echo(as_json_text({"state": life.state, **asdict(life)}) if as_json else show_life(life))
    return 0


@click.command()
@feed_arguments
@click.option("--deep", is_flag=True, help="Read every source object again and compare each row.")
@json_option
@exits
def verify(feeds: tuple[str, ...], deep: bool, as_json: bool) -> int:
    """Check that landing, ledger and lake tell the same story; exit 1 and the differences otherwise."""
    from ingest.contracts.contract import select
    from ingest.errors import LostLedger
    from ingest.settings import settings
    from ingest.storage.store import Store
    from pipeline.checks.landings import judge_absent
    from pipeline.checks.verify import verify_feed
    from pipeline.cli.show import show_verdicts
    from pipeline.invalidation.continuity import known, must_be_the_known_lake

    chosen, lake = select(feeds), Store(settings().lake_uri, settings())
    others = known(settings(), lake)
    verdicts, errors = ask_each(chosen, lambda contract: verify_feed(contract, settings(), deep, others))
    click.echo(as_json_text([asdict(verdict) for verdict in verdicts]) if as_json else show_verdicts(verdicts))
    mistakes, notes = judge_absent([item.no_landing for item in verdicts if item.no_landing], len(chosen))
    for note in notes:
        click.echo(f"note: {note}", err=True)
    code = max(show_errors([*errors, *mistakes]), int(any(verdict.differences for verdict in verdicts)))
    try:
        must_be_the_known_lake(lake, others)
    except LostLedger as error:
        show_error(error)
        code = max(code, 1)
    return code
