"""Compatibility of contracts with the data already loaded: `lake contracts`."""

from __future__ import annotations

from collections.abc import Iterable

from ingest.contracts.contract import Contract
from ingest.errors import ContractRefused
from ingest.ledger.evolution import check_compatible
from ingest.ledger.ledger import Ledger
from ingest.storage.store import Store


def contract_changes(contracts: Iterable[Contract], lake: Store) -> list[ContractRefused]:
    """Find the contracts that cannot read the data in the lake; none if there is no lake yet.

    Raises:
        ConfigError, RetriableError: the lake cannot be read.
    """
    refused = []
    for contract in contracts:
        try:
            check_compatible(contract, lake, Ledger(lake, contract.feed).live())
        except ContractRefused as error:
            refused.append(error)
    return refused
