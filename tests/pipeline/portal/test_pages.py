"""Pages as people open them: from disk and over HTTP, light and dark, on a desk and on a phone."""

from __future__ import annotations

import csv
import datetime as dt
import io
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.portal.facts import Facts
from pipeline.portal.publication import refresh
from pipeline.portal.script import read_data_file
from tests.pipeline.portal.conftest import FEEDS, Site
from tests.pipeline.portal.reading import Reader, reading
from tests.portal_release import HOSTILE, LAST, make_release, project

WAYS = [("file", "light", 1280), ("file", "dark", 390), ("http", "dark", 1280), ("http", "light", 390)]


def _base(way: str, site: Site, address: str) -> str:
    return address if way == "http" else site.folder.as_uri() + "/"


def _serious(reader: Reader) -> list[str]:
    """What axe-core finds that keeps people from reading or using the page."""
    axe = pytest.importorskip("axe_playwright_python", reason="Chromium: axe-playwright-python is not installed")
    source = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    reader.tab.evaluate(source)
    found = reader.tab.evaluate(
        """async () => {
          const found = await axe.run(document, {resultTypes: ["violations"], preload: false});
          return found.violations.map((item) => [item.id, item.impact, item.nodes.slice(0, 3).map(({html}) => html)]);
        }"""
    )
    return [str(item) for item in found if item[1] in ("serious", "critical")]


@pytest.mark.parametrize(("way", "scheme", "width"), WAYS)
def test_pages_open_quietly_and_for_everybody(
    browser: Any, site: Site, address: str, way: str, scheme: str, width: int
) -> None:
    with reading(browser, _base(way, site, address), scheme, width) as reader:
        for path in ("use", "money", "metrics", "metrics/finish_rate"):
            reader.open(path)
            assert _serious(reader) == [], path
            assert reader.tab.evaluate("document.documentElement.scrollWidth") <= width, path
            assert reader.tab.evaluate("document.documentElement.dataset.theme") == scheme
        reader.open("use")
        assert reader.tab.locator("section.tile svg").count() >= 8, "charts and sparklines are drawn"
        assert reader.trouble == []


def test_the_header_says_how_far_the_release_can_be_trusted(browser: Any, site: Site) -> None:
    with reading(browser, site.folder.as_uri() + "/") as reader:
        reader.open()
        status = reader.tab.locator(".status").inner_text()
        for part in (
            "Release 1, 1 Nov 2026, 06:30 UTC",
            "audited, complete to 31 Oct 2026",
            "events is late: newest object",
            "events: 3 objects wait",
            "<b>users</b> has no data yet",
            "gold.plays_daily waits for 31 Oct 2026",
        ):
            assert part in status
        assert reader.tab.title() == "Use \N{EN DASH} Lakemesh"


def test_the_definition_of_a_number_is_one_click_away(browser: Any, site: Site) -> None:
    with reading(browser, site.folder.as_uri() + "/") as reader:
        reader.open("use")
        reader.tile("Finish rate").get_by_role("link", name="Finish rate").click()
        reader.tab.wait_for_selector("h1:has-text('Finish rate')")
        text = reader.tab.locator("main").inner_text()
        assert "Finished ÷ plays." in text
        assert "never a mean of ratios" in text
        assert "Use: Countries" in text
        reader.tab.go_back()
        reader.tab.wait_for_selector("h1:has-text('Use')")
        assert reader.trouble == []


def test_the_address_has_the_state_and_controls_work_by_keyboard(browser: Any, site: Site) -> None:
    with reading(browser, site.folder.as_uri() + "/") as reader:
        reader.open("use")
        reader.tab.keyboard.press("Tab")
        assert reader.tab.evaluate("document.activeElement.textContent") == "Skip to content"
        reader.tab.locator("#by").focus()
        reader.tab.keyboard.type("Coun")
        reader.tab.wait_for_function("document.activeElement.id === 'is'")
        reader.tab.locator("#is").select_option(label="India")
        reader.tab.wait_for_function("location.hash.includes('is=in')")
        reader.tab.locator("#period").select_option(label="From \N{EN DASH} to")
        reader.tab.wait_for_function("document.activeElement.id === 'from'")
        assert "from=2026-10-04&to=2026-10-31" in reader.tab.evaluate("location.hash")
        before = reader.number("Plays")
        reader.tab.reload()
        reader.wait()
        assert reader.number("Plays") == before
        assert reader.tab.locator("#is").input_value() == "=in"
        assert reader.trouble == []


def test_an_address_that_cannot_be_read_shows_what_can(browser: Any, site: Site) -> None:
    with reading(browser, site.folder.as_uri() + "/") as reader:
        reader.open("use", period="9000y", by="password", is_="x", compare="<script>")
        assert reader.number("Plays") is not None
        reader.open("nowhere/<img src=x>")
        assert "There is no page nowhere" in reader.tab.locator(".banner.error").inner_text()
        reader.tab.goto(f"{reader.base}index.html?release=99#/use")
        assert "Release 99 is not kept" in reader.tab.locator(".banner.error").inner_text()
        assert reader.tab.locator("img").count() == 0


LATER = """() => {
  const now = Date.now();
  Date.now = () => now + 120000;
  window.dispatchEvent(new Event("focus"));
}"""


def test_an_open_page_follows_the_facts_of_its_release_and_offers_newer_pages(browser: Any, own_site: Site) -> None:
    published, sources = own_site.published, own_site.sources
    with reading(browser, own_site.folder.as_uri() + "/") as reader:
        reader.open("use")
        before = reader.number("Plays")
        refresh(published, sources, Facts(LAST, [{**FEEDS[0], "newest_at": None, "waiting": 7}], []))
        reader.tab.evaluate(LATER)
        reader.tab.wait_for_selector(".status:has-text('events: 7 objects wait')")
        assert "waits for" not in reader.tab.inner_text(".status")
        assert reader.tab.locator(".banner").count() == 0

        refresh(published, sources, Facts(LAST - dt.timedelta(days=1), [], []))
        reader.tab.evaluate(LATER)
        reader.tab.wait_for_selector(".status:has-text('complete to 30 Oct 2026')")
        assert reader.number("Plays") != before, "its periods end there"

        refresh(published, replace(sources, rules="another"))
        reader.tab.evaluate(LATER)
        banner = reader.tab.wait_for_selector(".banner.newer")
        assert "The pages of release 1 were written again" in banner.inner_text()

        make_release(published, 2)
        refresh(published, sources)
        reader.tab.evaluate(LATER)
        reader.tab.wait_for_selector(".banner.newer:has-text('Release 2 is published')")
        assert reader.tab.locator(".banner.newer").count() == 1
        assert "Release 1," in reader.tab.inner_text(".status")
        assert reader.trouble == []


def test_a_file_that_cannot_be_loaded_has_the_reason_that_it_has(browser: Any, own_site: Site) -> None:
    money = own_site.folder / next(
        page["file"]
        for page in read_data_file((own_site.folder / "releases" / "1.js").read_bytes())["pages"]
        if page["name"] == "money"
    )
    with reading(browser, own_site.folder.as_uri() + "/") as reader:

        def shows(path: str, text: str) -> None:
            reader.go(path)
            reader.tab.wait_for_selector(f".banner.error:has-text('{text}')")

        reader.open("use")
        shows("nowhere", "There is no page nowhere.")
        assert reader.tab.locator(".banner.error").inner_text() == "There is no page nowhere."
        money.unlink()
        shows("money", "could not be loaded. Reload the page to try again.")
        (own_site.folder / "releases" / "1.js").unlink()
        shows("money", "Release 1 was pruned meanwhile: reload the page.")
        (own_site.folder / "current.js").unlink()
        shows("money", "The place of these pages cannot be reached; try again later.")


def test_names_that_javascript_knows_are_no_pages_and_no_state(browser: Any, site: Site) -> None:
    with reading(browser, site.folder.as_uri() + "/") as reader:
        reader.open("use")
        before = reader.number("Plays")
        reader.open("use", period="constructor", compare="toString", by="valueOf", is_="x")
        assert reader.number("Plays") == before
        for name in ("constructor", "__proto__"):
            reader.open(f"metrics/{name}")
            assert reader.tab.locator(".banner.error").inner_text() == f"There is no metric {name}."
        assert reader.trouble == []


def test_a_chart_says_its_numbers_under_the_pointer(browser: Any, site: Site) -> None:
    with reading(browser, site.folder.as_uri() + "/") as reader:
        reader.open("use", period="28d")
        rows = {row[0]: row[1] for row in reader.table("From start to end")}
        reader.tile("From start to end").get_by_role("button", name="Table").click()
        reader.tile("From start to end").locator(".chart .mark-rect path").first.hover()
        shown = reader.tab.wait_for_selector(".tooltip:not([hidden])").inner_text()
        assert shown.split("\n")[0] == "Plays"
        assert f"{rows['Plays']:,.0f}" in shown
        assert reader.trouble == []


def test_tiles_are_saved_as_csv_and_png(browser: Any, site: Site, tmp_path: Path) -> None:
    def saved(reader: Reader, title: str, kind: str) -> bytes:
        with reader.tab.expect_download() as waiting:
            reader.tile(title).get_by_role("button", name=f"{kind} of {title}", exact=True).click()
        assert waiting.value.suggested_filename.endswith(f".{kind.lower()}")
        path = tmp_path / "saved"
        waiting.value.save_as(path)
        return path.read_bytes()

    with reading(browser, site.folder.as_uri() + "/") as reader:
        reader.open("use", period="28d")
        rows = list(csv.reader(io.StringIO(saved(reader, "Countries", "CSV").decode("utf-8-sig"))))
        assert rows[0] == ["Country", "Plays", "Finish rate", "Plays before"]
        assert [[row[0], float(row[1])] for row in rows[1:]] == [row[:2] for row in reader.table("Countries")]
        for title in ("Plays", "Plays over time", "Countries"):
            picture = saved(reader, title, "PNG")
            assert picture[:8] == b"\x89PNG\r\n\x1a\n"
            assert struct.unpack(">II", picture[16:24])[0] > 300
        reader.open("money")
        text = saved(reader, "Themes", "CSV").decode("utf-8-sig")
        assert f"{HOSTILE},3,0.5," in text
        assert "'=1+1,2,," in text, "no value is a formula in a spreadsheet"
        assert reader.trouble == []


def test_the_theme_can_be_chosen(browser: Any, site: Site) -> None:
    with reading(browser, site.folder.as_uri() + "/") as reader:
        reader.open("use")
        reader.tab.get_by_role("button", name="Use the dark theme").click()
        assert reader.tab.evaluate("document.documentElement.dataset.theme") == "dark"
        reader.tab.reload()
        reader.wait()
        assert reader.tab.evaluate("document.documentElement.dataset.theme") == "dark"


def test_three_years_open_within_a_second(browser: Any, site: Site) -> None:
    with reading(browser, site.folder.as_uri() + "/") as reader:
        paints: list[float] = []
        while len(paints) < 10 and min(paints, default=1000) >= 1000:  # other tests run beside this one
            reader.tab.goto("about:blank")
            reader.open("use")
            paints.append(reader.tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        assert min(paints) < 1000, paints
    for file in (site.folder / "data").iterdir():
        assert file.stat().st_size < 1_000_000, file.name


NOTHING_YET = """
title: Nothing yet
question: What does a page show of tables that are still empty?
owner: shop
order: 3
tiles:
  - {kind: number, metrics: [fees], width: 3}
  - {kind: line, metrics: [fees], by: currency, title: Fees over time}
  - {kind: bar, metrics: [fees], by: currency, title: Fees by currency}
  - {kind: table, metrics: [fees], by: currency, title: Table of fees}
  - {kind: cohort, metrics: [cohort_rate], by: month_number, title: Cohorts}
  - {kind: number, metrics: [plays], width: 3}
"""


def test_tables_that_are_still_empty_leave_their_tiles_empty_and_the_others_as_they_are(
    browser: Any, own_site: Site, tmp_path: Path
) -> None:
    sources = project(tmp_path)
    (sources.dashboards / "nothing.yaml").write_text(NOTHING_YET, encoding="utf-8")
    make_release(own_site.published, 2, dict.fromkeys(("gold.fees", "gold.cohorts"), ("", "DELETE FROM made")))
    refresh(own_site.published, sources)

    with reading(browser, own_site.folder.as_uri() + "/") as reader:
        reader.open("nothing")

        assert reader.trouble == []
        for title in ("Fees over time", "Fees by currency", "Table of fees", "Cohorts"):
            assert reader.tile(title).locator(".empty").inner_text() == "No data in this period.", title
        assert reader.number("Plays")
