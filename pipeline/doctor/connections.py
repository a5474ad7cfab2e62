"""Servers of the settings: each is connected to, and nothing is sent that it would act on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from ingest.contracts.contract import contracts
from ingest.errors import LakemeshError
from ingest.settings import Settings
from ingest.topics.connection import Connection, has_client
from pipeline.doctor.finding import Finding, Reporter
from pipeline.lake import Lake
from pipeline.process import postgres

CONNECT_SECONDS = 5.0
"""How long a server may take to accept a connection."""
PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is only connected to.

    Attributes:
        setting: the variable that names it.
        host: without a path, which may be a secret.
        loses: what fails while it is away; empty if a cycle goes on without it.
    """

    setting: str
    host: str
    port: int
    loses: str = ""


def check(lake: Lake) -> Iterator[Finding]:
    """See the module."""
    report = Reporter("connections")
    servers = list(_servers(lake.options))
    for server in servers:
        yield _connected(report, server)
    yield from _serving(report, lake.options)
    wanting = [contract.feed for contract in contracts().values() if contract.source.kafka]
    if lake.options.kafka_bootstrap_servers:
        yield _broker(report, lake.kafka, wanting)
    elif not servers and not lake.options.serving_dsn:
        yield report.ok("servers", "no setting names one")


def _servers(options: Settings) -> Iterator[Server]:
    for name, url in (
        ("NOTIFY_WEBHOOK_URL", options.notify_webhook_url),
        ("SLACK_WEBHOOK_URL", options.slack_webhook_url),
        ("OPENLINEAGE_URL", options.openlineage_url),
        ("LIVE_URL", options.live_url),
        ("KAFKA_SCHEMA_REGISTRY_URL", options.kafka_schema_registry_url),
    ):
        if url:
            parts = urlsplit(url if "://" in url else f"//{url}", scheme="http")
            loses = "topics in Avro are not read" if name.startswith("KAFKA") else ""
            yield Server(name, parts.hostname or "", parts.port or PORTS.get(parts.scheme, 80), loses)
    if options.smtp_host:
        yield Server("SMTP_HOST", options.smtp_host, options.smtp_port)


def _connected(report: Reporter, server: Server) -> Finding:
    place = f"{server.host}:{server.port}"
    about = f"{server.setting} ({place})"
    try:
        socket.create_connection((server.host, server.port), CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error)
        expected = "a server that accepts connections"
        step = f"correct {server.setting}, or let this host reach it"
        if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
            step += "; a proxy is set, which this check does not use"
        if server.loses:
            return report.fail(about, f"{reason}: {server.loses}", expected, step)
        return report.warn(about, reason, expected, step)
    return report.ok(about, "accepts connections")


def _serving(report: Reporter, options: Settings) -> Iterator[Finding]:
    """The Postgres that serves releases, by a login."""
    if not options.serving_dsn:
        return
    from pipeline.serving.session import connect

    try:
        postgres.driver("SERVING_DSN")
        session, _ = connect(options)
        session.close()
    except LakemeshError as error:
        step = "correct SERVING_DSN; files have the release meanwhile"
        yield report.fail("SERVING_DSN", str(error), "a server that accepts the login", step)
    else:
        yield report.ok("SERVING_DSN", "accepts the login")


def _broker(report: Reporter, kafka: Connection, wanting: list[str]) -> Finding:
    """The brokers of topics, by a request for their metadata."""
    about = f"KAFKA_BOOTSTRAP_SERVERS ({kafka.address})"
    if not has_client():  # `versions` says so
        return report.warn(about, "not asked, its client is not installed", "the extra `kafka`", "make setup-kafka")
    try:
        with kafka.errors("metadata"):
            known = set(kafka.admin.list_topics(timeout=CONNECT_SECONDS).topics)
    except LakemeshError as error:
        return report.fail(about, str(error), "a broker that answers", "correct the variables KAFKA_…, or start it")
    lacking = sorted(
        contract.source.kafka.topic
        for contract in contracts().values()
        if contract.source.kafka and contract.source.kafka.topic not in known
    )
    if lacking:
        step = "make them, or let this user describe them; feeds with objects in the landing go on without"
        return report.warn(about, f"lacks the topics {', '.join(lacking)}", "the topics of contracts", step)
    return report.ok(about, f"answers, and has the topics of {len(wanting)} feeds")
