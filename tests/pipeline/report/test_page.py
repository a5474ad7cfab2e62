"""What a report looks like: everything is escaped, pictures are whole, and text and HTML say the same."""

from __future__ import annotations

import struct
import zlib
from html.parser import HTMLParser

import pytest

from pipeline.report import charts
from pipeline.report.html import render_file
from pipeline.report.page import Page
from pipeline.report.report import Report
from pipeline.report.text import render_text
from pipeline.report.wording import make_page
from tests.known_release import MARKUP


class Reader(HTMLParser):
    """What a browser sees of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())


def decoded_size(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG whose pixels can all be decoded."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind) == (8, 6)
    data, place = b"", 8
    while place < len(png):
        length, name = struct.unpack(">I4s", png[place : place + 8])
        body = png[place + 8 : place + 8 + length]
        assert struct.unpack(">I", png[place + 8 + length : place + 12 + length])[0] == zlib.crc32(name + body)
        data += body if name == b"IDAT" else b""
        place += 12 + length
    assert len(zlib.decompress(data)) == height * (1 + 4 * width)
    return width, height


@pytest.fixture(scope="module")
def page(daily: Report) -> Page:
    return make_page(daily)


@pytest.fixture(scope="module")
def pngs(page: Page) -> dict[str, bytes]:
    pytest.importorskip("vl_convert", reason="vl-convert-python is not installed, the extra `portal`")
    return {picture.name: charts.draw(picture.spec) for picture in page.pictures().values()}


@pytest.fixture(scope="module")
def html(page: Page, pngs: dict[str, bytes]) -> Reader:
    return Reader(render_file(page, pngs))


def test_pictures_are_decodable_and_of_their_size(page: Page, pngs: dict[str, bytes]) -> None:
    sparks = [f"spark-{name}" for name in ("plays", "completion_rate", "time_per_play", "daily_active_accounts")]
    assert list(pngs) == [*sparks, "spark-mrr_daily", "spark-paying_subscriptions", "chart-0"]
    for name, png in pngs.items():
        width, height = page.pictures()[name].size
        assert decoded_size(png) == (width * charts.SCALE, height * charts.SCALE)


def test_every_picture_is_inlined_and_described(html: Reader) -> None:
    sources = [value for tag, name, value in html.attributes if (tag, name) == ("img", "src")]
    described = [value for tag, name, value in html.attributes if (tag, name) == ("img", "alt")]
    assert len(sources) == len(described) == 7
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert all("Plays, last 28 days" in text for text in described if "Plays" in text)
    assert all(described)


def test_nothing_is_loaded_or_run(html: Reader) -> None:
    assert {"script", "link", "iframe", "object", "form", "a"} & set(html.tags) == set()
    assert [
        item for item in html.attributes if item[1].startswith("on") or "http" in item[2].replace("http-equiv", "")
    ] == []


def test_a_value_with_markup_is_text(page: Page, html: Reader) -> None:
    shown = MARKUP.replace("\x1b", "\\x1b")
    assert shown in html.text
    assert html.tags.count("img") == 7
    assert shown in render_text(page)
    assert "\x1b" not in "".join(html.text) + render_text(page)


def test_html_and_text_state_the_headline(page: Page, html: Reader, daily: Report) -> None:
    plays = daily.figures["plays"]
    change = plays.changes[-1].share
    assert change is not None
    stated = f"Plays {plays.value:,} (−{abs(change) * 100:.1f} % vs Sat 13 Jun)"  # noqa: RUF001  as it is shown
    assert page.subject == f"Daily report, Sat 20 Jun: {page.summary}; 1 unusual value"
    assert page.summary.startswith(f"{stated}; MRR 12,")
    assert page.summary in render_text(page).replace("\n", " ")
    assert f"{page.summary}." in html.text
    assert page.unusual[0].tone == "bad"
    assert page.unusual[0].text in html.text


def test_changes_are_coloured_by_what_is_good(page: Page, weekly: Report) -> None:
    plays = page.groups[0].rows[0]
    assert (plays.label, [cell.tone for cell in plays.changes]) == ("Plays", ["good", "bad"])
    revenue = make_page(weekly).groups[1].rows
    churn = next(row for row in revenue if row.label == "Logo churn, monthly")
    assert (churn.value, churn.changes[-1].text, churn.changes[-1].tone) == ("2.5 %", "+0.5 pp", "bad")
    assert churn.note == "May 2026, against Apr 2026"


def test_values_of_small_groups_are_counted_but_not_named(page: Page, html: Reader) -> None:
    assert page.moved[0].rows[-1][0] == "2 others"
    assert "va" not in html.text


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "vl_convert", None)
    with pytest.raises(charts.ConfigError, match=r"install the extra `portal`"):
        charts.draw({})
