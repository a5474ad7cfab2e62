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

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from ingest.errors import ConfigError
from ingest.settings import Settings
from ingest.sql import dotted, literal
from pipeline.access.role_keys import key_statements
from pipeline.access.roles import Role, schema_of, store_of
from pipeline.access.view import View
from pipeline.releases.catalog import write_catalog
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
from pipeline.releases.role_views import columns_of, described, parent_of, read_by
from pipeline.releases.rollups import store_rollups
from pipeline.warehouse.engine import FILE_FORMAT

RULES, REGISTRY = "role.json", "roles.json"
LONGEST_NAME = 63  # bytes: Postgres cuts longer ones


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
        is_first: whether it had no release before.
    """

    role: str
    number: int
    files: int
    rows: int
    has_new_rules: bool
    has_new_key: bool
    is_first: bool

    @property
    def reasons(self) -> list[str]:
        """Why it sees something else than before of the same rows; empty if it does not."""
        found = {"new role": self.is_first, "new key": self.has_new_key, "new rules": self.has_new_rules}
        return [reason for reason, holds in found.items() if holds]


def settings_of(options: Settings, role: str) -> Settings:
    """The settings by which a role's releases are written and served.

    Raises:
        ConfigError: Postgres would cut a name of the role, which may then be that of another one.
    """
    own = {
        "published_uri": store_of(options.published_uri, role),
        "serving_schema": schema_of(options.serving_schema, role),
        "serving_role": f"{options.serving_role}_{role}" if options.serving_role else "",
    }
    names = (own["serving_schema"], own["serving_role"])
    if options.serving_dsn and (long := [name for name in names if len(name.encode()) > LONGEST_NAME]):
        raise ConfigError(f"{long[0]} is longer than {LONGEST_NAME} characters; shorten SERVING_SCHEMA or SERVING_ROLE")
    return options.model_copy(update=own)


def make(everything: Releases, own: Releases, role: Role, views: Mapping[str, View], key: str | None) -> Made | None:
    """Bring a role's releases to the state of the releases of everything: that which readers get, and no older rules.

    Safe to interrupt at any point. Must not run twice at once for a role.

    Args:
        everything: where the clear releases are.
        own: where those of the role are.
        views: of the release that readers get, see role_views.py.

    Returns:
        None if there was nothing to do.

    Raises:
        ConfigError: what is at the role's place was not written for it.
        ConfigError, RetriableError: a store cannot be read or written.
    """
    pointer = everything.pointer()
    number, is_withheld = int(pointer["state"]), bool(pointer.get("held"))
    rules = {"role": role.name, "rules": _digest(views), "key": next((v.key for v in views.values() if v.key), "")}
    before = claim(own, role.name)
    wanted = {**rules, "kept": everything.numbers()}
    shown = own.pointer()
    if before == wanted and (shown.get("state"), bool(shown.get("held"))) == (number, is_withheld):
        return None
    if number in own.numbers() and all(before.get(name) == value for name, value in rules.items()):
        written, release = 0, own.get(number)  # after a rollback, or while only older ones were pruned
    else:
        release, written = _write(everything, own, views, number, key)
    own.point_to(number, withhold=is_withheld)
    has_new_rules = "rules" in before and before["rules"] != rules["rules"]
    _withdraw(own, set(own.numbers()) - ({number} if has_new_rules else {*wanted["kept"], number}))
    own.store.put(RULES, json.dumps(wanted).encode())
    has_new_key = "rules" in before and before.get("key", "") != rules["key"]
    rows = sum(table.rows for table in release.tables.values())
    return Made(role.name, number, written, rows, has_new_rules, has_new_key, "rules" not in before)


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
    claim(own, name)
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
    claim(own, name)
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
            parent = parent_of(table, release)
            if parent in views:
                tables[name] = replace(table, columns=columns_of(table, view), files=(), query=table.rollup, rollup="")
                continue
            files = []
            for source, new in _sources(everything, release, table, view):
                if new.key not in known:
                    known[new.key] = _copy(reader, own, view, source, new, staged)
                files.append(known[new.key])
            tables[name] = described(table, view, tuple(files))
    own.store.publish(staged)
    before = next((old for old in reversed(kept) if old.number <= number), None)
    rolled_up = store_rollups(own, tables, before, number)
    tables |= {name: replace(table, version=tables[name].version) for name, table in rolled_up.items()}
    new_rollups = {file.key for table in rolled_up.values() for file in table.files} - known.keys()
    dates = {name: days for name, days in release.dates.items() if name in tables}
    audits = tuple(item | {"name": ""} for item in release.audits)  # names are of tables that the role does not see
    _complete(own, done := replace(release, tables=tables, dates=dates, audits=audits))
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
    read = (table.name, *read_by(table, release))
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


def _digest(views: Mapping[str, View]) -> str:
    content = json.dumps({name: view.digest for name, view in views.items()}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def claim(own: Releases, name: str) -> dict[str, Any]:
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
