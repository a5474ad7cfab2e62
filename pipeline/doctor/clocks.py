"""Clocks: those of the store, of Postgres and of brokers against the clock of this host."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from ingest.contracts.contract import contracts
from ingest.errors import LakemeshError, RetriableError
from ingest.schemes import is_remote
from ingest.settings import Settings
from ingest.storage.store import Store
from ingest.topics.connection import Connection, has_client
from pipeline.doctor.finding import Finding, Reporter
from pipeline.doctor.probe import PROBE
from pipeline.lake import Lake
from pipeline.process import postgres

WARN_SECONDS = 5.0
"""A difference from which on the order of what hosts recorded may be wrong."""
ANSWER_SECONDS = 5.0
_WHOLE_SECONDS = 1.0
"""What a Date header cuts off."""
_EXPECTED = "the time of this host"
_STEP = "let NTP set the clock of both hosts; `timedatectl` shows whether it does"


@dataclass(frozen=True, slots=True)
class Reading:
    """A clock that was read.

    Attributes:
        ahead: seconds that it is ahead of this host, negative if behind.
        precision: seconds that the reading may be wrong by.
    """

    ahead: float
    precision: float


def check(lake: Lake, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    """See the module.

    Args:
        now: the clock of this host, seconds since 1970.
    """
    report, options = Reporter("clocks"), lake.options
    limit = float(min(contract.clock_skew_seconds for contract in contracts().values()))
    if any(map(is_remote, (options.lake_uri, options.published_uri, options.landing_uri))):
        yield _judged(report, "store", limit, lambda: of_endpoint(options, now))
    elif lake.store.root is not None and lake.store.root.exists():
        yield _judged(report, f"file system of {lake.store.uri}", limit, lambda: _of_folder(lake.store, now))
    if options.has_postgres_state:
        yield _judged(report, postgres.address(options), limit, lambda: _of_postgres(options, now))
    if options.kafka_bootstrap_servers and has_client():
        yield _judged(report, f"newest message at {lake.kafka.address}", limit, lambda: _of_messages(lake.kafka, now))


def judge(report: Reporter, about: str, reading: Reading, limit: float) -> Finding:
    """The finding for a clock.

    Args:
        limit: seconds that the contracts allow an event to lie after its object.
    """
    beyond = max(0.0, abs(reading.ahead) - reading.precision)
    found = f"{abs(reading.ahead):.1f} s {'ahead of' if reading.ahead > 0 else 'behind'} this host"
    if beyond > limit:
        return report.fail(about, found, f"{_EXPECTED}; contracts allow {limit:g} s", _STEP)
    if beyond > WARN_SECONDS:
        return report.warn(about, found, f"{_EXPECTED}, within {WARN_SECONDS:g} s", _STEP)
    return report.ok(about, f"within {WARN_SECONDS:g} s of this host")


def _judged(report: Reporter, about: str, limit: float, read: Callable[[], Reading | None]) -> Finding:
    try:
        reading = read()
    except LakemeshError as error:
        return report.warn(about, f"not read: {error}", _EXPECTED, "`rights` and `connections` say what is missing")
    return judge(report, about, reading, limit) if reading else report.ok(about, "nothing to read a clock from")


def of_endpoint(options: Settings, now: Callable[[], float]) -> Reading:
    """Read the clock of the store from the Date header of an answer, which a refusal has too.

    Raises:
        RetriableError: the store does not answer, or without the header.
    """
    import requests

    url = options.aws_endpoint_url or f"https://s3.{options.aws_region}.amazonaws.com"
    with requests.Session() as session:
        session.trust_env = urlsplit(url).hostname not in {"127.0.0.1", "localhost"}
        before = now()
        try:
            answer = session.head(url, timeout=ANSWER_SECONDS, allow_redirects=False)
            shown = parsedate_to_datetime(answer.headers["Date"]).timestamp()
        except (requests.RequestException, KeyError, ValueError) as error:
            raise RetriableError(f"{url}: no answer with a Date header: {type(error).__name__}") from error
    return _between(before, now(), shown + _WHOLE_SECONDS / 2, _WHOLE_SECONDS / 2)


def _of_folder(store: Store, now: Callable[[], float]) -> Reading:
    """Read the clock of a file system, which a server may stamp, from a probe object."""
    key = f"{PROBE}{uuid.uuid4().hex}"
    before = now()
    store.put(key, b"")
    try:
        found = store.find(key)
        after = now()
    finally:
        store.delete([key])
    if found is None:
        raise RetriableError(f"{store.uri}: a probe object that was written is not there")
    return _between(before, after, found.modified_at.timestamp(), 0.1)


def _of_postgres(options: Settings, now: Callable[[], float]) -> Reading:
    session = postgres.connect(options)
    try:
        with postgres.driver_errors(postgres.address(options)), session.cursor() as cursor:
            before = now()
            cursor.execute("SELECT EXTRACT(EPOCH FROM CLOCK_TIMESTAMP())")
            ((shown,),) = cursor.fetchall()
            return _between(before, now(), float(shown), 0.0)
    finally:
        session.close()


def _of_messages(kafka: Connection, now: Callable[[], float]) -> Reading | None:
    """Compare the newest message of all topics, which is never from the future; None if there is none.

    No request asks a broker for its clock.
    """
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import OffsetSpec

    wanted = {contract.source.kafka.topic for contract in contracts().values() if contract.source.kafka}
    with kafka.errors("newest messages"):
        topics = kafka.admin.list_topics(timeout=ANSWER_SECONDS).topics
        places = [
            TopicPartition(name, part) for name in sorted(wanted & set(topics)) for part in topics[name].partitions
        ]
        if not places:
            return None
        asked = kafka.admin.list_offsets(
            dict.fromkeys(places, OffsetSpec.max_timestamp()), request_timeout=ANSWER_SECONDS
        )
        newest = max(float(answer.result().timestamp) for answer in asked.values()) / 1000
    return Reading(max(0.0, newest - now()), 0.0) if newest > 0 else None


def _between(before: float, after: float, shown: float, precision: float) -> Reading:
    """Compare a clock that was read at some moment between two others."""
    return Reading(shown - (before + after) / 2, precision + (after - before) / 2)
