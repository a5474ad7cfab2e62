"""Alerts to Slack by an incoming webhook (SLACK_WEBHOOK_URL)."""

from __future__ import annotations

from ingest.settings import Settings
from pipeline.alerting.alert import Alert, Channel, shortened
from pipeline.alerting.post import post

SLACK_CHARACTERS = 2900
"""Maximum length of a message; Slack refuses blocks of more than 3,000 characters."""


def channel(options: Settings) -> Channel | None:
    """Return the Slack channel if the settings name a webhook."""
    return slack(options.slack_webhook_url) if options.slack_webhook_url else None


def slack(url: str) -> Channel:
    """Create a channel that posts to a Slack webhook as plain text, so that object names are never markup."""

    def send(alert: Alert) -> None:
        text = shortened(f"Lakemesh {alert.event}: {alert.message}", SLACK_CHARACTERS)
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        block = {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}
        post(url, {"text": escaped, "blocks": [block]})

    return Channel("slack", send)
