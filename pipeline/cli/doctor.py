"""`lake doctor`: whether the surroundings of a lake are as it needs them."""

from __future__ import annotations

from dataclasses import asdict

import click

from ingest.errors import ConfigError
from pipeline.cli.common import Output, exits, json_option


@click.command()
@click.option(
    "--seconds", default=30.0, show_default=True, type=click.FloatRange(min=1), help="How long one check may take."
)
@json_option
@exits
def doctor(seconds: float, output: Output) -> int:
    """Check settings, servers, rights, clocks, state, versions, disks and formats; exit 1 if one of them fails.

    Each finding has what was found, what is expected and a next step. Nothing is changed: a probe object is written to
    the lake and to the releases, and removed.
    """
    from ingest.settings import settings
    from pipeline.cli.show_doctor import show_findings
    from pipeline.doctor.examine import examine, is_failed, unreadable

    try:
        found = examine(settings(), seconds=seconds)
    except ConfigError as error:
        found = unreadable(error)
    output.show([asdict(item) for item in found], lambda: show_findings(found))
    return int(is_failed(found))
