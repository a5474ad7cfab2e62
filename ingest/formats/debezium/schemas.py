"""The schema part of a message: the types that the connector gives the columns of a row."""

from __future__ import annotations

from typing import Any

import msgspec

from ingest.formats.debezium.messages import not_an_envelope
from ingest.formats.fields import JSON_ERRORS


class Field(msgspec.Struct, gc=False):
    """A field of Kafka Connect's schemas.

    Attributes:
        name: the semantic type, such as io.debezium.time.Date; None for a plain type.
        field: the name of the column.
        fields: of a struct.
        items: of an array.
        parameters: such as the scale of a decimal.
    """

    type: str
    name: str | None = None
    field: str | None = None
    fields: tuple[Field, ...] = ()
    items: Field | None = None
    parameters: dict[str, Any] | None = None

    def members(self) -> dict[str, Field]:
        """Return the fields of a struct by name."""
        return {member.field: member for member in self.fields if member.field is not None}


_decode = msgspec.json.Decoder(Field | None).decode


def columns_of(schema: bytes, *, of_key: bool = False) -> dict[str, Field]:
    """Return the columns of a row by name, from the schema part of its envelope or, `of_key`, of its key.

    Raises:
        Refused: it is no schema of Kafka Connect.
    """
    try:
        whole = _decode(schema)
    except JSON_ERRORS as error:
        raise not_an_envelope(f"schema: {error}; expected a schema of Kafka Connect, or none") from None
    if whole is None or of_key:
        return whole.members() if whole else {}
    members = whole.members()
    row = members.get("after") or members.get("before")
    return row.members() if row else {}
