"""The catalog in a browser: search that forgives, pages without markup of others, pictures, keyboard, phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.portal.reading import Reader, reading
from tests.portal_release import HOSTILE

PATHS = (
    *("catalog", "catalog/table/gold.fct_purchases", "catalog/table/bronze.users", "catalog/table/silver.users"),
    *("catalog/lineage/silver.users.country_code", "catalog/lineage/metric:purchases", "catalog/star/gold/shop"),
    *("catalog/glossary", "catalog/metric/purchases", "catalog/dashboard/shop", "catalog/audit/assert_sum"),
)
NOTHING = "\N{EN DASH}"
AXE = """
const found = await axe.run(document, {resultTypes: ['violations'], preload: false});
return found.violations.map((item) => [item.id, item.impact, item.nodes.map((node) => node.html).slice(0, 3)]);
"""


@pytest.fixture
def reader(browser: Any, pages: Path) -> Iterator[Reader]:
    with reading(browser, pages.as_uri() + "/") as found:
        yield found


def _find(reader: Reader, words: str) -> list[str]:
    reader.tab.fill("#catalog-search", words)
    names: list[str] = reader.tab.locator(".result .result-name").all_inner_texts()
    return names


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_every_page_opens_quietly_and_for_everybody(browser: Any, pages: Path, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python", reason="Chromium: axe-playwright-python is not installed")
    source = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    with reading(browser, pages.as_uri() + "/", scheme, width) as reader:
        for path in PATHS:
            reader.open(path)
            assert reader.tab.locator(".banner.error").count() == 0, path
            assert reader.tab.evaluate("document.documentElement.scrollWidth") <= width, path
            found = reader.tab.evaluate(f"async () => {{ {source}; {AXE} }}")
            assert [item for item in found if item[1] in ("serious", "critical")] == [], path
            assert "[object" not in reader.tab.inner_text("main"), path
            assert "undefined" not in reader.tab.inner_text("main"), path
            assert not any(line.strip() == "null" for line in reader.tab.inner_text("main").splitlines()), path
        assert reader.trouble == []


def test_search_forgives_typing_errors_and_knows_synonyms_comments_and_terms(reader: Reader) -> None:
    reader.open("catalog")
    reader.tab.evaluate("lakemesh.catalog.open().then((catalog) => catalog.more)")
    assert _find(reader, "contry cod")[0].startswith("country_code")
    assert len(_find(reader, "country_code")) >= 4
    assert _find(reader, "ordres") == ["purchases Purchases"]
    assert any(name.startswith("purchases in gold") for name in _find(reader, "additive"))
    assert _find(reader, "walet") == ["wallet"]
    assert _find(reader, "gold.fct_purchases")[0].startswith("gold.fct_purchases")
    assert _find(reader, "silver country")[0] == "country_code in silver.users"
    assert _find(reader, "zzzz") == []
    assert "Nothing is called" in reader.tab.inner_text("[role=status][aria-live]")
    reader.tab.fill("#catalog-search", "country")
    reader.tab.get_by_role("button", name="Columns").click()
    assert set(reader.tab.locator(".result .badge").all_inner_texts()) == {"Column"}
    assert "q=country" in reader.tab.url


def test_search_works_by_keyboard_alone(reader: Reader) -> None:
    reader.open("catalog")
    reader.tab.keyboard.press("/")
    reader.tab.keyboard.type("dim_country")
    reader.tab.keyboard.press("ArrowDown")
    reader.tab.keyboard.press("Enter")
    reader.tab.wait_for_selector("h1:has-text('gold.dim_country')")


def test_texts_of_others_are_text_everywhere(reader: Reader) -> None:
    for path in PATHS:
        reader.open(path)
        assert reader.tab.locator("main img, main script, main b").count() == 0, path
    reader.open("catalog/table/gold.fct_purchases")
    assert HOSTILE in reader.tab.inner_text(".heading")
    reader.open("catalog/table/silver.users")
    assert "'</pre><script>'" in reader.tab.inner_text("pre.sql")
    assert reader.trouble == []


def test_quality_leads_from_the_headline_to_objects_and_lines(reader: Reader) -> None:
    reader.open("catalog/table/gold.fct_purchases")
    headline = reader.tab.inner_text(".headline")
    assert "✗ 90.0%" in headline.replace("90%", "90.0%")
    assert reader.tab.inner_text(".days [role=status]") == "31 Oct 2026"
    reader.tab.get_by_role("button", name="The day before").click()
    assert "! 97" in reader.tab.inner_text(".headline")
    reader.tab.get_by_role("button", name="The day after").click()
    reader.tab.locator(".quality").get_by_role("link", name="bronze.users").click()
    reader.tab.wait_for_selector("h1:has-text('bronze.users')")
    assert "100 of them quarantined" in reader.tab.inner_text(".quality")
    row = reader.tab.locator(".quality table tbody tr", has_text="wrong_type").inner_text()
    assert "lake why 'raw-users/" in row
    assert row.split()[-2:] == ["100", "7"]


def test_every_constraint_is_listed_with_the_records_that_violate_it(reader: Reader) -> None:
    reader.open("catalog/table/bronze.users")
    rows = [
        [cell.strip() for cell in row.split("\t")]
        for row in reader.tab.locator("table.constraints tbody tr").all_inner_texts()
    ]
    assert [[row[0], row[1], *row[3:5]] for row in rows] == [
        ["note_pattern", "note", "loaded with a warning", "1,234"],
        ["user_id_length", "user_id", "quarantined", "0"],
        ["note_pattern", NOTHING, "quarantined", "3"],
    ]
    assert rows[0][2] == f"a text that matches {HOSTILE}"
    assert rows[1][5] == NOTHING
    assert rows[2][2] == "by an older contract"


def test_lineage_leads_from_a_field_of_an_object_to_a_tile_and_back(reader: Reader) -> None:
    reader.open("catalog/lineage/silver.users.country_code")
    impact = reader.tab.inner_text(".impact")
    assert "2 columns, 2 tables, 1 tile" in impact
    assert "lake impact silver.users.country_code" in impact
    rows = reader.tab.locator(".picture .node-row text:first-of-type").all_text_contents()
    assert rows.count("country_code") == 5
    assert reader.tab.locator(".picture .line").count() == 5
    reader.tab.locator(".picture .node-row[href*='source']").click()
    reader.tab.wait_for_selector("h1:has-text('country_code')")
    assert "4 columns, 4 tables, 1 tile" in reader.tab.inner_text(".impact")
    reader.open("catalog/lineage/silver.users.user_id")
    assert "It decides which rows" in reader.tab.inner_text("main")
    assert "gold.fct_purchases" in reader.tab.inner_text("main")


def test_a_star_shows_each_key_with_its_table(reader: Reader) -> None:
    reader.open("catalog/star/gold/shop")
    titles = reader.tab.locator(".picture .node-title").all_text_contents()
    assert sorted(titles) == ["gold.dim_country", "gold.fct_purchases"]
    assert reader.tab.locator(".picture .line").count() == 1
    reader.tab.locator("summary", has_text="As a list").click()
    assert "gold.fct_purchases.country_code → gold.dim_country.country_code" in reader.tab.inner_text("main")


def test_values_of_persons_are_not_in_any_file(pages: Path) -> None:
    detail = (pages / "data" / "catalog-gold-shop.js").read_text(encoding="utf-8")
    assert '"top":[["fr",60]' in detail
    assert "<img" not in detail, "it is escaped"


def test_an_unknown_part_of_the_catalog_is_named(reader: Reader) -> None:
    reader.open("catalog/table/gold.nope")
    assert "There is no table gold.nope" in reader.tab.inner_text("main")
    reader.open("catalog/nope")
    assert "The catalog has no part nope" in reader.tab.inner_text("main")
    reader.open("catalog/constructor")
    assert "The catalog has no part constructor" in reader.tab.inner_text("main")
    for path in ("gold/nope", "nope/shop", "nope"):
        reader.open(f"catalog/star/{path}")
        assert f"There is no picture of {path}; expected one of gold/shop." in reader.tab.inner_text("main")


def test_a_table_leads_to_a_picture_only_if_there_is_one(reader: Reader) -> None:
    reader.open("catalog/table/silver.users")
    assert reader.tab.get_by_role("link", name="Picture", exact=True).count() == 0
    reader.open("catalog/table/gold.fct_purchases")
    reader.tab.get_by_role("link", name="Picture", exact=True).click()
    reader.tab.wait_for_selector("h1:has-text('Tables of shop and their keys')")
