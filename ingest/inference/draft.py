"""A contract in the making: its columns and what to check about each, from what records are like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ingest.contracts.classes import Class
from ingest.contracts.column import DEFAULT_UNIT
from ingest.contracts.contract import MAX_LEVELS, Contract
from ingest.errors import ConfigError
from ingest.inference.field import CSV, MIXED, TO_BE_DESCRIBED
from ingest.inference.keys import MAX_COMPARED
from ingest.inference.nature import Nature, nature_of, nature_of_changes
from ingest.inference.observation import Observation
from ingest.inference.profile import MAX_OUTLIERS, Profile
from ingest.text import printable

LEAST_RECORDS = 100
"""Records from which on a column that all of them have is proposed as required."""
MAX_COLUMNS = 500
"""Columns of one draft, members included; further ones stay in `_rescued_data` until they are proposed."""


@dataclass(slots=True)
class ColumnDraft:
    """A column of a draft.

    Attributes:
        comments: what to check, one line each.
    """

    name: str
    type: str
    required: bool = False
    repeated: bool = False
    class_: Class = Class.NONE
    subject: str | None = None
    unit: str = ""
    description: str = TO_BE_DESCRIBED
    fields: list[ColumnDraft] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Draft:
    """A contract in the making.

    Attributes:
        nature: kind, key, times, and what to check about them.
        left_out: fields that are no columns, each with the reason.
        references: columns that seem to be keys of other feeds: column, feed, key.
        times: the range of values of each timestamp that may date the records, as written.
        notes: what to check about the whole.
    """

    nature: Nature
    columns: list[ColumnDraft]
    left_out: list[str]
    references: list[tuple[str, str, str]]
    times: dict[str, tuple[str, str]]
    notes: list[str]


def draft_of(feed: str, observation: Observation, others: Iterable[Contract]) -> Draft:
    """Draft the columns of a feed and tell what it is.

    Args:
        others: the contracts of other feeds, to which columns may refer.

    Raises:
        ConfigError: no column can be a key.
    """
    fields = observation.fields
    scalars = {
        name: _type(found)
        for name, found in fields.items()
        if not found.own_obstacle and not found.repeated and found.shape != "struct" and name not in _RESERVED
    }
    changes = observation.changes
    if changes is None:
        nature = nature_of(feed, scalars, observation.keys)
    else:
        nature = nature_of_changes(feed, scalars, observation.keys, changes.key)
    if nature is None:
        raise ConfigError(
            f"{feed}: none of the {len(fields):,} fields of {observation.rows:,} records can be a key; expected a "
            "field in lower_snake_case with one text or integer per record"
        )
    keys = {contract.key[0]: contract for contract in others if len(contract.key) == 1}
    columns, left_out = _Columns(feed, keys, changes is not None).of(observation, nature)
    declared = {column.name: column.type for column in columns}
    references = [
        (name, target.feed, name)
        for name, target in keys.items()
        if declared.get(name) == target.leaf(name).type and target.feed != feed
    ]
    times = {
        name: (printable(str(found.least)), printable(str(found.greatest)))
        for name, found in fields.items()
        if declared.get(name) == "timestamp" and found.least is not None
    }
    return Draft(nature, columns, left_out, references, times, _notes(observation))


_RESERVED = ("ingest_date", "event_date")


def _type(found: Profile) -> str:
    """The type of a column, without the doubts that a change feed has."""
    return found.money if found.is_csv and found.shape == "double" and found.money else found.shape


def _notes(observation: Observation) -> list[str]:
    notes = []
    one = "row" if observation.changes else "record"
    read = f"1 {one} was" if observation.rows == 1 else f"{observation.rows:,} {one}s were"
    if observation.rows < LEAST_RECORDS:
        notes.append(
            f"only {read} read, fewer than {LEAST_RECORDS}: nothing but the key is required, and types may still change"
        )
    expected = "change events" if observation.changes else "JSON objects"
    if observation.unreadable:
        notes.append(f"{observation.unreadable:,} of {observation.records:,} records are no {expected}")
    if observation.keys.repeated:
        notes.append(f"{observation.keys.repeated:,} records were sent more than once, byte for byte")
    if observation.keys.records >= MAX_COMPARED:
        notes.append(f"keys were compared over the first {MAX_COMPARED:,} records")
    if not observation.is_complete:
        notes.append("there are more fields than were counted; they may be data in the place of names")
    if changes := observation.changes:
        if len(changes.tables) > 1:
            notes.append(
                f"the changes are of several tables, which need a feed each: {', '.join(sorted(changes.tables))}"
            )
        if not changes.with_schema:
            notes.append(
                "the events have no schema part: types follow from values, and integers may be dates or times that the "
                "connector encodes"
            )
    return notes


@dataclass(slots=True)
class _Columns:
    """The columns of a feed's fields.

    Attributes:
        keys: other feeds by their key, whose class such a column has.
        left_out: fields that are no columns, each with the reason.
    """

    feed: str
    keys: Mapping[str, Contract]
    of_changes: bool = False
    left_out: list[str] = field(default_factory=list)

    def of(self, observation: Observation, nature: Nature) -> tuple[list[ColumnDraft], list[str]]:
        """Draft all columns; also return the fields that are left out."""
        kept = self._most_frequent(observation, {*nature.key, *nature.latest_by, nature.event_time})
        columns: list[ColumnDraft] = []
        for name, found in observation.fields.items():
            if name in _RESERVED[: 2 if nature.kind == "event" else 1]:
                self._leave(found, "bronze has a partition column of that name")
            elif name in kept and (column := self._column(found, levels=1 + found.repeated)):
                self._require(column, found, observation.rows, name in nature.key or name == nature.event_time)
                columns.append(column)
        return columns, self.left_out

    def _most_frequent(self, observation: Observation, fixed: set[str | None]) -> set[str]:
        """The names of the fields that are columns, or say why they are not."""
        left, kept = MAX_COLUMNS, set()
        for name, found in sorted(
            observation.fields.items(), key=lambda item: (item[0] not in fixed, -item[1].present)
        ):
            size = 0 if found.own_obstacle else found.size
            if size <= left:
                left -= size
                kept.add(name)
            else:
                self._leave(found, f"beyond {MAX_COLUMNS} columns")
        return kept

    def _require(self, column: ColumnDraft, found: Profile, records: int, is_fixed: bool) -> None:
        lacking = records - found.present
        column.required = is_fixed or (not lacking and records >= LEAST_RECORDS)
        if lacking and (is_fixed or lacking <= MAX_OUTLIERS * records):
            then = ", and would be quarantined" if is_fixed else "; `required: true` would quarantine them"
            column.comments.append(f"{lacking:,} of {records:,} records lack it{then}")

    def _column(self, found: Profile, levels: int) -> ColumnDraft | None:
        """The draft of a field with those of its members that can be columns; None if it cannot be one."""
        obstacle = found.own_obstacle
        if not obstacle and levels > MAX_LEVELS:
            obstacle = f"it is nested deeper than {MAX_LEVELS} levels"
        column = ColumnDraft(found.name, _type(found), repeated=found.repeated)
        if not obstacle and found.shape == "struct":
            below = (self._column(item, levels + 1 + item.repeated) for item in (found.members or {}).values())
            column.fields = [member for member in below if member]
            obstacle = "" if column.fields else "none of its members can be a column"
        if obstacle:
            self._leave(found, obstacle)
            return None
        if outliers := found.outliers:
            column.comments.append(printable(f"of another type, and would be quarantined: {found.counted(outliers)}"))
        if found.shape != "struct":
            self._classify(column, found)
            column.comments += self._doubts(column, found)
        return column

    def _doubts(self, column: ColumnDraft, found: Profile) -> list[str]:
        unit = found.epoch_unit if self.of_changes else ""
        if unit and not found.repeated:
            column.type, column.unit = "timestamp", "" if unit == DEFAULT_UNIT else unit
            return [f"integers that look like {unit} since 1970, as the connector encodes times; or integer"]
        if self.of_changes and found.looks_like_days:
            return ["integers that may be days since 1970, as the connector encodes dates; then `type: date`"]
        return _doubts(found)

    def _classify(self, column: ColumnDraft, found: Profile) -> None:
        if target := self.keys.get(found.name):
            key = target.leaf(found.name)
            column.class_, column.subject = key.class_, key.subject
            column.comments += [f"class as of {target.feed}.{key.name}"] if key.is_personal else []
        elif finding := found.finding(self.feed):
            column.class_, column.subject = finding.class_, finding.subject
            column.comments.append(f"class by {finding.by}: {finding.label}")

    def _leave(self, found: Profile, obstacle: str) -> None:
        detail = f": {found.counted(found.kinds)}" if found.shape == MIXED else ""
        self.left_out.append(printable(f"{found.path} ({found.records:,} records): {obstacle}{detail}"))


def _doubts(found: Profile) -> list[str]:
    """What to check about the type of a field."""
    if not found.values:
        return ["without values in the samples; the type is that of the files"]
    if found.money and _type(found) != found.shape:
        return [f"text of numbers with up to {found.scale} decimals that look like money; or double"]
    if found.money and found.shape == "string":
        return [f"numbers written as text, which look like money; {found.money} would keep every digit and add up"]
    if found.money and found.shape == "double":
        return [f"looks like money; {found.money} would keep every digit, a double does not"]
    if unit := found.epoch_unit:
        return [f"integers that look like {unit} since 1970; a timestamp is read from text only"]
    kinds = {kind for kind in found.kinds if not kind.startswith(CSV)}
    if found.shape == "string" and (len(kinds) > 1 or (kinds and len(found.kinds) > 1)):
        return [printable(f"several kinds of text: {found.counted(found.kinds)}")]
    return []
