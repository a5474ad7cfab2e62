"""`lake drop`."""

from __future__ import annotations

from dataclasses import asdict

import click

from pipeline.cli.common import Output, exits, json_option, open_lake


@click.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option("--because", required=True, help="The reason, shown by `lake why KEY`.")
@click.confirmation_option(prompt="Remove the rows and rejected records of these objects from the lake?")
@json_option
@exits
def drop(keys: tuple[str, ...], because: str, output: Output) -> int:
    """Remove objects that should never have been loaded from the lake, and mark their dates for recomputation.

    KEY is bucket/key, as in the column _source_file. The rows and rejected records of its loaded version are removed in
    one commit. This version is never loaded again; different content under the key is. The object in the landing is
    not touched, and may be deleted before or after.
    """
    from pipeline.cli.show_upkeep import show_drop
    from pipeline.cycle.drop import drop_all

    summary = drop_all(open_lake(), keys, because)
    output.show(asdict(summary), lambda: show_drop(summary))
    for error in summary.errors:
        click.echo(f"error: {error}", err=True)
    return summary.exit_code
