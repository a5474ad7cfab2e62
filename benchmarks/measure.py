"""Run commands in turn and report CPU, wall time and peak memory as the kernel accounts them."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """Resources that one contender used in one run.

    Attributes:
        cpu: user + system time of all its processes, seconds.
        wall: wall time, seconds.
        memory: peak resident set of its largest process, bytes.
    """

    cpu: float
    wall: float
    memory: int


def measure(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> Cost:
    """Run the commands one after the other and add up their costs.

    Raises:
        SystemExit: a command failed; its output is shown.
    """
    cpu, memory, started = 0.0, 0, time.perf_counter()
    for command in commands:
        with subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdout is not None
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{output.decode(errors='replace')[-3000:]}")
        cpu += usage.ru_utime + usage.ru_stime
        memory = max(memory, usage.ru_maxrss * 1024)
    return Cost(cpu, time.perf_counter() - started, memory)


def compare(contenders: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """Medians over interleaved rounds: A B A B …, so that drift of the machine affects all equally."""
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, run in contenders.items():
            cost = run()
            costs[name].append(cost)
            print(
                f"round {number + 1} {name}: {cost.cpu:.2f} CPU s, {cost.wall:.2f} s, {cost.memory / 1e6:.0f} MB",
                file=sys.stderr,
            )
    return {
        name: Cost(
            statistics.median(cost.cpu for cost in runs),
            statistics.median(cost.wall for cost in runs),
            int(statistics.median(cost.memory for cost in runs)),
        )
        for name, runs in costs.items()
    }


def report(title: str, results: Mapping[str, Cost]) -> str:
    """A Markdown table; ratios are to the first contender."""
    first = next(iter(results.values()))
    lines = [f"### {title}", "", "| contender | CPU s | wall s | peak MB | CPU ratio |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | {cost.cpu:.2f} | {cost.wall:.2f} | {cost.memory / 1e6:.0f} | {cost.cpu / first.cpu:.2f} |"
        for name, cost in results.items()
    ]
    return "\n".join(lines)


def this_machine() -> str:
    """Cores and memory of this machine, for the heading of a table."""
    pages = os.sysconf("SC_PHYS_PAGES") * resource.getpagesize()
    return f"{os.cpu_count()} cores, {pages / 2**30:.0f} GiB, Python {sys.version.split()[0]}"
