"""The catalog of this project: every layer, from a field of a source object to a tile."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlmesh import Context

from ingest.contracts.contract import contracts
from ingest.settings import PROJECT
from pipeline.metrics.definition import load_metrics
from pipeline.portal.catalog.collect import Definitions, collect
from pipeline.portal.catalog.document import from_json
from pipeline.portal.catalog.entries import Catalog, Table
from pipeline.portal.catalog.exposures import terms
from pipeline.portal.catalog.graph import Graph
from pipeline.portal.catalog.payload import payload
from pipeline.portal.dashboard import load_dashboards
from pipeline.warehouse.classes import project_classes


@pytest.fixture(scope="module")
def catalog(project: Context, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """The catalog without figures."""
    metrics = load_metrics(PROJECT / "metrics")
    classes = project_classes(project, contracts(), tmp_path_factory.mktemp("cache"))
    return collect(
        project, contracts(), Definitions(metrics, load_dashboards(PROJECT / "dashboards", metrics), classes)
    )


def _table(catalog: Catalog, name: str) -> Table:
    return next(table for table in catalog.tables if table.name == name)


def test_every_layer_is_listed_with_owner_meaning_and_comments(catalog: Catalog) -> None:
    assert {table.name.split(".")[0] for table in catalog.tables} == {
        *("bronze", "silver", "gold", "ops", "seeds", "operations"),
    }
    for table in catalog.tables:
        assert table.description, table.name
        assert table.columns, table.name
        if table.kind in ("feed", "table", "view"):
            assert table.owner, table.name
            assert table.grain, table.name
            assert all(column.description for column in table.columns), table.name
        if table.kind in ("table", "view"):
            assert table.sql.upper().find("SELECT") >= 0, table.name
            assert table.schedule, table.name
            assert table.audits, table.name
            assert (PROJECT / table.file).is_file(), table.name


def test_a_feed_has_its_contract_with_the_fields_of_structs(catalog: Catalog) -> None:
    events = _table(catalog, "bronze.events")
    assert events.contract is not None
    assert events.contract.key == ("event_id",)
    assert events.contract.freshness_seconds == 93_600
    columns = {column.name: column for column in events.columns}
    assert columns["data.duration"].upstream == ("source:raw-events/data.duration",)
    assert "bronze.events.data.duration" in columns["data"].upstream
    assert columns["event_id"].required
    assert columns["_source_file"].upstream == ()
    assert columns["child_id"].class_ == "sensitive"
    assert "user_id → bronze.users.user_id" in events.references


def test_a_field_of_an_object_is_followed_to_a_tile(catalog: Catalog) -> None:
    found = Graph.of(catalog).impact(["source:raw-users/country_code"])
    names = {item.name for item in found.columns}
    assert {
        "bronze.users.country_code",
        "silver.users.country_code",
        "gold.activity_engagement_metrics.country_code",
    } <= names
    assert any(item.name.startswith("overview/") for item in found.tiles)


def test_columns_that_only_choose_rows_are_told_from_values(catalog: Catalog) -> None:
    events = _table(catalog, "silver.activity_events")
    assert "bronze.events._source_line" not in events.chosen_by, "it is a column of silver too"
    graph = Graph.of(catalog)
    direct = {item.name: item for item in graph.impact(["bronze.events.name"]).columns}
    assert direct["silver.activity_events.event_name"].by == "values"
    duplicates = {item.name: item for item in graph.impact(["silver.subscriptions.canceled_at"]).columns}
    assert all(item.by in ("values", "rows") for item in duplicates.values())


def test_keys_of_other_tables_are_references(catalog: Catalog) -> None:
    assert "account_id → gold.dim_account.account_id" in _table(catalog, "gold.fct_invoices").references
    assert "user_id → silver.users.user_id" in _table(catalog, "silver.activity_events_enriched").references


def test_audits_say_what_they_check_and_standalone_ones_stand_with_their_tables(catalog: Catalog) -> None:
    audits = {audit.name: audit for audit in _table(catalog, "gold.fct_mrr_movements").audits}
    assert audits["not_null"].arguments.startswith("columns := (month_date, account_id")
    assert audits["movements_explain_balances"].description.startswith("Opening + movements = closing")
    engagement = {audit.name: audit for audit in _table(catalog, "gold.activity_engagement_metrics").audits}
    assert engagement["assert_engagement_grain_is_unique"].reads == ("gold.activity_engagement_metrics",)
    warning = next(audit for audit in catalog.audits if audit.name == "assert_event_id_on_one_date")
    assert not warning.blocking


def test_metrics_and_tiles_lead_to_columns_that_exist(catalog: Catalog) -> None:
    graph = Graph.of(catalog)
    shown = [name for exposure in catalog.exposures for tile in exposure.tiles for name in tile.upstream]
    assert shown
    for name in (*shown, *(name for metric in catalog.metrics for name in metric.upstream)):
        assert name in graph.upstream, name


def test_the_catalog_survives_being_stored(catalog: Catalog) -> None:
    assert from_json(catalog.to_json(), "catalog.json") == catalog


def test_the_data_files_together_have_every_column_once(catalog: Catalog) -> None:
    files = payload(catalog)
    index = files["catalog"]
    listed = [(entry[1], name) for entry in index["entries"] if len(entry) > 7 for name in entry[7]]
    assert listed == [(table.name, column.name) for table in catalog.tables for column in table.columns]
    assert len(files["catalog-texts"]["of"]) == len(listed)
    assert len(files["catalog-lineage"]["edges"]) == len(listed) + len(files["catalog-lineage"]["more"])
    detailed = {name for file in index["files"] for name in files[file]}
    assert detailed == {table.name for table in catalog.tables}
    readers = files["catalog-silver-engagement"]["silver.users"]["readers"]
    assert ["table", "silver.activity_events_enriched"] in readers


def test_terms_are_the_bold_cells_of_the_glossary() -> None:
    text = "# Glossary\n\n| term | meaning |\n|---|---|\n| **cycle** | One `lake run`, see [running](running.md). |\n"
    assert [(item.term, item.meaning) for item in terms(text)] == [("cycle", "One lake run, see running.")]
    assert len(list(terms((PROJECT / "docs" / "glossary.md").read_text(encoding="utf-8")))) > 40


def test_models_are_named_relative_to_the_project(catalog: Catalog) -> None:
    assert not any(Path(table.file).is_absolute() for table in catalog.tables)
