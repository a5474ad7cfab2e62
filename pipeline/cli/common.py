"""What the commands share: exit codes, arguments, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ingest.errors import ConfigError, IngestError

if TYPE_CHECKING:
    from ingest.contract import Contract

_Answer = TypeVar("_Answer")


def exits(command: Callable[..., int | None]) -> Callable[..., None]:
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


def ask_each(feeds: Iterable[Contract], ask: Callable[[Contract], _Answer]) -> tuple[list[_Answer], list[IngestError]]:
    """Asks something of each feed; one that fails does not keep the others from answering."""
    answers: list[_Answer] = []
    errors: list[IngestError] = []
    for contract in feeds:
        try:
            answers.append(ask(contract))
        except IngestError as error:
            errors.append(error)
    return answers, errors


def told(errors: Iterable[IngestError]) -> int:
    """Prints errors, a line each; the exit code."""
    code = 0
    for error in errors:
        click.echo(f"error: {error}", err=True)
        code = max(code, 2 if isinstance(error, ConfigError) else 1)
    return code


feed_arguments = click.argument("feeds", nargs=-1, metavar="[FEED]...")
"""Feeds by name, `events` or `engagement/events`; all without."""
json_option = click.option("--json", "as_json", is_flag=True, help="Print it as JSON, for machines.")


def as_json_text(value: Any) -> str:
    """What `--json` prints."""
    return json.dumps(value, indent=2, default=str, ensure_ascii=False)
