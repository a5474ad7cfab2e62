"""Mail by the SMTP settings, over TLS: for alerts and reports."""

from __future__ import annotations

from email.message import EmailMessage

from ingest.settings import Settings
from pipeline.alerting.alert import ANSWER_SECONDS


def unset(options: Settings) -> list[str]:
    """The variables that mail needs and that are not set; empty if mail can be sent."""
    needed = {
        "SMTP_HOST": options.smtp_host,
        "SMTP_SENDER": options.smtp_sender,
        "SMTP_RECIPIENTS": options.smtp_recipients.strip(" ,"),
    }
    return [name for name, value in needed.items() if not value]


def addressed(subject: str, options: Settings) -> EmailMessage:
    """An empty message from the sender to the recipients of the settings."""
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = options.smtp_sender
    message["To"] = ", ".join(name.strip() for name in options.smtp_recipients.split(",") if name.strip())
    return message


def send(message: EmailMessage, options: Settings) -> None:
    """Send a message.

    Raises:
        OSError: the server cannot be reached, or refuses it.
    """
    import smtplib

    with smtplib.SMTP_SSL(options.smtp_host, options.smtp_port, timeout=ANSWER_SECONDS) as server:
        if options.smtp_user and options.smtp_password:
            server.login(options.smtp_user, options.smtp_password)
        server.send_message(message)
