"""A report as the content of a mail: text, and HTML with its pictures attached, since clients show no `data:` ones."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import EmailMessage
from typing import cast

from pipeline.report.html import render
from pipeline.report.page import Page
from pipeline.report.text import render_text

_DOMAIN = "report.lakemesh"


def fill(message: EmailMessage, page: Page, pngs: Mapping[str, bytes]) -> None:
    """Set the content of a message.

    Args:
        pngs: by name of the picture.
    """
    message.set_content(render_text(page))
    message.add_alternative(render(page, lambda name: f"cid:{name}@{_DOMAIN}"), subtype="html")
    html = cast(EmailMessage, message.get_payload(1))
    for name, png in pngs.items():
        html.add_related(
            png,
            maintype="image",
            subtype="png",
            cid=f"<{name}@{_DOMAIN}>",
            disposition="inline",
            filename=f"{name}.png",
        )
