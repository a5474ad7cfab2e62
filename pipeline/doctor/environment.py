"""Variables: misspelt ones, combinations that contradict each other, and files with secrets that others can read."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values

from ingest.errors import ConfigError
from ingest.schemes import is_remote
from ingest.settings import KAFKA, PROJECT, Settings, secrets
from pipeline.alerting import smtp
from pipeline.doctor.finding import Finding, Reporter
from pipeline.lake import Lake

OWN = ("LAKE_", "LANDING_", "PUBLISHED_", "SERVING_", "WAREHOUSE_", "STATE_", "NOTIFICATIONS_", "FULL_AUDIT_")
"""Beginnings of variables that are read by Lakemesh alone."""
MENTIONED = re.compile(r"env_var\('(\w+)'")
BESIDE = {"LAKE_PROJECT"}
"""Variables that are no settings."""
PROPERTIES = (
    *("bootstrap.servers", "security.protocol", "client.id", "group.id", "sasl.mechanism", "sasl.mechanisms"),
    *("sasl.username", "sasl.password", "sasl.oauthbearer.config", "ssl.ca.location", "ssl.ca.pem"),
    *("ssl.certificate.location", "ssl.certificate.pem", "ssl.key.location", "ssl.key.password", "ssl.key.pem"),
    *("ssl.endpoint.identification.algorithm", "socket.timeout.ms", "session.timeout.ms", "fetch.max.bytes"),
)
"""Properties of librdkafka that connections are set up with; the client refuses others that it does not know."""
GATEWAYS = ("local", "postgres_state", "spark", "spark_postgres_state")
"""Those of config.yaml."""
SHOWN = 3
"""Names of secrets in one line."""
SHORTEST_KEY = 16
"""Characters of a key that cannot be guessed."""
_SIMILAR, _VERY_SIMILAR = 0.75, 0.85
_OTHERS = stat.S_IRGRP | stat.S_IROTH


def check(lake: Lake) -> Iterator[Finding]:
    """See the module."""
    report = Reporter("settings")
    found = [*unknown(report), *contradictions(report, lake.options), *exposed(report)]
    yield from found
    if not found:
        yield report.ok("settings", f"{len(_set())} variables set, each known; no contradiction, no exposed file")


def unknown(report: Reporter) -> Iterator[Finding]:
    """Variables that look like settings and are read by nothing."""
    known = _known()
    for name in sorted(os.environ.keys() - known):
        limit = _SIMILAR if name.startswith(OWN) else _VERY_SIMILAR
        close = get_close_matches(name, known, n=1, cutoff=limit)
        if name.startswith(KAFKA):
            close = _close_property(name)
        elif name.startswith(("AWS_", "PG", "OPENLINEAGE_")) or not (close or name.startswith(OWN)):
            continue  # other programs have many of these, which are not listed here
        if close or name.startswith(OWN):
            meant = f"did you mean {close[0]}? " if close else ""
            step = f"{meant}docs/settings.md lists all settings; correct or remove it"
            yield report.warn(name, "nothing reads this variable", "the name of a setting", step)


def contradictions(report: Reporter, options: Settings) -> Iterator[Finding]:
    """Settings that cannot all be meant."""
    yield from _places(report, options)
    yield from _partly_set(report, options)
    if options.lake_gateway not in GATEWAYS:
        close = get_close_matches(options.lake_gateway, GATEWAYS, n=1)
        step = f"set it to {close[0] if close else GATEWAYS[0]}"
        yield report.fail("LAKE_GATEWAY", options.lake_gateway, f"one of {', '.join(GATEWAYS)}", step)


def _places(report: Reporter, options: Settings) -> Iterator[Finding]:
    places = {"LAKE_URI": options.lake_uri, "PUBLISHED_URI": options.published_uri}
    landing = options.landing_uri.split("{bucket}", 1)[0].rstrip("/")
    if landing and landing != "s3:":
        places["LANDING_URI"] = landing
    for name, other in (("PUBLISHED_URI", "LAKE_URI"), ("LANDING_URI", "LAKE_URI"), ("LANDING_URI", "PUBLISHED_URI")):
        first, second = places.get(name), places.get(other)
        if first and second and (_is_within(first, second) or _is_within(second, first)):
            step = f"give {name} a folder or prefix of its own, outside that of {other}"
            yield report.fail(name, f"{first} and {other} {second} lie within each other", "separate places", step)
    if options.warehouse_path == options.state_path:
        step = "give each a file of its own, or leave both to LAKE_HOME"
        yield report.fail("STATE_PATH", f"{options.state_path}, as WAREHOUSE_PATH", "a file of its own", step)
    remote = any(map(is_remote, (options.landing_uri, options.lake_uri, options.published_uri)))
    if remote and not (options.aws_access_key_id and options.aws_secret_access_key):
        step = "set both, unless this machine has a role of its own"
        expected = "access to the object store"
        yield report.warn("AWS_ACCESS_KEY_ID", "a place on an object store, and no key with secret", expected, step)
    if options.aws_endpoint_url and not remote:
        step = "set LAKE_URI, LANDING_URI or PUBLISHED_URI to s3://…, or remove it"
        yield report.warn("AWS_ENDPOINT_URL", "set, but every place is a folder", "a place on s3://", step)


def _partly_set(report: Reporter, options: Settings) -> Iterator[Finding]:
    """Settings that need others, and lack them."""
    mail = [name for name in ("SMTP_HOST", "SMTP_SENDER", "SMTP_RECIPIENTS") if os.environ.get(name)]
    if mail and (lacking := smtp.unset(options)):
        yield _lacks(report, mail[0], lacking, "no mail is sent")
    if bool(options.smtp_user) != bool(options.smtp_password):
        both = ("SMTP_USER", "SMTP_PASSWORD")
        lacking = [
            name for name, value in zip(both, (options.smtp_user, options.smtp_password), strict=True) if not value
        ]
        yield _lacks(
            report, next(name for name in both if name not in lacking), lacking, "mail is sent without a login"
        )
    if options.serving_role and not options.serving_dsn:
        yield _lacks(report, "SERVING_ROLE", ["SERVING_DSN"], "nothing is served")
    if options.kafka and not options.kafka_bootstrap_servers:
        yield _lacks(report, f"{KAFKA}…", ["KAFKA_BOOTSTRAP_SERVERS"], "no topic is read")
    if options.kafka_schema_registry_url and not options.kafka_bootstrap_servers:
        yield _lacks(report, "KAFKA_SCHEMA_REGISTRY_URL", ["KAFKA_BOOTSTRAP_SERVERS"], "no topic is read")
    if (options.lake_jwt_audience or options.lake_jwt_issuer) and not options.lake_jwt_key:
        yield _lacks(report, "LAKE_JWT_…", ["LAKE_JWT_KEY"], "no token is accepted")
    if options.pgdatabase and not options.has_postgres_state and "postgres" not in options.serving_dsn:
        step = "set LAKE_GATEWAY=postgres_state, or ignore this if another program needs it"
        yield report.warn("PGDATABASE", "set, but the state is a DuckDB file", "a gateway with state in Postgres", step)
    if options.lake_erasure_key and len(options.lake_erasure_key) < SHORTEST_KEY:
        step = "if no person was forgotten yet, set a longer one; otherwise it must stay"
        yield report.warn("LAKE_ERASURE_KEY", "short", f"at least {SHORTEST_KEY} characters", step)
    if options.lake_api_keys and not _is_object(options.lake_api_keys):
        step = "`lake serve --new-key` prints what to set"
        yield report.fail("LAKE_API_KEYS", "no JSON object", "an object of keys by name", step)


def exposed(report: Reporter) -> Iterator[Finding]:
    """The file of settings, if it has secrets and other users of this machine can read it."""
    named = Path(os.environ.get("SQLMESH_DOTENV_PATH") or PROJECT / ".env")
    hidden = {name for name in secrets() if " " not in name}
    try:
        mode = stat.S_IMODE(named.stat().st_mode)
        inside = sorted(hidden & {name for name, value in dotenv_values(named).items() if value})
    except (OSError, UnicodeDecodeError):
        return  # there is none, which is usual
    if inside and mode & _OTHERS:
        shown = ", ".join(inside[:SHOWN]) + f" and {len(inside) - SHOWN} more" * (len(inside) > SHOWN)
        expected = "a file that only its owner can read"
        yield report.warn(str(named), f"mode {mode:04o}, and it has {shown}", expected, f"chmod 600 {named}")


def _lacks(report: Reporter, name: str, lacking: Iterable[str], effect: str) -> Finding:
    wanted = " and ".join(lacking)
    return report.warn(name, f"set without {wanted}: {effect}", wanted, f"set {wanted}, or remove {name}")


def _known() -> set[str]:
    """All variables that are read."""
    names = {name.upper() for name in Settings.model_fields} | BESIDE
    try:
        names |= set(MENTIONED.findall((PROJECT / "config.yaml").read_text(encoding="utf-8")))
    except OSError:
        raise ConfigError(f"{PROJECT}/config.yaml cannot be read; set LAKE_PROJECT to the project's folder") from None
    return names


def _set() -> set[str]:
    return {name for name in os.environ if name in _known() or name.startswith(KAFKA)}


def _close_property(name: str) -> list[str]:
    """The property that a variable KAFKA_… is a misspelling of; empty if it is none."""
    wanted = name.removeprefix(KAFKA).lower().replace("_", ".")
    if wanted in PROPERTIES:
        return []
    close = get_close_matches(wanted, PROPERTIES, n=1, cutoff=_VERY_SIMILAR)
    return [KAFKA + item.upper().replace(".", "_") for item in close]


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(f"{outer.rstrip('/')}/")


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
