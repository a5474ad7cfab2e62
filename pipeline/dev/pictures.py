"""Pictures of the pages of a release for the README: `python -m pipeline.dev.pictures`.

Needs the extra `dev` and Chromium; the release should be of the demo's sample, `make demo`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ingest.errors import ConfigError, LakemeshError
from ingest.settings import PROJECT, settings
from pipeline.dev.browser import FLAGS, program
from pipeline.portal.publication import address
from pipeline.releases.release import Releases

FOLDER = PROJECT / "docs" / "pictures"
PICTURES = {
    "overview": ("#/overview", "light", 1000),
    "subscriptions": ("#/subscriptions", "dark", 1000),
}
"""Name of the file: address of the page, colours, and height in pixels."""
WIDTH = 1280
MOST_BYTES = 200_000


def take(index: Path, folder: Path) -> list[Path]:
    """Take all pictures.

    Args:
        index: the page that starts the application.
        folder: receives one PNG per picture.

    Raises:
        ConfigError: Chromium is not installed, or a picture is too large for a README.
    """
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program(), args=list(FLAGS))
        for name, (page, scheme, height) in PICTURES.items():
            is_dark = scheme == "dark"
            tab = browser.new_page(
                viewport={"width": WIDTH, "height": height}, color_scheme="dark" if is_dark else "light"
            )
            tab.goto(index.as_uri() + page)
            tab.wait_for_selector(".grid[data-drawn]")
            path = folder / f"{name}.png"
            tab.screenshot(path=path)
            tab.close()
            if path.stat().st_size > MOST_BYTES:
                raise ConfigError(f"{path} has {path.stat().st_size:,} bytes; expected at most {MOST_BYTES:,}")
            taken.append(path)
        browser.close()
    return taken


def main() -> None:
    """Take the pictures of the current release and print their paths."""
    try:
        for path in take(Path(address(Releases(settings()))), FOLDER):
            print(path)
    except LakemeshError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
