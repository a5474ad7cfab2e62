"""Contract changes derived from undeclared fields: `lake contracts propose`."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.contracts.contract import Contract, Kind, select
from ingest.contracts.draft import write_contract
from ingest.inference.field import MAX_SURVEYED
from ingest.steps.propose import MAX_PROPOSED, Survey, proposal, unknown_fields
from pipeline.lake import Lake


@dataclass(frozen=True, slots=True)
class Proposal:
    """Proposed contract change of one feed.

    Attributes:
        columns: dotted paths with the number of records that have them.
        unfit: fields that cannot become columns, and why; they stay in `_rescued_data`.
        notes: human-readable limits because of which fields were left out.
        patch: the change of the contract's file; empty if there is none.
    """

    feed: str
    columns: dict[str, int]
    unfit: tuple[str, ...]
    notes: tuple[str, ...]
    patch: str


def propose(lake: Lake, feeds: tuple[str, ...], in_place: bool = False) -> list[Proposal]:
    """Propose columns for the rescued fields of the named feeds, all if none is named.

    Args:
        in_place: whether to write the changed contracts.

    Raises:
        ConfigError: a feed is unknown, or the lake cannot be used.
        RetriableError: the lake cannot be reached.
    """
    found = []
    for contract in select(feeds):
        survey = unknown_fields(lake.store, lake.ledger(contract.feed).state())
        fields = survey.fields
        path, text, patch = proposal(contract, fields)
        if patch and in_place:
            write_contract(path, text)
        unfit = tuple(f"{item.path} ({item.records:,} records): {item.obstacle}" for item in fields if item.obstacle)
        fit = {item.path: item.records for item in fields if not item.obstacle}
        found.append(Proposal(contract.feed, fit, unfit, notes_on(contract, survey), patch))
    return found


def notes_on(contract: Contract, survey: Survey) -> tuple[str, ...]:
    """Say what a proposal from a survey leaves out, or cannot know."""
    fit = [field for field in survey.fields if not field.obstacle]
    notes = []
    if not survey.is_complete:
        notes.append(f"more than {MAX_SURVEYED:,} unknown fields; those that appeared after this limit are left out")
    if sum(field.size for field in fit) > MAX_PROPOSED:
        notes.append(
            f"only the most frequent fields are proposed, at most {MAX_PROPOSED} columns at a time; "
            "add these and run it again for more"
        )
    if fit and contract.kind is Kind.CHANGE:
        notes.append(
            "the connector's types are not kept with the values: text may be decimals, and integers of events without "
            "a schema part may be dates or times; `lake contracts infer` on such objects shows the types"
        )
    return tuple(notes)
