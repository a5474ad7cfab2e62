"""The HTML of a report, which mail clients show as browsers do: tables, inline styles, no script, no request."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from pipeline.report.page import Page


@cache
def _template() -> Template:
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html.j2")


def render(page: Page, image: Callable[[str], str], policy: bool = False) -> str:
    """The HTML of a page. Everything in it is escaped.

    Args:
        image: gives the address of a picture by its name.
        policy: whether to state a Content-Security-Policy that allows nothing but inlined pictures and styles; some
            mail clients refuse a message that has one.
    """
    return _template().render(page=page, image=image, policy=policy) + "\n"


def render_file(page: Page, pngs: Mapping[str, bytes]) -> str:
    """The HTML of a page as one file, with its pictures inlined.

    Args:
        pngs: by name of the picture.
    """
    inlined = {name: f"data:image/png;base64,{base64.b64encode(png).decode()}" for name, png in pngs.items()}
    return render(page, inlined.__getitem__, policy=True)
