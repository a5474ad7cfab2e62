"""`lake features`: features of customers as of past moments, for training and for questions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.common import Output, exits, json_option, open_lake

if TYPE_CHECKING:
    from pipeline.releases.release import Release, Releases

_release_option = click.option(
    "--release", type=click.IntRange(min=1), help="Number of the release; by default the current one."
)


@click.group()
def features() -> None:
    """Features of customers as of past moments, from a release (docs/features.md)."""


def _chosen(releases: Releases, number: int | None) -> Release:
    """The release with a number, or the current one."""
    from ingest.errors import ConfigError

    found = releases.current() if number is None else releases.get(number)
    if found is None:
        raise ConfigError(f"{releases.store.uri}: nothing is published yet; run `lake run` or `lake publish`")
    return found


@features.command(name="list")
@_release_option
@json_option
@exits
def features_list(release: int | None, output: Output) -> int:
    """List the features in a release, and what they mean."""
    from pipeline.cli.show_features import as_list, show_list
    from pipeline.features.view import VIEWS

    chosen = _chosen(open_lake().releases, release)
    output.show(as_list(chosen, VIEWS), lambda: show_list(chosen, VIEWS))
    return 0


@features.command()
@click.option(
    "--entities",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="CSV with a header, or Parquet: a row for each customer and time of interest.",
)
@click.option("--features", "names", default="", help="Names joined by commas; by default all.")
@click.option("--key", help="Column of the customer.  [default: customer_id]")
@click.option(
    "--timestamp", default="event_timestamp", show_default=True, help="Column of the time; UTC without a zone."
)
@click.option("--ttl", help="Age of features at most, such as 90d or 12h: older ones count as missing.")
@click.option("--known-then", is_flag=True, help="As the lake knew by then, without what landed later.")
@_release_option
@click.option(
    "--output",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that ends in .csv or .parquet; by default CSV is printed.",
)
@exits
def get(
    entities: Path,
    names: str,
    key: str | None,
    timestamp: str,
    ttl: str | None,
    known_then: bool,
    release: int | None,
    path: Path | None,
) -> int:
    """Join the rows of a file with the features of each as of its time.

    Every row stays, in its order and with its columns; features are empty where there are none as of then. A release
    never changes: the same file and --release give the same result.
    """
    from pipeline.cli.show_features import show_joined
    from pipeline.features.entities import read_entities
    from pipeline.features.join import duration, features_of
    from pipeline.features.view import HAPPENED, KNOWN
    from pipeline.features.write import check_path, write_csv, write_rows

    view = KNOWN if known_then else HAPPENED
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    age = duration(ttl) if ttl is not None else None
    if path:
        check_path(path)
    rows = read_entities(entities, key or view.key, timestamp)
    releases = open_lake().releases
    chosen = _chosen(releases, release)
    with releases.connect(chosen.number) as connection:
        joined = features_of(connection, chosen, view, rows, wanted, age)
    if path:
        write_rows(joined.rows, path)
        click.echo(f"{path}: {show_joined(joined, view)}")
    else:
        write_csv(joined.rows, sys.stdout.buffer)
        click.echo(show_joined(joined, view), err=True)
    return 0
