"""`lake contracts`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click

from ingest.settings import PROJECT
from ingest.text import printable
from pipeline.cli.common import Output, as_json_text, exits, feed_arguments, json_option, open_lake

_SHOWN = 20
RECORDS = "docs/records_of_processing.md"


@click.group(invoke_without_command=True)
@click.option("--write", is_flag=True, help="Regenerate what is generated from them.")
@click.option("--offline", is_flag=True, help="Do not read the lake: skip the comparison with loaded data.")
@click.pass_context
def contracts(context: click.Context, write: bool, offline: bool) -> None:
    """Check the data contracts, that they can read loaded data, and that what is generated from them is up to date.

    Loaded data is taken from the ledger, if there is a lake. Generated are external_models/bronze.yaml and, where there
    is a folder docs, docs/records_of_processing.md.
    """
    if not context.invoked_subcommand:
        _check_contracts(write, offline)


@exits
def _check_contracts(write: bool, offline: bool = False) -> int:
    from ingest.contracts.contract import contracts as all_contracts
    from ingest.contracts.schema import external_models
    from pipeline.access.processing import unexplained
    from pipeline.checks.contract_changes import contract_changes
    from pipeline.checks.personal import by_name
    from pipeline.cli.show_access import unclassed

    known = all_contracts()
    suspects = [suspect for contract in known.values() for suspect in by_name(contract)]
    for suspect in suspects:
        click.echo(f"error: {unclassed(suspect)}", err=True)
    silent = unexplained(known.values())
    for line in silent:
        click.echo(f"error: {line}", err=True)
    refused = [] if offline else contract_changes(known.values(), open_lake().store)
    for error in refused:
        click.echo(f"error: {error}", err=True)
    if suspects or silent or refused:
        return 2
    generated = {PROJECT / "external_models" / "bronze.yaml": external_models(list(known.values()))}
    if (PROJECT / "docs").is_dir():
        generated[PROJECT / RECORDS] = _records_of_processing()
    for path, text in generated.items():
        if write:
            path.write_text(text, encoding="utf-8")
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            click.echo(f"error: {path} is out of date; run `lake contracts --write`", err=True)
            return 1
    names = " and ".join(path.relative_to(PROJECT).as_posix() for path in generated)
    click.echo(f"{len(known)} contracts, {names} {'are' if len(generated) > 1 else 'is'} up to date")
    return 0


def _records_of_processing() -> str:
    from ingest.contracts.contract import contracts as all_contracts
    from pipeline.access.privacy import FOLDER, load_privacy
    from pipeline.access.processing import records_of_processing
    from pipeline.access.roles import load_roles

    return records_of_processing(list(all_contracts().values()), load_roles(PROJECT), load_privacy(PROJECT / FOLDER))


@contracts.command(name="processing")
@exits
def contracts_processing() -> int:
    """Print the records of processing of personal data (GDPR article 30), as Markdown: docs/records_of_processing.md.

    By feed: purpose, legal basis, persons, columns by class, how long, and what an erasure leaves. Then which
    identifiers are of one person, and who receives data.
    """
    click.echo(_records_of_processing(), nl=False)
    return 0


@contracts.command(name="show")
@feed_arguments
@json_option
@exits
def contracts_show(feeds: tuple[str, ...], output: Output) -> int:
    """Show the contract of each feed."""
    from ingest.contracts.contract import select
    from pipeline.cli.show_ingest import show_contracts

    chosen = select(feeds)
    dumped = [contract.model_dump(mode="json") for contract in chosen] if output.as_json else None
    output.show(dumped, lambda: show_contracts(chosen))
    return 0


@contracts.command(name="propose")
@feed_arguments
@click.option("--write", is_flag=True, help="Write the proposal into the contract file, for review.")
@json_option
@exits
def contracts_propose(feeds: tuple[str, ...], write: bool, output: Output) -> int:
    """Propose columns for fields that records have and their contract does not declare.

    Loaded rows keep such fields in `_rescued_data`; once a column is declared they show it as well.
    """
    from ingest.contracts.contract import contracts as known
    from pipeline.cycle.propose import propose

    proposals = propose(open_lake(), feeds, write)
    if output.as_json:
        click.echo(as_json_text([asdict(item) for item in proposals]))
        return 0
    for item in proposals:
        for unfit in item.unfit[:_SHOWN]:
            click.echo(f"{item.feed}: {printable(unfit)}", err=True)
        if len(item.unfit) > _SHOWN:
            rest = len(item.unfit) - _SHOWN
            click.echo(f"{item.feed}: {rest:,} more fields cannot become columns; --json lists them", err=True)
        for note in item.notes:
            click.echo(f"{item.feed}: {printable(note)}", err=True)
        click.echo(item.patch or f"{item.feed}: nothing to propose", nl=not item.patch)
    if write:
        known.cache_clear()
        _check_contracts(True)
    return 0


@contracts.command(name="infer")
@click.argument("name", metavar="DOMAIN/FEED")
@click.argument("samples", nargs=-1, metavar="SAMPLES...")
@click.option("--stdout", is_flag=True, help="Print the contract instead of writing its file.")
@click.option("--force", is_flag=True, help="Replace an existing contract.")
@click.option("--csv", "is_csv", is_flag=True, help="The samples are CSV, whatever their names.")
@click.option("--objects", default=2_000, show_default=True, type=click.IntRange(min=1), help="Objects to read.")
@click.option("--records", default=20_000, show_default=True, type=click.IntRange(min=1), help="Records to read.")
@click.option(
    "--records-per-object",
    default=2_000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Of each object, the first.",
)
@json_option
@exits
def contracts_infer(
    name: str, samples: tuple[str, ...], stdout: bool, force: bool, is_csv: bool, output: Output, **limits: int
) -> int:
    """Infer the contract of a new feed from samples, for review, and say which share of them it accepts.

    SAMPLES are files, folders, s3://bucket/prefix, or bucket/prefix of the landing.
    """
    from ingest.contracts.contract import CONTRACTS
    from ingest.contracts.contract import contracts as known
    from ingest.settings import settings
    from ingest.steps.infer import infer, refuse_existing, write
    from ingest.steps.sample import Most
    from pipeline.cli.show_contracts import show_inference

    if not stdout:
        refuse_existing(CONTRACTS / f"{name}.yaml", force)
    found = infer(name, list(samples), settings(), known().values(), Most(**limits), is_csv, CONTRACTS)
    if not stdout:
        write(found, force)
        known.cache_clear()
    shown: dict[str, Any] = {
        "feed": found.name,
        "path": None if stdout else str(found.path),
        "read": found.read,
        "notes": found.notes,
        **asdict(found.trial),
        "share": found.trial.share,
        "contract": found.text,
    }
    if output.as_json:
        click.echo(as_json_text(shown))
        return 0
    if stdout:
        click.echo(found.text, nl=False)
    click.echo(show_inference(found, is_written=not stdout), file=sys.stderr if stdout else None)
    return 0
