"""Messages as lines of JSON: JSON as it is, change events with their key, Avro by the schema that its id names."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import msgspec

from ingest.contracts.contract import Contract
from ingest.contracts.source import DEBEZIUM, Values
from ingest.errors import ConfigError, LakemeshError, RetriableError
from ingest.formats.tokens import BLANK
from ingest.topics.connection import Connection, client

MAGIC = b"\0"
"""First byte of a message whose schema is in a registry; the id of the schema follows in four bytes."""
_FRAME = 5
_encode = msgspec.json.Encoder(decimal_format="number").encode
_FLOATS = ('"float"', '"double"')


class Undecodable(Exception):  # noqa: N818  the message is quarantined
    """A message has no record that could be parsed; the text says what was found."""


@dataclass(frozen=True, slots=True)
class _Schema:
    """A schema of the registry.

    Attributes:
        kind: AVRO, JSON or PROTOBUF.
        parsed: of Avro, as fastavro takes it.
        has_floats: whether values may be NaN or infinite.
    """

    kind: str
    parsed: Any = None
    has_floats: bool = False


class Decoder:
    """Makes lines of the messages of a feed's topic.

    Attributes:
        is_plain: whether a value that begins with a brace and has no line break is its line.
    """

    def __init__(self, contract: Contract, connection: Connection) -> None:
        assert contract.source.kafka is not None
        self._feed, self._topic, self._connection = contract.feed, contract.source.kafka.topic, connection
        self._is_avro = contract.source.kafka.values is Values.AVRO
        self._is_change = contract.source.format == DEBEZIUM
        self._schemas: dict[int, _Schema] = {}
        self.is_plain = not self._is_change

    def line(self, key: bytes | None, value: bytes) -> bytes:
        """Return the record of a message as one line of JSON, without its end; of a change event with the key.

        A line that this returned before is returned as it is.

        Raises:
            Undecodable: the message has no record.
            ConfigError: the registry is missing or refuses access, or the schema is no Avro.
            RetriableError: the registry does not answer.
        """
        line = self._one(value)
        if self._is_change and key and not line.startswith(b'{"key":'):
            try:
                named = self._one(key)
            except Undecodable:
                return line
            if named[:1] == b"{":
                return b'{"key":' + named + b',"value":' + line + b"}"
        return line

    def _one(self, value: bytes) -> bytes:
        if value[:1] == MAGIC:
            return self._framed(value)
        if self._is_avro and value[:1] != b"{":
            raise Undecodable("it does not begin with the id of a schema; expected Avro by a schema of the registry")
        if not value.strip(BLANK):
            raise Undecodable("it is empty; expected JSON")
        return _one_line(value)

    def _framed(self, value: bytes) -> bytes:
        """The line of a value that begins with the id of its schema."""
        number = int.from_bytes(value[1:_FRAME], "big")
        if not self._is_avro and self._connection.registry is None:
            raise Undecodable("it begins with the id of a schema; expected JSON, or `values: avro` in the contract")
        schema = self._schema(number)
        if schema.kind == "PROTOBUF":
            raise ConfigError(
                f"{self._feed}: topic {self._topic} has Protobuf (schema {number}); expected JSON or Avro, to which a "
                "connector or a stream processor can convert it"
            )
        if schema.kind == "JSON":
            return self._one(value[_FRAME:])
        if not self._is_avro:
            raise Undecodable(f"it is Avro (schema {number}); expected JSON, or `values: avro` in the contract")
        stream = io.BytesIO(value[_FRAME:])
        try:
            found = import_module("fastavro").schemaless_reader(stream, schema.parsed)
        except Exception as error:  # fastavro raises what it meets: IndexError, EOFError, struct.error, OverflowError
            raise Undecodable(f"it is no Avro of schema {number}: {type(error).__name__}") from None
        if stream.read(1):
            raise Undecodable(f"it is longer than a value of schema {number}")
        try:
            return _encode(_json(found, self._text, has_floats=schema.has_floats))
        except UnicodeDecodeError:
            raise Undecodable(f"bytes in it are not UTF-8 (schema {number}); expected text") from None

    def _text(self, value: bytes) -> str:
        """Bytes as text: of change events as Debezium writes them in JSON."""
        return base64.b64encode(value).decode() if self._is_change else value.decode()

    def _schema(self, number: int) -> _Schema:
        if number not in self._schemas:
            self._schemas[number] = self._registered(number)
        return self._schemas[number]

    def _registered(self, number: int) -> _Schema:
        """Ask the registry for a schema."""
        registry = self._connection.registry
        if registry is None:
            raise ConfigError(
                f"{self._feed}: topic {self._topic} has values by schemas of a registry; set KAFKA_SCHEMA_REGISTRY_URL"
            )
        found = self._asked(partial(registry.get_schema, number), f"schema {number}")
        if found.schema_type != "AVRO":
            return _Schema(found.schema_type)
        named: dict[str, Any] = {}
        self._refer(found, named)
        try:
            parsed = import_module("fastavro").parse_schema(json.loads(found.schema_str), named_schemas=named)
        except Exception as error:  # fastavro's own, or any that a strange schema leads to
            raise Undecodable(f"schema {number} of the registry is no Avro: {error}") from None
        return _Schema("AVRO", parsed, any(kind in found.schema_str for kind in _FLOATS))

    def _refer(self, schema: Any, named: dict[str, Any]) -> None:
        """Parse the schemas that a schema refers to, into `named`."""
        for reference in schema.references or ():
            if reference.name not in named:
                what = f"schema {reference.subject} version {reference.version}"
                ask = partial(self._connection.registry.get_version, reference.subject, reference.version)
                other = self._asked(ask, what)
                self._refer(other.schema, named)
                import_module("fastavro").parse_schema(json.loads(other.schema.schema_str), named_schemas=named)

    def _asked(self, request: Callable[[], Any], what: str) -> Any:
        """Ask the registry.

        Raises:
            Undecodable: it has no such schema.
            ConfigError, RetriableError: it refuses access, or does not answer.
        """
        client()
        refused = import_module("confluent_kafka.schema_registry.error").SchemaRegistryError
        try:
            return request()
        except refused as error:
            if error.http_status_code == 404:
                raise Undecodable(f"the registry has no {what}") from None
            text = f"the registry of schemas refuses {what}: {error.http_status_code} {error.error_message}"
            kind: type[LakemeshError] = ConfigError if error.http_status_code in (401, 403) else RetriableError
            raise kind(f"{self._feed}: {text}; check KAFKA_SCHEMA_REGISTRY_…") from None
        except OSError as error:
            raise RetriableError(f"{self._feed}: the registry of schemas does not answer: {error}") from error
        except Exception as error:  # its HTTP client's, which it does not convert
            raise RetriableError(f"{self._feed}: the registry of schemas failed for {what}: {error}") from error


def _one_line(value: bytes) -> bytes:
    """JSON without line breaks; what is no JSON and has none is left to the parser."""
    if b"\n" not in value and b"\r" not in value:
        return value
    try:
        line = msgspec.json.format(value, indent=-1)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(f"it has several lines and is no JSON: {error}") from None
    if b"\n" in line or b"\r" in line:
        raise Undecodable("it has a line break within a text; expected JSON, which escapes it")
    return line


def _json(value: Any, text: Callable[[bytes], str], *, has_floats: bool) -> Any:
    """A value of Avro without what JSON lacks."""
    if isinstance(value, dict):
        return {name: _json(item, text, has_floats=has_floats) for name, item in value.items()}
    if isinstance(value, list):
        return [_json(item, text, has_floats=has_floats) for item in value]
    if isinstance(value, bytes):
        return text(value)
    if has_floats and isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dt.timedelta):
        return str(value)
    return value
