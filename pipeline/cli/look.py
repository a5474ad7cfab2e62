"""Read-only commands: `lake status`, `lake why`, `lake verify`."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ingest.errors import ConfigError
from pipeline.cli.common import (
    Output,
    exits,
    feed_arguments,
    for_each,
    json_option,
    open_lake,
    raw_option,
    show_error,
    show_errors,
)

if TYPE_CHECKING:
    from pipeline.checks.status import FeedStatus


@click.command()
@feed_arguments
@click.option("--days", default=7, show_default=True, type=click.IntRange(min=0), help="Number of load dates to show.")
@click.option("--prometheus", is_flag=True, help="Print the measures of lake, releases and cycles for Prometheus.")
@json_option
@exits
def status(feeds: tuple[str, ...], days: int, prometheus: bool, output: Output) -> int:
    """Show backlog, loaded data and last activity of each feed; exit 1 if objects cannot be loaded."""
    if prometheus:
        return _measures(feeds, output)
    from ingest.contracts.contract import select
    from ingest.errors import OffsetsLost, UnloadableObjects
    from pipeline.checks.landings import judge_absent
    from pipeline.checks.status import feed_status
    from pipeline.cli.show_look import show_status

    chosen, lake = select(feeds), open_lake()
    found, errors = for_each(
        chosen, lambda contract: feed_status(contract, lake.landing(contract), lake.store, days, lake.kafka)
    )
    output.show([asdict(feed) for feed in found], lambda: show_status(found, dt.datetime.now(dt.UTC)))
    missing = [feed.no_landing for feed in found if feed.no_landing and not _reads_topic(feed)]
    mistakes, notes = judge_absent(missing, len(chosen))
    for note in notes:
        click.echo(f"note: {note}", err=True)
    lost = [OffsetsLost(feed.feed, feed.topic.gaps) for feed in found if feed.topic and feed.topic.gaps]
    unloadable = [UnloadableObjects(feed.feed, feed.unloadable) for feed in found if feed.unloadable]
    return show_errors([*errors, *mistakes, *unloadable, *lost])


def _reads_topic(feed: FeedStatus) -> bool:
    """Whether a feed that lacks a landing has a topic, and its objects are not missing."""
    return bool(feed.topic and not feed.topic.note) and not (feed.no_landing and feed.no_landing.known)


def _measures(feeds: tuple[str, ...], output: Output) -> int:
    """Print the measures in Prometheus's text format, and why others are missing."""
    from pipeline.monitoring.exposition import Exporter, exposition

    if feeds or output.as_json:
        raise ConfigError("--prometheus prints the measures of all feeds in Prometheus's own format, without --json")
    found = Exporter(open_lake()).measure()
    click.echo(exposition(found.samples), nl=False)
    return show_errors(found.errors)


@click.command()
@click.argument("key")
@raw_option
@json_option
@exits
def why(key: str, raw: bool, output: Output) -> int:
    """Show the history of one object: its versions, loads, files, and each bad line with its reason.

    KEY is bucket/key, as in the column _source_file, or TOPIC/PARTITION/OFFSET of a message. Bad lines are masked as in
    `lake quarantine show`.
    """
    from pipeline.checks.message import find_message, masked_message, message_history
    from pipeline.checks.trace import masked_history, object_history
    from pipeline.cli.show_look import show_history, show_message

    lake = open_lake()
    if found := find_message(key):
        message = message_history(*found, lake.kafka, lake.store, lake.connect)
        message = message if raw else masked_message(message)
        output.show(asdict(message), lambda: show_message(message))
        return 0
    history = object_history(key, lake.landings, lake.store, lake.connect)
    history = history if raw else masked_history(history)
    output.show({"state": history.state, **asdict(history)}, lambda: show_history(history))
    return 0


@click.command()
@feed_arguments
@click.option("--deep", is_flag=True, help="Read every source object again and compare each row.")
@json_option
@exits
def verify(feeds: tuple[str, ...], deep: bool, output: Output) -> int:
    """Check that landing, ledger and lake are consistent; otherwise print the differences and exit 1."""
    from ingest.contracts.contract import select
    from ingest.errors import LostLedger
    from pipeline.checks.landings import judge_absent
    from pipeline.checks.verify import verify_feed
    from pipeline.cli.show_look import show_verdicts
    from pipeline.invalidation.continuity import require_recorded_lake

    chosen, lake = select(feeds), open_lake()
    recorded = lake.records()
    start = lake.options.lake_start
    verdicts, errors = for_each(
        chosen,
        lambda contract: verify_feed(
            contract,
            lake.landing(contract),
            lake.store,
            lake.connect,
            recorded,
            start,
            deep,
            lake.tombstones,
            lake.kafka,
        ),
    )
    output.show([asdict(verdict) for verdict in verdicts], lambda: show_verdicts(verdicts))
    mistakes, notes = judge_absent([item.no_landing for item in verdicts if item.no_landing], len(chosen))
    for note in notes:
        click.echo(f"note: {note}", err=True)
    code = max(show_errors([*errors, *mistakes]), int(any(verdict.differences for verdict in verdicts)))
    try:
        require_recorded_lake(lake.store, recorded)
    except LostLedger as error:
        show_error(error)
        code = max(code, 1)
    return code
