"""An incoming webhook of Slack (SLACK_WEBHOOK_URL)."""

from __future__ import annotations

from ingest.settings import Settings
from pipeline.alerting.alert import Alert, Channel, shortened
from pipeline.alerting.post import post

SLACK_CHARACTERS = 2900
"""Slack refuses a block of more than 3,000."""


def channel(options: Settings) -> Channel | None:
    """The channel of the settings, if they name one."""
    return slack(options.slack_webhook_url) if options.slack_webhook_url else None


def slack(url: str) -> Channel:
    """Posts each alert to an incoming webhook of Slack, as plain text: what objects are called is no markup."""

    def send(alert: Alert) -> None:
        text = shortened(f"Lakemesh {alert.event}: {alert.message}", SLACK_CHARACTERS)
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        block = {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}
        post(url, {"text": escaped, "blocks": [block]})

    return Channel("slack", send)
