"""`lake quarantine`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from ingest.errors import ConfigError
from pipeline.cli.common import as_json_text, exits, feed_arguments, json_option, misused, raw_option


def _wanted(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that choose records."""
    reason = click.option("--reason", "reasons", multiple=True, help="Only records with this reason; repeatable.")
    source = click.option("--object", "objects", multiple=True, help="Only records of this BUCKET/KEY; repeatable.")
    return reason(source(command))


@click.group()
def quarantine() -> None:
    """See the rejected records, take back those that a mended contract accepts, give up others."""


@quarantine.command(name="list")
@feed_arguments
@json_option
@exits
def quarantine_list(feeds: tuple[str, ...], as_json: bool) -> int:
    """Count the rejected records by reason and column."""
    from ingest.settings import settings
    from pipeline.cli.show import show_quarantine
    from pipeline.cycle.quarantine import quarantine_of

    found = quarantine_of(feeds, settings())
    rows = {feed: [asdict(group) for group in items] for feed, items in found.items()}
    click.echo(as_json_text(rows) if as_json else show_quarantine(found))
    return 0


@quarantine.command(name="show")
@feed_arguments
@_wanted
@click.option("--discarded", is_flag=True, help="Those that were given up, instead of the open ones.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="At most so many.")
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
    as_json: bool,
) -> int:
    """Show rejected records: object, line, fault, and the record.

    Values that are personal by the contract, of unknown fields, or in a record that cannot be read are hidden, and so
    are details that may quote them; --raw shows them.
    """
    from ingest.contracts.contract import contracts
    from ingest.ledger.quarantine import Wanted
    from ingest.settings import settings
    from pipeline.access.masking import shown
    from pipeline.cli.show import show_bad_record
    from pipeline.cycle.quarantine import records_of

    found = itertools.islice(records_of(feeds, Wanted(reasons, objects), settings(), discarded), limit)
    known = contracts()
    if as_json:
        rows = []
        for feed, record in found:
            detail, text = shown(known[feed], record, raw)
            rows.append({"feed": feed} | asdict(record) | {"detail": detail, "raw": text, "masked": not raw})
        click.echo(as_json_text(rows))
        return 0
    for feed, record in found:
        click.echo(show_bad_record(feed, record, *shown(known[feed], record, raw)))
    return 0


@quarantine.command(name="replay")
@feed_arguments
@_wanted
@json_option
@exits
def quarantine_replay(feeds: tuple[str, ...], reasons: tuple[str, ...], objects: tuple[str, ...], as_json: bool) -> int:
    """Judge rejected records by the contracts of now; the good ones become rows, and their dates are marked.

    Objects that could not be decoded at all are not tried: they are read again when they change.
    """
    from ingest.ledger.quarantine import Wanted
    from ingest.settings import settings
    from pipeline.cli.show import show_replay
    from pipeline.cycle.quarantine import replay_all

    summary = replay_all(feeds, Wanted(reasons, objects), settings())
    click.echo(as_json_text(asdict(summary)) if as_json else show_replay(summary))
    return misused(summary.errors)


@quarantine.command(name="discard")
@feed_arguments
@_wanted
@click.option("--because", required=True, help="Why; it is kept beside the records.")
@click.option("--all", "everything", is_flag=True, help="All open records; otherwise --reason or --object is needed.")
@json_option
@exits
def quarantine_discard(
    feeds: tuple[str, ...],
    reasons: tuple[str, ...],
    objects: tuple[str, ...],
    because: str,
    everything: bool,
    as_json: bool,
) -> int:
    """Give up rejected records: they leave the open quarantine, stay on disk, and stay counted."""
    from ingest.ledger.quarantine import Wanted
    from ingest.settings import settings
    from pipeline.cli.show import show_discarded
    from pipeline.cycle.quarantine import discard_all

    if not everything and not reasons and not objects:
        raise ConfigError("which records? Name a --reason or an --object, or say --all")
    done, errors = discard_all(feeds, because, Wanted(reasons, objects), settings())
    click.echo(as_json_text(done) if as_json else show_discarded(done))
    return misused(errors)
