"""Open every page of the current release in Chromium: `python -m tests.open_pages`; exit 1 if one is in trouble."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from ingest.settings import settings
from pipeline.dev.browser import FLAGS, program
from pipeline.lake import Lake
from pipeline.portal.publication import CURRENT, address
from pipeline.portal.script import read_data_file
from tests.pipeline.portal.reading import reading


def main() -> int:
    """Open the pages of all dashboards, a metric, and the catalog with a table, a lineage and a star."""
    releases = Lake(settings()).releases
    base = Path(address(releases)).parent.as_uri() + "/"
    pages = list(read_data_file(releases.store.get(CURRENT))["pages"])
    places = [item["name"] if isinstance(item, dict) else item for item in pages]
    places += ["metrics", "metrics/plays", "catalog", "catalog/table/gold.activity_engagement_metrics"]
    places += ["catalog/lineage/silver.users.country_code", "catalog/star/gold/revenue", "catalog/glossary"]
    trouble: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program(), args=list(FLAGS))
        for place in places:
            with reading(browser, base) as reader:
                reader.open(place)
                shown = reader.tab.locator(".banner.error")
                errors = [*reader.trouble, *(shown.all_inner_texts())]
                print(f"{place}: {'; '.join(errors) or 'fine'}")
                trouble += errors
        browser.close()
    return int(bool(trouble))


if __name__ == "__main__":
    sys.exit(main())
