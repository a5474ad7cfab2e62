"""A webhook that takes each alert as a JSON object (NOTIFY_WEBHOOK_URL)."""

from __future__ import annotations

from dataclasses import asdict

from ingest.settings import Settings
from pipeline.alerting.alert import Channel
from pipeline.alerting.post import post


def channel(options: Settings) -> Channel | None:
    """The channel of the settings, if they name one."""
    return webhook(options.notify_webhook_url) if options.notify_webhook_url else None


def webhook(url: str) -> Channel:
    """Posts each alert as a JSON object; an answer other than 2xx is a failure."""
    return Channel("webhook", lambda alert: post(url, {"project": "lakemesh"} | asdict(alert)))
