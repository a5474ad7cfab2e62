"""`lake sample`."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import asdict
from typing import Any

import click

from ingest.errors import ConfigError
from pipeline.cli.common import Output, exits, json_option


def yesterday() -> dt.date:
    """Return the last complete day, UTC."""
    return dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)


_RATE = click.FloatRange(0, 1)


@click.command()
@click.option(
    "--events", default=20_000, show_default=True, type=click.IntRange(min=0), help="Approximate number of events."
)
@click.option("--days", default=30, show_default=True, type=click.IntRange(min=1), help="Number of days.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0), help="Random seed.")
@click.option("--end", type=click.DateTime(["%Y-%m-%d"]), help="Last day, UTC.  [default: yesterday]")
@click.option("--events-per-file", default=100, show_default=True, type=click.IntRange(min=1))
@click.option("--compress/--no-compress", help="Write .json.gz instead of .json.")
@click.option("--late", default=0.0, type=_RATE, help="Share of events and changes that arrive days late.")
@click.option("--duplicates", default=0.0, type=_RATE, help="Share of events and changes sent twice, some corrected.")
@click.option("--malformed", default=0.0, type=_RATE, help="Broken lines, as a share of events and changes.")
@click.option("--unknown-fields", default=0.0, type=_RATE, help="Share of events and changes with undeclared fields.")
@click.option("--future", default=0.0, type=_RATE, help="Share of events dated far ahead.")
@click.option("--unknown-users", default=0.0, type=_RATE, help="Share of events of users without a record.")
@click.option("--overwrites", default=0.0, type=_RATE, help="Share of existing objects that get new content.")
@click.option(
    "--accounts", default=200, show_default=True, type=click.IntRange(min=0), help="Customers who sign up per year."
)
@click.option("--trials", default=0.6, show_default=True, type=_RATE, help="Share of customers who start with a trial.")
@click.option("--annual", default=0.25, show_default=True, type=_RATE, help="Share of subscriptions billed yearly.")
@click.option("--plan-changes", default=0.03, show_default=True, type=_RATE, help="Share of subscriptions per month.")
@click.option("--pauses", default=0.012, show_default=True, type=_RATE, help="Share of subscriptions per month.")
@click.option(
    "--failed-payments",
    default=0.06,
    show_default=True,
    type=_RATE,
    help="Share of period invoices whose first payment fails.",
)
@click.option(
    "--refunds", default=0.02, show_default=True, type=_RATE, help="Share of paid period invoices that are refunded."
)
@click.option("--churn", default=0.05, show_default=True, type=_RATE, help="Share of subscriptions per month.")
@click.option("--comebacks", default=0.3, show_default=True, type=_RATE, help="Share of churned customers who return.")
@click.option("--orders", default=0, show_default=True, type=click.IntRange(min=0), help="Orders in the shop.")
@click.option(
    "--sessions-per-order", default=12.0, show_default=True, type=click.FloatRange(1, 10**6), help="Visits of the shop."
)
@click.option(
    "--resnapshots", default=0.0, type=_RATE, help="Share of days on which the shop's capture restarts from a snapshot."
)
@click.option("--reloads", default=0.0, type=_RATE, help="Share of days on which the shop truncates its catalogue.")
@click.option(
    "--to",
    default="landing",
    show_default=True,
    type=click.Choice(["landing", "kafka", "postgres"]),
    help="Where the shop's changes and clicks go: objects, messages of their topics, or (changes) rows of a database.",
)
@click.option("--dsn", default="", help="The database of --to postgres, as libpq takes it.  [default: PG variables]")
@json_option
@exits
def sample(output: Output, end: dt.datetime | None, to: str, dsn: str, **options: Any) -> int:
    """Write sample data into the landing, on disk or S3. The same options write the same bytes, and only once.

    With --to kafka or postgres only the shop's part goes there, to topics or tables without content.
    """
    from pipeline.cli.progress import IngestProgress
    from pipeline.cli.show_ingest import show_sample
    from pipeline.dev.sampling import write_sample
    from sample.options import SampleOptions

    try:
        chosen = SampleOptions(end=end.date() if end else yesterday(), **options)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    with IngestProgress(sys.stderr) as progress:
        summary = write_sample(chosen, progress.feed("sample"), to=to, dsn=dsn)
    output.show(asdict(summary), lambda: show_sample(summary, chosen))
    return 0
