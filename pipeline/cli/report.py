"""`lake report`."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ingest.settings import PROJECT
from pipeline.cli.common import Output, as_json_text, exits, json_option, open_lake

if TYPE_CHECKING:
    from ingest.settings import Settings
    from pipeline.report.page import Page
    from pipeline.report.report import Report


@click.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--to",
    type=click.Choice(["file", "mail"]),
    help="Write an HTML file (the default), or send mail by the SMTP settings of alerts.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Path of the file.")
@click.option("--release", type=click.IntRange(min=1), help="Number of the release; by default the current one.")
@json_option
@exits
def report(name: str, to: str | None, out: Path | None, release: int | None, output: Output) -> int:
    """Report the last complete day or week: figures, what is unusual, which dimension moved, pipeline health.

    NAME is daily, weekly or another report defined in reports/<name>.yaml. The file goes to LAKE_HOME/reports, and its
    path is printed. --json prints the numbers instead.
    """
    if output.as_json and (to or out):
        raise click.UsageError("--json prints the numbers instead of a file or mail; expected no --to, no --out")
    if to == "mail" and out:
        raise click.UsageError("--out is the path of a file; expected no --to mail")
    from ingest.settings import settings
    from pipeline.report.charts import draw
    from pipeline.report.numbers import numbers
    from pipeline.report.wording import make_page

    options = settings()
    if to == "mail":
        _check_mail(options)
    made = _made(name, release)
    page = make_page(made)
    if output.as_json:
        click.echo(as_json_text(numbers(made, page)))
        return 0
    pngs = {picture.name: draw(picture.spec) for picture in page.pictures().values()}
    if to == "mail":
        _send(page, pngs, options)
        click.echo(f"sent to {options.smtp_recipients}: {page.subject}")
    else:
        click.echo(_write(page, pngs, out, options, f"{name}-{made.span.last}.html"))
    return 0


def _made(name: str, release: int | None) -> Report:
    """Compute a report from a release."""
    from pipeline.access.privacy import minimum_group_size
    from pipeline.metrics.definition import REPORTING_CURRENCY, load_metrics
    from pipeline.report.definition import known_report, load_reports
    from pipeline.report.report import make_report
    from pipeline.warehouse.variables import project_variables

    definitions = load_metrics(PROJECT / "metrics")
    definition = known_report(load_reports(PROJECT / "reports", definitions), name)
    variables = project_variables(PROJECT)
    currency, minimum = str(variables.get(REPORTING_CURRENCY) or ""), minimum_group_size(variables)
    published = open_lake().releases
    pointer = published.pointer()
    number: int | None = release or pointer.get("state")
    is_current = number == pointer.get("state")
    withheld = is_current and bool(pointer.get("held"))
    with published.connect(number) as connection:
        assert number  # otherwise `connect` has failed
        chosen, now = published.get(number), dt.datetime.now(dt.UTC)
        return make_report(definition, definitions, chosen, connection, now, minimum, withheld, is_current, currency)


def _check_mail(options: Settings) -> None:
    """Raise unless mail can be sent."""
    from ingest.errors import ConfigError
    from pipeline.alerting import smtp

    if lacking := smtp.unset(options):
        raise ConfigError(
            f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not set: mail needs a server, a sender and "
            "recipients (see .env.example); or use --to file"
        )


def _send(page: Page, pngs: dict[str, bytes], options: Settings) -> None:
    """Send a report by mail."""
    from ingest.errors import RetriableError, describe
    from pipeline.alerting import smtp
    from pipeline.report.message import fill

    message = smtp.addressed(page.subject, options)
    fill(message, page, pngs)
    try:
        smtp.send(message, options)
    except OSError as error:  # smtplib's errors are among them
        place = f"{options.smtp_host}:{options.smtp_port}"
        raise RetriableError(f"{place}: the report was not sent: {describe(error)}; check the SMTP settings") from error


def _write(page: Page, pngs: dict[str, bytes], out: Path | None, options: Settings, name: str) -> Path:
    """Write a report to a file, as a whole; returns its path."""
    from ingest.errors import ConfigError
    from ingest.storage.folders import make_folder
    from ingest.storage.names import draft_of
    from pipeline.report.html import render_file

    path = out or Path(options.lake_home) / "reports" / name
    draft = Path(draft_of(str(path)))
    try:
        if out is None:
            make_folder(path.parent, options.lake_folder_mode)
        draft.write_text(render_file(page, pngs), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: the report cannot be written: {error.strerror}; choose another --out") from error
    finally:
        with suppress(OSError):  # it is no longer there, or never was
            draft.unlink()
    return path
