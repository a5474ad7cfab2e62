"""Releases of roles: what each role sees of a release, masked and filtered before it is written.

They lie beside the releases of everything (`<PUBLISHED_URI>-<role>`), so that the policy of a bucket, the rights of a
folder or those of a database are the wall; nothing in them has to be hidden from whoever opens the files. A role's
release has the number of the one that it is made from. The name of a file follows from the file that it is made from
and from what the role sees of it, so a new release writes what changed, and an interrupted one goes on.

    <PUBLISHED_URI>-<role>/tables, states, current.json, …    like any releases
                           role.json                          which rules they follow; written last
    <PUBLISHED_URI>/roles.json                                roles that have releases
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
from sqlmesh.core.context import GenericContext

from ingest.errors import ConfigError
from ingest.settings import Settings
from ingest.sql import dotted, literal
from pipeline.access.classes import Classification
from pipeline.access.masks import Show, key_statements
from pipeline.access.privacy import Group
from pipeline.access.roles import FILE, Role, View, schema_of, store_of, view_of
from pipeline.releases.catalog import parents, write_catalog
from pipeline.releases.changes import is_published
from pipeline.releases.export import describe_table
from pipeline.releases.release import (
    CURRENT,
    CURRENT_CATALOG,
    Release,
    ReleaseFile,
    Releases,
    ReleaseTable,
    catalog_key,
    manifest_key,
)
from pipeline.releases.rollups import rollup, store_rollups
from pipeline.warehouse.engine import FILE_FORMAT
from pipeline.warehouse.project import plain_name

RULES, REGISTRY = "role.json", "roles.json"


@dataclass(frozen=True, slots=True)
class Made:
    """What was done for a role.

    Attributes:
        number: of its release.
        files: number of files that were written.
        rows: rows that it sees, over all tables.
        has_new_rules: whether it sees something else than before of the same rows, so that its older releases are
            withdrawn.
        has_new_key: whether its hashes are others than before.
    """

    role: str
    number: int
    files: int
    rows: int
    has_new_rules: bool
    has_new_key: bool


def settings_of(options: Settings, role: str) -> Settings:
    """The settings by which a role's releases are written and served."""
    own = {
        "published_uri": store_of(options.published_uri, role),
        "serving_schema": schema_of(options.serving_schema, role),
        "serving_role": f"{options.serving_role}_{role}" if options.serving_role else "",
    }
    return options.model_copy(update=own)


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
        parent = _parent_of(table, release)
        is_of_shown = parent in found  # a rollup, which is summed from what the role sees
        if parent in found:
            _check_rollup(role, name, view, parent, found[parent])
        filtered = [read for read in _read_by(table, release) if role.condition(read)]
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


def make(everything: Releases, own: Releases, role: Role, views: Mapping[str, View], key: str | None) -> Made | None:
    """Bring a role's releases to the state of the releases of everything: that which readers get, and no older rules.

    Safe to interrupt at any point. Must not run twice at once for a role.

    Args:
        everything: where the clear releases are.
        own: where those of the role are.
        views: of the release that readers get, see `views_of`.

    Returns:
        None if there was nothing to do.

    Raises:
        ConfigError: what is at the role's place was not written for it.
        ConfigError, RetriableError: a store cannot be read or written.
    """
    pointer = everything.pointer()
    number, is_held = int(pointer["state"]), bool(pointer.get("held"))
    rules = {"role": role.name, "rules": _digest(views), "key": next((v.key for v in views.values() if v.key), "")}
    before = _claim(own, role.name)
    wanted = {**rules, "kept": everything.numbers()}
    shown = own.pointer()
    if before == wanted and (shown.get("state"), bool(shown.get("held"))) == (number, is_held):
        return None
    if number in own.numbers() and all(before.get(name) == value for name, value in rules.items()):
        written, release = 0, own.get(number)  # after a rollback, or while only older ones were pruned
    else:
        release, written = _write(everything, own, views, number, key)
    own.point_to(number, withhold=is_held)
    has_new_rules = "rules" in before and before["rules"] != rules["rules"]
    _withdraw(own, set(own.numbers()) - ({number} if has_new_rules else {*wanted["kept"], number}))
    own.store.put(RULES, json.dumps(wanted).encode())
    has_new_key = "rules" in before and before.get("key", "") != rules["key"]
    rows = sum(table.rows for table in release.tables.values())
    return Made(role.name, number, written, rows, has_new_rules, has_new_key)


def registered(everything: Releases) -> set[str]:
    """Names of the roles that have releases."""
    try:
        return set(json.loads(everything.store.get(REGISTRY)))
    except FileNotFoundError:
        return set()


def register(everything: Releases, roles: Iterable[str]) -> None:
    """Record which roles have releases: before the first is written, and after those of a removed role are deleted."""
    wanted = sorted(roles)
    if wanted != sorted(registered(everything)):
        everything.store.put(REGISTRY, json.dumps(wanted).encode())


def empty(own: Releases, name: str) -> bool:
    """Make a removed role's current release one without tables, which also empties its schema once that is served.

    Returns:
        Whether it had a release.

    Raises:
        ConfigError: what is at the role's place was not written for it.
    """
    _claim(own, name)
    release = own.current()
    if release is None:
        return False
    _complete(own, replace(release, tables={}, dates={}))
    own.point_to(release.number)
    return True


def delete(own: Releases, name: str) -> int:
    """Delete everything of a removed role: first what readers open. Returns the number of objects.

    Raises:
        ConfigError: what is at the role's place was not written for it, so nothing is deleted.
    """
    _claim(own, name)
    own.store.delete([CURRENT, CURRENT_CATALOG])
    keys = [item.key for item in own.store.list() if item.key != RULES]
    own.store.delete(keys)
    own.store.delete([RULES])  # last: without it, what an interrupted call leaves would be somebody else's
    return len(keys)


def roll_back(everything: Releases, own: Releases) -> bool:
    """Point a role's readers to the release that readers of everything get now.

    Returns:
        Whether the role has it; otherwise its readers get none until the next cycle has written it.
    """
    pointer = everything.pointer()
    if not _rules(own):
        return False
    if pointer.get("state") in own.numbers():
        own.point_to(int(pointer["state"]), withhold=bool(pointer.get("held")))
        return True
    own.store.delete([CURRENT, CURRENT_CATALOG])
    return False


def _write(
    everything: Releases, own: Releases, views: Mapping[str, View], number: int, key: str | None
) -> tuple[Release, int]:
    """Write what a role sees of a release, and how many files that took."""
    release = everything.get(number)
    kept = [own.get(other) for other in own.numbers()]
    known = {file.key: file for old in kept for table in old.tables.values() for file in table.files}
    tables: dict[str, ReleaseTable] = {}
    staged: dict[str, Path] = {}
    with everything.connect(number) as reader:
        reader.execute("SET threads = 2")
        for statement in key_statements(key) if key else ():
            reader.execute(statement)
        for name, view in views.items():
            table = release.tables[name]
            parent = _parent_of(table, release)
            if parent in views:
                tables[name] = replace(table, columns=_columns(table, view), files=(), query=table.rollup, rollup="")
                continue
            files = []
            for source, new in _sources(everything, release, table, view):
                if new.key not in known:
                    known[new.key] = _copy(reader, own, view, source, new, staged)
                files.append(known[new.key])
            tables[name] = _described(table, view, tuple(files))
    own.store.publish(staged)
    before = next((old for old in reversed(kept) if old.number <= number), None)
    rolled_up = store_rollups(own, tables, before, number)
    tables |= {name: replace(table, version=tables[name].version) for name, table in rolled_up.items()}
    new_rollups = {file.key for table in rolled_up.values() for file in table.files} - known.keys()
    dates = {name: days for name, days in release.dates.items() if name in tables}
    done = replace(release, tables=tables, dates=dates, audits=())  # audits name tables that the role does not see
    _complete(own, done)
    return done, len(staged) + len(new_rollups)


def _complete(own: Releases, release: Release) -> None:
    with tempfile.TemporaryDirectory(prefix="lakemesh-") as folder:
        path = Path(folder) / "catalog.duckdb"
        write_catalog(own, path, release)
        own.store.put(catalog_key(release.number), path.read_bytes())
    own.store.put(manifest_key(release.number), release.to_json())


def _withdraw(own: Releases, numbers: Iterable[int]) -> None:
    """Delete releases, and all files that no other one names."""
    own.store.delete([key(number) for number in numbers for key in (manifest_key, catalog_key)])
    used = {file.key for number in own.numbers() for table in own.get(number).tables.values() for file in table.files}
    own.store.delete([item.key for item in own.store.list("tables") if item.key not in used])


def _sources(
    everything: Releases, release: Release, table: ReleaseTable, view: View
) -> Iterable[tuple[str, ReleaseFile]]:
    """What the files of a role are made from, and each of these files, without rows and bytes."""
    uri = everything.store.uri
    if not table.query and (table.time_column or not view.depends_on_all_rows):  # groups are counted within a month
        for file in table.files:
            name = f"{file.key.removesuffix('.parquet')}-{view.digest}.parquet"
            yield f"READ_PARQUET([{literal(f'{uri}/{file.key}')}], hive_partitioning = FALSE)", replace(file, key=name)
        return
    read = (table.name, *_read_by(table, release))
    keys = sorted(file.key for name in read for file in release.tables[name].files)
    queries = [release.tables[name].query for name in read]
    digest = hashlib.sha256(json.dumps([keys, queries, view.digest]).encode()).hexdigest()[:16]
    newest = max((int(key.rsplit("/", 1)[1][:20]) for key in keys), default=release.number)
    yield dotted(table.name), ReleaseFile(f"tables/{table.name}/{newest:020d}-all-{digest}.parquet", "", 0, 0)


def _copy(
    reader: duckdb.DuckDBPyConnection,
    own: Releases,
    view: View,
    source: str,
    new: ReleaseFile,
    staged: dict[str, Path],
) -> ReleaseFile:
    path = own.store.stage(new.key)
    (rows,) = reader.execute(f"COPY ({view.sql(source)}) TO {literal(path)} {FILE_FORMAT}").fetchone() or (0,)
    staged[new.key] = path
    return replace(new, rows=int(rows), bytes=path.stat().st_size)


def _described(table: ReleaseTable, view: View, files: tuple[ReleaseFile, ...]) -> ReleaseTable:
    lasting = {name for name, _, mask, _ in view.columns if mask.keeps_keys and name not in view.persons}
    return replace(
        table,
        version=f"{table.version}-{view.digest}",
        columns=_columns(table, view),
        files=files,
        query="",
        rollup="",
        grain=table.grain if lasting >= set(table.grain) else (),
        time_column=table.time_column if all(file.part for file in files) else "",
        not_null=tuple(name for name in table.not_null if name in lasting),
    )


def _columns(table: ReleaseTable, view: View) -> tuple[tuple[str, str, str], ...]:
    masks = {name: mask for name, _, mask, _ in view.columns}
    return tuple(
        (name, masks[name].kind(kind), _comment(comment, str(masks[name]))) for name, kind, comment in table.columns
    )


def _comment(comment: str, mask: str) -> str:
    return comment if mask == Show.CLEAR else f"{comment} (shown as {mask})"


def _parent_of(table: ReleaseTable, release: Release) -> str | None:
    """The table that a stored rollup sums; None for any other table."""
    if not table.rollup:
        return None
    found = rollup(replace(table, query=table.rollup, rollup=""), release.tables)
    return found.parent if found else None


def _read_by(table: ReleaseTable, release: Release) -> list[str]:
    """The tables that a view or a rollup is computed from, those of other views included."""
    direct = parents(replace(table, query=table.query or table.rollup))
    found = list(direct)
    for name in direct:
        found += [item for item in _read_by(release.tables[name], release) if item not in found]
    return sorted(found)


def _digest(views: Mapping[str, View]) -> str:
    content = json.dumps({name: view.digest for name, view in views.items()}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _claim(own: Releases, name: str) -> dict[str, Any]:
    """The rules that a role's releases follow, after an empty store is marked as that of the role.

    Raises:
        ConfigError: the store has something else, such as a landing bucket whose name is put together likewise.
    """
    found = _rules(own)
    if not found and next(iter(own.store.list()), None) is None:
        found = {"role": name}
        own.store.put(RULES, json.dumps(found).encode())
    if found.get("role") != name:
        raise ConfigError(
            f"{own.store.uri}: expected the releases of role {name}, but it has other objects and no {RULES} of that "
            "role; give the role or PUBLISHED_URI another name"
        )
    return found


def _rules(own: Releases) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(own.store.get(RULES))
    except FileNotFoundError:
        return {}
    return found
