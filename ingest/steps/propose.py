"""Fields that records bring and their contract does not know, proposed as columns for somebody to review."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from ingest.contracts.contract import CONTRACTS, Contract, load_contract
from ingest.contracts.schema import MAX_DOUBLE
from ingest.formats.fields import NO_JSON
from ingest.ledger.ledger import LedgerState
from ingest.storage.store import Store

MAX_SEEN = 10_000
"""Fields that one look keeps in mind, members included; what appears after so many is not counted."""
MAX_PROPOSED = 100
"""Columns of one proposal, members included: what somebody can review."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_INDEX = re.compile(r"\[\d+\]")
_INT64 = 1 << 63
_value = msgspec.json.Decoder(float_hook=float).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(slots=True)
class Room:
    """How many more fields may be kept in mind."""

    left: int

    def take(self) -> bool:
        """Whether there was room for one more."""
        self.left -= 1
        return self.left >= 0


@dataclass(slots=True)
class Field:
    """An unknown field.

    Attributes:
        path: dotted path; members of lists without their index.
        records: how many visible records bring it.
        shape: what its values are: a column type, `struct` or `mixed`; empty when all are null.
        repeated: its values are lists.
        members: of a struct, by name.
        crowded: it has more members than could be kept in mind.
    """

    path: str
    records: int = 0
    shape: str = ""
    repeated: bool = False
    members: dict[str, Field] | None = None
    crowded: bool = False

    @property
    def obstacle(self) -> str:
        """Why it cannot become a column; empty when it can."""
        if "\\" in self.path or not _NAME.fullmatch(self.path.rsplit(".", 1)[-1]):  # a backslash: a dot in a name
            return "its name is no lower_snake_case"
        if self.shape in ("", "mixed"):
            return "its values are of several types, or too large" if self.shape else "its values are all null"
        if self.crowded or self.size > MAX_PROPOSED:
            return f"it has more than {MAX_PROPOSED} members"
        for field in (self.members or {}).values():
            if obstacle := field.obstacle:
                return f"{field.path}: {obstacle}"
        return ""

    @property
    def size(self) -> int:
        """The columns that it would be, its members included."""
        return 1 + sum(field.size for field in (self.members or {}).values())

    def see(self, value: Any, room: Room) -> None:
        """Takes one value into account."""
        if isinstance(value, list):
            self._become("mixed" if self.shape and not self.repeated else self.shape)
            self.repeated = True
            for item in value:
                if isinstance(item, list):
                    self._become("mixed")  # no column holds lists of lists
                else:
                    self._see_one(item, room)
        elif value is not None:
            if self.repeated:
                self._become("mixed")
            self._see_one(value, room)

    def _see_one(self, value: Any, room: Room) -> None:
        if isinstance(value, dict):
            self._become("struct")
            self.members = {} if self.members is None else self.members
            for name, member in value.items():
                if name not in self.members:
                    if not room.take():
                        self.crowded = True
                        continue
                    self.members[name] = Field(f"{self.path}.{name}")
                self.members[name].see(member, room)
        elif value is not None:
            self._become(_type_of(value))

    def _become(self, shape: str) -> None:
        if not self.shape or self.shape == shape:
            self.shape = shape
        elif {self.shape, shape} == {"integer", "double"}:
            self.shape = "double"
        elif {self.shape, shape} <= {"string", "date", "timestamp"}:
            self.shape = "string"
        else:
            self.shape = "mixed"

    def column(self) -> dict[str, Any]:
        """The field as an entry of a contract."""
        entry: dict[str, Any] = {"name": self.path.rsplit(".", 1)[-1], "type": self.shape}
        if self.repeated:
            entry["repeated"] = True
        entry["description"] = "To be described."
        if self.members:
            entry["fields"] = [member.column() for member in self.members.values()]
        return entry


@dataclass(frozen=True, slots=True)
class Survey:
    """What a look through the rescued fields found.

    Attributes:
        fields: the most frequent first.
        is_complete: whether there were no more than MAX_SEEN.
    """

    fields: list[Field]
    is_complete: bool


def unknown_fields(lake: Store, state: LedgerState) -> Survey:
    """The fields in the feed's visible `_rescued_data`, MAX_SEEN at most."""
    found: dict[str, Field] = {}
    room = Room(MAX_SEEN)
    for rescued in _rescued(lake, state):
        seen = set()
        for path, raw in _fields(rescued).items():
            name = _INDEX.sub("", path)
            if name not in found:
                if not room.take():
                    continue
                found[name] = Field(name)
            field = found[name]
            try:
                field.see(_value(raw), room)
            except NO_JSON:  # an integer of thousands of digits
                field.shape = "mixed"
            field.records += name not in seen
            seen.add(name)
    return Survey(sorted(found.values(), key=lambda field: (-field.records, field.path)), room.left >= 0)


def proposal(contract: Contract, fields: list[Field], folder: Path = CONTRACTS) -> tuple[Path, str, str]:
    """The contract's file with a column more for each field that can be one, its version raised.

    Args:
        fields: what may be added; of more than MAX_PROPOSED columns the first.

    Returns:
        The file, its new text, and the difference as a patch; the patch is empty when nothing is to be added.
    """
    path = folder / contract.domain / f"{contract.feed}.yaml"
    before = path.read_text(encoding="utf-8")
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 120, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = yaml.load(before)
    places = dict(_places(document["columns"], ""))
    declared = {f"{prefix}{item['name']}" for prefix, columns in places.items() for item in columns}
    added = False
    left = MAX_PROPOSED
    for field in fields:
        parent, dot, _ = field.path.rpartition(".")
        place = places.get(parent + dot)
        if place is None or field.path in declared or field.obstacle or field.size > left:
            continue
        entry = CommentedMap(field.column())
        if not field.members:
            entry.fa.set_flow_style()
        place.append(entry)
        left -= field.size
        added = True
    if not added:
        return path, before, ""
    document["version"] = contract.version + 1
    out = StringIO()
    yaml.dump(document, out)
    name = f"{contract.domain}/{contract.feed}.yaml"
    patch = difflib.unified_diff(before.splitlines(True), out.getvalue().splitlines(True), f"a/{name}", f"b/{name}")
    return path, out.getvalue(), "".join(patch)


def write(path: Path, text: str) -> Contract:
    """Puts a proposed contract in place of the old one.

    Raises:
        ConfigError: it would be no valid contract; the old one stays.
    """
    draft = path.with_suffix(".yaml.draft")
    draft.write_text(text, encoding="utf-8")
    try:
        contract = load_contract(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return contract


def _rescued(lake: Store, state: LedgerState) -> Iterator[str]:
    for file in state.bronze_files():
        with lake.open(file.path) as source:
            parquet = pq.ParquetFile(source)
            for group in range(parquet.num_row_groups):
                texts = parquet.read_row_group(group, columns=["_rescued_data"]).column(0)
                yield from pc.drop_null(texts).to_pylist()


def _places(columns: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """(prefix of the paths, list of columns) of each level of a contract's document."""
    yield prefix, columns
    for item in columns:
        if "fields" in item:
            yield from _places(item["fields"], f"{prefix}{item['name']}.")


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -_INT64 <= value < _INT64 else "mixed"
    if isinstance(value, float):
        return "double" if abs(value) <= MAX_DOUBLE else "mixed"
    for kind, parse in (("date", dt.date.fromisoformat), ("timestamp", dt.datetime.fromisoformat)):
        try:
            if 10 <= len(value) <= 40 and value[4:5] == "-":
                parse(value)
                return kind
        except ValueError:
            continue
    return "string"
