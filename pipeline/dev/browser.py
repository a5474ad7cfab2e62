"""Chromium for pictures, benchmarks and tests of pages: where it is, and the flags that keep it quiet and offline."""

from __future__ import annotations

import os
import shutil

from ingest.errors import ConfigError

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def program() -> str:
    """Return the path of Chromium: that of the variable CHROMIUM, otherwise the first one installed.

    Raises:
        ConfigError: it is not installed.
    """
    found = next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), *_NAMES))), None)
    if found is None:
        raise ConfigError("Chromium is not installed: apt-get install chromium, or set CHROMIUM to its path")
    return found
