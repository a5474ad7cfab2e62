"""The Live page in a browser: what happens shows without a reload, on the portal of a release and without one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.live.hub import Hub
from pipeline.live.pages import Pages
from pipeline.live.server import LiveServer
from tests.pipeline.live.clicks import Shop, click, order, own_home  # noqa: F401  a fixture
from tests.pipeline.portal.conftest import Site, site  # noqa: F401  a fixture
from tests.pipeline.portal.reading import Reader, reading

NOW = dt.datetime(2026, 11, 1, 14, 0, tzinfo=dt.UTC)


@pytest.fixture
def shop(own_home: object) -> Iterator[Shop]:  # noqa: F811
    made = Shop(NOW)
    made.end(NOW - dt.timedelta(minutes=5))
    with made.running():
        made.wait(lambda state: state["is_ready"])
        yield made


def served(shop: Shop, pages: Pages, opened: Any, width: int = 1280) -> Iterator[Reader]:
    server = LiveServer(0, shop.process.hub, pages)
    server.start()
    try:
        with reading(opened, server.address, width=width) as reader:
            yield reader
    finally:
        server.stop()


@pytest.fixture
def reader(shop: Shop, browser: Any) -> Iterator[Reader]:
    yield from served(shop, Pages(shop.lake.releases), browser)


def test_what_happens_shows_without_a_reload(shop: Shop, reader: Reader) -> None:
    reader.tab.goto(reader.base)
    reader.wait()
    shop.send(click(1, NOW, kind="purchase"))
    for number in range(2, 7):
        shop.send(click(number, NOW, 1, product_id=42, country_code="<b>AT</b>"))
    shop.send(order(1, NOW, "119.00"))
    tile = reader.tab.get_by_role("region", name="Net revenue", exact=True)
    tile.locator("[data-value='95']").wait_for()
    reader.tab.locator("td[data-value='0.5']").wait_for()
    assert reader.tab.get_by_role("region", name="Orders", exact=True).locator(".number").inner_text() == "1"
    row = reader.tab.get_by_role("region", name="Days: table").locator("tbody tr").first
    assert row.locator("th, td").all_inner_texts() == [
        *("1 Nov 2026", "live, provisional", "2", "2", "50.00%", "1", "€95.00"),
    ]
    products = reader.tab.get_by_role("region", name="Products", exact=True)
    products.locator("tbody th", has_text="42").wait_for()  # members are counted once a second
    countries = reader.tab.get_by_role("region", name="Countries", exact=True)
    assert countries.locator("tbody th").all_inner_texts() == ["<b>AT</b>", "All others"], "one click is too few"
    assert reader.tab.locator(".live-state").inner_text() == "Live"
    assert reader.trouble == []


def test_the_page_stands_in_the_portal_of_the_release(shop: Shop, site: Site, browser: Any) -> None:  # noqa: F811
    for reader in served(shop, Pages(site.published), browser, width=700):
        reader.tab.goto(reader.base)
        reader.wait()
        links = reader.tab.locator("nav a")
        assert links.first.inner_text() == "Live"
        links.nth(1).click()
        reader.tab.wait_for_selector(".grid[data-drawn] .tile")
        assert reader.tab.locator("h1").inner_text() != "Live"
        links.first.click()
        reader.tab.locator(".live-state", has_text="Live").wait_for()
        wide = reader.tab.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not wide, "the page is wider than the window"
        left = f"failed: {reader.base}live/events"  # the page that was left let go of its stream
        assert [item for item in reader.trouble if item != left] == []


def test_pages_that_no_live_server_serves_have_no_live_numbers(site: Site, browser: Any) -> None:  # noqa: F811
    with reading(browser, site.folder.as_uri() + "/") as reader:
        reader.open("")
        assert "Live" not in reader.tab.locator("nav a").all_inner_texts()
        reader.tab.evaluate("location.hash = '#/live'")
        reader.tab.get_by_text("Live numbers are served by lake live").wait_for()


def test_a_lost_server_is_said_and_its_return_is_noticed(shop: Shop, browser: Any) -> None:
    pages, hubs = Pages(shop.lake.releases), (Hub(), Hub())
    shop.wait(lambda state: state["is_ready"])
    for hub in hubs:
        hub.publish(shop.process.hub.newest())
    first = LiveServer(0, hubs[0], pages)
    first.start()
    tab = browser.new_page()
    try:
        tab.goto(first.address)
        tab.get_by_text("Live", exact=True).nth(2).wait_for()
        first.stop()
        tab.get_by_text("No connection; trying again").wait_for()
        second = LiveServer(first.server_port, hubs[1], pages)
        second.start()
        tab.get_by_text("No connection; trying again").wait_for(state="detached")
        second.stop()
    finally:
        tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_everybody(shop: Shop, browser: Any, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python", reason="Chromium: axe-playwright-python is not installed")
    source = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    shop.send(click(1, NOW))
    shop.send(order(1, NOW, "119.00"))
    server = LiveServer(0, shop.process.hub, Pages(shop.lake.releases))
    server.start()
    try:
        with reading(browser, server.address, scheme) as reader:
            reader.tab.goto(reader.base)
            reader.tab.locator("td[data-value='95']").wait_for()
            reader.tab.evaluate(source)
            found = reader.tab.evaluate(
                "async () => (await axe.run(document, {resultTypes: ['violations'], preload: false})).violations"
                ".map((item) => [item.id, ...item.nodes.map((node) => node.html)])"
            )
            assert found == []
    finally:
        server.stop()
