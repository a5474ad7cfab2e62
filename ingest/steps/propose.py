"""Contract proposals: columns for fields that records have and their contract does not know, for review."""

from __future__ import annotations

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

from ingest.contracts.contract import CONTRACTS, Contract
from ingest.formats.fields import JSON_ERRORS
from ingest.inference.field import MAX_MEMBERS, MAX_SURVEYED, TOO_LARGE, Budget, Field
from ingest.ledger.state import LedgerState
from ingest.storage.store import Store

MAX_PROPOSED = MAX_MEMBERS
"""Columns of one proposal, members included: as many as a person can review."""
_INDEX = re.compile(r"\[\d+\]")
_value = msgspec.json.Decoder(float_hook=float).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


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
                field.note(TOO_LARGE, raw)
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
    yaml.width, yaml.preserve_quotes = 1 << 12, True  # lines stay as they are written
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
