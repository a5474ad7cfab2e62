"""Reading pages in a browser as a person would, with what went wrong meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

_RENDER = "async (hash) => { if (location.hash !== hash) location.hash = hash; await lakemesh.render(); }"


@dataclass
class Reader:
    """An open page.

    Attributes:
        trouble: messages on the console, errors, and requests that leave the page's own place.
    """

    tab: Any
    base: str
    trouble: list[str] = field(default_factory=list)

    def open(self, path: str = "", **parameters: str) -> None:
        """Open a page anew, and wait until its charts are drawn."""
        self.tab.goto(f"{self.base}index.html{self._hash(path, parameters)}")
        self.wait()

    def go(self, path: str, **parameters: str) -> None:
        """Change the address of an open page, without waiting for its charts."""
        self.tab.evaluate(_RENDER, self._hash(path, parameters))

    def wait(self) -> None:
        """Wait until everything is drawn."""
        self.tab.wait_for_selector(".grid[data-drawn], .card, .banner.error")

    def tile(self, title: str) -> Any:
        """A tile by its title."""
        return self.tab.locator("section.tile", has=self.tab.get_by_role("heading", name=title, exact=True))

    def number(self, title: str) -> float | None:
        """The number of a tile; None if it is unknown."""
        found = self.tile(title).locator(".number").get_attribute("data-value")
        return None if found is None else float(found)

    def table(self, title: str) -> list[list[Any]]:
        """The rows of the table behind a tile: text, and numbers as floats."""
        tile = self.tile(title)
        button = tile.get_by_role("button", name="Table")
        if button.count() and button.get_attribute("aria-pressed") == "false":
            button.click()
        rows: list[list[Any]] = tile.locator("tbody").evaluate(
            "(body) => [...body.rows].map((row) => [...row.cells].map((cell) => "
            "cell.dataset.value !== undefined ? Number(cell.dataset.value) : cell.textContent))"
        )
        return rows

    @staticmethod
    def _hash(path: str, parameters: dict[str, str]) -> str:
        query = {name.rstrip("_"): value for name, value in parameters.items()}
        return f"#/{path}" + (f"?{urlencode(query)}" if query else "")


@contextmanager
def reading(browser: Any, base: str, scheme: str = "light", width: int = 1280) -> Iterator[Reader]:
    """Open a tab.

    Args:
        base: the folder of the pages, as a URL.
    """
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True)
    reader = Reader(tab, base)
    tab.on("console", lambda message: reader.trouble.append(f"console: {message.text}"))
    tab.on("pageerror", lambda error: reader.trouble.append(f"error: {error}"))

    def requested(request: Any) -> None:
        if not request.url.startswith((base, "data:", "blob:")):
            reader.trouble.append(f"request: {request.url}")

    tab.on("request", requested)
    tab.on("requestfailed", lambda request: reader.trouble.append(f"failed: {request.url}"))
    try:
        yield reader
    finally:
        tab.close()
