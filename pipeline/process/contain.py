"""What goes wrong in one step stops that step alone: it is named, it counts as a failure, and the others go on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ingest.errors import LakemeshError, RetriableError, Unexpected, described, is_defect, log_traceback
from pipeline.process.interrupt import must_go_on
from pipeline.process.postgres import is_from_driver, reason

_FULL = os.strerror(errno.ENOSPC)


@dataclass(slots=True)
class Step:
    """A step, and what became of it.

    Attributes:
        error: what went wrong; None as long as nothing did.
    """

    error: LakemeshError | None = None


@contextmanager
def contained(
    place: str, failed: Callable[[LakemeshError], None], but: tuple[type[LakemeshError], ...] = ()
) -> Iterator[Step]:
    """Runs the body as a step of its own.

    Args:
        place: the feed, model or step, for messages.
        failed: gets what went wrong; an exception that nobody foresaw is logged with its traceback, and given as
            `Unexpected`.
        but: errors that are the caller's affair.
    """
    step = Step()
    must_go_on()
    try:
        yield step
    except but:
        raise
    except BaseException as error:
        if not (isinstance(error, LakemeshError) or is_defect(error)):
            raise
        must_go_on(error)
        step.error = named(place, error)
        failed(step.error)


def named(place: str, error: BaseException) -> LakemeshError:
    """Any exception as one of ours. One that nobody foresaw is logged with its traceback."""
    if isinstance(error, LakemeshError):
        return error
    if isinstance(error, Exception) and is_from_driver(error):
        return RetriableError(f"{place}: the state was lost on the way: {reason(error)}; run this again")
    if _FULL in str(error):
        return RetriableError(f"{place}: {described(error)}; nothing half done is visible, make room and run it again")
    if "could not set lock" in str(error).lower():
        return RetriableError(f"{place}: another process has the file; end it, and run this again: {described(error)}")
    log_traceback(place, error)
    return Unexpected(place, error)
