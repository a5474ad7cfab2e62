"""Parsing of lines into typed rows and rejected records. Whether a line is valid never depends on its neighbours.

The fast path reads a chunk of lines with one call of Arrow's JSON reader and checks what that reader is lenient about.
On any anomaly the slow path checks each line: msgspec finds suspect lines, Arrow judges each of these by itself, and
bisection finds what Arrow still refuses among the rest. Unknown fields are extracted line by line, and only in a chunk
that has some: Arrow would infer a column for each of them in every line, which is quadratic.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ingest.contracts.constraint import VIOLATED
from ingest.contracts.contract import Contract, Kind
from ingest.contracts.schema import WARNINGS, record_schema, row_schema
from ingest.formats.debezium.envelopes import Envelopes, Opened
from ingest.formats.debezium.unavailable import may_lack_values
from ingest.formats.fields import MAX_NESTING, Fields, Refused, Verdict
from ingest.formats.tokens import is_deeper_than
from ingest.records.parsed import LINE, MAX_DETAIL, RESCUED, SOURCE, Parsed, Reject, Skip
from ingest.records.parts import Piece
from ingest.records.times import Times, times_of
from ingest.steps.constraints import Constraints
from ingest.steps.forget import Forgetter
from ingest.steps.judge import Judge
from ingest.steps.leaves import above, nested
from ingest.steps.lines import Lines
from ingest.steps.ranges import Ranges
from ingest.steps.typed import REFUSALS, TypedReader
from ingest.storage.arrays import Indices, as_numpy

_NO_CHANGES = pa.table({})
# Arrow's reader overflows its stack at about ten thousand levels; lines that could hold a tenth are checked first.
_LONG_LINE = 2048


class Parser:
    """Parses chunks by one contract.

    Args:
        contract: the feed's contract.
        modified_at: when each object of the load was written, or each of its records; an event must not occur later
            than that plus the contract's clock skew.
        forgetter: forgets persons in what is parsed.
    """

    def __init__(
        self, contract: Contract, modified_at: Sequence[dt.datetime] | Times, forgetter: Forgetter | None = None
    ) -> None:
        self.contract, self._forgetter = contract, forgetter
        self.schema = record_schema(contract)
        self._reader, self._fields = TypedReader(contract), Fields(contract.columns)
        self._envelopes = Envelopes(contract) if contract.kind is Kind.CHANGE else None
        self._judge = Judge(contract, self._reader, self._fields)
        self._ranges = Ranges(contract)
        self._constraints = Constraints(contract)
        self._times, self._skew = times_of(modified_at), contract.clock_skew_seconds * 1_000_000
        epoch = dt.datetime.combine(contract.epoch, dt.time(), dt.UTC)
        self._earliest = int(epoch.timestamp() * 1e6)
        self._required = [path for path, column in contract.walk() if column.required]

    def empty(self) -> pa.Table:
        """An empty table with the columns of `parse`."""
        table = row_schema(self.contract).empty_table()
        for name, kind in ((SOURCE, pa.int32()), (LINE, pa.int64()), (RESCUED, pa.string())):
            table = table.append_column(name, pa.array([], kind))
        return table

    def parse(self, pieces: Sequence[Piece]) -> Parsed:
        """Parse the lines of `pieces`. Blank lines are not records."""
        parsed = self._parsed(pieces)
        return self._forgetter.parsed(parsed) if self._forgetter else parsed

    def _parsed(self, pieces: Sequence[Piece]) -> Parsed:
        original = lines = Lines.of(pieces)
        rejected: dict[int, Verdict] = {}
        opened: Opened | None = None
        skipped: list[Skip] = []
        if self._envelopes:
            may_lack = may_lack_values(original.buffer)
            opened = self._envelopes.open(original.texts(), len(original), may_lack=may_lack)
            lines = original.with_texts(opened.texts)
            rejected |= opened.refused
            skipped = [
                Skip(int(original.sources[index]), int(original.numbers[index]), kind)
                for index, kind in opened.skipped.items()
            ]
        line, kept = lines.text, lines.filled()
        found = None
        long = lines.longer_than(_LONG_LINE, kept).tolist()
        if lines.are_objects(kept) and not any(is_deeper_than(line(index), MAX_NESTING) for index in long):
            with suppress(*REFUSALS):
                found = self._reader.read(lines.buffer, len(kept))
        if found:
            rows, unknown = found
        else:
            rows, kept, unknown = self._separate(line, kept, rejected)
        bad = np.zeros(len(kept), dtype=bool)
        rescued = self._rescued(line, kept, rejected, bad) if unknown else pa.nulls(len(kept), pa.string())
        self._reader.expects_unknown = rescued.null_count < len(rescued)
        warnings = self._violations(rows, rescued, kept, lines, rejected, bad, opened)
        changes = opened.changes(kept) if opened else _NO_CHANGES
        added = dict(zip(changes.column_names, changes.columns, strict=True))
        added |= {WARNINGS: warnings} if self._constraints.warning_names else {}
        own = {SOURCE: lines.sources[kept], LINE: lines.numbers[kept], RESCUED: rescued}
        table = pa.table([*rows.columns, *added.values(), *own.values()], [*rows.column_names, *added, *own])
        rejects = []
        for index in sorted(rejected):
            verdict = rejected[index]
            if self._envelopes and line(index):
                verdict = self._envelopes.explained(verdict, line(index))
            reason, path, detail = verdict
            source, number = int(lines.sources[index]), int(lines.numbers[index])
            rejects.append(Reject(source, number, reason, path, detail[:MAX_DETAIL], original.text(index)))
        return Parsed(table.filter(pa.array(~bad)) if bad.any() else table, rejects, skipped)

    def _separate(self, line: Any, kept: Indices, rejected: dict[int, Verdict]) -> tuple[pa.Table, Indices, bool]:
        """Separate valid lines from invalid ones."""
        good: list[int] = []
        for index in kept.tolist():
            if text := line(index):
                if verdict := self._judge.verdict(text):
                    rejected[index] = verdict
                else:
                    good.append(index)
        tables: list[pa.Table] = []
        passed: list[int] = []
        unknown = False
        todo = [good]
        while todo:  # depth first, which keeps the order of the lines
            part = todo.pop()
            if not part:
                continue
            texts = [line(index) for index in part]
            try:
                table, has_unknown = self._reader.read(b"\n".join(texts) + b"\n", len(part))
            except REFUSALS as refusal:
                if len(part) == 1:
                    if row := self._without_unknown(texts[0], refusal):
                        tables.append(row)
                        passed += part
                        unknown = True
                    else:
                        rejected[part[0]] = self._judge.explain(texts[0], refusal)
                else:
                    half = len(part) // 2
                    parts = [part[:half], part[half:]]
                    if "specified twice" in str(refusal):  # cheaper than bisection
                        verdicts = {index: self._fields.fault(text) for index, text in zip(part, texts, strict=True)}
                        if found := {index: verdict for index, verdict in verdicts.items() if verdict}:
                            rejected |= found
                            parts = [[index for index in part if index not in found]]
                    todo += reversed(parts)
            else:
                tables.append(table)
                passed += part
                unknown |= has_unknown
        rows = pa.concat_tables(tables) if tables else self.schema.empty_table()
        return rows, np.array(passed, dtype=np.int64), unknown

    def _without_unknown(self, text: bytes, refusal: Exception) -> pa.Table | None:
        """The row of a line that Arrow refuses for a number of an unknown field: such a number is kept as text."""
        if "Number too big" in str(refusal):
            with suppress(*REFUSALS):
                return self._reader.read(self._fields.known(text) + b"\n", 1)[0]
        return None

    def _rescued(self, line: Any, kept: Indices, rejected: dict[int, Verdict], bad: npt.NDArray[np.bool_]) -> pa.Array:
        """`_rescued_data` of each kept line; a line whose unknown fields cannot be stored is rejected."""
        found: list[str | None] = []
        for place, index in enumerate(kept.tolist()):
            try:
                found.append(self._fields.unknown(line(index)))
            except Refused as refused:
                found.append(None)
                rejected[index] = refused.verdict
                bad[place] = True
        return pa.array(found, pa.string())

    def _violations(
        self,
        rows: pa.Table,
        rescued: pa.Array,
        kept: Indices,
        lines: Lines,
        rejected: dict[int, Verdict],
        bad: npt.NDArray[np.bool_],
        opened: Opened | None,
    ) -> pa.Array:
        """Reject rows that are well-formed but violate a rule, and mark them in `bad`; return all rows' warnings."""

        def reject(where: Indices, reason: str, column: str, detail: Any) -> None:
            for position in where.tolist():
                if not bad[position]:
                    rejected[int(kept[position])] = (reason, column, detail(position))
            bad[where] = True

        for found in self._ranges.out_of_range(rows):
            reject(found.rows, found.reason, found.path, found.details.__getitem__)
        if self.contract.unknown_fields == "freeze" and rescued.null_count < len(rescued):
            for place in np.flatnonzero(as_numpy(pc.is_valid(rescued))).tolist():
                names = list(msgspec.json.decode(rescued[place].as_py(), type=dict[str, msgspec.Raw]))
                detail = f"the contract does not know {', '.join(names)}, and is frozen"
                reject(np.array([place]), "unknown_field", names[0], lambda _, text=detail: text)
        for path in self._required:
            missing, in_list = _missing_values(rows, path)
            if opened and len(missing):
                missing = missing[~opened.excused(kept[missing], path)]
            if len(missing):
                detail = "expected a value in each element" if in_list else "expected a value"
                reject(missing, "missing_required", path, lambda _, detail=detail: detail)
        if self.contract.event_time and len(kept):
            column = rows.column(self.contract.event_time)
            micros = as_numpy(pc.fill_null(column.cast(pa.int64()), self._earliest))
            latest = self._times.micros(lines.sources[kept], lines.numbers[kept]) + self._skew
            future, early = np.flatnonzero(micros > latest), np.flatnonzero(micros < self._earliest)
            name = self.contract.event_time
            reject(future, "event_time_in_future", name, lambda p: f"{column[p]} is after the object's time plus skew")
            reject(early, "event_time_before_epoch", name, lambda p: f"{column[p]} is before {self.contract.epoch}")
        violated = list(self._constraints.violations(rows, opened.has_values(kept) if opened else None))
        for item in violated:
            if item.details:
                details = dict(zip(item.rows.tolist(), item.details, strict=True))
                reject(item.rows, VIOLATED, item.constraint.column, details.__getitem__)
        return self._constraints.warnings(violated, len(kept))


def _missing_values(rows: pa.Table, path: str) -> tuple[Indices, bool]:
    """(rows without a value at a dotted path, whether the path is within a list).

    Within a list every element needs a value; a null or empty list has no element that could lack one.
    """
    values, parents = nested(rows, path.split("."), flat=False)
    missing = np.flatnonzero(as_numpy(pc.is_null(values))) if values.null_count else np.empty(0, dtype=np.int64)
    found: Indices = np.unique(above(parents, len(values))[missing]) if parents else missing
    return found, bool(parents)
