"""`lake run` and `lake publish`."""

from __future__ import annotations

import datetime as dt
import sys
import time
from dataclasses import asdict
from typing import Any

import click

from ingest.errors import ConfigError, RetriableError
from pipeline.cli.common import as_json_line, as_json_text, exits, feed_arguments, json_option, show_error
from pipeline.cycle.summary import RunSummary
from pipeline.process.contain import named
from pipeline.process.interrupt import interruptible, must_go_on
from pipeline.process.redact import redacted

POSTGRES = "postgres"
_UNITS = {"s": 1, "m": 60, "h": 3600}


def _seconds(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """`30s`, `5m`, `1h`."""
    if value is None:
        return None
    number, unit = value[:-1], value[-1:]
    if unit not in _UNITS or not number.isdigit() or not int(number):
        raise click.BadParameter("expected a number and s, m or h, for instance 5m")
    return int(number) * _UNITS[unit]


def _target(_: click.Context, __: click.Parameter, value: str | None) -> int | str | None:
    """The number of a state, or `postgres`."""
    if value is None or value == POSTGRES:
        return value
    if not value.isdigit():
        raise click.BadParameter("expected the number of a state, or postgres")
    return int(value)


_wait = click.option(
    "--wait",
    default=0.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds to wait for another cycle that is in progress.",
)


@click.command()
@feed_arguments
@click.option("--every", callback=_seconds, help="Go on for ever, a cycle each 30s, 5m, 1h …")
@_wait
@json_option
@exits
def run(feeds: tuple[str, ...], every: float | None, wait: float, as_json: bool) -> int:
    """One cycle: ingest, mark changed dates, compute them, audit, publish.

    Nothing is published unless every date is computed and every audit passed; readers keep what they have until then.
    """
    if every is None:
        return _cycle(feeds, wait, as_json)
    try:
        with interruptible(code=0):
            _go_on(feeds, every, wait, as_json)
    except KeyboardInterrupt:
        click.echo("stopped: nothing half done is visible, the next start goes on", err=True)
    return 0


def _go_on(feeds: tuple[str, ...], every: float, wait: float, as_json: bool) -> None:
    """A cycle after the other, whatever becomes of each; only what is wrong before the first one ends it."""
    from ingest.contracts.contract import select
    from ingest.settings import settings

    settings()
    if feeds:
        select(feeds)
    while True:
        _cycle(feeds, wait, as_json)
        wait = max(wait, every)
        time.sleep(every - time.time() % every)


def _cycle(feeds: tuple[str, ...], wait: float, as_json: bool) -> int:
    """One cycle; its exit code. Whatever becomes of it, it is one line of JSON."""
    began = RunSummary(dt.datetime.now(dt.UTC), "failed")
    try:
        from ingest.settings import settings
        from pipeline.cli.show import CycleProgress
        from pipeline.cycle.cycle import run_cycle

        with CycleProgress(sys.stderr) as progress:
            summary = run_cycle(feeds, settings(), progress.feed, progress.model, wait)
    except KeyboardInterrupt:
        began.failed(RetriableError("interrupted: nothing half done is visible, run it again"))
        _print_line(began, as_json)
        raise
    except Exception as error:  # before the cycle began: a setting, or another cycle that is in progress
        must_go_on(error)
        failed = named("lake run", error)
        began.failed(failed)
        _print_line(began, as_json)
        return show_error(failed)
    return _tell(summary, as_json)


def _print_line(summary: RunSummary, as_json: bool) -> None:
    from pipeline.cli.show import run_as_dict

    if as_json:
        click.echo(as_json_line(redacted(run_as_dict(summary))))


def _tell(summary: RunSummary, as_json: bool) -> int:
    """Prints what a cycle did, and its errors; its exit code."""
    from pipeline.cli.show import show_run

    _print_line(summary, as_json)
    if not as_json:
        click.echo(show_run(redacted(summary)))
    for error in summary.errors:
        show_error(error)
    return summary.exit_code


@click.command()
@click.option("--rollback", is_flag=True, help="Give readers the state before; later ones wait until `lake publish`.")
@click.option(
    "--to",
    "target",
    callback=_target,
    metavar="NUMBER|postgres",
    help="Give readers this state, likewise; or bring the state that they have into Postgres (SERVING_DSN).",
)
@click.option("--list", "listing", is_flag=True, help="Show the states that are kept.")
@_wait
@json_option
@exits
def publish(rollback: bool, target: int | str | None, listing: bool, wait: float, as_json: bool) -> int:
    """Make gold as it stands visible to readers, all tables at once, if every date is computed and every audit passes.

    `lake run` does that by itself. After a rollback this ends the hold. Where SERVING_DSN is set, Postgres gets the
    state too.
    """
    from ingest.settings import settings
    from pipeline.cli.show import show_served, show_states
    from pipeline.releases.release import Releases
    from pipeline.serving.serve import serve

    published = Releases(settings())
    if target == POSTGRES:
        if rollback or listing:
            raise ConfigError("--to postgres goes alone: it brings the state that readers have, after a rollback too")
        served = serve(settings(), wait)
        click.echo(as_json_text(asdict(served)) if as_json else show_served(served))
        return 0
    if rollback or isinstance(target, int):
        number = published.roll_back(target if isinstance(target, int) else None)
        told: dict[str, Any] = {"state": number}
        lines = [f"readers get state {number}; `lake publish` goes on"]
        try:
            if settings().serving_dsn:
                served = serve(settings(), wait)
                told["served"] = asdict(served)
                lines.append(show_served(served))
        finally:  # the files are switched, whatever became of Postgres
            click.echo(as_json_text(told) if as_json else "\n".join(lines))
        return 0
    if listing:
        states = [published.state(kept) for kept in published.numbers()]
        rows = [asdict(state) for state in states]
        current = published.pointer().get("state")
        click.echo(as_json_text(rows) if as_json else show_states(states, current, published))
        return 0
    from pipeline.cycle.cycle import publish_only  # and with it SQLMesh, which takes a second

    return _tell(publish_only(settings(), dt.datetime.now(dt.UTC), wait), as_json)


@click.command()
@click.confirmation_option(prompt="Compute warehouse and state anew from bronze? Environments but production go.")
@_wait
@json_option
@exits
def rebuild(wait: float, as_json: bool) -> int:
    """Make warehouse and state anew from bronze, for when one of them is lost. Readers keep their state meanwhile."""
    from ingest.settings import settings
    from pipeline.cli.show import CycleProgress
    from pipeline.cycle.rebuild import rebuild as rebuild_all

    with CycleProgress(sys.stderr) as progress:
        summary = rebuild_all(settings(), progress.model, wait)
    return _tell(summary, as_json)
