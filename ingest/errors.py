"""The errors of Lakemesh, classified by what the caller does about them.

    LakemeshError
    ├── ConfigError        fix a setting, a contract or a permission, then run again   (exit 2)
    │   ├── ContractRefused  a contract cannot read what its feed has loaded           (exit 2, only that feed stops)
    │   └── LostLedger     entries of a feed's log are missing: restore or rebuild it  (exit 2, only that feed stops)
    ├── RetriableError     the store or a lock was unavailable: run again              (exit 1)
    │   ├── Busy           another process holds the lock: wait for it                 (exit 1)
    │   └── NoTopic        the broker has no such topic: make it, or check the contract (exit 1)
    ├── Unexpected         a defect: report it                                         (exit 1)
    ├── TooManyBadRecords  more was quarantined than the contract allows: fix the producer or the contract (exit 1)
    ├── OverwriteRefused   an object has new content, and its contract says refuse: check it            (exit 1)
    ├── UnloadableObjects  objects without a usable name or place, all others are loaded: rename or ignore them (exit 1)
    ├── StuckObjects       some objects could not be read, all others are loaded: run again, check them (exit 1)
    ├── OffsetsLost        a topic does not continue where the ledger ends: check it, or accept the gap (exit 1)
    ├── DamagedLake        files of the lake are missing or unreadable: restore or reload them          (exit 1)
    ├── PublishBlocked     gold is incomplete, or a blocking audit found rows: readers keep their release   (exit 1)
    ├── ServingRefused     Postgres rejects a release: it keeps the previous one                            (exit 1)
    ├── ObjectRefused      an object is listed but can never be read: it counts as stuck (handled internally)
    ├── ConflictError      another ingester took these objects first: plan again       (handled internally)
    └── CorruptObject      an object cannot be decoded: it is quarantined as a whole   (handled internally)

A single bad record raises no exception: it becomes a row in quarantine.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Mapping, Sequence

from ingest.text import printable

LOG = logging.getLogger(__name__)
SHOWN_FRAMES = 30
"""Innermost frames of a traceback that are logged. A RecursionError has a thousand."""


SHOWN_GAPS = 3


class LakemeshError(Exception):
    """Base of all errors that Lakemesh raises on purpose. The message names the object and the next step.

    The text is safe to print anywhere: unprintable characters from object names and content are escaped.
    """

    def __str__(self) -> str:
        return "\n".join(map(printable, super().__str__().split("\n")))


class ConfigError(LakemeshError):
    """A setting, contract, credential or folder is wrong. Nothing was changed."""


class ContractRefused(ConfigError):  # noqa: N818  the contract is at fault
    """A contract change would lose or misread rows loaded before. The feed is not loaded."""

    def __init__(self, feed: str, faults: Sequence[str]) -> None:
        super().__init__(
            f"{feed}: the contract is incompatible with loaded data: {'; '.join(faults)}. Only this feed stops, "
            "and its bronze stays readable; docs/contracts.md lists the allowed changes and the alternatives"
        )
        self.faults = tuple(faults)


class LostLedger(ConfigError):  # noqa: N818  an outside cause: bronze and readers keep what they have
    """A feed's log lost entries, or the lake lost its identity. Nothing is written until that is repaired.

    Args:
        feed: the feed of the log; empty when the whole lake is affected.
    """

    def __init__(self, place: str, what: str, feed: str = "") -> None:
        super().__init__(
            f"{place} {what}. Nothing is written to {feed or 'this lake'} until you restore the ledger from its "
            f"backup, or run `lake ledger rebuild{' ' * bool(feed)}{feed}`, then `lake ingest`"
        )


class RetriableError(LakemeshError):
    """An external system was unavailable. Nothing was lost: run the command again."""


class Busy(RetriableError):  # noqa: N818  nothing is wrong: another process is at work
    """Another process holds a lock that this one needs. It does the same work, or will finish soon."""


class NoTopic(RetriableError):  # noqa: N818  it may come
    """The broker has no topic of that name."""


class Unexpected(LakemeshError):  # noqa: N818  it wraps the error
    """An unexpected exception in one step: a defect of Lakemesh or of a library that it uses.

    Args:
        place: the feed, object, model or step in which it occurred.
        error: the exception, shown in one line.
    """

    def __init__(self, place: str, error: BaseException) -> None:
        super().__init__(f"{place}: unexpected {describe(error)}; a defect, please report it with the logged traceback")


def describe(error: BaseException) -> str:
    """Format an exception as one short line: `KeyError: 'a'`, with at most 300 characters of its text."""
    text = " ".join(str(error).split())[:300].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_defect(error: BaseException) -> bool:
    """Whether the exception is a defect: neither a LakemeshError nor a process exit. Rust panics count as defects."""
    if isinstance(error, Exception):
        return not isinstance(error, LakemeshError)
    return type(error).__name__ == "PanicException"


def log_traceback(place: str, error: BaseException) -> None:
    """Log the traceback of an exception."""
    LOG.error("event=unexpected place=%s\n%s", place, "".join(traceback.format_exception(error, limit=-SHOWN_FRAMES)))


class TooManyBadRecords(LakemeshError):  # noqa: N818  the data is at fault: the load is done, and kept
    """A load quarantined a larger share of its records than the contract allows."""

    def __init__(self, feed: str, quarantined: int, records: int) -> None:
        super().__init__(
            f"{feed}: {quarantined:,} of {records:,} records are quarantined, more than the contract's "
            "max_quarantined_share; the good ones are loaded. `lake why BUCKET/KEY` shows an object's bad lines"
        )


class OverwriteRefused(LakemeshError):  # noqa: N818  the producer is at fault: all else is loaded
    """Objects have new content under their old names, which their contract does not allow."""

    def __init__(self, feed: str, objects: int) -> None:
        super().__init__(
            f"{feed}: {objects:,} overwritten objects are refused by the contract, their old rows stay. "
            "`lake ingest --dry-run` names them; write them under new names, or set `overwritten: replace`"
        )


class UnloadableObjects(LakemeshError):  # noqa: N818  all else is loaded
    """Objects with an unusable name, or links that must not be followed.

    Args:
        reasons: the reasons with their objects, each as names.NotLoaded prints itself.
    """

    def __init__(self, feed: str, reasons: Iterable[object]) -> None:
        super().__init__(
            f"{feed}: some objects cannot be loaded: {'; '.join(map(str, reasons))}. Rename or remove them, or name "
            "them in the contract's source.ignore; all others are loaded"
        )


class ObjectRefused(LakemeshError):  # noqa: N818  handled by reporting the object
    """The store lists an object but never returns it, while it returns others."""


class StuckObjects(LakemeshError):  # noqa: N818  all else is loaded
    """Objects that the store lists but does not return."""

    def __init__(self, feed: str, stuck: Mapping[str, str]) -> None:
        name, reason = next(iter(stuck.items()))
        more = f" and {len(stuck) - 1:,} more" if len(stuck) > 1 else ""
        super().__init__(
            f"{feed}: {printable(name)}{more} could not be read, all others are loaded; run it again, and check that "
            f"object if the error persists: {printable(reason)}"
        )


class OffsetsLost(LakemeshError):  # noqa: N818  an outside cause: nothing was read
    """A topic was replaced, or lost offsets that were not read yet or were read before.

    Args:
        gaps: each as gaps.Gap prints itself.
    """

    def __init__(self, feed: str, gaps: Sequence[object]) -> None:
        shown = [*map(str, gaps[:SHOWN_GAPS])] + [f"{len(gaps) - SHOWN_GAPS:,} more"] * (len(gaps) > SHOWN_GAPS)
        super().__init__(
            f"{feed}: {'; '.join(shown)}. Nothing was loaded; check the broker's address and the topic's retention, "
            f"then `lake ingest {feed} --accept-gap` records the gap and continues after it"
        )


class DamagedLake(LakemeshError):  # noqa: N818  an outside cause: readers keep their release
    """Files that the ledger names are missing, truncated or unreadable."""

    def __init__(self, lake_uri: str, feed: str, files: Sequence[tuple[str, str]]) -> None:
        path, what = files[0]
        more = f"; {len(files) - 1:,} more files of {feed} are damaged" if len(files) > 1 else ""
        super().__init__(
            f"{lake_uri}/{path} {what}{more}. `lake verify {feed} --deep` names all of them; restore them from the "
            f"backup, or reload the landing: `lake ledger rebuild {feed} --force`, then `lake ingest`"
        )


class PublishBlocked(LakemeshError):  # noqa: N818  the data is at fault: readers keep their release
    """Gold must not be published; the message states why, and readers keep the release that they have."""


class ServingRefused(LakemeshError):  # noqa: N818  the data is at fault: Postgres keeps its release
    """Postgres rejects a release; the message states why."""


class ConflictError(LakemeshError):
    """Another ingester committed one of the same objects, or a file that this commit removes."""


class CorruptObject(LakemeshError):  # noqa: N818  never shown to the user: the object is quarantined
    """An object's compression or encoding is broken.

    Attributes:
        source_file: bucket/key of the object.
        detail: the decoder's message.
    """

    def __init__(self, source_file: str, detail: str) -> None:
        super().__init__(f"{source_file} cannot be decoded: {detail}")
        self.source_file = source_file
        self.detail = detail
