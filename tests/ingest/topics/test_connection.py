"""Settings become properties of the client, the core works without it, and wrong ones are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ingest.errors import ConfigError, RetriableError
from ingest.ledger.state import LedgerState
from ingest.settings import read_settings, secrets
from ingest.steps.topic import is_read
from ingest.topics import topic as topics
from ingest.topics.connection import Connection, has_client
from tests.kafka import contract


@pytest.fixture
def variables(clean_settings: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    return monkeypatch


def test_variables_are_properties_of_librdkafka_but_for_those_of_others(variables: pytest.MonkeyPatch) -> None:
    for name, value in {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_PASSWORD": "very-secret",
        "KAFKA_SCHEMA_REGISTRY_URL": "http://127.0.0.1:2",
        "KAFKA_SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": "me:other-secret",
        "KAFKA_HOME": "/srv/kafka",
        "KAFKA_HEAP_OPTS": "-Xmx1g",
        "KAFKA_PORT_9092_TCP": "tcp://10.0.0.1:9092",
        "KAFKA_SERVICE_HOST": "10.0.0.1",
        "KAFKA_CLIENT_ID": "",
    }.items():
        variables.setenv(name, value)
    options = read_settings()
    assert options.kafka == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.password": "very-secret",
        "bootstrap.servers": "127.0.0.1:1",
    }
    assert {"very-secret", "me:other-secret"} <= set(secrets().values())
    assert "secret" not in repr(options)


def test_the_core_is_imported_without_the_client() -> None:
    code = (
        "import sys, ingest.steps.topic, pipeline.cycle.ingest, pipeline.cycle.stream, pipeline.cli, "
        "pipeline.checks.verify, pipeline.checks.message\n"
        "assert not {'confluent_kafka', 'fastavro'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_client_is_one_sentence(monkeypatch: pytest.MonkeyPatch, variables: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    assert not has_client()
    with pytest.raises(ConfigError, match=r"the extra `kafka`: pip install lakemesh\[kafka\], or make setup-kafka"):
        Connection(read_settings()).consumer()


@pytest.mark.skipif(not has_client(), reason="Kafka: the extra kafka is not installed")
def test_wrong_properties_and_brokers_are_named(variables: pytest.MonkeyPatch) -> None:
    monkeypatch = variables
    monkeypatch.setattr(topics, "TIMEOUT_SECONDS", 1.0)
    with pytest.raises(RetriableError, match=r"127\.0\.0\.1:1"):
        topics.find_topic(Connection(read_settings()), "clicks")
    monkeypatch.setenv("KAFKA_SASL_MECHANISMUS", "PLAIN")
    with pytest.raises(ConfigError, match=r"sasl\.mechanismus"):
        Connection(read_settings()).consumer()


def test_a_topic_without_a_broker_is_read_later_or_an_error(clean_settings: Path) -> None:
    none = Connection(read_settings())
    both = contract("clicks", source={"bucket": "raw-clicks", "kafka": {"topic": "clicks"}})
    assert not is_read(both, none, LedgerState())
    assert not is_read(contract("clicks", source={"bucket": "raw-clicks"}), none, LedgerState())
    with pytest.raises(ConfigError, match="its topic clicks needs a broker; set KAFKA_BOOTSTRAP_SERVERS"):
        is_read(contract("clicks"), none, LedgerState())
    with pytest.raises(ConfigError, match="set KAFKA_BOOTSTRAP_SERVERS"):
        is_read(both, none, LedgerState(next_offsets={("c", "t", 0): 5}))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "neither a bucket nor a topic"),
        ({"kafka": {"topic": "a b"}}, "topic"),
        ({"kafka": {"topic": "a"}, "prefix": "x/"}, "prefix describe objects; expected a bucket"),
        ({"kafka": {"topic": "a", "values": "protobuf"}}, "values are protobuf; expected json or avro"),
    ],
)
def test_a_source_that_cannot_be_is_refused(source: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contract("clicks", source=source)
