"""Contract proposals: columns for fields that records have and their contract does not know, for review."""

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
from ingest.formats.fields import JSON_ERRORS
from ingest.ledger.state import LedgerState
from ingest.storage.store import Store

MAX_SURVEYED = 10_000
"""Fields that one survey counts, members included; further fields are not counted."""
MAX_PROPOSED = 100
"""Columns of one proposal, members included: as many as a person can review."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_INDEX = re.compile(r"\[\d+\]")
_INT64 = 1 << 63
_value = msgspec.json.Decoder(float_hook=float).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(slots=True)
class Budget:
    """The number of further fields that a survey may count."""

    left: int

    def take(self) -> bool:
        """Use one field of the budget; False if none is left."""
        self.left -= 1
        return self.left >= 0


@dataclass(slots=True)
class Field:
    """An unknown field.

    Attributes:
        path: dotted path; members of lists without their index.
        records: number of visible records that have it.
        shape: the type of its values: a column type, `struct` or `mixed`; empty if all are null.
        repeated: whether its values are lists.
        members: the fields of a struct, by name.
        truncated: whether it has more members than the budget allows.
    """

    path: str
    records: int = 0
    shape: str = ""
    repeated: bool = False
    members: dict[str, Field] | None = None
    truncated: bool = False

    @property
    def obstacle(self) -> str:
        """Why it cannot become a column; empty if it can."""
        # a backslash escapes a dot in a name
        if "\\" in self.path or not _NAME.fullmatch(self.path.rsplit(".", 1)[-1]):
            return "its name is not lower_snake_case"
        if self.shape in ("", "mixed"):
            return "its values are of several types, or too large" if self.shape else "its values are all null"
        if self.truncated or self.size > MAX_PROPOSED:
            return f"it has more than {MAX_PROPOSED} members"
        for field in (self.members or {}).values():
            if obstacle := field.obstacle:
                return f"{field.path}: {obstacle}"
        return ""

    @property
    def size(self) -> int:
        """The number of columns that it would become, members included."""
        return 1 + sum(field.size for field in (self.members or {}).values())

    def observe(self, value: Any, budget: Budget) -> None:
        """Take one value into account."""
        if isinstance(value, list):
            self._merge_shape("mixed" if self.shape and not self.repeated else self.shape)
            self.repeated = True
            for item in value:
                if isinstance(item, list):
                    self._merge_shape("mixed")  # no column type holds lists of lists
                else:
                    self._observe_one(item, budget)
        elif value is not None:
            if self.repeated:
                self._merge_shape("mixed")
            self._observe_one(value, budget)

    def _observe_one(self, value: Any, budget: Budget) -> None:
        if isinstance(value, dict):
            self._merge_shape("struct")
            self.members = {} if self.members is None else self.members
            for name, member in value.items():
                if name not in self.members:
                    if not budget.take():
                        self.truncated = True
                        continue
                    self.members[name] = Field(f"{self.path}.{name}")
                self.members[name].observe(member, budget)
        elif value is not None:
            self._merge_shape(_type_of(value))

    def _merge_shape(self, shape: str) -> None:
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
    """The unknown fields in a feed's rescued data.

    Attributes:
        fields: the fields, most frequent first.
        is_complete: whether there were at most MAX_SURVEYED.
    """

    fields: list[Field]
    is_complete: bool


def unknown_fields(lake: Store, state: LedgerState) -> Survey:
    """Survey the fields in the feed's visible `_rescued_data`, at most MAX_SURVEYED."""
    found: dict[str, Field] = {}
    budget = Budget(MAX_SURVEYED)
    for rescued in _rescued(lake, state):
        seen = set()
        for path, raw in _fields(rescued).items():
            name = _INDEX.sub("", path)
            if name not in found:
                if not budget.take():
                    continue
                found[name] = Field(name)
            field = found[name]
            try:
                field.observe(_value(raw), budget)
            except JSON_ERRORS:  # an integer of thousands of digits
                field.shape = "mixed"
            field.records += name not in seen
            seen.add(name)
    return Survey(sorted(found.values(), key=lambda field: (-field.records, field.path)), budget.left >= 0)


def proposal(contract: Contract, fields: list[Field], folder: Path = CONTRACTS) -> tuple[Path, str, str]:
    """Extend the contract's file by a column for each field that can become one, and raise its version.

    Args:
        fields: the fields to add, in order, up to MAX_PROPOSED columns.

    Returns:
        The file, its new text, and the difference as a patch; the patch is empty if there is nothing to add.
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
    """Replace a contract by the proposed one.

    Raises:
        ConfigError: the proposal is not a valid contract; the old one stays.
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
    """(path prefix, list of columns) of each level of a contract's document."""
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
