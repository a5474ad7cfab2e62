"""Progress bars of ingest and of a cycle."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:  # each command imports its dependencies when it runs: SQLMesh alone takes a second
    from ingest.records.report import Progress as Report


class IngestProgress:
    """Progress bars on a terminal, no output elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            console=Console(file=stream, markup=False, highlight=False, emoji=False),
            transient=True,
            disable=not stream.isatty(),
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.stop()

    def feed(self, name: str) -> Report:
        """Return a progress callback for one feed; see `ingest_feed`."""
        task = self._bars.add_task(name, total=None, rate="")
        done = 0

        def report(objects: int, size: int) -> None:
            nonlocal done
            if self._bars.disable:
                return
            if objects < 0:
                self._bars.update(task, total=-objects)
                return
            done += size
            seconds = self._bars.tasks[task].elapsed or 0
            rate = f"{done / seconds / 1e6:.1f} MB/s" if seconds else ""
            self._bars.update(task, advance=objects, rate=rate)

        return report


class CycleProgress(IngestProgress):
    """Progress of a whole cycle: one bar per feed, then one for the models."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._models: TaskID | None = None

    def model(self, name: str, batches: int, total: int) -> None:
        """Show the progress of computing models; see `RunConsole`."""
        if self._models is None:
            self._models = self._bars.add_task("models", total=total, rate="")
        self._bars.update(self._models, advance=batches, total=total, rate=name)
