"""Failure containment: an error stops only its own step, is recorded as a failure, and the other steps continue."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ingest.errors import LakemeshError, RetriableError, Unexpected, describe, is_defect, log_traceback
from pipeline.process import duck
from pipeline.process.interrupt import raise_if_interrupted
from pipeline.process.postgres import is_from_driver, lost

_FULL = os.strerror(errno.ENOSPC)


@dataclass(slots=True)
class Step:
    """A step and its outcome.

    Attributes:
        error: the error that stopped it; None if there was none.
    """

    error: LakemeshError | None = None


@contextmanager
def contained(
    place: str, failed: Callable[[LakemeshError], None], reraise: tuple[type[LakemeshError], ...] = ()
) -> Iterator[Step]:
    """Run the body as a separate step.

    Args:
        place: the feed, model or step, for messages.
        failed: called with the error; a defect is logged with its traceback and passed as `Unexpected`.
        reraise: errors that are left to the caller.
    """
    step = Step()
    raise_if_interrupted()
    try:
        yield step
    except reraise:
        raise
    except BaseException as error:
        if not (isinstance(error, LakemeshError) or is_defect(error)):
            raise
        raise_if_interrupted(error)
        step.error = as_lakemesh_error(place, error)
        failed(step.error)


def as_lakemesh_error(place: str, error: BaseException) -> LakemeshError:
    """Convert any exception to a LakemeshError. A defect is logged with its traceback."""
    if isinstance(error, LakemeshError):
        return error
    if isinstance(error, Exception) and is_from_driver(error):
        return lost(f"{place}: the connection to the state was lost", error, "; run this again")
    if _FULL in str(error):
        return RetriableError(
            f"{place}: {describe(error)}; nothing half done is visible; free disk space and run it again"
        )
    if duck.is_locked(error):
        return RetriableError(
            f"{place}: another process has the file open; end it and run this again: {describe(error)}"
        )
    log_traceback(place, error)
    return Unexpected(place, error)
