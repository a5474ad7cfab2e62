"""`lake impact`: what a change of a column reaches, and what a branch changes."""

from __future__ import annotations

import click

from pipeline.cli.common import Output, exits, json_option


@click.command()
@click.argument("column", required=False)
@click.option("--against", metavar="REV", help="A revision of git: show what the project changes against it.")
@json_option
@exits
def impact(column: str | None, against: str | None, output: Output) -> int:
    """Show which columns, metrics and tiles a change of COLUMN reaches, or with --against what a branch changes.

    COLUMN is schema.table.column, such as silver.users.country_code, or the name of a metric. `rows` in the output
    means that the column only decides which rows a table has, by a filter, a join or grouping.
    """
    from dataclasses import asdict

    from ingest.errors import ConfigError
    from ingest.settings import PROJECT
    from pipeline.cli.show_impact import show_comparison, show_impact
    from pipeline.portal.catalog.compare import compare
    from pipeline.portal.catalog.declared import declared, exported
    from pipeline.portal.catalog.graph import Graph

    if (column is None) == (against is None):
        raise click.UsageError("give either a column, such as silver.users.country_code, or --against REV")
    if column is not None:
        graph = Graph.of(declared(PROJECT).catalog)
        found = graph.impact([graph.resolve(column)])
        output.show(asdict(found), lambda: show_impact(found))
        return 0
    assert against is not None
    with exported(PROJECT, against) as folder:
        try:
            before = declared(folder, with_shapes=True)
        except ConfigError as error:
            reason = str(error).replace(f" in {folder}", "").replace(f"{folder}/", "")
            raise ConfigError(
                f"revision {against} is no project as this version reads it: {reason}; compare with a later revision, "
                "such as HEAD"
            ) from None
    comparison = compare(before, declared(PROJECT, with_shapes=True))
    output.show(asdict(comparison), lambda: show_comparison(comparison, against))
    return 0
