"""What the commands share: exit codes, arguments, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ingest.errors import ConfigError, LakemeshError
from pipeline.process.contain import contained, named
from pipeline.process.interrupt import interruptible, must_go_on
from pipeline.process.redact import redact
from pipeline.process.terminal import escaped_json, plain

if TYPE_CHECKING:
    from ingest.contracts.contract import Contract

_Answer = TypeVar("_Answer")


def exits(command: Callable[..., int | None]) -> Callable[..., None]:
    """Ends the process with the promised code and one line for each error."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            with interruptible():
                code = _uninterrupted(command, args, options)
        except KeyboardInterrupt:
            click.echo("interrupted: nothing half done is visible, run it again", err=True)
            code = 1
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            code = show_error(named("lake", error))
        sys.exit(code)

    return run


def ask_each(
    feeds: Iterable[Contract], ask: Callable[[Contract], _Answer]
) -> tuple[list[_Answer], list[LakemeshError]]:
    """Asks something of each feed; one that fails does not keep the others from answering."""
    answers: list[_Answer] = []
    errors: list[LakemeshError] = []
    for contract in feeds:
        with contained(contract.feed, errors.append):
            answers.append(ask(contract))
    return answers, errors


def _uninterrupted(command: Callable[..., int | None], args: Any, options: Any) -> int:
    try:
        return command(*args, **options) or 0
    except Exception as error:
        must_go_on(error)  # what a library made of the interrupt
        raise


def show_errors(errors: Iterable[LakemeshError]) -> int:
    """Prints errors, a line each; the exit code."""
    return max(map(show_error, errors), default=0)


def show_error(error: LakemeshError | str) -> int:
    """Prints an error as one line; the exit code that it asks for."""
    click.echo(plain(redact(f"error: {error}")), err=True)
    return 2 if isinstance(error, ConfigError) else 1


def misused(errors: Iterable[LakemeshError | str]) -> int:
    """Prints what kept some feeds from being done; the exit code."""
    return max((2 for error in errors if show_error(error)), default=0)


feed_arguments = click.argument("feeds", nargs=-1, metavar="[FEED]...")
"""Feeds by name, `events` or `engagement/events`; all without."""
raw_option = click.option("--raw", is_flag=True, help="Show personal and unknown values of rejected records too.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print it as JSON, for machines.")


def as_json_text(value: Any) -> str:
    """What `--json` prints."""
    return escaped_json(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def as_json_line(value: Any) -> str:
    """The same in one line, for what is printed again and again: JSON Lines."""
    return escaped_json(json.dumps(value, default=str, ensure_ascii=False))
