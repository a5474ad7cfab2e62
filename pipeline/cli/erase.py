"""`lake erase`: forgets persons, and proves it."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, TYPE_CHECKING

import click

from ingest.errors import ConfigError
from pipeline.cli.common import Output, exits, json_option, open_lake, show_error

if TYPE_CHECKING:
    from pipeline.cycle.erase import EraseSummary
    from pipeline.lake import Lake

Identifiers = dict[str, frozenset[str]]


@click.command()
@click.option(
    "--subject",
    "named",
    multiple=True,
    metavar="IDENTIFIER=VALUE",
    help="An identifier of the person, as user_id=u1; repeatable.",
)
@click.option(
    "--requests", type=click.File(), help='Persons as JSON lines, as {"user_id": "u1"}; - for standard input.'
)
@click.option("--because", default="", help="The reason, without personal values; kept in the audit log.")
@click.option("--request", "name", default="", metavar="ID", help="The id of the request; by default a new one.")
@click.option("--deadline", type=click.DateTime(["%Y-%m-%d"]), help="The day until which it is to be fulfilled.")
@click.option("--dry-run", is_flag=True, help="Show what would be erased, and change nothing.")
@click.option("--resume", "resumes", is_flag=True, help="Go on with erasures that were interrupted.")
@click.option("--prove", "proven", default="", metavar="ID", help="Look for values of a request's persons everywhere.")
@click.option("--value", "texts", multiple=True, help="With --prove: a further value to look for; repeatable.")
@click.option("--list", "lists", is_flag=True, help="Show all requests and holds.")
@click.option("--hold", "held", default="", metavar="NAME", help="Put the person under a legal hold instead.")
@click.option("--release", "released", default="", metavar="NAME", help="End a legal hold.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--wait", default=0.0, type=click.FloatRange(min=0), help="Seconds to wait for another cycle in progress."
)
@json_option
@exits
def erase(
    named: tuple[str, ...],
    requests: IO[str] | None,
    because: str,
    name: str,
    deadline: dt.datetime | None,
    dry_run: bool,
    resumes: bool,
    proven: str,
    texts: tuple[str, ...],
    lists: bool,
    held: str,
    released: str,
    yes: bool,
    wait: float,
    output: Output,
) -> int:
    """Forget persons: in bronze and quarantine, the warehouse, all releases, Postgres, and every load that comes.

    Contracts say which records are deleted, which stay without the person (invoices of closed months), and which stay.
    A tombstone keeps the person away; its key, LAKE_ERASURE_KEY, is a secret outside the lake. At the end everything is
    searched for the person's values; exit 1 if one is found or a step failed, and --resume goes on.
    """
    lake = open_lake()
    modes = [bool(lists), bool(resumes), bool(proven), bool(held), bool(released), dry_run]
    if sum(modes) > 1:
        raise ConfigError("expected one of --dry-run, --resume, --prove, --list, --hold and --release")
    if lists:
        return _list(lake, output)
    if released:
        return _release(lake, released)
    if resumes:
        from pipeline.cycle.erase import resume

        return _show(resume(lake, wait_seconds=wait), output)
    from pipeline.cycle.erase_target import together

    persons = _persons(named, requests)
    if held:
        return _hold(lake, persons, held, because)
    if proven:
        from pipeline.cycle.erase import prove

        return _show(prove(lake, together(persons), proven, texts), output)
    return _erase(lake, persons, because, name, deadline, dry_run, yes, wait, output)


def _persons(named: Sequence[str], requests: IO[str] | None) -> list[Identifiers]:
    """The persons: one whom options name, and those of a file."""
    from ingest.contracts.contract import contracts
    from pipeline.access.subjects import named_identifiers
    from pipeline.cycle.erase_target import read_persons

    listed = [
        [f"{name}={value}" for name, found in item.items() for value in found] for item in read_persons(requests or ())
    ]
    given = [list(named)] if named or not listed else []
    return [named_identifiers(one, contracts().values()) for one in (*given, *listed)]


def _erase(
    lake: Lake,
    persons: list[Identifiers],
    because: str,
    name: str,
    deadline: dt.datetime | None,
    dry_run: bool,
    yes: bool,
    wait: float,
    output: Output,
) -> int:
    from pipeline.cli.show_erase import show_preview
    from pipeline.cycle.erase import erase_persons
    from pipeline.cycle.erase_target import find

    if dry_run or not yes:
        subject, preview = find(lake, persons)
        counts = {one: len(found) for one, found in sorted(subject.values.items()) if found}
        content = {"identifiers": counts, "feeds": [asdict(item) for item in preview]}
        if dry_run:
            output.show(content, lambda: show_preview(counts, preview))
            return 0
        click.echo(show_preview(counts, preview), err=True)
        click.confirm("Forget them for good?", abort=True, err=True)
    chosen = name or f"{dt.datetime.now(dt.UTC):%Y-%m-%d}-{secrets.token_hex(3)}"
    until = deadline.date() if deadline else None
    return _show(erase_persons(lake, persons, because, chosen, until, wait_seconds=wait), output)


def _show(summary: EraseSummary, output: Output) -> int:
    from pipeline.cli.show_erase import show_erasure

    output.show(asdict(summary), lambda: show_erasure(summary))
    for error in summary.errors:
        show_error(error)
    return summary.exit_code


def _list(lake: Lake, output: Output) -> int:
    from ingest.ledger.holds import read_holds
    from pipeline.cli.show_erase import show_requests
    from pipeline.cycle.erase_requests import requests_of

    listed, holds = requests_of(lake), read_holds(lake.store)
    content = {
        "requests": [asdict(item) for item in listed],
        "holds": [{"name": item.name, "at": item.at, "because": item.because} for item in holds],
    }
    output.show(content, lambda: show_requests(listed, holds))
    return int(any(item.is_overdue for item in listed))


def _hold(lake: Lake, persons: list[Identifiers], name: str, because: str) -> int:
    from ingest.ledger.holds import hold
    from pipeline.cycle.erase_target import find

    if not because.strip():
        raise ConfigError("no reason given; expected a text after --because, without personal values")
    subject, _ = find(lake, persons)
    now = dt.datetime.now(dt.UTC)
    hold(lake.store, lake.options.lake_erasure_key, name, because, subject.values, now)
    lake.audit_log.append("hold_begun", {"hold": name, "because": because}, now)
    click.echo(f"hold {name}: nothing of this person is erased or expires until `lake erase --release {name}`")
    return 0


def _release(lake: Lake, name: str) -> int:
    from ingest.ledger.holds import release

    release(lake.store, name)
    lake.audit_log.append("hold_ended", {"hold": name})
    click.echo(f"hold {name} has ended")
    return 0
