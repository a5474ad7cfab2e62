"""`lake ingest`, `lake maintain` and `lake ledger`."""

from __future__ import annotations

import datetime as dt
import json
import sys
from dataclasses import asdict

import click

from ingest.errors import LakemeshError
from ingest.text import printable
from pipeline.cli.common import as_json_text, exits, feed_arguments, json_option, misused, show_error, show_errors
from pipeline.process.redact import redacted


@click.command()
@feed_arguments
@click.option("--full", is_flag=True, help="List everything, also where a contract lists only recent folders.")
@click.option("--hinted", is_flag=True, help="Between full sweeps, look only at what notifications name.")
@click.option("--dry-run", is_flag=True, help="Say what a full listing would load, and load nothing.")
@json_option
@exits
def ingest(feeds: tuple[str, ...], full: bool, hinted: bool, dry_run: bool, as_json: bool) -> int:
    """Load what waits in the landing into bronze, then mark the touched dates for recomputation.

    FEED is `events` or `engagement/events`; all feeds without it. Repeat it at will: what is loaded stays loaded once.
    """
    from ingest.process import lean_process
    from pipeline.cli.show import IngestProgress, show_ingest
    from pipeline.cycle.ingest import ingest_all

    lean_process()
    if dry_run:
        return _dry_run(feeds, as_json)
    with IngestProgress(sys.stderr) as progress:
        summary = ingest_all(feeds, progress.feed, full=full, hinted=hinted)
    summary = redacted(summary)
    click.echo(as_json_text(asdict(summary)) if as_json else show_ingest(summary))
    for error in summary.errors:
        show_error(error)
    return summary.exit_code


def _dry_run(feeds: tuple[str, ...], as_json: bool) -> int:
    from ingest.contracts.contract import select
    from ingest.errors import UnloadableObjects
    from ingest.settings import settings
    from pipeline.checks.landings import absent, judge_absent
    from pipeline.checks.status import waiting_objects

    chosen = select(feeds)
    missing, errors = [], []
    for contract in chosen:
        try:
            missing += [place] if (place := absent(contract, settings())) else []
            found = waiting_objects(contract, settings())
        except LakemeshError as error:
            errors.append(error)
            continue
        for item in found:
            row = {"object": item.source_file, "bytes": item.version.size}
            click.echo(json.dumps(row) if as_json else f"{item.version.size:>14,}  {printable(item.source_file)}")
        errors += [UnloadableObjects(contract.feed, found.unloadable)] if found.unloadable else []
    mistakes, notes = judge_absent(missing, len(chosen))
    for note in notes:
        click.echo(f"note: {note}", err=True)
    return show_errors([*errors, *mistakes])


@click.command()
@feed_arguments
@click.option(
    "--grace-hours", default=24.0, show_default=True, type=click.FloatRange(min=0), help="Keep files as long."
)
@click.option("--dry-run", is_flag=True, help="Say which source objects would be retired, and do nothing.")
@json_option
@exits
def maintain(feeds: tuple[str, ...], grace_hours: float, dry_run: bool, as_json: bool) -> int:
    """Join the many small files of a day, and delete those that nobody reads any more.

    Where a contract says `source.retire`, source objects that are loaded and old enough are deleted, moved or tagged.

    A file is deleted when no ledger position within the grace time shows it: it was replaced before, or a crash left
    it. One that may hold the only copy of a row is kept, and named. Readers that hold an older position than that lose
    it. Without a feed, what killed publications left goes too.
    """
    from ingest.contracts.contract import select
    from ingest.settings import settings
    from pipeline.cli.show import show_maintenance
    from pipeline.cycle.maintain import maintain as maintain_all
    from pipeline.cycle.maintain import retirable

    if dry_run:
        for contract in select(feeds):
            for action, name, place, size in retirable(contract, settings()):
                row = {"action": action, "object": name, "to": place, "bytes": size}
                text = f"{action:<6} {size:>14,}  {name}" + (f"  ->  {place}" if place else "")
                click.echo(json.dumps(row) if as_json else printable(text))
        return 0
    grace = dt.timedelta(hours=grace_hours)
    done, lost = maintain_all(select(feeds), settings(), grace)
    swept = None
    if not feeds:
        from pipeline.releases.export import sweep
        from pipeline.releases.release import Releases

        swept = sweep(Releases())
    if as_json:
        publication = [{"publication": asdict(swept)}] if swept else []
        click.echo(as_json_text([asdict(feed) for feed in done] + publication))
    else:
        click.echo(show_maintenance(done, swept))
    for feed in done:
        for path, reason in feed.cleaning.kept:
            click.echo(
                f"error: {path} {reason}; it is kept. `lake ledger rebuild {feed.feed}` takes its rows over", err=True
            )
    return misused(lost) or int(any(feed.cleaning.kept for feed in done))


@click.group()
def ledger() -> None:
    """Look after the log of what was loaded."""


@ledger.command(name="rebuild")
@feed_arguments
@click.option("--force", is_flag=True, help="Although the log is whole.")
@click.confirmation_option(prompt="Make the ledger anew? The next ingest loads all that the landing holds again.")
@json_option
@exits
def ledger_rebuild(feeds: tuple[str, ...], force: bool, as_json: bool) -> int:
    """Make a lost or broken ledger anew, from landing and lake. The old one is moved aside.

    What the landing holds is loaded anew by the next ingest; of objects that it has no more, the lake's rows are kept.
    Without a feed all are looked at, and those that are whole are left alone.
    """
    from ingest.settings import settings
    from pipeline.cli.show import show_recovery
    from pipeline.cycle.recover import rebuild_ledgers

    done, whole = rebuild_ledgers(feeds, settings(), force)
    click.echo(as_json_text([asdict(item) for item in done]) if as_json else show_recovery(done))
    if whole:
        told = f"{', '.join(whole)} {'is' if len(whole) == 1 else 'are'} whole, so nothing has to be rebuilt there"
        click.echo(f"{told}; --force rebuilds all the same", err=True)
    return 2 if whole and feeds else 0
