"""`lake pii`: personal data that is not classed as such."""

from __future__ import annotations

from dataclasses import asdict

import click

from pipeline.cli.common import Output, exits, feed_arguments, for_each, json_option, open_lake, show_errors


@click.group()
def pii() -> None:
    """Find personal data that no contract classes."""


@pii.command()
@feed_arguments
@json_option
@exits
def scan(feeds: tuple[str, ...], output: Output) -> int:
    """Look at names and values in bronze, in fields that no contract knows, and in the quarantine.

    Proposes a class for what looks more personal than its contract says; no value is shown. Exit 1 if there is any.
    """
    from ingest.contracts.contract import select
    from pipeline.checks.personal import by_values
    from pipeline.cli.show_access import show_suspects

    lake = open_lake()
    with lake.connect() as connection:
        found, errors = for_each(
            select(feeds), lambda item: by_values(item, lake.store, lake.ledger(item.feed).state(), connection)
        )
    suspects = [suspect for of_feed in found for suspect in of_feed]
    output.show([asdict(suspect) for suspect in suspects], lambda: show_suspects(suspects))
    return max(int(bool(suspects)), show_errors(errors))
