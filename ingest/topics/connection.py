"""Connections to Kafka and to the registry of its schemas, as the settings name them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from typing import Any

from ingest.errors import ConfigError, LakemeshError, NoTopic, RetriableError
from ingest.settings import KAFKA, Settings

LOG = logging.getLogger(__name__)
TIMEOUT_SECONDS = 20.0
"""How long a request to the broker may take."""
GROUP = "lakemesh"
_FORBIDDEN = (
    *("TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"),
    *("SASL_AUTHENTICATION_FAILED", "_AUTHENTICATION", "_SSL", "UNSUPPORTED_SASL_MECHANISM"),
)
_OURS = {
    "isolation.level": "read_committed",
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "auto.offset.reset": "error",
    "enable.partition.eof": "true",
}
"""Properties of every consumer, which no setting changes: with others, records would be skipped or read too early."""
_DEFAULTS = {
    "client.id": "lakemesh",
    "group.id": GROUP,
    "fetch.wait.max.ms": "100",
    "queued.max.messages.kbytes": "32768",
    "queued.min.messages": "50000",
    "fetch.queue.backoff.ms": "20",
    "log.connection.close": "false",
}


def has_client() -> bool:
    """Whether the extra `kafka` is installed."""
    try:
        import_module("confluent_kafka")
    except ImportError:
        return False
    return True


def client() -> Any:
    """Return the module of the client, confluent-kafka.

    Raises:
        ConfigError: the extra `kafka` is not installed.
    """
    try:
        return import_module("confluent_kafka")
    except ImportError:
        raise ConfigError(
            "topics of Kafka need the extra `kafka`: pip install lakemesh[kafka], or make setup-kafka"
        ) from None


class Connection:
    """The brokers of the settings, and the registry of the schemas of their messages. Each is opened when it is used.

    Attributes:
        settings: the properties of librdkafka that were set.
        address: `bootstrap.servers`, for messages; empty for none.
    """

    def __init__(self, options: Settings) -> None:
        self.settings = options.kafka
        self._registry_url = options.kafka_schema_registry_url
        self._registry_user = options.kafka_schema_registry_basic_auth_user_info
        self.address = options.kafka_bootstrap_servers

    def __bool__(self) -> bool:
        return bool(self.address)

    def properties(self, **own: str) -> dict[str, Any]:
        """Return the properties of a producer or an admin client.

        Args:
            own: more of them, with `__` for dots.
        """
        found = {name: value for name, value in self.settings.items() if name != "group.id"}
        return {"client.id": "lakemesh", "logger": LOG} | found | _dotted(own)

    def consumer(self, **own: str) -> Any:
        """Return a consumer that reads what is committed; it keeps no offsets.

        Args:
            own: more properties, with `__` for dots.

        Raises:
            ConfigError: a property is unknown or wrong, or the extra `kafka` is not installed.
        """
        chosen = _DEFAULTS | self.settings | _dotted(own) | _OURS
        with self.errors():
            return client().Consumer(chosen | {"logger": LOG})

    @cached_property
    def admin(self) -> Any:
        """An admin client.

        Raises:
            ConfigError: as of `consumer`.
        """
        client()
        with self.errors():
            return import_module("confluent_kafka.admin").AdminClient(self.properties())

    @cached_property
    def registry(self) -> Any:
        """The client of the registry of schemas; None if there is none."""
        if not self._registry_url:
            return None
        client()
        user = {"basic.auth.user.info": self._registry_user} if self._registry_user else {}
        registry = import_module("confluent_kafka.schema_registry")
        return registry.SchemaRegistryClient({"url": self._registry_url} | user)

    @contextmanager
    def errors(self, what: str = "") -> Iterator[None]:
        """Convert errors of the client to Lakemesh's.

        Args:
            what: what was asked for, for messages.

        Raises:
            ConfigError: a property or a permission is wrong.
            RetriableError: the broker does not answer.
        """
        kafka = client()
        try:
            yield
        except kafka.KafkaException as error:
            raise self.error(error.args[0], what) from error
        except TimeoutError as error:
            raise RetriableError(f"{self.address} did not answer in {TIMEOUT_SECONDS:g} s ({what})") from error

    def error(self, error: Any, what: str = "") -> LakemeshError:
        """Return Lakemesh's error for one of the client."""
        kafka = client()
        place, text = f"{self.address}{f' ({what})' * bool(what)}", str(error.str() if error else "unknown error")
        if error.code() == kafka.KafkaError._INVALID_ARG:
            return ConfigError(f"Kafka: {text}; fix the variable {KAFKA}… (see .env.example)")
        if error.code() == kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:
            return NoTopic(f"{place}: there is no such topic; make it, or check the contract's source.kafka.topic")
        if error.name() in _FORBIDDEN:
            return ConfigError(f"{place}: {text}; check the variables {KAFKA}…")
        return RetriableError(f"{place}: {text}")


def _dotted(own: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("__", "."): value for name, value in own.items()}
