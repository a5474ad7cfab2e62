"""The application's files: scripts and styles of this version, and the library of charts."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.portal.script import digest

FOLDER = Path(__file__).parent / "assets"
CATALOG = ("search", "sql", "draw", "pages", "table", "quality", "lineage")
SCRIPTS = (
    *("app", "cubes", "charts", "specs", "labels", "series", "views"),
    *("export", "tiles", "dashboard", "metrics", "live"),
    *(f"catalog-{name}" for name in CATALOG),
)
"""Scripts of the application, in the order in which they build on each other."""
STYLES = ("base", "catalog", "live")
CHARTS = "vl-convert-python"
"""The package with the library of charts, the extra `portal`; it is loaded only to make that file."""


def is_installed() -> bool:
    """Whether the extra `portal` is installed, which charts need."""
    try:
        return bool(version(CHARTS))
    except PackageNotFoundError:
        return False


@cache
def application() -> dict[str, tuple[str, bytes]]:
    """The application of this version: its files as (key below portal/, content), by `boot`, `script` and `style`."""
    boot = (FOLDER / "boot.js").read_bytes()
    script = b"".join((FOLDER / f"{name}.js").read_bytes() for name in SCRIPTS)
    style = b"".join((FOLDER / f"{name}.css").read_bytes() for name in STYLES)
    return {
        "boot": (f"app/boot-{digest(boot)}.js", boot),
        "script": (f"app/app-{digest(script)}.js", script),
        "style": (f"app/app-{digest(style)}.css", style),
    }


def vega_key() -> str:
    """Key of the library of charts; it follows from the version, since making the library takes more than a second."""
    return f"app/vega-{version(CHARTS)}.js"


def vega() -> bytes:
    """The library of charts (Vega, Vega-Lite, Vega-Embed) as one script; takes more than a second of CPU time."""
    import vl_convert  # 80 MB, and only for a new version

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")).encode()


@cache
def writer() -> str:
    """Changes with the code that makes data files, catalog and metrics included: a new version makes all of them."""
    here = Path(__file__).parent
    folders = (here, here / "catalog", here.parent / "metrics")
    return digest(b"".join(path.read_bytes() for folder in folders for path in sorted(folder.glob("*.py"))))


def index(live: bool = False) -> bytes:
    """The page that starts the application.

    Args:
        live: whether it comes from the server of live numbers, which it may then read from.
    """
    files = application()
    text = (FOLDER / "index.html").read_text(encoding="utf-8")
    if live:
        text = text.replace("base-uri 'none'", "connect-src 'self'; base-uri 'none'")
        text = text.replace('<html lang="en"', '<html lang="en" data-live="live/"')
    return text.replace("{boot}", files["boot"][0]).replace("{style}", files["style"][0]).encode()
