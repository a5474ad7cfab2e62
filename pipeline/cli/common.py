"""What the commands share: exit codes, arguments, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import click

from ingest.errors import ConfigError, IngestError


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


def misused(errors: Iterable[Any]) -> int:
    """Prints what kept some feeds from being done; the exit code."""
    code = 0
    for error in errors:
        click.echo(f"error: {error}", err=True)
        code = 2
    return code


feed_arguments = click.argument("feeds", nargs=-1, metavar="[FEED]...")
"""Feeds by name, `events` or `engagement/events`; all without."""
json_option = click.option("--json", "as_json", is_flag=True, help="Print it as JSON, for machines.")


def as_json_text(value: Any) -> str:
    """What `--json` prints."""
    return json.dumps(value, indent=2, default=str, ensure_ascii=False)
