"""`lake ingest`, `lake maintain` and `lake ledger`."""

from __future__ import annotations

import datetime as dt
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ingest.errors import LakemeshError, RetriableError
from ingest.text import printable
from pipeline.cli.common import (
    Output,
    as_json_text,
    exits,
    feed_arguments,
    json_option,
    open_lake,
    show_error,
    show_errors,
    show_skipped,
)
from pipeline.cli.every import forever, interval, repeat
from pipeline.process.contain import contained
from pipeline.process.redact import redacted

if TYPE_CHECKING:
    from ingest.upkeep.clean import Cleaning
    from pipeline.cycle.summary import RunSummary
    from pipeline.lake import Lake


@click.command()
@feed_arguments
@click.option("--full", is_flag=True, help="List everything, even if a contract lists only recent folders.")
@click.option("--hinted", is_flag=True, help="Between full sweeps, check only the objects that notifications name.")
@click.option(
    "--accept-gap", is_flag=True, help="Where a topic lost offsets or was replaced, record the gap and continue."
)
@click.option("--dry-run", is_flag=True, help="Show what a full sweep would load, and load nothing.")
@json_option
@exits
def ingest(feeds: tuple[str, ...], full: bool, hinted: bool, accept_gap: bool, dry_run: bool, output: Output) -> int:
    """Load waiting objects from the landing into bronze, then mark the touched dates for recomputation.

    FEED is `events` or `engagement/events`; all feeds if none is named. Safe to repeat: everything is loaded once.
    """
    from ingest.process import lean_process
    from pipeline.cli.progress import IngestProgress
    from pipeline.cli.show_ingest import show_ingest
    from pipeline.cycle.ingest import ingest_all
    from pipeline.cycle.usage import metered

    lean_process()
    if dry_run:
        return _dry_run(feeds, output)
    lake = open_lake()
    unrecorded: list[LakemeshError] = []
    with IngestProgress(sys.stderr) as progress, metered(lake, "lake ingest", unrecorded.append):
        summary = ingest_all(lake, feeds, progress.feed, full=full, hinted=hinted, accept_gap=accept_gap)
    summary = redacted(summary)
    output.show(asdict(summary), lambda: show_ingest(summary))
    for error in summary.errors:
        show_error(error)
    if not summary.errors:  # else they say why
        for failure in unrecorded:
            _warn(failure)
    return summary.exit_code


def _dry_run(feeds: tuple[str, ...], output: Output) -> int:
    from ingest.contracts.contract import select
    from ingest.errors import OffsetsLost, UnloadableObjects
    from pipeline.checks.landings import absent, judge_absent
    from pipeline.checks.status import waiting_objects
    from pipeline.checks.topics import topic_status

    chosen, lake = select(feeds), open_lake()
    missing, errors = [], []
    notes: list[str] = []
    for contract in chosen:
        try:
            missing += [place] if (place := absent(contract, lake.landing(contract), lake.store)) else []
            found = waiting_objects(contract, lake.landing(contract), lake.store)
        except LakemeshError as error:
            errors.append(error)
            continue
        if topic := topic_status(contract, lake.kafka, lake.ledger(contract.feed).live()):
            notes.append(f"{contract.feed}: topic {topic.topic}: {topic.note or f'{topic.messages:,} messages wait'}")
            errors += [OffsetsLost(contract.feed, topic.gaps)] if topic.gaps else []
        for item in found:
            row = {"object": item.source_file, "bytes": item.version.size}
            click.echo(
                json.dumps(row) if output.as_json else f"{item.version.size:>14,}  {printable(item.source_file)}"
            )
        errors += [UnloadableObjects(contract.feed, found.unloadable)] if found.unloadable else []
    mistakes, others = judge_absent(missing, len(chosen))
    for note in (*notes, *others):
        click.echo(f"note: {note}", err=True)
    return show_errors([*errors, *mistakes])


@click.command()
@feed_arguments
@click.option(
    "--grace-hours", default=24.0, show_default=True, type=click.FloatRange(min=0), help="Keep files for this long."
)
@click.option("--dry-run", is_flag=True, help="Show which source objects would be retired, and do nothing.")
@click.option("--every", callback=interval, help="Run forever, once every 30m, 24h …")
@click.option(
    "--wait",
    default=0.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds that audits wait for a cycle in progress.",
)
@json_option
@exits
def maintain(
    feeds: tuple[str, ...], grace_hours: float, dry_run: bool, every: float | None, wait: float, output: Output
) -> int:
    """Compact the small files of each day, and delete files that are no longer read.

    Records that are older than a contract's `retention_days` expire: they are deleted from bronze and quarantine.

    If a contract has `source.retire`, source objects that are loaded and old enough are deleted, moved or tagged.

    A file is deleted if it is not live at any ledger position within the grace time: it was replaced earlier, or left
    by a crash. A file that may hold the only copy of a row is kept and reported. Readers at a position older than the
    grace time lose their files. If no feed is named, leftovers of killed publications are deleted too, and every audit
    is run over whole tables if the last such pass is older than FULL_AUDIT_HOURS.
    """
    if every is None:
        return _maintain(feeds, grace_hours, dry_run, wait, output)

    def failed(error: LakemeshError) -> None:
        show_error(error)

    def contain(_: int) -> None:
        with contained("lake maintain", failed):
            _maintain(feeds, grace_hours, dry_run, wait, output)

    return forever(lambda: repeat("maintain", every, contain))


def _maintain(feeds: tuple[str, ...], grace_hours: float, dry_run: bool, wait: float, output: Output) -> int:
    from ingest.contracts.contract import select
    from pipeline.cli.show_upkeep import show_maintenance
    from pipeline.cycle.maintain import maintain as maintain_all
    from pipeline.cycle.maintain import retirable
    from pipeline.cycle.observe import measure_maintenance
    from pipeline.cycle.usage import keep_usage, lake_stored, metered

    lake = open_lake()
    if dry_run:
        for contract in select(feeds):
            for action, name, place, size in retirable(lake, contract):
                row = {"action": action, "object": name, "to": place, "bytes": size}
                text = f"{action:<6} {size:>14,}  {name}" + (f"  ->  {place}" if place else "")
                click.echo(json.dumps(row) if output.as_json else printable(text))
        return 0
    grace = dt.timedelta(hours=grace_hours)
    swept = None
    with metered(lake, "lake maintain", _warn):
        done, failures, notes = maintain_all(lake, select(feeds), grace)
        if not feeds:
            swept = _sweep_releases(lake)
            with contained("the record of what is stored", _warn):
                keep_usage(lake, lake_stored(lake))
    audited = _audit_when_due(lake, wait) if not feeds else None
    if output.as_json:
        publication = [{"publication": asdict(swept)}] if swept else []
        audits = [{"audits": [asdict(item) for item in audited.audits], "errors": audited.errors}] if audited else []
        click.echo(as_json_text([asdict(feed) for feed in done] + publication + audits))
    else:
        click.echo(show_maintenance(done, swept, audited))
        for note in notes:
            click.echo(f"note: {note}")
    for error in audited.errors if audited else ():
        show_error(error)
    for feed in done:
        for path, reason in feed.cleaning.kept:
            click.echo(
                f"error: {path} {reason}; it is kept. `lake ledger rebuild {feed.feed}` recovers its rows", err=True
            )
    failed = audited.exit_code if audited else 0
    code = show_skipped(failures) or failed or int(any(feed.cleaning.kept for feed in done))
    measure_maintenance(lake, code, dt.datetime.now(dt.UTC), _warn)
    return code


def _warn(error: LakemeshError) -> None:
    click.echo(f"warning: {redacted(str(error))}", err=True)


def _sweep_releases(lake: Lake) -> Cleaning:
    """Delete what killed publications left, of everything and of each role."""
    from ingest.upkeep.clean import Cleaning
    from pipeline.releases.export import sweep
    from pipeline.releases.release import Releases
    from pipeline.releases.roles import registered, settings_of

    own = [Releases(settings_of(lake.options, role)) for role in sorted(registered(lake.releases))]
    done = [sweep(releases) for releases in (lake.releases, *own)]
    return Cleaning(sum(item.files for item in done), sum(item.bytes for item in done))


def _audit_when_due(lake: Lake, wait: float) -> RunSummary | None:
    """Run all audits over whole tables, once a day by default; None if they are not due or the state is in use."""
    from pipeline.cycle.cycle import audit_only, is_audit_due

    now = dt.datetime.now(dt.UTC)
    try:
        return audit_only(lake, now, wait) if is_audit_due(lake, now) else None
    except RetriableError as error:
        click.echo(f"note: audits over whole tables wait for the next `lake maintain`: {error}", err=True)
        return None


@click.group()
def ledger() -> None:
    """Repair the ledger."""


@ledger.command(name="rebuild")
@feed_arguments
@click.option("--force", is_flag=True, help="Rebuild complete ledgers too.")
@click.confirmation_option(prompt="Rebuild the ledger? The next ingest reloads everything in the landing.")
@json_option
@exits
def ledger_rebuild(feeds: tuple[str, ...], force: bool, output: Output) -> int:
    """Rebuild a lost or broken ledger from landing and lake. The old one is moved aside.

    The next ingest reloads everything in the landing; for objects gone from it, the rows in the lake are kept. If no
    feed is named, all are checked, and complete ledgers are left alone.
    """
    from pipeline.cli.show_upkeep import show_recovery
    from pipeline.cycle.recover import rebuild_ledgers

    done, complete = rebuild_ledgers(open_lake(), feeds, force)
    output.show([asdict(item) for item in done], lambda: show_recovery(done))
    if complete:
        noun = "ledger is" if len(complete) == 1 else "ledgers are"
        click.echo(
            f"{', '.join(complete)}: {noun} complete, nothing to rebuild; use --force to rebuild anyway", err=True
        )
    return 2 if complete and feeds else 0
