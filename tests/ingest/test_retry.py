"""What fails because others are at work is repeated, for as long as stated; any other error is raised at once."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from ingest import retry
from ingest.errors import ConflictError, RetriableError


def failing(errors: list[Exception]) -> Callable[[], int]:
    """An action that raises these errors in turn, then returns how many there were."""
    left, count = iter(errors), len(errors)

    def action() -> int:
        for error in left:
            raise error
        return count

    return action


def is_busy(error: Exception) -> bool:
    return isinstance(error, BlockingIOError)


def test_busy_action_is_repeated_until_it_succeeds() -> None:
    action = failing([BlockingIOError(), BlockingIOError()])
    assert retry.while_busy(action, is_busy, wait_seconds=60, poll_seconds=0) == 2


def test_busy_action_raises_its_own_error_when_the_time_is_over() -> None:
    with pytest.raises(BlockingIOError, match="first"):
        retry.while_busy(failing([BlockingIOError("first"), BlockingIOError("second")]), is_busy, wait_seconds=0)


def test_other_errors_are_raised_at_once() -> None:
    with pytest.raises(KeyError):
        retry.while_busy(failing([KeyError()]), is_busy, wait_seconds=60)
    with pytest.raises(KeyError):
        retry.while_preceded(failing([KeyError()]), "busy")
    with pytest.raises(KeyError):
        retry.while_throttled(failing([KeyError()]), is_busy, lambda _: 0)


def test_change_is_tried_again_after_another_writer_a_limited_number_of_times() -> None:
    conflicts: list[Exception] = [ConflictError("taken")] * retry.COMMITS
    assert retry.while_preceded(failing(conflicts[1:]), "busy") == retry.COMMITS - 1
    with pytest.raises(RetriableError, match="other writers keep committing"):
        retry.while_preceded(failing(conflicts), "other writers keep committing")


def test_throttled_request_waits_as_long_as_the_store_asks_and_no_longer_than_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    asked = iter([7.0, None, 10_000.0])
    action = failing([BlockingIOError()] * 3)
    assert retry.while_throttled(action, is_busy, lambda _: next(asked)) == 3
    least = [7.0, 2.0, retry.LONGEST_WAIT_SECONDS]
    assert [low <= seconds <= low + 1 for low, seconds in zip(least, waited, strict=True)] == [True] * 3


def test_store_that_keeps_throttling_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(BlockingIOError):
        retry.while_throttled(failing([BlockingIOError()] * (retry.THROTTLED + 1)), is_busy, lambda _: None)
