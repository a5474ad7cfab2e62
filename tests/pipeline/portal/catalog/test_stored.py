"""Catalogs are stored beside the pages, reused after a rollback, and deleted with their releases."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlmesh import Context

from ingest.contracts.contract import contracts
from ingest.settings import PROJECT, read_settings
from pipeline.metrics.definition import load_metrics
from pipeline.portal.catalog.document import schema
from pipeline.portal.catalog.stored import SCHEMA, CatalogPages, key, newest, prune, read
from pipeline.portal.dashboard import load_dashboards
from pipeline.releases.release import Release, manifest_key
from pipeline.warehouse.classes import project_classes
from tests.gold_states import GoldStates, Table

DAYS = Table(
    {"date": "DATE", "plays": "BIGINT"},
    {"2026-01": "SELECT DATE '2026-01-05' AS date, 3::BIGINT AS plays"},
    time_column="date",
)


@pytest.fixture
def states(clean_settings: Path) -> GoldStates:
    return GoldStates(read_settings())


def _maker(states: GoldStates, project: Context) -> CatalogPages:
    return CatalogPages(states.published, project, contracts(), lambda: project_classes(project, contracts()))


def _made(states: GoldStates, pages: CatalogPages, release: Release) -> dict[str, Any]:
    metrics = load_metrics(PROJECT / "metrics")
    with states.published.connect(release.number) as connection:
        return pages(release, connection, metrics, load_dashboards(PROJECT / "dashboards", metrics))


def _pages(states: GoldStates, project: Context) -> Callable[[Release], dict[str, Any]]:
    return partial(_made, states, _maker(states, project))


def test_a_catalog_is_stored_with_its_schema_and_written_again_only_when_it_differs(
    states: GoldStates, project: Context
) -> None:
    release = states.publish(dim_date=DAYS)
    files = _pages(states, project)(release)
    assert files["catalog"]["release"] == 1
    stored = read(states.published, 1)
    assert stored is not None
    assert stored.release == 1
    assert json.loads(states.published.store.get(SCHEMA)) == json.loads(json.dumps(schema()))
    date = next(table for table in stored.tables if table.name == "gold.dim_date")
    assert date.figures is not None
    assert (date.figures.rows, date.figures.first) == (1, "2026-01-05")
    root = states.published.store.root
    assert root is not None
    before = (root / key(1)).stat().st_mtime_ns
    assert _pages(states, project)(release) == files
    assert (root / key(1)).stat().st_mtime_ns == before


def test_after_a_rollback_the_stored_catalog_is_used(states: GoldStates, project: Context) -> None:
    first = states.publish(dim_date=DAYS)
    old = _pages(states, project)(first)
    second = states.publish(
        dim_date=replace(DAYS, parts={"2026-01": "SELECT DATE '2026-01-06' AS date, 4::BIGINT AS plays"})
    )
    _pages(states, project)(second)
    broken = replace(_maker(states, project), context=None)  # type: ignore[arg-type]
    assert _made(states, broken, first) == old
    found = newest(states.published)
    assert found is not None
    assert found.release == 2


def test_a_damaged_catalog_is_written_anew(states: GoldStates, project: Context) -> None:
    release = states.publish(dim_date=DAYS)
    files = _pages(states, project)(release)
    states.published.store.put(key(1), b'{"format":1')
    assert read(states.published, 1) is None
    assert _pages(states, project)(release) == files
    assert read(states.published, 1) is not None


def test_a_catalog_goes_with_its_release(states: GoldStates, project: Context) -> None:
    _pages(states, project)(states.publish(dim_date=DAYS))
    states.publish(dim_date=DAYS)
    states.published.store.delete([manifest_key(1)])
    assert prune(states.published) == 1
    assert read(states.published, 1) is None
    assert prune(states.published) == 0
