"""What waits in the landing: the listing minus what the ledger knows. No cursor, so no key can be missed."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.contract import Contract
from ingest.ledger import LedgerState
from ingest.store import Store, StoredObject

_IGNORED = ("_SUCCESS", ".DS_Store")


@dataclass(frozen=True, slots=True)
class Waiting:
    """An object version that bronze does not hold yet.

    Attributes:
        source_file: bucket/key, whatever the landing's root.
        version: the version as listed.
        replaces: an older version of it is in the ledger.
    """

    source_file: str
    version: StoredObject
    replaces: bool


def discover(contract: Contract, landing: Store, state: LedgerState) -> list[Waiting]:
    """The feed's waiting objects, in key order.

    Raises:
        ConfigError: the bucket is missing or access is refused.
        RetriableError: the store cannot be reached.
    """
    bucket, known = contract.source.bucket, state.objects
    waiting = []
    for version in landing.list(contract.source.prefix.rstrip("/")):
        if version.key.endswith(("/", *_IGNORED)):
            continue
        source_file = f"{bucket}/{version.key}"
        before = known.get(source_file)
        if before is None or before.etag != version.etag:
            waiting.append(Waiting(source_file, version, before is not None))
    return sorted(waiting, key=lambda item: item.version.key)
