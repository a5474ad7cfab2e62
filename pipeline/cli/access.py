"""`lake access`: who sees what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli.common import Output, exits, json_option, open_lake, show_error, show_errors

if TYPE_CHECKING:
    from pipeline.access.audit_log import Event


@click.command()
@click.argument("name", metavar="[ROLE]", required=False)
@click.option("--log", "shows_log", is_flag=True, help="Show the audit log instead, and check that it is whole.")
@json_option
@exits
def access(name: str | None, shows_log: bool, output: Output) -> int:
    """Show what each role, or one, sees of every published table, by access/roles.yaml and the classes of columns.

    This checks the rules against the models, without a lake and without keys. The audit log says which contracts and
    roles changed, and which records were discarded or objects dropped.
    """
    return _log(output) if shows_log else _roles(name, output)


def _log(output: Output) -> int:
    from contextlib import suppress
    from dataclasses import asdict

    from ingest.errors import ConfigError
    from pipeline.cli.show_access import show_log

    lake = open_lake()
    heads = {f"release {number}": lake.releases.get(number).audit_log for number in lake.releases.numbers()}
    faults = lake.audit_log.faults(heads)
    events: list[Event] = []
    with suppress(ConfigError):  # up to a damaged entry, which is among the faults
        for event in lake.audit_log.events():
            events.append(event)
    output.show({"events": [asdict(event) for event in events], "faults": faults}, lambda: show_log(events))
    for fault in faults:
        show_error(f"the audit log of {lake.options.lake_uri} was changed: {fault}; restore it from the backup")
    return int(bool(faults))


def _roles(name: str | None, output: Output) -> int:
    from sqlmesh import Context
    from sqlmesh.core.console import NoopConsole, set_console

    from ingest.errors import ConfigError, LakemeshError
    from ingest.settings import PROJECT
    from pipeline.access.roles import FILE, LEAST_KEY, load_roles
    from pipeline.access.view import as_rows
    from pipeline.cli.show_access import show_access
    from pipeline.process.contain import contained
    from pipeline.releases.role_views import check_patterns, declared, views_of
    from pipeline.warehouse.classes import project_classes

    defined = load_roles(PROJECT)
    names = [role.name for role in defined]
    if name is not None and name not in names:
        raise ConfigError(f"{FILE}: no role {name}; expected {' or '.join(names) or 'the file to define one'}")
    if not defined:
        output.show([], lambda: show_access([]))
        return 0
    set_console(NoopConsole())
    context = Context(paths=str(PROJECT))
    classes, release, any_key = project_classes(context), declared(context), "?" * LEAST_KEY
    errors: list[LakemeshError] = []
    rows: list[dict[str, str]] = []
    for role in defined:
        if name in (None, role.name):
            with contained(f"role {role.name}", errors.append):
                views = views_of(role, release, classes.columns, classes.privacy.groups, any_key)
                rows += as_rows(role, views)
                check_patterns(role, release)
    output.show(rows, lambda: show_access(rows))
    return show_errors(errors)
