"""Forgetting: takes persons out of rows and rejected records, the same way at a load and in what was loaded before.

A record is a person's if one of its identifiers is, but for a shared one (the cookie of a device) of a record that
names somebody else. What happens to it the contract says: it is deleted, or stays without the person, or stays. Rescued
fields and lists of other records lose the identifier alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from ingest.contracts.column import Column
from ingest.contracts.contract import Contract
from ingest.contracts.processing import OnErasure
from ingest.ledger.tombstones import integer_pseudonym, is_pseudonym, pseudonym
from ingest.records.parsed import LINE, RESCUED, SOURCE, Parsed
from ingest.steps.leaves import Mask, with_leaf
from ingest.steps.matchers import Matcher, named_values, tokens, unescaped
from ingest.storage.arrays import as_numpy, single_array


@dataclass(slots=True)
class Forgotten:
    """What became of a table.

    Attributes:
        table: the rows that are left.
        deleted: which rows were deleted.
        changed: which rows of `table` stayed without a person.
        touched: which rows, deleted ones included, had a person.
    """

    table: pa.Table
    deleted: Mask
    changed: Mask
    touched: Mask

    @property
    def is_same(self) -> bool:
        """Whether nothing was found."""
        return not self.touched.any()


class Forgetter:
    """Forgets the persons that a matcher knows, by the rules of a contract.

    Attributes:
        found: further identifiers of these persons, which the matcher does not know; by name.
        lines: (source, line) of the records that had them, of what was parsed.
    """

    def __init__(self, contract: Contract, matcher: Matcher, key: bytes) -> None:
        self.contract, self.matcher, self.key = contract, matcher, key
        self.found: dict[str, set[str]] = {}
        self.lines: set[tuple[int, int]] = set()
        self._identifiers = contract.identifiers()
        self._keys = {name: name for name in matcher.names}
        self._keys |= {path.rsplit(".", 1)[-1]: str(item.identifies) for path, item in self._identifiers.items()}
        self._nulled = contract.nulled()

    def parsed(self, parsed: Parsed) -> Parsed:
        """Forget in what was parsed; deleted records are counted as erased."""
        done = self.rows(parsed.rows)
        erased = list(parsed.erased)
        if done.touched.any():
            had = parsed.rows.select([SOURCE, LINE]).filter(pa.array(done.touched))
            self.lines.update(zip(had.column(0).to_pylist(), had.column(1).to_pylist(), strict=True))
        if done.deleted.any():
            gone = parsed.rows.filter(pa.array(done.deleted))
            erased += zip(gone.column(SOURCE).to_pylist(), gone.column(LINE).to_pylist(), strict=True)
        rejects = []
        for reject in parsed.rejects:
            if self.mentions(reject.raw):
                erased.append((reject.source, reject.line))
                self.lines.add((reject.source, reject.line))
            else:
                rejects.append(reject)
        return replace(parsed, rows=done.table, rejects=rejects, erased=erased)

    def rows(self, table: pa.Table) -> Forgotten:
        """Forget in a table of rows with the columns of the contract (older files lack some) and `_rescued_data`."""
        own = self._own(table)
        nothing = np.zeros(len(table), dtype=bool)
        if own.any():
            self._find(table, own)
        policy = self.contract.on_erasure
        deleted = own if policy is OnErasure.DELETE else nothing
        left = table.filter(pa.array(~deleted)) if deleted.any() else table
        changed = np.zeros(len(left), dtype=bool)
        if policy is OnErasure.PSEUDONYMISE and own.any():
            left = self._pseudonymised(left, own)
            changed |= own
        if policy is not OnErasure.KEEP:
            left, cleaned = self._without_mentions(left)
            changed |= cleaned
        touched = deleted.copy()
        touched[~deleted] = changed
        return Forgotten(left, deleted, changed, touched)

    def names_nobody_else(self, table: pa.Table) -> Mask:
        """Which rows have identifiers, all of them of such persons; lists apart."""
        named, others = (np.zeros(len(table), dtype=bool) for _ in range(2))
        for path, column in self._identifiers.items():
            values = None if column.repeated else self._values(table, path)
            if values is None:
                continue
            hits = self._hits(str(column.identifies), values)
            is_given = as_numpy(pc.not_equal(pc.fill_null(pc.utf8_trim_whitespace(values.cast(pa.string())), ""), ""))
            named |= hits
            others |= is_given & ~hits
        return named & ~others

    def mentions(self, raw: bytes | str) -> bool:
        """Whether the text of a rejected record has an identifier of such a person."""
        if self.contract.on_erasure is OnErasure.KEEP:
            return False
        text = unescaped(raw.decode(errors="replace") if isinstance(raw, bytes) else raw)
        if any(self.matcher.has(name, value) for name, value in named_values(text, self._keys)):
            return True
        return any(self.matcher.has(name, token) for token in tokens(text) for name in self.matcher.names)

    def _own(self, table: pa.Table) -> Mask:
        """Which rows are a person's."""
        own, shared, others = (np.zeros(len(table), dtype=bool) for _ in range(3))
        naming = self.contract.one_person or tuple(self._identifiers)
        for path, column in self._identifiers.items():
            if column.repeated:
                continue
            values = self._values(table, path)
            if values is None:
                continue
            hits = self._hits(str(column.identifies), values)
            if column.shared:
                shared |= hits
            else:
                own |= hits
                if path in naming:
                    texts = pc.fill_null(pc.utf8_trim_whitespace(values.cast(pa.string())), "")
                    others |= as_numpy(pc.not_equal(texts, ""))
        return own | (shared & ~others)

    def _hits(self, name: str, values: pa.Array) -> Mask:
        """Which values of an identifier are of such persons."""
        encoded = values.cast(pa.string()).dictionary_encode()
        among = pc.fill_null(self.matcher.among(name, encoded.dictionary), False)
        if not pc.any(among).as_py():
            return np.zeros(len(values), dtype=bool)
        return as_numpy(pc.fill_null(among.take(encoded.indices), False)).astype(bool)

    def _values(self, table: pa.Table, path: str) -> pa.Array | None:
        """The values of an identifier; of a file that is older than its column, those in the rescued fields."""
        parts = path.split(".")
        if parts[0] in table.column_names:
            values = single_array(table.column(parts[0]))
            for name in parts[1:]:
                values = pc.struct_field(values, name)
            return values
        rescued = single_array(table.column(RESCUED)) if RESCUED in table.column_names else None
        if rescued is None or rescued.null_count == len(rescued):
            return None
        found = [json.loads(text).get(path) if text else None for text in rescued.to_pylist()]
        return pa.array([None if value is None or isinstance(value, dict | list) else str(value) for value in found])

    def _find(self, table: pa.Table, own: Mask) -> None:
        """Collect what else identifies the persons of these rows."""
        for path in self.contract.one_person:
            column = self._identifiers[path]
            values = self._values(table, path)
            if values is None or column.repeated:
                continue
            name = str(column.identifies)
            for value in pc.unique(values.filter(pa.array(own)).cast(pa.string())).to_pylist():
                if value and value.strip() and not self.matcher.has(name, value) and not is_pseudonym(value):
                    self.found.setdefault(name, set()).add(value)

    def _pseudonymised(self, table: pa.Table, own: Mask) -> pa.Table:
        for path, column in self._identifiers.items():
            if not column.repeated:
                table = with_leaf(table, path.split("."), own, self._replacer(column))
        for path in self._nulled:
            table = with_leaf(table, path.split("."), own, _nothing)
        if RESCUED in table.column_names:
            table = with_leaf(table, [RESCUED], own, _nothing)
        return table

    def _replacer(self, column: Column) -> Callable[[pa.Array, Mask], pa.Array]:
        name = str(column.identifies)

        def replaced(values: pa.Array, where: Mask) -> pa.Array:
            found: list[Any] = values.to_pylist()
            for place in np.flatnonzero(where).tolist():
                if found[place] is not None:
                    text = str(found[place])
                    make = integer_pseudonym if pt.is_integer(values.type) else pseudonym
                    found[place] = make(self.key, name, text)
            return pa.array(found, values.type)

        return replaced

    def _without_mentions(self, table: pa.Table) -> tuple[pa.Table, Mask]:
        """Take identifiers out of lists and rescued fields of rows that are somebody else's."""
        changed = np.zeros(len(table), dtype=bool)
        for path, column in self._identifiers.items():
            if column.repeated and path in table.column_names:
                lists = single_array(table.column(path))
                hits = self._hits(str(column.identifies), pc.list_flatten(lists))
                if hits.any():
                    changed[as_numpy(pc.list_parent_indices(lists))[hits]] = True
                    gone = set(pc.list_flatten(lists).filter(pa.array(hits)).to_pylist())
                    kept = [None if one is None else [v for v in one if v not in gone] for one in lists.to_pylist()]
                    place = table.column_names.index(path)
                    table = table.set_column(place, table.field(path), pa.array(kept, lists.type))
        if RESCUED not in table.column_names:
            return table, changed
        rescued = single_array(table.column(RESCUED))
        if rescued.null_count == len(rescued):
            return table, changed
        texts = rescued.to_pylist()
        for place in np.flatnonzero(as_numpy(self.matcher.may_be_in(rescued))).tolist():
            cleaned = self._cleaned(texts[place])
            if cleaned != texts[place]:
                texts[place], changed[place] = cleaned, True
        if not changed.any():
            return table, changed
        column = table.column_names.index(RESCUED)
        return table.set_column(column, table.field(RESCUED), pa.array(texts, rescued.type)), changed

    def _cleaned(self, text: str) -> str:
        """Rescued fields without those values that name such a person."""
        if not self.mentions(text):
            return text

        def clean(value: Any, key: str) -> Any:
            if isinstance(value, dict):
                kept = {name: item for name, item in value.items() if not self.mentions(name)}
                return {name: clean(item, name.rsplit(".", 1)[-1]) for name, item in kept.items()}
            if isinstance(value, list):
                return [clean(item, key) for item in value]
            if value is None or isinstance(value, bool):
                return value
            is_named = key in self._keys and self.matcher.has(self._keys[key], str(value))
            return None if is_named or self.mentions(str(value)) else value

        return json.dumps(clean(json.loads(text), ""), separators=(",", ":"), ensure_ascii=False)


def _nothing(values: pa.Array, where: Mask) -> pa.Array:
    return pc.if_else(pa.array(where), pa.scalar(None, values.type), values)
