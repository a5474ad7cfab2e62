"""`lake backup`, `lake restore` and `lake drill`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ingest.errors import ConfigError
from ingest.schemes import absolute
from pipeline.cli.common import Output, exits, json_option, open_lake

if TYPE_CHECKING:
    from pipeline.backup.place import Backups


def _address(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Check the address of a place; a relative folder starts from the current one."""
    if value is None:
        return None
    try:
        return absolute(value, Path.cwd())
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _addresses(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[str]:
    return [found for value in values if (found := _address(context, parameter, value))]


_number = click.option("--backup", "number", type=click.IntRange(min=1), help="Its number; by default the newest one.")
_from = click.option(
    "--from", "uri", required=True, callback=_address, metavar="URI", help="A folder or s3://bucket[/prefix]."
)


@click.command()
@click.option("--to", "uri", required=True, callback=_address, metavar="URI", help="A folder or s3://bucket[/prefix].")
@click.option("--warehouse", "with_warehouse", is_flag=True, help="With the DuckDB warehouse: no rebuild is needed.")
@click.option("--full", is_flag=True, help="Copy what older back-ups have once more, as when they are damaged.")
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Delete all but the N newest back-ups.")
@click.option("--list", "listing", is_flag=True, help="List the back-ups at the place.")
@click.option(
    "--wait",
    default=600.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds to wait for a process that uses the state.",
)
@json_option
@exits
def backup(
    uri: str,
    with_warehouse: bool,
    full: bool,
    keep: int | None,
    listing: bool,
    wait: float,
    output: Output,
) -> int:
    """Back up the lake, its releases and its state: what cannot be derived from anything else.

    Content never changes, so a back-up copies what is new. It exists once its manifest does, which is written last.
    Loads and cycles may run meanwhile. Back-ups of before an erasure that is carried out are deleted. Not in it: the
    landing, which is the producers', and secrets.
    """
    from pipeline.backup.place import Backups
    from pipeline.cli.show_backup import show_backup
    from pipeline.cycle.backup import back_up

    lake = open_lake()
    if listing:
        return _list(Backups(uri, lake.options), output)
    taken = back_up(lake, uri, with_warehouse, full, keep, wait)
    output.show(asdict(taken), lambda: show_backup(taken, uri))
    return 0


def _list(backups: Backups, output: Output) -> int:
    from pipeline.cli.show_backup import show_backups

    found = [backups.get(number) for number in backups.numbers()]
    rows = [asdict(item.about) | {"objects": len(item.objects), "bytes": item.size} for item in found]
    output.show(rows, lambda: show_backups(found))
    return 0


@click.command()
@_from
@_number
@click.option(
    "--tombstones",
    "others",
    multiple=True,
    callback=_addresses,
    metavar="URI",
    help="Another lake or place of back-ups that knows of later erasures; may be repeated.",
)
@json_option
@exits
def restore(uri: str, number: int | None, others: list[str], output: Output) -> int:
    """Restore a back-up into the empty lake of the settings, and say what is to be done next.

    Every content is compared with its hash. Until all of it is there nobody can write to the lake; after a kill the
    same command goes on. Persons who were forgotten after the back-up are forgotten again.
    """
    from pipeline.cli.show_backup import next_steps, show_restored
    from pipeline.cycle.backup import restore_backup

    lake = open_lake()
    restored = restore_backup(lake, uri, number, others)
    steps = next_steps(restored, lake.options)
    output.show(asdict(restored) | {"next": steps}, lambda: show_restored(restored, steps, lake.options))
    return 0


@click.command()
@_from
@_number
@click.option("--into", metavar="FOLDER", help="A new folder for it; by default a temporary one.")
@click.option("--keep", is_flag=True, help="Keep the folder.")
@json_option
@exits
def drill(uri: str, number: int | None, into: str | None, keep: bool, output: Output) -> int:
    """Rebuild everything elsewhere from a back-up, compare every table with its release, and measure the time.

    Exit 1 if a table differs or a content of the back-up is damaged. Nothing else is read or changed.
    """
    from ingest.settings import settings
    from pipeline.cli.progress import CycleProgress
    from pipeline.cli.show_drill import drill_as_dict, show_drill
    from pipeline.cycle.drill import drill as drill_all

    if keep and into is None:
        raise ConfigError("--keep needs --into FOLDER")
    with CycleProgress(sys.stderr) as progress:
        done = drill_all(settings(), uri, number, into, keep, progress.model)
    output.show(drill_as_dict(done), lambda: show_drill(done))
    return done.exit_code
