"""What can go wrong, named by what the caller does about it.

    IngestError
    ├── ConfigError        fix a setting, a contract or a permission, then run again   (exit 2)
    │   └── LostLedger     entries of a feed's log are missing: restore or rebuild it  (exit 2)
    ├── RetriableError     the store or a lock was unavailable: run again              (exit 1)
    ├── TooManyBadRecords  more was quarantined than the contract allows: mend producer or contract     (exit 1)
    ├── OverwriteRefused   an object has new content, and its contract says refuse: look at it          (exit 1)
    ├── StuckObjects       some objects could not be read, all others are loaded: run again, look at them (exit 1)
    ├── DamagedLake        files of the lake are missing or unreadable: restore them, or load them anew (exit 1)
    ├── ConflictError      another ingester took these objects first: plan again       (handled inside)
    └── CorruptObject      one object cannot be decoded: it is quarantined as a whole  (handled inside)

A single bad record is no exception: it becomes a row of the quarantine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class IngestError(Exception):
    """Base of all errors that Lakemesh raises on purpose. The message names the object and the next step."""


class ConfigError(IngestError):
    """A setting, contract, credential or folder is wrong. Nothing was changed."""


class LostLedger(ConfigError):  # noqa: N818  somebody else erred: bronze and readers keep what they have
    """A feed's log lacks entries that were there, or the lake its identity. Nothing is written until that is repaired.

    Args:
        feed: the one whose log it is; empty when it is the whole lake.
    """

    def __init__(self, place: str, what: str, feed: str = "") -> None:
        super().__init__(
            f"{place} {what}. Nothing is written to {feed or 'this lake'} before you restore the ledger from its "
            f"back-up, or run `lake ledger rebuild{' ' * bool(feed)}{feed}`, then `lake ingest`"
        )


class RetriableError(IngestError):
    """Something outside was unavailable. Nothing was lost: run the command again."""


class TooManyBadRecords(IngestError):  # noqa: N818  it is the data that erred: the load is done, and kept
    """A load quarantined a larger share of its records than the contract allows."""

    def __init__(self, feed: str, quarantined: int, records: int) -> None:
        super().__init__(
            f"{feed}: {quarantined:,} of {records:,} records are quarantined, more than the contract's "
            "max_quarantined_share; the good ones are loaded. `lake why BUCKET/KEY` shows an object's bad lines"
        )


class OverwriteRefused(IngestError):  # noqa: N818  it is the producer that erred: all else is loaded
    """Objects have new content under their old names, which their contract does not allow."""

    def __init__(self, feed: str, objects: int) -> None:
        super().__init__(
            f"{feed}: {objects:,} overwritten objects are refused by the contract, their old rows stay. "
            "`lake ingest --dry-run` names them; write them under new names, or set `overwritten: replace`"
        )


class StuckObjects(IngestError):  # noqa: N818  all else is loaded
    """Objects that the store lists but does not hand out."""

    def __init__(self, feed: str, stuck: Mapping[str, str]) -> None:
        first, reason = next(iter(stuck.items()))
        more = f" and {len(stuck) - 1:,} more" if len(stuck) > 1 else ""
        super().__init__(
            f"{feed}: {first}{more} could not be read, all others are loaded; run it again, and look at that object "
            f"if it stays so: {reason}"
        )


class DamagedLake(IngestError):  # noqa: N818  somebody else erred: readers keep the state that they have
    """Files that the ledger names are missing, cut short or unreadable."""

    def __init__(self, lake_uri: str, feed: str, files: Sequence[tuple[str, str]]) -> None:
        path, what = files[0]
        more = f", and {len(files) - 1:,} more files of {feed} likewise" if len(files) > 1 else ""
        super().__init__(
            f"{lake_uri}/{path} {what}{more}. `lake verify {feed} --deep` names all of them; restore them from the "
            f"back-up, or have the landing loaded anew: `lake ledger rebuild {feed} --force`, then `lake ingest`"
        )


class ConflictError(IngestError):
    """Another ingester committed one of the same objects, or a file that this commit removes."""


class CorruptObject(IngestError):  # noqa: N818  it is never raised to the user: the object is quarantined
    """An object's compression or encoding is broken.

    Attributes:
        source_file: bucket/key of the object.
        detail: what the decoder said.
    """

    def __init__(self, source_file: str, detail: str) -> None:
        super().__init__(f"{source_file} cannot be decoded: {detail}")
        self.source_file = source_file
        self.detail = detail
