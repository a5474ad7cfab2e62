"""Alerts to a webhook as JSON objects (NOTIFY_WEBHOOK_URL)."""

from __future__ import annotations

from dataclasses import asdict

from ingest.settings import Settings
from pipeline.alerting.alert import Channel
from pipeline.alerting.post import post


def channel(options: Settings) -> Channel | None:
    """Return the webhook channel if the settings name a URL."""
    return webhook(options.notify_webhook_url) if options.notify_webhook_url else None


def webhook(url: str) -> Channel:
    """Create a channel that posts each alert as a JSON object; a status other than 2xx is a failure."""
    return Channel("webhook", lambda alert: post(url, {"project": "lakemesh"} | asdict(alert)))
