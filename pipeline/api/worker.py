"""A process that computes answers, one at a time: `python -m pipeline.api.worker MEMORY`.

DuckDB's memory limit does not cover what functions allocate (`repeat`, `range` as a list), and an interrupt does not
end a function that is at work. So a worker's data is limited by the kernel, and the server ends a worker that does not
answer.

Frames on standard input and output: four bytes of length, then MessagePack. An empty frame interrupts the task.
"""

from __future__ import annotations

import gc
import os
import queue
import resource
import struct
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO

import duckdb
import msgspec
import pyarrow as pa

from ingest.errors import ConfigError, LakemeshError
from ingest.settings import PROJECT, Settings, settings
from pipeline.api.compute import compute, too_much_memory
from pipeline.api.formats import Format, encode
from pipeline.api.limits import Limits
from pipeline.api.problems import Kind, problem_of
from pipeline.api.session import Session
from pipeline.api.tasks import Outcome, Task
from pipeline.warehouse.duck import lake_statements

KEPT = 4
"""Sessions that stay open, so that a release that is read again is not opened again."""
RESERVE = 192 << 20
"""Bytes that a worker may use beside its limit, for encoding and for Python."""
INTERRUPT_SECONDS = 5.0
"""How long a task is interrupted again and again; what does not heed it is ended from outside."""
_LENGTH = struct.Struct(">I")


class Worker:
    """The sessions of a process."""

    def __init__(self, options: Settings, limits: Limits, metrics: Path) -> None:
        self._options, self._limits, self._metrics = options, limits, metrics
        self._sessions: OrderedDict[tuple[str, int, str, tuple[str, ...]], Session] = OrderedDict()
        self._running: duckdb.DuckDBPyConnection | None = None
        self._received = self._begun = self._interrupted = 0

    def receive(self) -> None:
        """Count a task that came in."""
        self._received += 1

    def interrupt(self) -> None:
        """Interrupt the task that came in last, also if it has not begun, or opens its release."""
        self._interrupted = self._received
        until = time.monotonic() + INTERRUPT_SECONDS
        # DuckDB forgets an interrupt when the next statement of the task begins
        while (running := self._running) is not None and self._begun == self._interrupted and time.monotonic() < until:
            running.interrupt()
            time.sleep(0.02)

    def answer(self, task: Task) -> Outcome:
        """The answer to the next task that came in."""
        self._begun += 1
        try:
            session = self._session(task)
        except ConfigError as error:
            return Outcome(problem=Kind.GONE.slug, detail=str(error))
        except LakemeshError as error:
            return Outcome(problem=problem_of(error).kind.slug, detail=str(error))
        self._running = session.connection
        try:
            if self._interrupted == self._begun:
                return Outcome(problem=Kind.SECONDS.slug)
            found = compute(session, task)
        finally:
            self._running = None
        if found.problem == Kind.MEMORY.slug:
            self._close_all()
        return found

    def _session(self, task: Task) -> Session:
        # credentials of a task or pod expire: with new ones the release is opened again
        access = tuple(lake_statements(self._options, self._options.published_uri))
        key = (task.role, task.release, task.digest, access)
        if key not in self._sessions:
            while len(self._sessions) >= KEPT:
                self._sessions.popitem(last=False)[1].close()
            self._sessions[key] = Session(self._options, task.role, task.release, self._metrics, self._limits)
        self._sessions.move_to_end(key)
        return self._sessions[key]

    def _close_all(self) -> None:
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
        gc.collect()


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame; None at the end."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    return stream.read(length)


def frame(data: bytes) -> bytes:
    """Data with its length."""
    return _LENGTH.pack(len(data)) + data


def main() -> None:
    """Answer tasks until standard input ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand between frames
    limits = Limits.of(settings())
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    worker = Worker(settings(), limits, PROJECT / "metrics")
    _warm()
    _limit_memory(limits.memory)
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(worker, tasks), daemon=True).start()
    out.write(frame(b""))  # ready
    out.flush()
    while True:
        task = msgspec.msgpack.decode(tasks.get(), type=Task)
        try:
            found = worker.answer(task)
            data = msgspec.msgpack.encode(found)
        except MemoryError:
            data = msgspec.msgpack.encode(Outcome(problem=Kind.MEMORY.slug, detail=too_much_memory()))
        out.write(frame(data))
        out.flush()


def _listen(worker: Worker, tasks: queue.SimpleQueue[bytes]) -> None:
    while True:
        data = read_frame(sys.stdin.buffer)
        if data is None:
            os._exit(0)  # the server has ended
        if data:
            worker.receive()
            tasks.put(data)
        else:
            worker.interrupt()


def _warm() -> None:
    """Load what is loaded when it is first used: libraries cannot be loaded when memory is short."""
    with duckdb.connect(":memory:") as connection:
        table = connection.execute("SELECT json_serialize_sql('SELECT 1') AS x, 1.5 AS y").to_arrow_table()
    for format in Format:
        encode(format, table, {})


def _limit_memory(limit: int) -> None:
    """Limit what this process may allocate to what it has now and the limit of a request."""
    if sys.platform != "linux":
        return
    status = Path("/proc/self/status").read_text().splitlines()
    (used,) = (int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
    most = used + limit + RESERVE
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


if __name__ == "__main__":
    main()
