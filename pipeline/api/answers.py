"""Answers of a release that were computed before: tables and metrics of a release never change."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec

from pipeline.api.problems import Kind, Problem
from pipeline.api.tasks import Outcome, Task

KEPT_BYTES = 32 << 20


class Answers:
    """The newest answers, up to a size; requests for the same one wait for the first of them.

    Statements of callers are not kept: they may ask for the time, or for a random number.
    """

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[bytes, Outcome] = OrderedDict()
        self._bytes = 0
        self._running: dict[bytes, asyncio.Future[Outcome | Problem | None]] = {}

    async def get(self, task: Task, compute: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """The answer to a task, computed if it is not kept; those who ask meanwhile get the same, or the same problem.

        Args:
            compute: what it raises is raised. If that is about its caller alone, another who waits computes.
        """
        if task.kind not in ("table", "metrics"):
            return await compute()
        key = msgspec.msgpack.encode(task)
        while first := self._running.get(key):
            found = await asyncio.shield(first)
            if isinstance(found, Problem):
                raise Problem(found.kind, str(found), found.headers)
            if found is not None:
                return found
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        running = self._running[key] = asyncio.get_running_loop().create_future()
        result: Outcome | Problem | None = None
        try:
            result = await compute()
            self._keep(key, result)
            return result
        except Problem as problem:
            result = None if problem.kind is Kind.LEFT else problem
            raise
        finally:
            del self._running[key]
            running.set_result(result)

    def _keep(self, key: bytes, found: Outcome) -> None:
        if len(found.body) > self._most // 4 or key in self._kept:
            return
        self._kept[key] = found
        self._bytes += len(found.body) + len(key)
        while self._bytes > self._most:
            old, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped.body) + len(old)
