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


@click.group(invoke_without_command=True)
@click.option("--write", is_flag=True, help="Regenerate external_models/bronze.yaml.")
@click.option("--offline", is_flag=True, help="Do not read the lake: skip the comparison with loaded data.")
@click.pass_context
def contracts(context: click.Context, write: bool, offline: bool) -> None:
    """Check the data contracts, that they can read loaded data, and that external_models/ is generated from them.

    Loaded data is taken from the ledger, if there is a lake.
    """
    if not context.invoked_subcommand:
        _check_contracts(write, offline)


@exits
def _check_contracts(write: bool, offline: bool = False) -> int:
    from ingest.contracts.contract import contracts as all_contracts
    from ingest.contracts.schema import external_models
    from pipeline.checks.contract_changes import contract_changes
    from pipeline.checks.personal import by_name
    from pipeline.cli.show_access import unclassed

    known = all_contracts()
    suspects = [suspect for contract in known.values() for suspect in by_name(contract)]
    for suspect in suspects:
        click.echo(f"error: {unclassed(suspect)}", err=True)
    if suspects:
        return 2
    refused = [] if offline else contract_changes(known.values(), open_lake().store)
    for error in refused:
        click.echo(f"error: {error}", err=True)
    if refused:
        return 2
    path = PROJECT / "external_models" / "bronze.yaml"
    generated = external_models(list(known.values()))
    if write:
        path.write_text(generated, encoding="utf-8")
    if not path.exists() or path.read_text(encoding="utf-8") != generated:
        click.echo(f"error: {path} is out of date; run `lake contracts --write`", err=True)
        return 1
    click.echo(f"{len(known)} contracts, external_models/bronze.yaml is up to date")
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
