"""Stored pages: below `portal/` beside the releases, each file under a name that follows from its content.

    portal/index.html               starts the application, the same for all releases
           app/<…>-<hash>.js|css    the application, and the library of charts, once per version
           data/<page>-<hash>.js    numbers of a page; <page>-<year>-<hash>.js those of an older year
           releases/<number>.js     the small file of a release: its pages, how far it is complete, what waits
           current.js               a copy of that of the release that readers get; put last

A file that exists is not put again, so a release costs the pages whose numbers changed; a rollback moves one file; and
a page that is open stays consistent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from ingest.errors import ConfigError
from pipeline.metrics.definition import Metric, load_metrics
from pipeline.portal import assets
from pipeline.portal.dashboard import Dashboard, load_dashboards
from pipeline.portal.facts import Facts
from pipeline.portal.guard import NOTHING, Guard
from pipeline.portal.keys import CURRENT, FOLDER, INDEX
from pipeline.portal.script import data_file, read_data_file
from pipeline.portal.write import FORMAT, Pages, keys_of, write
from pipeline.releases.release import Release, Releases

_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}
_FRESH = {"Cache-Control": "no-cache"}
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}

Catalog = Callable[[Release, duckdb.DuckDBPyConnection, Mapping[str, Metric], Sequence[Dashboard]], Mapping[str, Any]]
"""Makes the catalog's data files of a release, by name, from a connection to it and the definitions of its pages."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What pages are made from beside releases.

    Attributes:
        metrics, dashboards: the project's folders of definitions.
        currency: the reporting currency, ISO code; empty if unknown.
        catalog: None for pages without a catalog.
        guard: makes the rules for what no page shows; None for tables without personal columns. It is asked only when
            pages are written.
        rules: changes with what the guard and the classes in the catalog follow from; cheap, since it is always asked.
    """

    metrics: Path
    dashboards: Path
    currency: str = ""
    catalog: Catalog | None = None
    guard: Callable[[], Guard] | None = None
    rules: str = ""

    def digest(self) -> str:
        """Changes with every definition, the rules for what no page shows, and the version of the application."""
        paths = sorted([*self.metrics.glob("*.yaml"), *self.dashboards.glob("*.yaml")])
        content = [[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in paths]
        app = [key for key, _ in assets.application().values()] + [assets.vega_key()]
        about = json.dumps([assets.writer(), content, app, self.currency, self.catalog is not None, self.rules])
        return hashlib.sha256(about.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Written:
    """What a call stored.

    Attributes:
        release: number of the release that readers get.
        pages: names of the pages whose numbers were read from it.
        files: keys of the stored files whose names follow from their content.
        deleted: number of deleted files, of releases that are no longer kept.
        left_out: why a page is missing, by its name.
    """

    release: int
    pages: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    deleted: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)


def address(published: Releases, number: int | None = None) -> str:
    """Where the pages of a release are, by default those of the current one: a path or a URI.

    Raises:
        ConfigError: there are none.
    """
    key = f"{FOLDER}/releases/{number}.js" if number is not None else CURRENT
    if _get(published, key) is None:
        which = f"release {number}" if number is not None else "the current release"
        raise ConfigError(
            f"{published.store.uri}: {which} has no pages; install the extra `portal` "
            "(`make setup-portal`), then `lake run` or `lake publish` writes those of the current release"
        )
    root = published.store.root
    index = str((root / INDEX).resolve()) if root else f"{published.store.uri}/{INDEX}"
    return index + (f"?release={number}" if number is not None else "")


def is_behind(published: Releases) -> int | None:
    """The number of the release that the current pages show, if readers already get another one; otherwise None."""
    data = _get(published, CURRENT)
    shown = int(read_data_file(data)["number"]) if data else None
    return shown if shown != published.pointer().get("state") else None


def with_pages(published: Releases) -> set[int]:
    """Numbers of the releases that have pages."""
    found = (item.key for item in published.store.list(f"{FOLDER}/releases"))
    return {int(name) for key in found if (name := Path(key).stem).isdigit()}


def refresh(published: Releases, sources: Sources, facts: Facts | None = None) -> Written | None:
    """Bring the stored pages up to date: those of the release that readers get, and of the newest if it is another.

    Costs four small reads and a listing of the releases if nothing changed, one read more while a newer release is
    withheld. Safe to interrupt at any point; readers see a release's pages once `current.js` names them.

    Args:
        facts: of the newest release; None keeps what its pages say.

    Returns:
        None if nothing is published yet, or the project has no dashboards.

    Raises:
        ConfigError: a definition is wrong, the release lacks what it names, or the store refuses.
        RetriableError: the store cannot be reached.
    """
    pointer = published.pointer()
    if not pointer or not any(sources.dashboards.glob("*.yaml")):
        return None
    current, newest = int(pointer["state"]), published.numbers()[-1]
    pages: list[str] = []
    files: list[str] = []
    left_out: dict[str, str] = {}
    smalls: dict[int, Mapping[str, Any]] = {}
    made_any = False
    for number in sorted({current, newest}):
        small = _small(published, number)
        if small is None or (number == newest and small.get("sources") != sources.digest()):
            made = _make(published, sources, number, small, facts if number == newest else None)
            files += _put(published, made)
            pages += made.read
            left_out |= made.left_out
            small, made_any = dict(made.small), True
        elif facts is not None and number == newest and (new := small | facts.as_json()) != small:
            small = new
            _put_small(published, small)
        smalls[number] = small
    index = assets.index()
    if _get(published, INDEX) != index:
        published.store.put(INDEX, index, _headers(INDEX))
    deleted = 0
    if made_any:
        deleted = prune(published)
        follow(published)  # readers may have been rolled back meanwhile
    else:
        _follow(published, pointer, smalls[current])
    return Written(current, tuple(dict.fromkeys(pages)), tuple(files), deleted, left_out)


def follow(published: Releases) -> bool:
    """Make `current.js` that of the release that readers get, as after a rollback.

    Returns:
        Whether that release has pages; otherwise there are no current ones.
    """
    pointer = published.pointer()
    return _follow(published, pointer, _small(published, int(pointer["state"])) if pointer else None)


def _follow(published: Releases, pointer: Mapping[str, Any], small: Mapping[str, Any] | None) -> bool:
    if small is None:
        if _get(published, CURRENT) is not None:
            published.store.delete([CURRENT])
        return False
    data = data_file("release", {**small, "is_held": bool(pointer.get("held"))})
    if _get(published, CURRENT) != data:
        published.store.put(CURRENT, data, _headers(CURRENT))
    return True


def _make(
    published: Releases, sources: Sources, number: int, small: Mapping[str, Any] | None, facts: Facts | None
) -> Pages:
    definitions = load_metrics(sources.metrics)
    dashboards = load_dashboards(sources.dashboards, definitions)
    release = published.get(number)
    if facts is None:
        facts = Facts.of(small) if small else Facts.unknown(release)
    kept = sorted(with_pages(published), reverse=True)
    before = small or next(filter(None, (_small(published, other) for other in kept)), None)
    connection = published.connect(number)
    connection.execute("SET threads = 1")  # many small queries: more threads cost more than they spare
    try:
        catalog = sources.catalog(release, connection, definitions, dashboards) if sources.catalog else {}
        guard = sources.guard() if sources.guard else NOTHING
        made = write(release, connection, definitions, dashboards, facts, before, sources.currency, catalog, guard)
    finally:
        connection.close()
    return replace(made, small={**made.small, "sources": sources.digest()})


def _put(published: Releases, pages: Pages) -> list[str]:
    """Store what does not exist yet; the small file last. Returns the keys of new files."""
    existing = {item.key for folder in ("app", "data") for item in published.store.list(f"{FOLDER}/{folder}")}
    new = [key for key in pages.files if f"{FOLDER}/{key}" not in existing]
    for key in new:
        published.store.put(f"{FOLDER}/{key}", pages.files[key], _headers(key))
    vega = pages.small["app"]["vega"]
    if f"{FOLDER}/{vega}" not in existing:
        published.store.put(f"{FOLDER}/{vega}", assets.vega(), _headers(vega))
        new.append(vega)
    _put_small(published, pages.small)
    return new


def _put_small(published: Releases, small: Mapping[str, Any]) -> None:
    key = f"{FOLDER}/releases/{small['number']}.js"
    published.store.put(key, data_file("release", dict(small)), _headers(key))


def prune(published: Releases) -> int:
    """Delete the pages of releases that are no longer kept, and files that no kept one names. Returns their number."""
    kept = set(published.numbers())
    gone = with_pages(published) - kept
    published.store.delete(f"{FOLDER}/releases/{number}.js" for number in gone)
    smalls = [small for number in with_pages(published) if (small := _small(published, number))]
    used = {f"{FOLDER}/{key}" for small in smalls for key in keys_of(small)}
    stored = {item.key for folder in ("app", "data") for item in published.store.list(f"{FOLDER}/{folder}")}
    published.store.delete(stored - used)
    return len(stored - used) + len(gone)


def _small(published: Releases, number: int) -> dict[str, Any] | None:
    """The small file of a release; None if it has none that this version reads."""
    data = _get(published, f"{FOLDER}/releases/{number}.js")
    if data is None:
        return None
    try:
        small = read_data_file(data)
    except ValueError:  # cut short by a full disk, or written by hand: it is written again
        return None
    return small if isinstance(small, dict) and small.get("format") == FORMAT else None


def _get(published: Releases, key: str) -> bytes | None:
    try:
        return published.store.get(key)
    except FileNotFoundError:
        return None


def _headers(key: str) -> dict[str, str]:
    is_named_by_content = "/app/" in f"/{key}" or "/data/" in f"/{key}"
    return {"Content-Type": _TYPES[Path(key).suffix]} | (_KEPT if is_named_by_content else _FRESH)
