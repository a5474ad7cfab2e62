"""Shared parts of the commands: exit codes, arguments, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ingest.errors import ConfigError, LakemeshError
from pipeline.process.contain import as_lakemesh_error, contained
from pipeline.process.interrupt import interruptible, raise_if_interrupted
from pipeline.process.redact import redact
from pipeline.process.terminal import escaped_json, plain

if TYPE_CHECKING:
    from ingest.contracts.contract import Contract
    from pipeline.lake import Lake

_Result = TypeVar("_Result")


def exits(command: Callable[..., int | None]) -> Callable[..., None]:
    """Wrap a command so that the process ends with the documented exit code and prints one line per error."""

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
            code = show_error(as_lakemesh_error("lake", error))
        sys.exit(code)

    return run


def for_each(
    feeds: Iterable[Contract], call: Callable[[Contract], _Result]
) -> tuple[list[_Result], list[LakemeshError]]:
    """Call a function for each feed and return results and errors; one failure does not stop the rest."""
    results: list[_Result] = []
    errors: list[LakemeshError] = []
    for contract in feeds:
        with contained(contract.feed, errors.append):
            results.append(call(contract))
    return results, errors


def _uninterrupted(command: Callable[..., int | None], args: Any, options: Any) -> int:
    try:
        return command(*args, **options) or 0
    except Exception as error:
        raise_if_interrupted(error)  # a library may have turned the interrupt into another exception
        raise


def show_errors(errors: Iterable[LakemeshError]) -> int:
    """Print errors, one line each, and return the exit code; 0 if there are none."""
    return max(map(show_error, errors), default=0)


def show_error(error: LakemeshError | str) -> int:
    """Print an error as one line, and return its exit code."""
    click.echo(plain(redact(f"error: {error}")), err=True)
    return 2 if isinstance(error, ConfigError) else 1


def show_skipped(errors: Iterable[LakemeshError | str]) -> int:
    """Print why feeds were skipped, and return the exit code: 2 if any was, otherwise 0."""
    return max((2 for error in errors if show_error(error)), default=0)


def open_lake() -> Lake:
    """The handle on the lake of the settings.

    Raises:
        ConfigError: a setting is invalid.
    """
    from ingest.settings import settings
    from pipeline.lake import Lake

    return Lake(settings())


feed_arguments = click.argument("feeds", nargs=-1, metavar="[FEED]...")
"""Feeds by name, `events` or `engagement/events`; all if none is named."""
raw_option = click.option("--raw", is_flag=True, help="Also show personal and unknown values of rejected records.")


class Output:
    """Where the result of a command goes: text for people, or JSON for programs.

    Attributes:
        as_json: whether it is JSON.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    def show(self, value: Any, text: Callable[[], str]) -> None:
        """Print a result.

        Args:
            value: what JSON shows of it.
            text: makes the text for people.
        """
        click.echo(as_json_text(value) if self.as_json else text())


json_option = click.option(
    "--json", "output", is_flag=True, callback=lambda _, __, flag: Output(flag), help="Print JSON."
)


def as_json_text(value: Any) -> str:
    """Format a value for `--json`."""
    return escaped_json(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def as_json_line(value: Any) -> str:
    """Format a value as one line of JSON Lines, for repeated output."""
    return escaped_json(json.dumps(value, default=str, ensure_ascii=False))
