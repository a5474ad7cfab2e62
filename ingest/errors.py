"""What can go wrong, named by what the caller does about it.

    LakemeshError
    ├── ConfigError        fix a setting, a contract or a permission, then run again   (exit 2)
    │   ├── ContractRefused  a contract does not read what its feed loaded before      (exit 2, only that feed stops)
    │   └── LostLedger     entries of a feed's log are missing: restore or rebuild it  (exit 2, only that feed stops)
    ├── RetriableError     the store or a lock was unavailable: run again              (exit 1)
    │   └── Busy           another process does the same: wait for it                  (exit 1)
    ├── Unexpected         nobody foresaw this error: report it                        (exit 1)
    ├── TooManyBadRecords  more was quarantined than the contract allows: mend producer or contract     (exit 1)
    ├── OverwriteRefused   an object has new content, and its contract says refuse: look at it          (exit 1)
    ├── UnloadableObjects  objects without a usable name or place, all others are loaded: rename or ignore them (exit 1)
    ├── StuckObjects       some objects could not be read, all others are loaded: run again, look at them (exit 1)
    ├── DamagedLake        files of the lake are missing or unreadable: restore them, or load them anew (exit 1)
    ├── PublishBlocked     gold is incomplete, or a blocking audit found rows: readers keep their release   (exit 1)
    ├── ServingRefused     Postgres does not take a release: it keeps the one before                        (exit 1)
    ├── ObjectRefused      one object is listed but not given, however often: it counts as stuck (handled inside)
    ├── ConflictError      another ingester took these objects first: plan again       (handled inside)
    └── CorruptObject      one object cannot be decoded: it is quarantined as a whole  (handled inside)

A single bad record is no exception: it becomes a row of the quarantine.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Mapping, Sequence

from ingest.text import printable

LOG = logging.getLogger(__name__)
SHOWN_FRAMES = 30
"""How much of a traceback is logged: its end. That of a RecursionError has a thousand frames."""


class LakemeshError(Exception):
    """Base of all errors that Lakemesh raises on purpose. The message names the object and the next step.

    Its text can be printed anywhere: what is odd in the name or the content of an object is escaped.
    """

    def __str__(self) -> str:
        return "\n".join(map(printable, super().__str__().split("\n")))


class ConfigError(LakemeshError):
    """A setting, contract, credential or folder is wrong. Nothing was changed."""


class ContractRefused(ConfigError):  # noqa: N818  it is the contract that erred
    """A contract was changed so that rows loaded before would be lost or read wrongly. The feed is not loaded."""

    def __init__(self, feed: str, faults: Sequence[str]) -> None:
        super().__init__(
            f"{feed}: the contract does not follow what was loaded before: {'; '.join(faults)}. Only this feed stops, "
            "and its bronze reads as before; docs/contracts.md lists the changes that are allowed and the ways out"
        )
        self.faults = tuple(faults)


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


class RetriableError(LakemeshError):
    """Something outside was unavailable. Nothing was lost: run the command again."""


class Busy(RetriableError):  # noqa: N818  nothing is wrong: somebody else is at work
    """Another process holds a lock that this one needs. It does the work, or will be done with it soon."""


class Unexpected(LakemeshError):  # noqa: N818  it wraps the error
    """An exception that nobody foresaw, in one step: a defect of Lakemesh or of a library that it uses.

    Args:
        place: the feed, object, model or step that it belongs to.
        error: what was raised; its first line is shown.
    """

    def __init__(self, place: str, error: BaseException) -> None:
        super().__init__(
            f"{place}: unexpected {described(error)}; a defect, please report it with the logged traceback"
        )


def described(error: BaseException) -> str:
    """An exception in one short line: `KeyError: 'a'`, at most 300 characters of its text."""
    text = " ".join(str(error).split())[:300].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_defect(error: BaseException) -> bool:
    """Whether nobody foresaw an exception: it is none of ours, and not the end of the process. Rust's panics count."""
    if isinstance(error, Exception):
        return not isinstance(error, LakemeshError)
    return type(error).__name__ == "PanicException"


def log_traceback(place: str, error: BaseException) -> None:
    """Logs where an exception comes from."""
    LOG.error("event=unexpected place=%s\n%s", place, "".join(traceback.format_exception(error, limit=-SHOWN_FRAMES)))


class TooManyBadRecords(LakemeshError):  # noqa: N818  it is the data that erred: the load is done, and kept
    """A load quarantined a larger share of its records than the contract allows."""

    def __init__(self, feed: str, quarantined: int, records: int) -> None:
        super().__init__(
            f"{feed}: {quarantined:,} of {records:,} records are quarantined, more than the contract's "
            "max_quarantined_share; the good ones are loaded. `lake why BUCKET/KEY` shows an object's bad lines"
        )


class OverwriteRefused(LakemeshError):  # noqa: N818  it is the producer that erred: all else is loaded
    """Objects have new content under their old names, which their contract does not allow."""

    def __init__(self, feed: str, objects: int) -> None:
        super().__init__(
            f"{feed}: {objects:,} overwritten objects are refused by the contract, their old rows stay. "
            "`lake ingest --dry-run` names them; write them under new names, or set `overwritten: replace`"
        )


class UnloadableObjects(LakemeshError):  # noqa: N818  all else is loaded
    """Objects that cannot be named or must not be followed."""

    def __init__(self, feed: str, reasons: Iterable[object]) -> None:
        """Takes the reasons with their objects, each as names.NotLoaded prints itself."""
        super().__init__(
            f"{feed}: some objects cannot be loaded: {'; '.join(map(str, reasons))}. Rename or remove them, or name "
            "them in the contract's source.ignore; they do not hold up the others"
        )


class ObjectRefused(LakemeshError):  # noqa: N818  handled by reporting the object
    """The store lists an object, but does not give it, however often it is asked; it gives others."""


class StuckObjects(LakemeshError):  # noqa: N818  all else is loaded
    """Objects that the store lists but does not hand out."""

    def __init__(self, feed: str, stuck: Mapping[str, str]) -> None:
        name, reason = next(iter(stuck.items()))
        more = f" and {len(stuck) - 1:,} more" if len(stuck) > 1 else ""
        super().__init__(
            f"{feed}: {printable(name)}{more} could not be read, all others are loaded; run it again, and look at that "
            f"object if it stays so: {printable(reason)}"
        )


class DamagedLake(LakemeshError):  # noqa: N818  somebody else erred: readers keep the state that they have
    """Files that the ledger names are missing, cut short or unreadable."""

    def __init__(self, lake_uri: str, feed: str, files: Sequence[tuple[str, str]]) -> None:
        path, what = files[0]
        more = f", and {len(files) - 1:,} more files of {feed} likewise" if len(files) > 1 else ""
        super().__init__(
            f"{lake_uri}/{path} {what}{more}. `lake verify {feed} --deep` names all of them; restore them from the "
            f"back-up, or have the landing loaded anew: `lake ledger rebuild {feed} --force`, then `lake ingest`"
        )


class PublishBlocked(LakemeshError):  # noqa: N818  it is the data that erred: what readers see stays as it was
    """Gold may not be published; the message says why, and readers keep the release that they have."""


class ServingRefused(LakemeshError):  # noqa: N818  it is the data that erred: what Postgres has stays as it was
    """Postgres does not take a release; the message says why."""


class ConflictError(LakemeshError):
    """Another ingester committed one of the same objects, or a file that this commit removes."""


class CorruptObject(LakemeshError):  # noqa: N818  it is never raised to the user: the object is quarantined
    """An object's compression or encoding is broken.

    Attributes:
        source_file: bucket/key of the object.
        detail: what the decoder said.
    """

    def __init__(self, source_file: str, detail: str) -> None:
        super().__init__(f"{source_file} cannot be decoded: {detail}")
        self.source_file = source_file
        self.detail = detail
