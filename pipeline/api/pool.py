"""The worker processes of a server, and who waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from pipeline.api.limits import Limits
from pipeline.api.problems import KINDS, Kind, Problem
from pipeline.api.tasks import Outcome, Task

GRACE_SECONDS = 1.0
"""Time that a worker has to answer once it is interrupted, and beyond the limit of a request."""
LEFT_GRACE_SECONDS = 5.0
"""The same once the client has left: nobody waits for it, and another worker costs more."""
START_SECONDS = 60.0
LEFT = "the client has left"
LOG = logging.getLogger(__name__)
_LENGTH = struct.Struct(">I")
Left = Callable[[], Awaitable[None]]
"""Returns when the client has left."""


async def never() -> None:
    """A client that does not leave."""
    await asyncio.Event().wait()


class Pool:
    """Workers: one is started first, others when all are busy; one that ends is replaced.

    Attributes:
        ended: number of workers that were ended because they did not answer, or that ended themselves.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._idle: asyncio.Queue[Process] = asyncio.Queue()
        self._statements = asyncio.Semaphore(limits.statements)
        self._count = 0
        self._starting: set[asyncio.Task[None]] = set()
        self.ended = 0

    async def run(self, task: Task, left: Left = never) -> Outcome:
        """Compute a task.

        Raises:
            Problem: it exceeds a limit, no worker is free in time, or the client has left.
        """
        async with self._slot(task) as process:
            try:
                found = await self._ask(process, task, left)
            except BaseException:
                self._end(process)
                raise
            self._idle.put_nowait(process)
        if found.problem:
            raise Problem(KINDS[found.problem], found.detail or self._too_slow())
        return found

    def start(self) -> None:
        """Start a worker, unless there are as many as allowed."""
        if self._count < self._limits.workers:
            self._count += 1
            task = asyncio.create_task(self._start())
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def close(self) -> None:
        """End all workers."""
        for task in list(self._starting):
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        while not self._idle.empty():
            process = self._idle.get_nowait()
            if process.stdin:
                process.stdin.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), GRACE_SECONDS)
            await _kill(process)

    @asynccontextmanager
    async def _slot(self, task: Task) -> AsyncIterator[Process]:
        """Wait for a free worker; statements of callers never take the last one."""
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._limits.seconds + START_SECONDS * self._is_starting):
                    if task.kind == "sql":
                        await stack.enter_async_context(self._statements)
                    process = await self._take()
            except TimeoutError:
                raise Problem(Kind.BUSY, "no worker was free in time; try again", {"Retry-After": "5"}) from None
            yield process

    @property
    def ready(self) -> int:
        """Number of workers that have started."""
        return self._count - len(self._starting)

    @property
    def _is_starting(self) -> bool:
        """Whether a worker is being started, or is when all others are busy."""
        return bool(self._starting) or self._count < self._limits.workers

    async def _take(self) -> Process:
        while True:
            if self._idle.empty():
                self.start()
            process = await self._idle.get()
            if process.returncode is None:
                return process
            self._replace()

    async def _start(self) -> None:
        """Start a worker, and wait until it is ready: its start does not count as time of a request."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pipeline.api.worker", stdin=PIPE, stdout=PIPE, limit=1 << 20
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                is_ready = await _read(process) is not None
        except (TimeoutError, asyncio.CancelledError):
            await _kill(process)
            self._count -= 1
            raise
        if is_ready:
            self._idle.put_nowait(process)
        else:
            self._count -= 1
            LOG.error("event=worker_not_started code=%s", await process.wait())

    def _replace(self) -> None:
        self.ended += 1
        self._count -= 1
        self.start()

    async def _ask(self, process: Process, task: Task, left: Left) -> Outcome:
        assert process.stdin
        process.stdin.write(_frame(msgspec.msgpack.encode(task)))
        answer = asyncio.ensure_future(_read(process))
        gone = asyncio.ensure_future(left())
        try:
            await asyncio.wait({answer, gone}, timeout=self._limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                process.stdin.write(_frame(b""))
                await asyncio.wait({answer}, timeout=LEFT_GRACE_SECONDS if gone.done() else GRACE_SECONDS)
                if not answer.done():
                    raise self._unanswered(gone.done())
            data = answer.result()
            has_left = gone.done()
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
        if has_left:  # the worker answered its interrupt, so it stays
            return Outcome(problem=Kind.LEFT.slug, detail=LEFT)
        return msgspec.msgpack.decode(data, type=Outcome)

    def _unanswered(self, has_left: bool) -> Problem:
        return Problem(Kind.LEFT, LEFT) if has_left else Problem(Kind.SECONDS, self._too_slow())

    def _too_slow(self) -> str:
        return f"it took more than {self._limits.seconds:g} s (LAKE_API_SECONDS); filter by date, or aggregate first"

    def _end(self, process: Process) -> None:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        self._replace()


async def _kill(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _read(process: Process) -> bytes | None:
    assert process.stdout
    try:
        (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
        return await process.stdout.readexactly(length)
    except asyncio.IncompleteReadError:
        return None


def _frame(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data
