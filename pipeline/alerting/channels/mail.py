"""Alerts by mail (SMTP_HOST, SMTP_SENDER, SMTP_RECIPIENTS)."""

from __future__ import annotations

from ingest.settings import Settings
from pipeline.alerting import smtp
from pipeline.alerting.alert import Alert, Channel


def channel(options: Settings) -> Channel | None:
    """Return the mail channel if the settings name a server, a sender and recipients."""
    return None if smtp.unset(options) else mail(options)


def mail(options: Settings) -> Channel:
    """Create a channel that sends mail over TLS."""

    def send(alert: Alert) -> None:
        message = smtp.addressed(f"Lakemesh {alert.event}: {alert.name}", options)
        message.set_content(alert.message)
        smtp.send(message, options)

    return Channel("mail", send)
