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

from ingest.contract import CONTRACTS, Contract, load_contract
from ingest.ledger import LedgerState
from ingest.store import Store

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_INDEX = re.compile(r"\[\d+\]")
_INT64 = 1 << 63


@dataclass(slots=True)
class Field:
    """An unknown field.

    Attributes:
        path: dotted path; members of lists without their index.
        records: how many visible records bring it.
        shape: what its values are: a column type, `struct` or `mixed`; empty when all are null.
        repeated: its values are lists.
        members: of a struct, by name.
    """

    path: str
    records: int = 0
    shape: str = ""
    repeated: bool = False
    members: dict[str, Field] | None = None

    @property
    def obstacle(self) -> str:
        """Why it cannot become a column; empty when it can."""
        if "\\" in self.path or not _NAME.fullmatch(self.path.rsplit(".", 1)[-1]):  # a backslash: a dot in a name
            return "its name is no lower_snake_case"
        if self.shape in ("", "mixed"):
            return "its values are all null" if not self.shape else "its values are of several types"
        below = [field for field in (self.members or {}).values() if field.obstacle]
        return f"{below[0].path}: {below[0].obstacle}" if below else ""

    def see(self, value: Any) -> None:
        """Takes one value into account."""
        if isinstance(value, list):
            self._become("mixed" if self.shape and not self.repeated else self.shape)
            self.repeated = True
            for item in value:
                if isinstance(item, list):
                    self._become("mixed")  # no column holds lists of lists
                else:
                    self._see_one(item)
        elif value is not None:
            if self.repeated:
                self._become("mixed")
            self._see_one(value)

    def _see_one(self, value: Any) -> None:
        if isinstance(value, dict):
            self._become("struct")
            self.members = self.members or {}
            for name, member in value.items():
                self.members.setdefault(name, Field(f"{self.path}.{name}")).see(member)
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


def unknown_fields(lake: Store, state: LedgerState) -> list[Field]:
    """Every field in the feed's visible `_rescued_data`, the most frequent first."""
    found: dict[str, Field] = {}
    for rescued in _rescued(lake, state):
        seen = set()
        for path, value in msgspec.json.decode(rescued).items():
            name = _INDEX.sub("", path)
            field = found.setdefault(name, Field(name))
            field.see(value)
            field.records += name not in seen
            seen.add(name)
    return sorted(found.values(), key=lambda field: (-field.records, field.path))


def proposal(contract: Contract, fields: list[Field], folder: Path = CONTRACTS) -> tuple[Path, str, str]:
    """The contract's file with a column more for each field that can be one, its version raised.

    Returns:
        The file, its new text, and the difference as a patch; the patch is empty when nothing is to be added.
    """
    path = folder / contract.domain / f"{contract.feed}.yaml"
    before = path.read_text(encoding="utf-8")
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 120, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = yaml.load(before)
    added = [field for field in fields if not field.obstacle and _place(document, field.path) is not None]
    for field in added:
        place = _place(document, field.path)
        assert place is not None
        entry = CommentedMap(field.column())
        if not field.members:
            entry.fa.set_flow_style()
        place.append(entry)
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


def _place(document: Any, path: str) -> Any:
    """The list of columns that a field belongs to; None when its parents are no structs of the contract."""
    columns = document["columns"]
    *parents, name = path.split(".")
    for parent in parents:
        columns = next((item.get("fields") for item in columns if item["name"] == parent), None)
        if columns is None:
            return None
    return None if any(item["name"] == name for item in columns) else columns


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -_INT64 <= value < _INT64 else "mixed"
    if isinstance(value, float):
        return "double"
    for kind, parse in (("date", dt.date.fromisoformat), ("timestamp", dt.datetime.fromisoformat)):
        try:
            if len(value) >= 10 and value[4:5] == "-":
                parse(value)
                return kind
        except ValueError:
            continue
    return "string"
