"""Contract evolution: whether a changed contract is compatible with loaded data (docs/contracts.md).

The ledger records the contract of each load (columns, kind, key, event time and constraints) whenever it differs from
the previous one. A change is allowed if every row loaded before reads exactly as if it were loaded with the new
contract. Any other change is refused: the feed stops, and its bronze stays readable with the recorded contract.

Changed constraints change which records are accepted from then on, not how rows read: they are allowed, with a new
version, which tells by which of them a record was judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from ingest.contracts.classes import Class
from ingest.contracts.column import DEFAULT_UNIT, Column, Unit
from ingest.contracts.constraint import Constraint
from ingest.contracts.contract import Contract, Kind
from ingest.errors import ContractRefused
from ingest.ledger.agreement import Record
from ingest.ledger.column_types import Type, Types, file_types, reads_exactly
from ingest.ledger.files import LakeFile
from ingest.ledger.state import LedgerState
from ingest.storage.store import Store

EXACT_DOUBLE = 1 << 53
"""Greatest magnitude up to which every integer has an exact double."""
_UNKNOWN = "unknown"
"""Subject of a column that only an older contract declared; its class is the strictest."""
THREADS = 32


def check_compatible(contract: Contract, lake: Store, state: LedgerState) -> str:
    """Check a contract against the loaded data.

    Args:
        state: the ledger's state; its objects are not needed.

    Returns:
        The record that the next entry with objects must contain; empty if the ledger already has it.

    Raises:
        ContractRefused: the contract is incompatible with the data, or differs from the record of its version; the
            message states each column, the rule and the next step.
    """
    text = unrecorded(contract, state)
    if text and (faults := refusals(contract, lake, state)):
        raise ContractRefused(contract.feed, faults)
    return text


def unrecorded(contract: Contract, state: LedgerState) -> str:
    """Return the record of the contract; empty if the ledger already has it."""
    text = Record.of(contract).text()
    return "" if text == state.contract else text


def refusals(contract: Contract, lake: Store, state: LedgerState) -> list[str]:
    """Return why a contract is incompatible with the loaded data, one string per fault; empty if it is compatible."""
    now = Record.of(contract)
    recorded = Record.parse(state.contract) if state.contract else None
    faults = _record_faults(now, recorded, any(file.rows for file in state.bronze_files())) if recorded else []
    if recorded and now.version < recorded.version:
        return faults  # an old contract: all other faults follow from that
    shapes: dict[str, list[LakeFile]] = {}
    for file in state.bronze_files():
        shapes.setdefault(file.columns, []).append(file)
    dated = {file.event_date is not None for files in shapes.values() for file in files}
    if not recorded and dated - {contract.kind is Kind.EVENT}:
        faults.append(f"kind is {contract.kind}, but its files are of the other kind")
    for columns, files in sorted(shapes.items()):
        faults += _file_faults(now.columns, file_types(columns), _Values(lake, files))
    return list(dict.fromkeys(faults))


def _record_faults(now: Record, recorded: Record, has_rows: bool) -> list[str]:
    """Return the faults of a contract against the recorded one."""
    if now.version < recorded.version:
        return [
            f"version {now.version} is older than version {recorded.version}, with which the feed was loaded; "
            f"use version {recorded.version} or a later one"
        ]
    agreed: list[tuple[str, str | tuple[str, ...] | None, str | tuple[str, ...] | None]] = [
        ("kind", recorded.kind, now.kind),
        ("key", recorded.key, now.key),
        ("event_time", recorded.event_time, now.event_time),
    ]
    if has_rows:
        agreed.append(("source.order", recorded.order, now.order))
        for path in sorted(now.columns.keys() & recorded.columns.keys()):
            was, is_now = (record.units.get(path, str(DEFAULT_UNIT)) for record in (recorded, now))
            agreed.append((f"unit of column '{path}'", was, is_now))
    faults = [
        f"{name} changes from {_shown(before)} to {_shown(after)}, which changes the meaning of rows loaded before; "
        "make it a new feed"
        for name, before, after in agreed
        if before != after
    ]
    for path, kind in now.columns.items() if has_rows else ():
        before = recorded.columns.get(path)
        if kind.required and not (before and before.required) and not _is_in_a_new_list(path, now, recorded):
            what = "becomes required" if before else "is new and required"
            faults.append(f"column '{path}' {what}, but rows loaded before may lack it; leave it optional")
    if now.version == recorded.version and now.differs(recorded):
        differing = {"columns": _differing(recorded.columns, now.columns)}
        if recorded.constraints != now.constraints:
            constraints = _differing(_in_words(recorded.constraints), _in_words(now.constraints))
            differing = {what: found for what, found in differing.items() if found} | {"constraints": constraints}
        for what, found in differing.items():
            details = f": {found}" if found else ""
            faults.append(
                f"version {now.version} is recorded with other {what}{details}; raise `version` with each change"
            )
    return faults


def _is_in_a_new_list(path: str, now: Record, recorded: Record) -> bool:
    """Whether a column is inside a list that no row has yet: such rows cannot lack it."""
    parents = [path[:place] for place, letter in enumerate(path) if letter == "."]
    return any(now.columns[parent].repeated and parent not in recorded.columns for parent in parents)


def _in_words(constraints: Mapping[str, str]) -> dict[str, str]:
    """Describe each constraint, by name."""
    found = (Constraint.parse(name, text) for name, text in constraints.items())
    return {item.name: f"{item.column} {item.expected} ({item.policy})" for item in found}


def _differing(before: Mapping[str, Type | str], after: Mapping[str, Type | str]) -> str:
    """Describe how columns or constraints differ, up to five of them."""
    paths = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    shown = [f"'{path}' was {before.get(path, 'absent')} and is {after.get(path, 'absent')}" for path in paths]
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def _shown(value: str | tuple[str, ...] | None) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True, slots=True)
class _Range:
    """The values of a column in files: the count of non-NULL ones, the least and the greatest (None: unknown)."""

    count: int
    low: Any = None
    high: Any = None


class _Values:
    """Value statistics from the footers of Parquet files, read on first use."""

    def __init__(self, lake: Store, files: Iterable[LakeFile]) -> None:
        self._lake, self._files = lake, list(files)
        self._footers: list[pq.FileMetaData] | None = None

    def of(self, path: str, types: Types) -> _Range:
        """Return the range of a column, including the fields below it."""
        if self._footers is None:
            with ThreadPoolExecutor(THREADS) as pool:
                self._footers = list(pool.map(self._footer, self._files))
        parts, place = [], ""
        for part in path.split("."):
            place = f"{place}.{part}" if place else part
            parts += [part, "list", "element"] if types[place].repeated else [part]
        whole = ".".join(parts)
        count = 0
        lows: list[Any] = []
        highs: list[Any] = []
        for footer in self._footers:
            for group in range(footer.num_row_groups):
                for number in range(footer.num_columns):
                    chunk = footer.row_group(group).column(number)
                    if chunk.path_in_schema != whole and not chunk.path_in_schema.startswith(f"{whole}."):
                        continue
                    stats = chunk.statistics
                    values = chunk.num_values - stats.null_count if stats and stats.has_null_count else chunk.num_values
                    count += values
                    if values:
                        lows.append(stats.min if stats and stats.has_min_max else None)
                        highs.append(stats.max if stats and stats.has_min_max else None)
        if None in lows or None in highs:
            return _Range(count)
        return _Range(count, min(lows, default=None), max(highs, default=None))

    def _footer(self, file: LakeFile) -> pq.FileMetaData:
        with self._lake.open(file.path) as source:
            return pq.ParquetFile(source).metadata


def _file_faults(now: Types, before: Types, values: _Values) -> list[str]:
    """Return the faults of a contract against the values of files with the same columns."""
    faults: list[str] = []
    refused: set[str] = set()
    for path, old in before.items():
        parents = [path[:place] for place, letter in enumerate(path) if letter == "."]
        if refused.intersection(parents):
            continue  # already reported for the parent
        new = now.get(path)
        if new is None:
            refused.add(path)
            if values.of(path, before).count:
                faults.append(
                    f"column '{path}' ({old}) is removed, but rows loaded before have values in it; keep it, optional, "
                    "and add its replacement under a new name"
                )
        elif (old.repeated, reads_exactly(old.base, new.base)) != (new.repeated, True):
            refused.add(path)
            in_list = old.repeated or any(before[parent].repeated for parent in parents)
            if reason := _value_fault(path, old, new, values.of(path, before), in_list):
                faults.append(
                    f"column '{path}' changes from {old} to {Type(new.base, new.repeated)}, {reason}; keep it and "
                    "add a column with another name, or make a new feed"
                )
    return faults


def _value_fault(path: str, old: Type, new: Type, found: _Range, in_list: bool) -> str:
    """Return the fault of a type change that is not safe in general; empty if the loaded values allow it."""
    if old.base != "struct" and not in_list and not found.count:
        return ""  # nothing was loaded, for instance because the column was declared wrongly
    if (old.base, new.base, old.repeated) == ("integer", "double", new.repeated):
        if not found.count:
            return ""
        if found.low is not None and found.low >= -EXACT_DOUBLE and found.high <= EXACT_DOUBLE:
            return ""
        greatest = "an integer beyond ±2^53" if found.low is None else max(found.low, found.high, key=abs)
        return f"but {greatest} was loaded, which a double does not represent exactly"
    return "which does not read the values loaded before exactly"


def as_loaded(contract: Contract, state: LedgerState) -> Contract:
    """Return the contract as recorded in the ledger, for reading; descriptions, classes and what identifies persons are
    the current ones."""
    if state.contract:
        record = Record.parse(state.contract)
    else:  # loaded before contracts were recorded: use the columns of the newest file
        newest = max(state.bronze_files(), key=lambda file: file.path)
        undated = Kind.ENTITY if contract.kind is Kind.EVENT else contract.kind  # which of them, files do not show
        kind = (undated if newest.event_date is None else Kind.EVENT).value
        record = Record(contract.version, kind, contract.key, contract.event_time, file_types(newest.columns))
    known = dict(contract.walk())

    def below(prefix: str) -> tuple[Column, ...]:
        return tuple(
            Column.model_construct(
                name=path.removeprefix(prefix),
                type=kind.base,
                description=known[path].description if path in known else "",
                required=kind.required,
                class_=known[path].class_ if path in known else Class.SENSITIVE,
                subject=known[path].subject if path in known else _UNKNOWN,
                identifies=known[path].identifies if path in known else None,
                shared=path in known and known[path].shared,
                repeated=kind.repeated,
                unit=Unit(record.units[path]) if path in record.units else None,
                fields=below(f"{path}."),
            )
            for path, kind in record.columns.items()
            if path.startswith(prefix) and "." not in path.removeprefix(prefix)
        )

    recorded = record.columns.keys()
    return contract.model_copy(
        update={
            "version": record.version,
            "kind": Kind(record.kind),
            "key": record.key,
            "event_time": record.event_time,
            "columns": below(""),
            "source": contract.source.model_copy(update={"order": record.order}),
            "created_at": contract.created_at if contract.created_at in recorded else None,
            "constraints": tuple(Constraint.parse(name, text) for name, text in record.constraints.items()),
            "latest_by": tuple(path for path in contract.latest_by if path in recorded),
            "dates": tuple(path for path in contract.dates if path in recorded),
            "one_person": tuple(path for path in contract.one_person if path in recorded),
            "references": tuple(item for item in contract.references if item.column in recorded),
        }
    )
