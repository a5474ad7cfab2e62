"""Contract changes from what records bring: `lake contracts propose`."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.contract import select
from ingest.ledger import Ledger
from ingest.propose import proposal, unknown_fields, write
from ingest.settings import Settings
from ingest.store import Store


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed for one feed.

    Attributes:
        columns: dotted paths with the number of records that bring them.
        unfit: fields that cannot be columns, and why; they stay in `_rescued_data`.
        patch: the change of the contract's file; empty for none.
    """

    feed: str
    columns: dict[str, int]
    unfit: tuple[str, ...]
    patch: str


def propose(feeds: tuple[str, ...], options: Settings, in_place: bool = False) -> list[Proposal]:
    """Looks through the rescued fields of the named feeds, all without names.

    Args:
        in_place: whether to write the changed contracts.

    Raises:
        ConfigError: a feed is unknown, or the lake cannot be used.
        RetriableError: the lake cannot be reached.
    """
    lake = Store(options.lake_uri, options)
    found = []
    for contract in select(feeds):
        fields = unknown_fields(lake, Ledger(lake, contract.feed).state())
        path, text, patch = proposal(contract, fields)
        if patch and in_place:
            write(path, text)
        unfit = tuple(f"{item.path} ({item.records:,} records): {item.obstacle}" for item in fields if item.obstacle)
        fit = {item.path: item.records for item in fields if not item.obstacle}
        found.append(Proposal(contract.feed, fit, unfit, patch))
    return found
