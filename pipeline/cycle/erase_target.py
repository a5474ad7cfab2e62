"""Whom an erasure is about and what of them there is: identifiers, records by feed, values to look for afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ingest.contracts.contract import contracts
from ingest.contracts.processing import OnErasure
from ingest.errors import ConfigError
from ingest.ledger.quarantine import Selection, bad_records
from ingest.steps.forget import Forgetter
from ingest.steps.matchers import Named
from pipeline.access.subjects import Subject
from pipeline.checks.subject import SubjectSearch
from pipeline.checks.traces.collect import identifier_columns, values_of
from pipeline.checks.traces.value import SHORTEST, Value
from pipeline.lake import Lake

Values = tuple[Mapping[str, frozenset[str]], Mapping[str, str]]
"""Identifiers by name, and other personal values by a label that does not show them."""


ALL = Selection()


@dataclass(frozen=True, slots=True)
class Preview:
    """What an erasure would do in one feed.

    Attributes:
        policy: delete, pseudonymise or keep.
        rows: rows of bronze that are the person's, in `files` files.
        rejected: records of the quarantine, discarded ones included.
        source: what happens to source objects: report, rewrite or delete.
    """

    feed: str
    policy: str
    rows: int
    files: int
    rejected: int
    source: str


Person = Mapping[str, frozenset[str]]
"""Identifiers of one person, by name."""


def together(persons: Iterable[Person]) -> dict[str, frozenset[str]]:
    """The identifiers of all persons."""
    found: dict[str, frozenset[str]] = {}
    for person in persons:
        for name, values in person.items():
            found[name] = found.get(name, frozenset()) | values
    return found


def read_persons(lines: Iterable[str]) -> list[dict[str, list[str]]]:
    """Read a file of requests: a JSON object of identifiers per line, as {"user_id": "u1"}.

    Raises:
        ConfigError: a line is none; the message has its number, not its content.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            items = content.items()
        except (ValueError, AttributeError):
            raise ConfigError(f'line {number} is no request; expected a JSON object, as {{"user_id": "u1"}}') from None
        found.append({name: list(map(str, own if isinstance(own, list) else [own])) for name, own in items})
    return found


def find(lake: Lake, persons: Sequence[Person]) -> tuple[Subject, list[Preview]]:
    """Return who is meant, with all identifiers that records relate, and what an erasure would do; changes nothing.

    All persons are searched together, as if they were one.

    Raises:
        ConfigError: an identifier leads to too many others to be a person's.
        RetriableError: the lake cannot be read.
    """
    known = contracts()
    with lake.connect() as connection:
        search = SubjectSearch(lake.store, known, connection)
        subject = search.closure(together(persons), len(persons))
        found = []
        for feed, contract in known.items():
            if contract.identifiers():
                rows = search.found(feed, subject)
                forgetter = Forgetter(contract, Named(dict(subject.values), frozenset()), b"")
                state = lake.ledger(feed).live()
                kept = (item for discarded in (False, True) for item in bad_records(lake.store, state, ALL, discarded))
                rejected = sum(forgetter.mentions(item.raw) for item in kept)
                policy, source = str(contract.on_erasure), contract.source.on_erasure
                found.append(Preview(feed, policy, rows.rows, len(rows.files), rejected, source))
    return subject, found


def personal_values(lake: Lake, subject: Subject) -> Values:
    """What has to be nowhere afterwards: the identifiers, and directly identifying texts that nobody else has too."""
    known = contracts()
    texts: dict[str, set[str]] = {}
    with lake.connect() as connection:
        search = SubjectSearch(lake.store, known, connection)
        for feed, contract in known.items():
            if contract.on_erasure is OnErasure.KEEP:
                continue
            for path, values in search.direct_values(feed, subject).items():
                texts.setdefault(path.rsplit(".", 1)[-1], set()).update(values)
    labelled = {
        f"{name} {number}": text
        for name, found in sorted(texts.items())
        for number, text in enumerate(sorted(found), 1)
        if len(text.strip().encode()) >= SHORTEST
    }
    return {name: frozenset(found) for name, found in subject.values.items()}, labelled


def searched(lake: Lake, values: Values) -> list[Value]:
    """The values as the proof looks for them: short ones in columns that by lineage have their identifier, alone."""
    from pipeline.warehouse.classes import project_classes
    from pipeline.warehouse.project import open_project

    with open_project(lake.state) as project:
        lineage = project_classes(project.context).lineage
    return values_of(*values, identifier_columns(contracts().values(), lineage))
