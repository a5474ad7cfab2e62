"""What a role sees of the tables of a release, and rules that do not fit them."""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections.abc import Mapping
from dataclasses import replace

from sqlmesh.core.context import GenericContext

from ingest.errors import ConfigError
from pipeline.access.classes import Classification
from pipeline.access.masks import Show
from pipeline.access.privacy import Group
from pipeline.access.roles import FILE, Role
from pipeline.access.view import View, view_of
from pipeline.releases.catalog import parents
from pipeline.releases.changes import is_published
from pipeline.releases.export import describe_table
from pipeline.releases.release import Release, ReleaseFile, ReleaseTable
from pipeline.releases.rollups import rollup
from pipeline.warehouse.project import plain_name


def views_of(
    role: Role, release: Release, classes: Classification, groups: Mapping[str, Group], key: str | None
) -> dict[str, View]:
    """What a role sees of the tables of a release, by name.

    Raises:
        ConfigError: it sees nothing, its rules do not fit a table, or it has no key for its hashes.
    """
    found: dict[str, View] = {}
    seen = [table for name, table in sorted(release.tables.items()) if role.sees(name)]
    for table in sorted(seen, key=lambda item: bool(item.rollup)):  # a rollup after what it sums
        name = table.name
        group = groups.get(name)
        size = (group.size if group else None, group is not None and group.size is None)
        kinds = [(column, kind) for column, kind, _ in table.columns]
        view = found[name] = view_of(role, name, kinds, classes.get(name, {}), size, key)
        masked = {column for column, _, mask, _ in view.columns if mask.show is not Show.CLEAR}
        if table.time_column in masked:
            raise ConfigError(
                f"{FILE}: role {role.name} masks {name}.{table.time_column}, by which the table is divided; expected "
                "it clear, or the table left out"
            )
        parent = parent_of(table, release)
        is_of_shown = parent in found  # a rollup, which is summed from what the role sees
        if parent in found:
            _check_rollup(role, name, view, parent, found[parent])
        filtered = [read for read in read_by(table, release) if role.condition(read)]
        if filtered and not (view.where or is_of_shown):
            raise ConfigError(
                f"{FILE}: role {role.name} sees some rows of {filtered[0]} alone, but {name} is computed from all of "
                f"them; give {name} a condition, or leave it out"
            )
    if not found:
        raise ConfigError(f"{FILE}: role {role.name} sees no table; published are {', '.join(sorted(release.tables))}")
    return found


def check_patterns(role: Role, release: Release) -> None:
    """Refuse a pattern that matches nothing, which a misspelt rule would be: it would hide nothing.

    Raises:
        ConfigError: there is one.
    """
    seen = [table for name, table in release.tables.items() if role.sees(name)]
    columns = [f"{table.name}.{name}" for table in seen for name, _, _ in table.columns]
    tables = [table.name for table in seen]
    expected = [(pattern, list(release.tables)) for pattern in (*role.tables, *role.except_)]
    expected += [(pattern, columns) for entry in role.columns for pattern in entry.names]
    expected += [(pattern, tables) for entry in role.rows for pattern in entry.tables]
    for pattern, names in expected:
        if not fnmatch.filter(names, pattern):
            raise ConfigError(
                f"{FILE}: role {role.name}: {pattern} matches nothing that the role sees; correct or remove it"
            )


def _check_rollup(role: Role, name: str, view: View, parent: str, shown: View) -> None:
    """Refuse rules for a rollup that its sums, which are of what the role sees of its parent, do not follow.

    Raises:
        ConfigError: there is one.
    """
    masks = {column: mask for column, _, mask, _ in shown.columns}
    for column, _, mask, _ in view.columns:
        if mask.show is not Show.CLEAR and mask != masks.get(column):
            raise ConfigError(
                f"{FILE}: role {role.name} shows {name}.{column} as {mask}, but it is summed from what the role sees "
                f"of {parent}; mask the column there likewise, or leave one of the tables out"
            )
    if view.where not in ("", shown.where):
        raise ConfigError(
            f"{FILE}: role {role.name} sees some rows of {name} alone, but they are summed from what the role sees "
            f"of {parent}; give {parent} the same condition, or leave one of the tables out"
        )


def declared(context: GenericContext) -> Release:
    """The tables of a project's next release, without files, to check rules against.

    Args:
        context: of the loaded project.
    """
    models = {plain_name(name): model for name, model in context.models.items()}
    names = {name for name, model in models.items() if is_published(name, model.tags)}
    tables = {name: describe_table(name, "", models[name], names) for name in sorted(names)}
    for name, table in tables.items():
        found = rollup(table, tables) if table.query else None
        if found:
            tables[name] = replace(table, query="", rollup=table.query, time_column=found.column)
    return Release(0, dt.datetime.min, "", {}, 0, tables)


def described(table: ReleaseTable, view: View, files: tuple[ReleaseFile, ...]) -> ReleaseTable:
    """A table as a role sees it, with the files that are written for it."""
    lasting = {name for name, _, mask, _ in view.columns if mask.keeps_keys and name not in view.persons}
    return replace(
        table,
        version=f"{table.version}-{view.digest}",
        columns=columns_of(table, view),
        files=files,
        query="",
        rollup="",
        buckets=None,  # of the table's log, which the role's files do not follow
        grain=table.grain if lasting >= set(table.grain) else (),
        time_column=table.time_column if all(file.part for file in files) else "",
        not_null=tuple(name for name in table.not_null if name in lasting),
    )


def columns_of(table: ReleaseTable, view: View) -> tuple[tuple[str, str, str], ...]:
    """Name, type and comment of each column as a role sees it."""
    masks = {name: mask for name, _, mask, _ in view.columns}
    return tuple(
        (name, masks[name].kind(kind), _comment(comment, str(masks[name]))) for name, kind, comment in table.columns
    )


def _comment(comment: str, mask: str) -> str:
    return comment if mask == Show.CLEAR else f"{comment} (shown as {mask})"


def parent_of(table: ReleaseTable, release: Release) -> str | None:
    """The table that a stored rollup sums; None for any other table."""
    if not table.rollup:
        return None
    found = rollup(replace(table, query=table.rollup, rollup=""), release.tables)
    return found.parent if found else None


def read_by(table: ReleaseTable, release: Release) -> list[str]:
    """The tables that a view or a rollup is computed from, those of other views included."""
    direct = parents(replace(table, query=table.query or table.rollup))
    found = list(direct)
    for name in direct:
        found += [item for item in read_by(release.tables[name], release) if item not in found]
    return sorted(found)
