"""The command line `lake`. Results go to stdout, logs and progress to stderr; exit 0 done, 1 failed, 2 misuse."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ingest.errors import ConfigError, IngestError

PROJECT = Path(__file__).resolve().parents[1]


def _exits(command: Callable[..., int | None]) -> Callable[..., None]:
    """Ends the process with the promised code and one line for each error of ours."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            code = command(*args, **options) or 0
        except ConfigError as error:
            click.echo(f"error: {error}", err=True)
            code = 2
        except IngestError as error:
            click.echo(f"error: {error}", err=True)
            code = 1
        except KeyboardInterrupt:
            click.echo("interrupted: nothing half done is visible, run it again", err=True)
            code = 1
        sys.exit(code)

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", is_flag=True, help="Log each step to stderr.")
def main(verbose: bool) -> None:
    """Lakemesh: small raw files in object storage become audited gold tables."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        stream=sys.stderr,
        format="ts=%(asctime)s level=%(levelname)s logger=%(name)s %(message)s",
    )


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, default=str, ensure_ascii=False)


@main.command()
@click.argument("feeds", nargs=-1, metavar="[FEED]...")
@click.option("--dry-run", is_flag=True, help="Say what would be loaded, and load nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@_exits
def ingest(feeds: tuple[str, ...], dry_run: bool, as_json: bool) -> int:
    """Load what waits in the landing into bronze, then mark the touched dates for recomputation.

    FEED is `events` or `engagement/events`; all feeds without it. Repeat it at will: what is loaded stays loaded once.
    """
    from pipeline.cycle import ingest_all
    from pipeline.show import IngestProgress, show_ingest

    if dry_run:
        from ingest.settings import settings
        from pipeline.status import waiting_objects

        for name, size in waiting_objects(feeds, settings()):
            click.echo(json.dumps({"object": name, "bytes": size}) if as_json else f"{size:>14,}  {name}")
        return 0
    with IngestProgress(sys.stderr) as progress:
        summary = ingest_all(feeds, progress.feed)
    click.echo(_as_json(asdict(summary)) if as_json else show_ingest(summary))
    for error in summary.errors:
        click.echo(f"error: {error}", err=True)
    return summary.exit_code


@main.command()
@click.argument("feeds", nargs=-1, metavar="[FEED]...")
@click.option("--write", is_flag=True, help="Write external_models/bronze.yaml anew.")
@click.option("--json", "as_json", is_flag=True, help="Print the contracts as JSON.")
@_exits
def contracts(feeds: tuple[str, ...], write: bool, as_json: bool) -> int:
    """Show the data contracts, and check that external_models/ follows from them."""
    from ingest.contract import contracts as all_contracts
    from ingest.contract import select
    from ingest.schema import external_models
    from pipeline.show import show_contracts

    chosen = select(feeds)
    path = PROJECT / "external_models" / "bronze.yaml"
    generated = external_models(list(all_contracts().values()))
    if write:
        path.write_text(generated, encoding="utf-8")
    if as_json:
        click.echo(_as_json([contract.model_dump(mode="json") for contract in chosen]))
    else:
        click.echo(show_contracts(chosen))
    if not path.exists() or path.read_text(encoding="utf-8") != generated:
        click.echo(f"error: {path} is out of date; run `lake contracts --write`", err=True)
        return 1
    return 0


@main.command()
@click.argument("feeds", nargs=-1, metavar="[FEED]...")
@click.option("--days", default=7, show_default=True, type=click.IntRange(min=0), help="How many days of loading.")
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
@_exits
def status(feeds: tuple[str, ...], days: int, as_json: bool) -> int:
    """Show what waits in the landing, what is loaded, and since when."""
    from ingest.contract import select
    from ingest.settings import settings
    from pipeline.show import show_status
    from pipeline.status import feed_status

    found = [feed_status(contract, settings(), days) for contract in select(feeds)]
    text = _as_json([asdict(feed) for feed in found]) if as_json else show_status(found, dt.datetime.now(dt.UTC))
    click.echo(text)
    return 0


@main.command()
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@_exits
def why(key: str, as_json: bool) -> int:
    """Tell one object's whole life: its versions, loads, files, and each bad line with its reason.

    KEY is bucket/key, as in the column _source_file.
    """
    from ingest.settings import settings
    from pipeline.show import show_life
    from pipeline.why import life_of

    life = life_of(key, settings())
    click.echo(_as_json({"state": life.state, **asdict(life)}) if as_json else show_life(life))
    return 0


@main.command()
@click.argument("feeds", nargs=-1, metavar="[FEED]...")
@click.option("--deep", is_flag=True, help="Read every source object again and compare each row.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
@_exits
def verify(feeds: tuple[str, ...], deep: bool, as_json: bool) -> int:
    """Check that landing, ledger and lake tell the same story; exit 1 and the differences otherwise."""
    from ingest.contract import select
    from ingest.settings import settings
    from pipeline.show import show_verdicts
    from pipeline.verify import verify_feed

    verdicts = [verify_feed(contract, settings(), deep) for contract in select(feeds)]
    click.echo(_as_json([asdict(verdict) for verdict in verdicts]) if as_json else show_verdicts(verdicts))
    return int(any(verdict.differences for verdict in verdicts))


@main.command()
@click.argument("feeds", nargs=-1, metavar="[FEED]...")
@click.option(
    "--grace-hours", default=24.0, show_default=True, type=click.FloatRange(min=0), help="Keep files as long."
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@_exits
def maintain(feeds: tuple[str, ...], grace_hours: float, as_json: bool) -> int:
    """Join the many small files of a day, and delete those that nobody reads any more.

    A file is deleted when no ledger position within the grace time shows it: it was replaced before, or a crash left
    it. Readers that hold an older position than that lose it.
    """
    from ingest.contract import select
    from ingest.settings import settings
    from pipeline.maintain import maintain_feed
    from pipeline.show import show_maintenance

    grace = dt.timedelta(hours=grace_hours)
    done = [maintain_feed(contract, settings(), grace) for contract in select(feeds)]
    click.echo(_as_json([asdict(feed) for feed in done]) if as_json else show_maintenance(done))
    return 0


@main.group()
def quarantine() -> None:
    """See the rejected records, and take back those that a mended contract accepts."""


@quarantine.command(name="list")
@click.argument("feeds", nargs=-1, metavar="[FEED]...")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@_exits
def quarantine_list(feeds: tuple[str, ...], as_json: bool) -> int:
    """Count the rejected records by reason and column. `lake why` shows those of one object."""
    from ingest.settings import settings
    from pipeline.replay import quarantine_of
    from pipeline.show import show_quarantine

    found = quarantine_of(feeds, settings())
    rows = {feed: [asdict(group) for group in items] for feed, items in found.items()}
    click.echo(_as_json(rows) if as_json else show_quarantine(found))
    return 0


@quarantine.command(name="replay")
@click.argument("feeds", nargs=-1, metavar="[FEED]...")
@click.option("--reason", "reasons", multiple=True, help="Only records with this reason; may be given again.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@_exits
def quarantine_replay(feeds: tuple[str, ...], reasons: tuple[str, ...], as_json: bool) -> int:
    """Judge rejected records by the contracts of now; the good ones become rows, and their dates are marked.

    Objects that could not be decoded at all are not tried: they are read again when they change.
    """
    from ingest.settings import settings
    from pipeline.replay import replay_all
    from pipeline.show import show_replay

    summary = replay_all(feeds, reasons, settings())
    click.echo(_as_json(asdict(summary)) if as_json else show_replay(summary))
    return 0


def yesterday() -> dt.date:
    """The last complete day, UTC."""
    return dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)


_RATE = click.FloatRange(0, 1)


@main.command()
@click.option("--events", default=20_000, show_default=True, type=click.IntRange(min=0), help="About how many events.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(min=1), help="Over how many days.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0), help="Another seed, other data.")
@click.option("--end", type=click.DateTime(["%Y-%m-%d"]), help="Last day, UTC.  [default: yesterday]")
@click.option("--events-per-file", default=100, show_default=True, type=click.IntRange(min=1))
@click.option("--compress/--no-compress", help="Write .json.gz instead of .json.")
@click.option("--late", default=0.0, type=_RATE, help="Share of events that arrive days after they happened.")
@click.option("--duplicates", default=0.0, type=_RATE, help="Share of events sent twice, some with corrections.")
@click.option("--malformed", default=0.0, type=_RATE, help="Broken lines, as a share of the events.")
@click.option("--unknown-fields", default=0.0, type=_RATE, help="Share of events with fields no contract knows.")
@click.option("--future", default=0.0, type=_RATE, help="Share of events dated far ahead.")
@click.option("--unknown-users", default=0.0, type=_RATE, help="Share of events of users without a record.")
@click.option("--overwrites", default=0.0, type=_RATE, help="Share of existing objects that get new content.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@_exits
def sample(as_json: bool, end: dt.datetime | None, **options: Any) -> int:
    """Write sample data into the landing, on disk or S3. The same options write the same bytes, and only once."""
    from pipeline.sampling import write_sample
    from pipeline.show import IngestProgress, show_sample
    from sample.options import SampleOptions

    try:
        chosen = SampleOptions(end=end.date() if end else yesterday(), **options)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    with IngestProgress(sys.stderr) as progress:
        summary = write_sample(chosen, progress.feed("sample"))
    click.echo(_as_json(asdict(summary)) if as_json else show_sample(summary, chosen))
    return 0
