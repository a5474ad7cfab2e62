"""CPU time of this process, its threads, and child processes that have ended."""

from __future__ import annotations

import resource

_is_command = False
_is_started = False


def begin_command() -> None:
    """Note that this process runs one command of `lake`: what it spent before the command counts as the command's."""
    global _is_command
    _is_command = True


def cpu_seconds() -> float:
    """CPU seconds since the process began. A child counts once it has ended and was waited for."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def start_up_seconds() -> float:
    """CPU seconds that the start of the command took; 0 from the second call on, and in a process that is no command.

    A process that runs cycles again and again starts once, and one that merely calls Lakemesh has its own business.
    """
    global _is_started
    is_first, _is_started = not _is_started, True
    return cpu_seconds() if _is_command and is_first else 0.0
