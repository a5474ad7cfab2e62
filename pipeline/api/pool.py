"""The worker processes of a server, and who waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from pipeline.api.limits import Limits
from pipeline.api.problems import KINDS, Kind, Problem
from pipeline.api.tasks import Outcome, Task

GRACE_SECONDS = 1.0
"""Time that a worker has to answer once it is interrupted, and beyond the limit of a request."""
_LENGTH = struct.Struct(">I")
Left = Callable[[], Awaitable[None]]
"""Returns when the client has left."""


async def never() -> None:
    """A client that does not leave."""
    await asyncio.Event().wait()


class Pool:
    """Workers, started when they are first needed, and replaced when they end.

    Attributes:
        ended: number of workers that were ended because they did not answer, or that ended themselves.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._idle: deque[Process] = deque()
        self._slots = asyncio.Semaphore(limits.workers)
        self._statements = asyncio.Semaphore(limits.statements)
        self.ended = 0

    async def run(self, task: Task, left: Left = never) -> Outcome:
        """Compute a task.

        Raises:
            Problem: it exceeds a limit, no worker is free in time, or the client has left.
        """
        async with self._slot(task):
            process = await self._take()
            try:
                found = await self._ask(process, task, left)
            except BaseException:
                self._end(process)
                raise
            self._idle.append(process)
        if found.problem:
            raise Problem(KINDS[found.problem], found.detail or self._too_slow())
        return found

    async def close(self) -> None:
        """End all workers."""
        while self._idle:
            process = self._idle.popleft()
            assert process.stdin
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), GRACE_SECONDS)
            if process.returncode is None:
                process.kill()
                await process.wait()

    @asynccontextmanager
    async def _slot(self, task: Task) -> AsyncIterator[None]:
        """Wait for a free worker; statements of callers never take the last one."""
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._limits.seconds):
                    if task.kind == "sql":
                        await stack.enter_async_context(self._statements)
                    await stack.enter_async_context(self._slots)
            except TimeoutError:
                raise Problem(
                    Kind.BUSY, f"no worker was free for {self._limits.seconds:g} s; try again", {"Retry-After": "5"}
                ) from None
            yield

    async def _take(self) -> Process:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pipeline.api.worker", stdin=PIPE, stdout=PIPE, limit=1 << 20
        )

    async def _ask(self, process: Process, task: Task, left: Left) -> Outcome:
        assert process.stdin
        process.stdin.write(_frame(msgspec.msgpack.encode(task)))
        answer = asyncio.ensure_future(_read(process))
        gone = asyncio.ensure_future(left())
        try:
            await asyncio.wait({answer, gone}, timeout=self._limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                process.stdin.write(_frame(b""))
                await asyncio.wait({answer}, timeout=GRACE_SECONDS)
                if not answer.done():
                    self._end(process)
                    raise self._unanswered(gone.done())
                if gone.done():
                    raise self._unanswered(has_left=True)
            data = answer.result()
        finally:
            for future in (answer, gone):
                future.cancel()
            await asyncio.gather(answer, gone, return_exceptions=True)
        if data is None:
            await process.wait()
            raise Problem(
                Kind.MEMORY,
                f"the worker ended (code {process.returncode}), most likely for want of memory; filter earlier, "
                "aggregate, or select fewer columns",
            )
        return msgspec.msgpack.decode(data, type=Outcome)

    def _unanswered(self, has_left: bool) -> Problem:
        return Problem(Kind.LEFT, "the client has left") if has_left else Problem(Kind.SECONDS, self._too_slow())

    def _too_slow(self) -> str:
        return f"it took more than {self._limits.seconds:g} s (LAKE_API_SECONDS); filter by date, or aggregate first"

    def _end(self, process: Process) -> None:
        if process.returncode is None:
            self.ended += 1
            with contextlib.suppress(ProcessLookupError):
                process.kill()


async def _read(process: Process) -> bytes | None:
    assert process.stdout
    try:
        (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
        return await process.stdout.readexactly(length)
    except asyncio.IncompleteReadError:
        return None


def _frame(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data
