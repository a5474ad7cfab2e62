"""Delays a day until its feed is complete by the contract: `signals (feed_is_complete(feed := 'events'))`.

SQLMesh finds the signals that models name in signals/.
"""

from __future__ import annotations

from sqlmesh import DatetimeRanges, signal


@signal()  # type: ignore[untyped-decorator]  # SQLMesh publishes no types
def feed_is_complete(batch: DatetimeRanges, feed: str) -> DatetimeRanges:
    """Return the days of a batch that can be computed now, by `completeness` in the feed's contract.

    Raises:
        ConfigError, RetriableError: the ledger or the landing cannot be read, or the feed does not exist.
    """
    # Imported here because SQLMesh stores every module-level name that a signal uses with the model.
    from sqlmesh.core.console import get_console

    from ingest.contracts.contract import select
    from ingest.settings import settings
    from pipeline.invalidation.completeness import judge
    from pipeline.lake import Lake

    (contract,) = select((feed,))
    lake = Lake(settings())
    verdict = judge(contract, [start.date() for start, _ in batch], lake.landing(contract), lake.store)
    if warning := verdict.warning(contract):
        get_console().log_warning(warning)
    return [(start, end) for start, end in batch if start.date() not in verdict.withheld]
