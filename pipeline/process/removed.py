"""What an erasure removed from a place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed from a place where a person's data may have been; one line each, without a value of a person.

    Attributes:
        done: what was removed or replaced; empty if there was nothing.
        left: what remains, and the next step.
        beyond: what cannot be reached from here, and whose it is.
    """

    done: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()

    def __add__(self, other: Removed) -> Removed:
        return Removed(self.done + other.done, self.left + other.left, self.beyond + other.beyond)
