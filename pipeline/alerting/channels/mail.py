"""Alerts by mail (SMTP_HOST, SMTP_SENDER, SMTP_RECIPIENTS)."""

from __future__ import annotations

from ingest.settings import Settings
from pipeline.alerting.alert import ANSWER_SECONDS, Alert, Channel


def channel(options: Settings) -> Channel | None:
    """Return the mail channel if the settings name a server, a sender and recipients."""
    is_set = options.smtp_host and options.smtp_sender and options.smtp_recipients.strip(" ,")
    return mail(options) if is_set else None


def mail(options: Settings) -> Channel:
    """Create a channel that sends mail over TLS."""

    def send(alert: Alert) -> None:
        import smtplib
        from email.message import EmailMessage

        message = EmailMessage()
        message["Subject"] = f"Lakemesh {alert.event}: {alert.name}"
        message["From"] = options.smtp_sender
        message["To"] = ", ".join(name.strip() for name in options.smtp_recipients.split(",") if name.strip())
        message.set_content(alert.message)
        with smtplib.SMTP_SSL(options.smtp_host, options.smtp_port, timeout=ANSWER_SECONDS) as server:
            if options.smtp_user and options.smtp_password:
                server.login(options.smtp_user, options.smtp_password)
            server.send_message(message)

    return Channel("mail", send)
