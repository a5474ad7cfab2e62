"""The stored catalogs: `portal/catalog/<release>.json` beside the pages, for other tools and for the next release.

A catalog describes the project as it was when its release was published. So that of a release that readers get again
after a rollback is the stored one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from sqlmesh.core.context import GenericContext

from ingest.contracts.contract import Contract
from ingest.errors import ConfigError
from pipeline.metrics.definition import Metric
from pipeline.portal.catalog.collect import Definitions, Published, collect
from pipeline.portal.catalog.document import from_json, schema
from pipeline.portal.catalog.entries import Catalog
from pipeline.portal.catalog.payload import payload
from pipeline.portal.dashboard import Dashboard
from pipeline.releases.release import Release, Releases
from pipeline.warehouse.classes import Classes

FOLDER = "portal/catalog"
SCHEMA = f"{FOLDER}/schema.json"
_JSON = {"Content-Type": "application/json", "Cache-Control": "no-cache"}


@dataclass(frozen=True, slots=True)
class CatalogPages:
    """Makes and stores the catalog of a release, and returns its data files by logical name.

    Attributes:
        published: the releases, beside which catalogs are stored.
        context: the loaded project.
        contracts: by feed.
        classes: of the project's columns; asked only when a catalog is made.
    """

    published: Releases
    context: GenericContext
    contracts: Mapping[str, Contract]
    classes: Callable[[], Classes]

    def __call__(
        self,
        release: Release,
        connection: duckdb.DuckDBPyConnection,
        metrics: Mapping[str, Metric],
        dashboards: Sequence[Dashboard],
    ) -> dict[str, Any]:
        """Return the data files of a release's catalog.

        Args:
            connection: to the release, with its tables as `gold.x`.
            metrics, dashboards: the project's definitions.

        Raises:
            ConfigError, RetriableError: a definition is wrong, or the store cannot be used.
        """
        numbers = self.published.numbers()
        own = read(self.published, release.number)
        if own is not None and numbers and release.number != numbers[-1]:
            return payload(own)
        before = own or newest(self.published)
        definitions = Definitions(metrics, dashboards, self.classes())
        about = Published(release, connection, self.published.store.uri)
        catalog = collect(self.context, self.contracts, definitions, about, before)
        data = catalog.to_json()
        if own is None or own.to_json() != data:
            self.published.store.put(key(release.number), data, _JSON)
        _put_schema(self.published)
        prune(self.published)
        return payload(catalog)


def key(number: int) -> str:
    """Key of a release's catalog, beside the releases."""
    return f"{FOLDER}/{number}.json"


def read(published: Releases, number: int) -> Catalog | None:
    """The stored catalog of a release; None if there is none that this version reads."""
    try:
        return from_json(published.store.get(key(number)), key(number))
    except (FileNotFoundError, ConfigError):
        return None


def newest(published: Releases) -> Catalog | None:
    """The stored catalog of the newest release that has one that this version reads."""
    for number in sorted(_numbers(published), reverse=True):
        if (found := read(published, number)) is not None:
            return found
    return None


def prune(published: Releases) -> int:
    """Delete the catalogs of releases that are no longer kept, and return their number."""
    gone = _numbers(published) - set(published.numbers())
    published.store.delete(map(key, gone))
    return len(gone)


def _numbers(published: Releases) -> set[int]:
    names = (Path(item.key).stem for item in published.store.list(FOLDER))
    return {int(name) for name in names if name.isdigit()}


def _put_schema(published: Releases) -> None:
    data = json.dumps(schema(), indent=1).encode()
    try:
        if published.store.get(SCHEMA) == data:
            return
    except FileNotFoundError:
        pass
    published.store.put(SCHEMA, data, _JSON)
