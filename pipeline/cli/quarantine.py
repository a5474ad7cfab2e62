"""`lake quarantine`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from ingest.errors import ConfigError
from pipeline.cli.common import (
    Output,
    as_json_text,
    exits,
    feed_arguments,
    json_option,
    open_lake,
    raw_option,
    show_skipped,
)


def _wanted(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select records."""
    reason = click.option("--reason", "reasons", multiple=True, help="Only records with this reason; repeatable.")
    source = click.option("--object", "objects", multiple=True, help="Only records of this BUCKET/KEY; repeatable.")
    return reason(source(command))


@click.group()
def quarantine() -> None:
    """Show rejected records, replay those that a fixed contract accepts, discard others."""


@quarantine.command(name="list")
@feed_arguments
@json_option
@exits
def quarantine_list(feeds: tuple[str, ...], output: Output) -> int:
    """Count the rejected records by reason and column."""
    from pipeline.cli.show_quarantine import show_quarantine
    from pipeline.cycle.quarantine import quarantine_groups

    found = quarantine_groups(open_lake(), feeds)
    rows = {feed: [asdict(group) for group in items] for feed, items in found.items()}
    output.show(rows, lambda: show_quarantine(found))
    return 0


@quarantine.command(name="show")
@feed_arguments
@_wanted
@click.option("--discarded", is_flag=True, help="Show discarded records instead of open ones.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="Maximum number.")
@raw_option
@json_option
@exits
def quarantine_show(
    feeds: tuple[str, ...],
    reasons: tuple[str, ...],
    objects: tuple[str, ...],
    discarded: bool,
    limit: int,
    raw: bool,
    output: Output,
) -> int:
    """Show rejected records: object, line, fault, and the record.

    Values of personal columns, of unknown fields and of unreadable records are hidden, and so are details that may
    quote them; --raw shows them.
    """
    from ingest.contracts.contract import contracts
    from ingest.ledger.quarantine import Selection
    from pipeline.access.masking import detail_and_text
    from pipeline.cli.show_quarantine import show_bad_record
    from pipeline.cycle.quarantine import quarantined_records

    found = itertools.islice(quarantined_records(open_lake(), feeds, Selection(reasons, objects), discarded), limit)
    known = contracts()
    if output.as_json:
        rows = []
        for feed, record in found:
            detail, text = detail_and_text(known[feed], record, raw)
            rows.append({"feed": feed} | asdict(record) | {"detail": detail, "raw": text, "masked": not raw})
        click.echo(as_json_text(rows))
        return 0
    for feed, record in found:
        click.echo(show_bad_record(feed, record, *detail_and_text(known[feed], record, raw)))
    return 0


@quarantine.command(name="replay")
@feed_arguments
@_wanted
@json_option
@exits
def quarantine_replay(
    feeds: tuple[str, ...], reasons: tuple[str, ...], objects: tuple[str, ...], output: Output
) -> int:
    """Judge rejected records by the current contracts; valid ones become rows, and their dates are marked.

    Objects that could not be decoded at all are not tried; they are read again when they change.
    """
    from ingest.ledger.quarantine import Selection
    from pipeline.cli.show_quarantine import show_replay
    from pipeline.cycle.quarantine import replay_all

    summary = replay_all(open_lake(), feeds, Selection(reasons, objects))
    output.show(asdict(summary), lambda: show_replay(summary))
    return show_skipped(summary.errors)


@quarantine.command(name="discard")
@feed_arguments
@_wanted
@click.option("--because", required=True, help="The reason, kept with the records.")
@click.option("--all", "everything", is_flag=True, help="All open records; required without --reason or --object.")
@json_option
@exits
def quarantine_discard(
    feeds: tuple[str, ...],
    reasons: tuple[str, ...],
    objects: tuple[str, ...],
    because: str,
    everything: bool,
    output: Output,
) -> int:
    """Discard rejected records: they leave the open quarantine, but stay stored and counted."""
    from ingest.ledger.quarantine import Selection
    from pipeline.cli.show_quarantine import show_discarded
    from pipeline.cycle.quarantine import discard_all

    if not everything and not reasons and not objects:
        raise ConfigError("no records selected; expected --reason, --object or --all")
    done, errors = discard_all(open_lake(), feeds, because, Selection(reasons, objects))
    output.show(done, lambda: show_discarded(done))
    return show_skipped(errors)
