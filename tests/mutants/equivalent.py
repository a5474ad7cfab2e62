"""Faults that change no result, reviewed one by one: equivalent.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ingest.definitions import read_mapping
from ingest.errors import ConfigError
from tests.mutants.faults import Fault

FILE = Path(__file__).with_name("equivalent.yaml")
REQUIRED, OPTIONAL = {"model", "kind", "before", "after"}, {"place"}


@dataclass(frozen=True, slots=True)
class Equivalent:
    """A fault that no rows can show.

    Attributes:
        model: name of the model.
        kind: kind of the fault.
        before: the fragment as the model has it.
        after: the fragment with the fault.
        reason: why the results are the same, whatever rows the audits of the models that it reads accept.
        place: restricts the entry to one place of the query; empty for all faults with these fragments.
    """

    model: str
    kind: str
    before: str
    after: str
    reason: str
    place: str = ""

    def matches(self, fault: Fault) -> bool:
        """Whether the entry describes a fault."""
        same = (fault.model, fault.kind, fault.before, fault.after) == (self.model, self.kind, self.before, self.after)
        return same and self.place in ("", fault.place)


def read_equivalent(path: Path = FILE) -> list[Equivalent]:
    """Read the reviewed list: faults by the reason why they change no result.

    Raises:
        ConfigError: it is not a mapping of reasons to lists of faults, or a fault lacks a field or has an unknown one.
    """
    found = []
    for reason, faults in read_mapping(path, "a mapping of reasons to lists of faults").items():
        for fault in faults if isinstance(faults, list) else [faults]:
            names = set(fault) if isinstance(fault, dict) else set()
            if not REQUIRED <= names <= REQUIRED | OPTIONAL or not all(isinstance(fault[name], str) for name in names):
                expected = f"{', '.join(sorted(REQUIRED))} and optionally {', '.join(OPTIONAL)}, all of them texts"
                raise ConfigError(f"{path}: {reason}: expected {expected}; found {fault!r:.200}")
            found.append(Equivalent(reason=reason, **fault))
    return found


def unmatched(entries: Iterable[Equivalent], faults: Iterable[Fault]) -> list[Equivalent]:
    """List the entries that describe no fault of the models as they are: they have to be reviewed again."""
    return [entry for entry in entries if not any(entry.matches(fault) for fault in faults)]
