"""Measure which faults the unit tests of the models notice."""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from itertools import groupby

from sqlmesh import Context

from ingest.errors import ConfigError
from tests.mutants.bench import bench, tests_of
from tests.mutants.equivalent import Equivalent, unmatched
from tests.mutants.faults import Fault, faults_of

REQUIRED_SHARE = 0.95
"""Of the faults that are not equivalent, the share that the unit tests must notice."""


@dataclass(slots=True)
class Outcome:
    """What the unit tests said of some faults.

    Attributes:
        noticed: faults that made a unit test fail, with its name, or `error` for a query that does not run.
        survived: faults that no unit test noticed.
        equivalent: faults that the reviewed list calls equivalent and no unit test noticed.
        disproved: faults that the reviewed list calls equivalent, with the name of the unit test that noticed them.
    """

    noticed: dict[Fault, str] = field(default_factory=dict)
    survived: list[Fault] = field(default_factory=list)
    equivalent: list[Fault] = field(default_factory=list)
    disproved: dict[Fault, str] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Noticed faults per fault that is not equivalent, 0 to 1; 1 without any."""
        judged = len(self.noticed) + len(self.survived)
        return len(self.noticed) / judged if judged else 1.0

    @property
    def suffices(self) -> bool:
        """Whether enough faults were noticed, and none that is listed as equivalent."""
        return self.share >= REQUIRED_SHARE and not self.disproved

    def of(self, models: Container[str]) -> Outcome:
        """The outcome for some of the models."""
        return Outcome(
            {fault: test for fault, test in self.noticed.items() if fault.model in models},
            [fault for fault in self.survived if fault.model in models],
            [fault for fault in self.equivalent if fault.model in models],
            {fault: test for fault, test in self.disproved.items() if fault.model in models},
        )


def all_faults(context: Context) -> list[Fault]:
    """List every fault of the SQL models that have unit tests, by model."""
    return [
        fault
        for name in tests_of(context)
        for fault in faults_of(name, context.get_model(name, raise_if_missing=True).query)
    ]


def domains(context: Context, faults: Iterable[Fault]) -> dict[str, list[str]]:
    """The models of some faults by their domain, the folder of their files."""
    found: dict[str, list[str]] = {}
    for model in dict.fromkeys(fault.model for fault in faults):
        folder = context.get_model(model, raise_if_missing=True)._path.parent.name
        found.setdefault(folder, []).append(model)
    return found


def check_entries(entries: Iterable[Equivalent], faults: Iterable[Fault]) -> None:
    """Check that each entry of the reviewed list describes a fault.

    Raises:
        ConfigError: an entry describes none.
    """
    lost = unmatched(entries, list(faults))
    if lost:
        first = f"{lost[0].model} ({lost[0].kind}): {lost[0].before} → {lost[0].after}"
        raise ConfigError(
            f"tests/mutants/equivalent.yaml: {len(lost)} entries describe no fault of the models as they are, the "
            f"first is {first}; correct or remove them"
        )


def sample(faults: list[Fault], number: int, seed: int) -> list[Fault]:
    """Choose faults at random, the same for a seed; all of them if there are no more than `number`."""
    if number >= len(faults):
        return faults
    chosen = set(random.Random(seed).sample(range(len(faults)), number))
    return [fault for place, fault in enumerate(faults) if place in chosen]


def measure(
    context: Context,
    faults: Iterable[Fault],
    entries: list[Equivalent],
    progress: Callable[[str], None] = lambda model: None,
) -> Outcome:
    """Run the unit tests of each fault's model on its query with the fault.

    Args:
        context: the project.
        faults: what to try, models together.
        entries: the reviewed list of equivalent faults.
        progress: gets the name of each model before its faults.
    """
    outcome = Outcome()
    for model, of_model in groupby(faults, lambda fault: fault.model):
        progress(model)
        with bench(context, model) as tests:
            for fault in of_model:
                test = tests.noticed_by(fault)
                listed = any(entry.matches(fault) for entry in entries)
                if test is not None:
                    (outcome.disproved if listed else outcome.noticed)[fault] = test
                else:
                    (outcome.equivalent if listed else outcome.survived).append(fault)
    return outcome
