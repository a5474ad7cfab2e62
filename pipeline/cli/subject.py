"""`lake subject`: what is known about one person."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from pipeline.cli.common import Output, exits, json_option, open_lake


@click.group()
def subject() -> None:
    """Give a person what the lake has about them."""


@subject.command()
@click.option(
    "--subject",
    "named",
    multiple=True,
    required=True,
    metavar="IDENTIFIER=VALUE",
    help="An identifier of the person, as user_id=u1; repeatable, for one person.",
)
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="A new folder for the files.")
@click.option("--because", default="", help="The reason, kept in the audit log, such as the number of the request.")
@json_option
@exits
def export(named: tuple[str, ...], folder: Path, because: str, output: Output) -> int:
    """Write everything about one person to a new folder, as JSON and CSV, each record with its source.

    From bronze, the quarantine and the current release, by all identifiers that contracts relate to the given ones. The
    audit log notes the export, without the identifiers. Exit 1 if nothing is known about the person.
    """
    from ingest.contracts.contract import contracts
    from pipeline.access.subjects import named_identifiers
    from pipeline.cli.show_access import show_export
    from pipeline.cycle.subject_export import export_subject

    known = contracts()
    done = export_subject(open_lake(), known, named_identifiers(named, known.values()), folder, because)
    output.show(asdict(done), lambda: show_export(done))
    return int(done.is_empty)
