"""The command line `lake`. Results go to stdout, logs and progress to stderr; exit 0 done, 1 failed, 2 misuse.

Each command imports its dependencies when it runs, so that `lake --help` is fast.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from typing import Any

import click

from ingest.process import collect_rarely
from ingest.settings import logs_as_json
from pipeline.cli.access import access
from pipeline.cli.backup import backup, drill, restore
from pipeline.cli.contracts import contracts
from pipeline.cli.doctor import doctor
from pipeline.cli.drop import drop
from pipeline.cli.erase import erase
from pipeline.cli.features import features
from pipeline.cli.health import health
from pipeline.cli.impact import impact
from pipeline.cli.ingest import ingest, ledger, maintain
from pipeline.cli.live import live
from pipeline.cli.look import status, verify, why
from pipeline.cli.metrics import metrics
from pipeline.cli.pii import pii
from pipeline.cli.portal import portal
from pipeline.cli.quarantine import quarantine
from pipeline.cli.report import report
from pipeline.cli.run import audit, publish, rebuild, run
from pipeline.cli.sample import sample
from pipeline.cli.serve import mcp, serve
from pipeline.cli.stream import stream
from pipeline.cli.subject import subject
from pipeline.process.log import JsonLines, set_up
from pipeline.process.spent import begin_command


class Sections(click.Group):
    """A group whose help lists its commands by section, in their order.

    Attributes:
        sections: names of commands by title.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.sections: dict[str, list[str]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the help."""
        return [name for names in self.sections.values() for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections."""
        width = formatter.width - 6 - max(map(len, self.commands))
        for title, names in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(width)) for name in names])


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"lake {version('lakemesh')}")
    except PackageNotFoundError:
        raise click.UsageError("lakemesh is not installed, so it has no version; run `make setup`") from None
    context.exit()


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show it.")
@click.option("-v", "--verbose", is_flag=True, help="Log each step to stderr.")
def main(verbose: bool) -> None:
    """Lakemesh: small raw files in object storage become audited gold tables."""
    set_up(verbose, logs_as_json())
    collect_rarely()


_SECTIONS = {
    "Every day": (run, status, why, quarantine, verify, publish, portal, maintain),
    "Loading": (sample, ingest, stream, drop, ledger),
    "Reading": (metrics, features, report, live, serve, mcp),
    "Contracts and models": (contracts, impact, audit, rebuild),
    "Personal data": (access, pii, subject, erase),
    "Care of the lake": (doctor, health, backup, restore, drill),
}
for _section, _commands in _SECTIONS.items():
    main.sections[_section] = [str(_command.name) for _command in _commands]
    for _command in _commands:
        main.add_command(_command)


def program() -> None:
    """Run `lake` as a process of its own, and end it without finalizing the interpreter.

    A thread of Arrow that releases a Python object during finalization aborts the process ("terminate called without
    an active exception") after all is done: 2 of 40 `lake status` on a busy machine.
    """
    code = 0
    begin_command()
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            raise
        code = int(end.code or 0)
    atexit._run_exitfuncs()
    if isinstance(sys.stderr, JsonLines):
        sys.stderr.finish()
    for output in (sys.stdout, sys.stderr):
        try:
            output.flush()
        except BrokenPipeError:
            pass  # the reader has left
        except OSError as error:
            code = code or 1
            with suppress(OSError):
                print(f"error: the output could not be written: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(code)
