"""`lake metrics`: list, show, query and check the metrics."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import click

from ingest.settings import PROJECT
from pipeline.cli.common import Output, exits, json_option, open_lake, show_error

if TYPE_CHECKING:
    from pipeline.metrics.definition import Metric
    from pipeline.metrics.period import Grain

_DATE = click.DateTime(["%Y-%m-%d"])


@click.group()
def metrics() -> None:
    """List, explain and query the metrics defined in metrics/<domain>.yaml."""


def _definitions() -> dict[str, Metric]:
    from pipeline.metrics.definition import load_metrics

    return load_metrics(PROJECT / "metrics")


@metrics.command(name="list")
@click.argument("domains", nargs=-1, metavar="[DOMAIN]...")
@json_option
@exits
def metrics_list(domains: tuple[str, ...], output: Output) -> int:
    """List the metrics, of all domains or of those named."""
    from ingest.errors import ConfigError
    from pipeline.cli.show_metrics import show_list

    found = list(_definitions().values())
    known = dict.fromkeys(metric.domain for metric in found)
    for domain in domains:
        if domain not in known:
            raise ConfigError(f"no metrics of a domain '{domain}'; expected one of {', '.join(known)}")
    chosen = [metric for metric in found if not domains or metric.domain in domains]
    output.show([metric.model_dump(mode="json") for metric in chosen], lambda: show_list(chosen))
    return 0


@metrics.command()
@click.argument("name")
@json_option
@exits
def describe(name: str, output: Output) -> int:
    """Show the definition of one metric: what it means, what it is computed from, what may be summed."""
    from pipeline.cli.show_metrics import show_definition
    from pipeline.metrics.request import known

    metric = known(_definitions(), name)
    output.show(metric.model_dump(mode="json"), lambda: show_definition(metric))
    return 0


def _day(_: click.Context, __: click.Parameter, value: dt.datetime | None) -> dt.date | None:
    return value.date() if value else None


def _by(_: click.Context, __: click.Parameter, value: str | None) -> tuple[Grain | None, tuple[str, ...]]:
    from ingest.errors import ConfigError
    from pipeline.metrics.request import split_by

    try:
        return split_by(value or "")
    except ConfigError as error:
        raise click.BadParameter(str(error)) from None


@metrics.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--by", callback=_by, help="Grain (day, week, month, quarter, year) and dimensions, joined by commas.")
@click.option("--where", multiple=True, help="country_code=fr, country_code!=fr, country_code in (fr, de), …; repeat.")
@click.option("--since", type=_DATE, callback=_day, help="First date, inclusive.")
@click.option("--until", type=_DATE, callback=_day, help="Last date, inclusive.")
@click.option("--compare", type=click.Choice(["previous", "year"]), help="Period before, or the same a year before.")
@click.option("--release", type=click.IntRange(min=1), help="Number of the release; by default the current one.")
@click.option("--csv", "csv_wanted", is_flag=True, help="Print CSV: the rows, without totals.")
@click.option("--sql", "sql_wanted", is_flag=True, help="Print the SQL instead of running it.")
@json_option
@exits
def query(
    names: tuple[str, ...],
    by: tuple[Grain | None, tuple[str, ...]],
    where: tuple[str, ...],
    since: dt.date | None,
    until: dt.date | None,
    compare: str | None,
    release: int | None,
    csv_wanted: bool,
    sql_wanted: bool,
    output: Output,
) -> int:
    """Compute metrics from a release.

    Totals are computed from the rows of the tables, so those of ratios are right. A value that would be a sum of what
    cannot be summed is refused.
    """
    if csv_wanted + sql_wanted + output.as_json > 1:
        raise click.UsageError("expected at most one of --csv, --sql and --json")
    from pipeline.cli.show_metrics import show_answer
    from pipeline.metrics.filters import parse_filter
    from pipeline.metrics.period import Compare
    from pipeline.metrics.query import Query, answer, compile_query, within
    from pipeline.metrics.result import as_csv, as_dict
    from pipeline.metrics.standing import standing
    from pipeline.warehouse.engine import DIALECT

    definitions = _definitions()
    grain, dimensions = by
    filters = tuple(map(parse_filter, where))
    compared = Compare(compare) if compare else None
    wanted = Query(names, dimensions, grain, filters, since, until, compared)
    published = open_lake().releases
    chosen = published.current() if release is None else published.get(release)
    with published.connect(chosen.number if chosen else None) as connection:
        if sql_wanted:
            click.echo(compile_query(definitions, within(connection, definitions, wanted)).sql(DIALECT, pretty=True))
            return 0
        found = answer(connection, definitions, wanted)
        if csv_wanted:
            click.echo(as_csv(found), nl=False)
            return 0
        assert chosen  # otherwise `connect` has failed
        state = standing(chosen, connection, definitions, names)
    output.show(as_dict(found, state), lambda: show_answer(found, state))
    return 0


@metrics.command()
@click.option("--write", is_flag=True, help="Regenerate the list in docs/metrics.md.")
@exits
def check(write: bool) -> int:
    """Check metrics and reports against the models, and that the list in docs/metrics.md is generated from them."""
    from sqlmesh import Context
    from sqlmesh.core.console import NoopConsole, set_console

    from pipeline.metrics.check import described, faults
    from pipeline.metrics.document import document
    from pipeline.report.check import faults as report_faults
    from pipeline.report.definition import load_reports
    from pipeline.warehouse.classes import project_classes

    definitions = _definitions()
    set_console(NoopConsole())
    context = Context(paths=str(PROJECT))
    found = faults(definitions, described(context))
    classes, reports = project_classes(context), load_reports(PROJECT / "reports", definitions)
    found += report_faults(reports.values(), definitions, lambda *names: classes.of(*names).class_.is_restricted)
    path = PROJECT / "docs" / "metrics.md"
    text = path.read_text(encoding="utf-8")
    generated = document(text, definitions)
    if write:
        path.write_text(generated, encoding="utf-8")
    elif text != generated:
        found.append(f"{path}: the list of metrics is out of date; run `lake metrics check --write`")
    for fault in found:
        show_error(fault)
    if not found:
        agreed = f"{len(definitions)} metrics and {len(reports)} reports agree with the models"
        click.echo(f"{agreed}, docs/metrics.md is up to date")
    return int(bool(found))
