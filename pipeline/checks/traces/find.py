"""The scan: find what is left of values in places. `lake erase --prove`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ingest.errors import LakemeshError, describe, is_defect
from ingest.text import printable
from pipeline.checks.traces.matcher import Found, Matcher
from pipeline.checks.traces.places import Place, Task
from pipeline.checks.traces.trace import LISTED, Kind, Scan, Trace
from pipeline.checks.traces.value import Value

THREADS = 2
Progress = Callable[[str, int, int], None]


def find_traces(
    places: Iterable[Place], values: Sequence[Value], *, threads: int = THREADS, progress: Progress | None = None
) -> Scan:
    """Decode and search everything in the places for the values and their encodings.

    Nothing is skipped: what cannot be read is a trace of its own. An object that is deleted meanwhile is none.

    Args:
        threads: number of objects that are searched at a time.
        progress: called with the place, and the number of objects and bytes searched there so far.
    """
    matcher, scan = Matcher(values), Scan()
    with ThreadPoolExecutor(threads, "lakemesh-proof") as pool:
        for place in places:
            _search_place(place, matcher, scan, pool, threads, progress)
    scan.traces.sort()
    return scan


def _search_place(
    place: Place, matcher: Matcher, scan: Scan, pool: ThreadPoolExecutor, threads: int, progress: Progress | None
) -> None:
    traces: dict[Trace, None] = {}
    count = size = 0

    def add(found: Iterable[Trace]) -> None:
        for trace in found:
            if len(traces) < LISTED:
                traces[trace] = None
            elif trace not in traces:
                scan.unlisted[place.name] = scan.unlisted.get(place.name, 0) + 1

    running: deque[Future[list[Trace]]] = deque()
    try:
        for task in place.tasks():
            count, size = count + 1, size + task.size
            running.append(pool.submit(_search_task, place, task, matcher))
            if len(running) > 2 * threads:
                add(running.popleft().result())
                if progress:
                    progress(place.name, count, size)
    except Exception as error:  # a place that cannot be listed is no reason not to search the others
        add([_unreadable(place, "", error, matcher)])
    for future in running:
        add(future.result())
    scan.traces += traces
    scan.objects[place.name], scan.bytes[place.name] = count, size
    if progress:
        progress(place.name, count, size)


def _search_task(place: Place, task: Task, matcher: Matcher) -> list[Trace]:
    """Search one object; what was found before it turned out to be damaged counts."""
    found = [
        Trace(place.name, f"{shown(matcher, task.key)}, name", Kind.FOUND, matcher.values[one.value].label, str(one))
        for one in (matcher.in_name(task.key) if task.key else ())
    ]
    try:
        for trace in _traces(place, task, matcher):
            found.append(trace)  # what comes before an error counts
    except FileNotFoundError:
        pass
    except BaseException as error:  # a damaged object makes libraries raise anything, panics of Rust included
        if not (isinstance(error, LakemeshError) or is_defect(error)):
            raise
        found.append(_unreadable(place, task.key, error, matcher))
    return found


def _traces(place: Place, task: Task, matcher: Matcher) -> Iterator[Trace]:
    seen: set[tuple[str, Found | str]] = set()
    for part, one in task.search(matcher):
        if (part, one) in seen:
            continue
        seen.add((part, one))
        where = shown(matcher, ", ".join(filter(None, (task.key, part))))
        if isinstance(one, Found):
            yield Trace(place.name, where, Kind.FOUND, matcher.values[one.value].label, str(one))
        elif place.keeps_deleted:
            yield Trace(place.name, where, Kind.MAY_REMAIN, "", one)


def _unreadable(place: Place, key: str, error: BaseException, matcher: Matcher) -> Trace:
    reason = shown(matcher, describe(error))[:300]
    return Trace(place.name, shown(matcher, key) or place.name, Kind.UNREADABLE, "", reason)


def shown(matcher: Matcher, text: str) -> str:
    """A text for a report, without values and control characters."""
    return printable(matcher.masked(text))
