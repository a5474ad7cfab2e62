"""`lake run` and `lake publish`."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ingest.errors import Busy, ConfigError, LakemeshError, RetriableError
from pipeline.cli.common import (
    Output,
    as_json_line,
    exits,
    feed_arguments,
    json_option,
    open_lake,
    show_error,
)
from pipeline.cli.every import forever, interval, repeat
from pipeline.cycle.summary import RunSummary
from pipeline.process.contain import as_lakemesh_error, contained
from pipeline.process.interrupt import raise_if_interrupted
from pipeline.process.redact import redacted

if TYPE_CHECKING:
    from pipeline.lake import Lake

POSTGRES = "postgres"


def _target(_: click.Context, __: click.Parameter, value: str | None) -> int | str | None:
    """Parse the number of a release, or `postgres`."""
    if value is None or value == POSTGRES:
        return value
    if not value.isdigit():
        raise click.BadParameter("expected the number of a release, or postgres")
    return int(value)


_wait = click.option(
    "--wait",
    default=0.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds to wait for another cycle in progress.",
)


@click.command()
@feed_arguments
@click.option("--every", callback=interval, help="Run forever, one cycle every 30s, 5m, 1h …")
@_wait
@json_option
@exits
def run(feeds: tuple[str, ...], every: float | None, wait: float, output: Output) -> int:
    """Run one cycle: ingest, mark changed dates, compute them, audit, publish.

    Nothing is published unless every date is computed and every audit passed; until then readers keep their release.
    """
    if every is None:
        return _cycle(feeds, wait, output)
    return forever(lambda: _loop(feeds, every, wait, output))


def _loop(feeds: tuple[str, ...], every: float, wait: float, output: Output) -> None:
    """Run cycles forever, whether they fail or not; only errors before the first one end the loop."""
    from ingest.contracts.contract import select
    from ingest.settings import settings

    settings()
    if feeds:
        select(feeds)
    repeat("run", every, lambda number: _cycle(feeds, max(wait, every) if number else wait, output))


def _cycle(feeds: tuple[str, ...], wait: float, output: Output) -> int:
    """Run one cycle and return its exit code. With `--json` every cycle prints one line, whether it fails or not."""
    began = RunSummary(dt.datetime.now(dt.UTC), "failed")
    try:
        from pipeline.cli.progress import CycleProgress
        from pipeline.cycle.cycle import run_cycle

        with CycleProgress(sys.stderr) as progress:
            summary = run_cycle(open_lake(), feeds, progress.feed, progress.model, wait)
    except KeyboardInterrupt:
        began.failed(RetriableError("interrupted: nothing half done is visible, run it again"))
        _print_line(began, output)
        raise
    except Exception as error:  # before the cycle started: a bad setting, or another cycle in progress
        raise_if_interrupted(error)
        failed = as_lakemesh_error("lake run", error)
        began.failed(failed)
        began.outcome = "busy" if isinstance(error, Busy) else began.outcome
        _print_line(began, output)
        return show_error(failed)
    return _print_summary(summary, output)


def _print_line(summary: RunSummary, output: Output) -> None:
    from pipeline.cli.show_run import run_as_dict

    if output.as_json:
        click.echo(as_json_line(redacted(run_as_dict(summary))))


def _print_summary(summary: RunSummary, output: Output) -> int:
    """Print the summary and errors of a cycle; returns its exit code."""
    from pipeline.cli.show_run import show_run

    _print_line(summary, output)
    if not output.as_json:
        click.echo(show_run(redacted(summary)))
    for error in summary.errors:
        show_error(error)
    return summary.exit_code


@click.command()
@click.option("--all", "everything", is_flag=True, required=True, help="Over whole tables, whatever changed.")
@_wait
@json_option
@exits
def audit(everything: bool, wait: float, output: Output) -> int:
    """Run every audit over whole tables, and withhold the next release if one fails.

    A cycle audits what it computed. This pass is the defence in depth beside it; `lake maintain` runs it once a day.
    """
    from pipeline.cycle.cycle import audit_only

    return _print_summary(audit_only(open_lake(), dt.datetime.now(dt.UTC), wait), output)


@click.command()
@click.option(
    "--rollback", is_flag=True, help="Return to the previous release, and pause publishing until `lake publish`."
)
@click.option(
    "--to",
    "target",
    callback=_target,
    metavar="NUMBER|postgres",
    help="Switch to this release, and pause likewise; or copy the current release to Postgres (SERVING_DSN).",
)
@click.option("--list", "listing", is_flag=True, help="List the kept releases.")
@_wait
@json_option
@exits
def publish(rollback: bool, target: int | str | None, listing: bool, wait: float, output: Output) -> int:
    """Publish the current gold, all tables at once, if every date is computed and every audit passes.

    `lake run` includes this step. After a rollback this resumes publishing. If SERVING_DSN is set, the release is also
    copied to Postgres.
    """
    from pipeline.cli.show_run import show_releases, show_served
    from pipeline.portal.publication import follow, with_pages
    from pipeline.serving.serve import serve

    lake = open_lake()
    published = lake.releases
    if target == POSTGRES:
        if rollback or listing:
            raise ConfigError(
                "--to postgres cannot be combined with --rollback or --list; it copies the current release, also after "
                "a rollback"
            )
        served = serve(lake.options, published, wait)
        output.show(asdict(served), lambda: show_served(served))
        return 0
    if rollback or isinstance(target, int):
        number = published.roll_back(target if isinstance(target, int) else None)
        with contained("the portal", lambda error: click.echo(f"warning: its pages do not follow: {error}", err=True)):
            follow(published)
        _roll_back_roles(lake, wait)
        result: dict[str, Any] = {"state": number}
        lines = [f"readers get release {number}; publishing is paused until `lake publish`"]
        try:
            if lake.options.serving_dsn:
                served = serve(lake.options, published, wait)
                result["served"] = asdict(served)
                lines.append(show_served(served))
        finally:  # the files are switched even if Postgres failed
            output.show(result, lambda: "\n".join(lines))
        return 0
    if listing:
        releases = [published.get(kept) for kept in published.numbers()]
        rows = [asdict(release) for release in releases]
        current = published.pointer().get("state")
        pages = with_pages(published)
        suspects = published.suspects()
        rows = [row | {"has_pages": row["number"] in pages, "suspect": suspects.get(row["number"])} for row in rows]
        output.show(rows, lambda: show_releases(releases, current, published, pages, suspects))
        return 0
    from pipeline.cycle.cycle import publish_only  # loads SQLMesh, which takes a second

    return _print_summary(publish_only(lake, dt.datetime.now(dt.UTC), wait), output)


def _roll_back_roles(lake: Lake, wait: float) -> None:
    """Let what roles see follow a rollback, in Postgres too."""
    from pipeline.portal.publication import follow
    from pipeline.releases import roles
    from pipeline.releases.release import Releases
    from pipeline.serving.serve import serve

    def failed(error: LakemeshError) -> None:
        click.echo(f"warning: what a role sees does not follow: {error}", err=True)

    for name in sorted(roles.registered(lake.releases)):
        with contained(f"role {name}", failed):
            own = Releases(roles.settings_of(lake.options, name))
            has_release = roles.roll_back(lake.releases, own)
            follow(own)
            if not has_release:
                where = "no files, and in Postgres what it saw before," if own.options.serving_dsn else "nothing"
                click.echo(f"role {name} lacks that release, so it sees {where} until `lake run`", err=True)
            elif own.options.serving_dsn:
                serve(own.options, own, wait)


@click.command()
@click.confirmation_option(prompt="Rebuild warehouse and state from bronze? Environments except production are lost.")
@_wait
@json_option
@exits
def rebuild(wait: float, output: Output) -> int:
    """Rebuild warehouse and state from bronze, when one of them is lost. Readers keep their release meanwhile."""
    from pipeline.cli.progress import CycleProgress
    from pipeline.cycle.rebuild import rebuild as rebuild_all

    with CycleProgress(sys.stderr) as progress:
        summary = rebuild_all(open_lake(), progress.model, wait)
    return _print_summary(summary, output)
