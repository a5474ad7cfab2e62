"""Holds a day back until its feed is complete by the contract: `signals (feed_is_complete(feed := 'events'))`."""

from __future__ import annotations

from sqlmesh import DatetimeRanges, signal


@signal()  # type: ignore[untyped-decorator]  # SQLMesh publishes no types
def feed_is_complete(batch: DatetimeRanges, feed: str) -> DatetimeRanges:
    """The days of a batch that need not wait, see `completeness` in the feed's contract.

    Raises:
        ConfigError, RetriableError: ledger or landing cannot be read, or there is no such feed.
    """
    # Imported here: SQLMesh stores with the model all that a signal finds at module level.
    from sqlmesh.core.console import get_console

    from ingest.contracts.contract import select
    from ingest.settings import settings
    from pipeline.invalidation.completeness import judge

    (contract,) = select((feed,))
    verdict = judge(contract, [start.date() for start, _ in batch], settings())
    if warning := verdict.warning(contract):
        get_console().log_warning(warning)
    return [(start, end) for start, end in batch if start.date() not in verdict.held]
