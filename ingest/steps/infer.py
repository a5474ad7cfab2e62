"""Inference of a contract from samples of a feed, and its trial on them: `lake contracts infer`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from pydantic import ValidationError

from ingest.contracts.column import lower_snake_case
from ingest.contracts.contract import CONTRACTS, Contract
from ingest.contracts.draft import write_contract
from ingest.contracts.keywords import KEYWORDS
from ingest.contracts.source import DEBEZIUM
from ingest.definitions import faults
from ingest.errors import ConfigError, Unexpected
from ingest.inference.changes import are_changes
from ingest.inference.draft import draft_of
from ingest.inference.observation import Observation
from ingest.inference.render import Origin, contract_text
from ingest.records.parts import Piece
from ingest.settings import Settings
from ingest.steps.locate import Place, locate
from ingest.steps.parse import Parser
from ingest.steps.sample import Most, Part, Unreadable, first_records, read_samples
from ingest.strict_yaml import load_yaml
from ingest.text import printable

HEAD_RECORDS, HEAD_PER_OBJECT = 500, 20
"""Records that decide whether the samples are change events: of all objects, and of each."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Records of the samples that a contract rejects, for one reason in one column.

    Attributes:
        reason, column, detail: as of a rejected record; the detail is that of the first one.
        place: the first one, as object:line.
    """

    records: int
    reason: str
    column: str | None
    place: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What a contract does with the records of samples.

    Attributes:
        records: number of records.
        accepted: how many of them become rows.
        rescued: how many of those have fields that are no columns.
        skipped: number of further messages that are no record, by kind: tombstones and the like of change events.
        rejected: the others by reason and column, most frequent first.
    """

    records: int
    accepted: int
    rescued: int
    skipped: dict[str, int]
    rejected: tuple[Rejected, ...]

    @property
    def share(self) -> float:
        """The share of the records that is accepted, 0 to 1."""
        return self.accepted / self.records if self.records else 0.0


@dataclass(frozen=True, slots=True)
class Inference:
    """An inferred contract.

    Attributes:
        path: where it is written, or would be.
        text: the text of the file.
        read: what was read, in words.
        notes: objects that were not read, and why.
    """

    name: str
    path: Path
    text: str
    contract: Contract
    read: str
    notes: tuple[str, ...]
    trial: Trial


def infer(
    name: str,
    addresses: list[str],
    options: Settings,
    known: Collection[Contract],
    most: Most | None = None,
    is_csv: bool = False,
    folder: Path = CONTRACTS,
) -> Inference:
    """Infer the contract of a feed from samples and try it on them; nothing is written.

    Args:
        name: `domain/feed`.
        addresses: files, folders, s3://bucket[/prefix], or bucket[/prefix] of the landing.
        known: the contracts of the project.
        is_csv: whether the samples are CSV whatever their names.
        folder: where contracts are.

    Raises:
        ConfigError: the name is wrong or taken by another domain, there are no samples, or none can be read.
        RetriableError: a store cannot be reached.
    """
    domain, feed = _names(name, known)
    most = most or Most()
    places = locate(addresses, options, most.objects)
    blank = _blank(domain, feed, is_csv)
    observation, read_records, notes = _observe(places, blank, most, of_changes=_are_changes(places, blank, most))
    if not observation.readable:
        raise ConfigError(_nothing_readable(addresses, observation, notes))
    others = [contract for contract in known if contract.feed != feed]
    read = _read(places, observation)
    buckets = {(place.bucket, place.prefix) for place in places}
    bucket, prefix = buckets.pop() if len(buckets) == 1 else (places[0].bucket, "")
    origin = Origin(domain, feed, read, bucket, prefix, "csv" if is_csv else "auto")
    if changes := observation.changes:
        tables = list(changes.tables)
        origin = replace(origin, format=DEBEZIUM, order=changes.order, table=tables[0] if len(tables) == 1 else "")
    text = contract_text(draft_of(feed, observation, others), origin)
    contract = _parsed(domain, feed, text)
    trial = try_contract(places, contract, most, read_records)
    notes += [f"{place.landing.uri}: {item}" for place in places for item in place.left_out]
    return Inference(name, folder / domain / f"{feed}.yaml", text, contract, read, tuple(notes), trial)


def write(inference: Inference, force: bool = False) -> Contract:
    """Write an inferred contract.

    Raises:
        ConfigError: there is a file already, and it may not be replaced; or it cannot be written.
    """
    refuse_existing(inference.path, force)
    try:
        inference.path.parent.mkdir(parents=True, exist_ok=True)
        return write_contract(inference.path, inference.text)
    except OSError as error:
        raise ConfigError(f"{inference.path} cannot be written: {error.strerror}; or print it with --stdout") from None


def refuse_existing(path: Path, force: bool) -> None:
    """Refuse to replace a contract.

    Raises:
        ConfigError: there is one, and `force` is not set.
    """
    if path.exists() and not force:
        raise ConfigError(
            f"{path} is there already; `lake contracts propose` extends it, --stdout prints the inferred contract, "
            "--force replaces it"
        )


def try_contract(places: list[Place], contract: Contract, most: Most, records: int) -> Trial:
    """Parse the samples by a contract, as an ingest would.

    Args:
        most: by which they were read for the inference.
        records: how many were read then, by which this ends: converted by a contract they may have other lengths.

    Raises:
        ConfigError, RetriableError: a store cannot be reached.
    """
    accepted = rescued = rejected = 0
    skipped: Counter[str] = Counter()
    reasons: Counter[tuple[str, str | None]] = Counter()
    first: dict[tuple[str, str | None], str] = {}
    parsers = [Parser(contract, [item.version.modified_at for item in place.objects]) for place in places]
    for part in read_samples(places, contract, replace(most, bytes=sys.maxsize)):
        if isinstance(part, Part) and records <= 0:
            break
        found: list[tuple[str, str | None, int]] = []
        if isinstance(part, Unreadable):
            found = [("corrupt_object", None, 0)] if part.is_corrupt else []
        elif isinstance(part.lines, Piece):
            parsed = parsers[part.place].parse([first_records(part.lines, records)])
            accepted += len(parsed.rows)
            skipped.update(skip.kind for skip in parsed.skipped)
            rescued += len(parsed.rows) - parsed.rows.column("_rescued_data").null_count
            found = [(reject.reason, reject.column, reject.line) for reject in parsed.rejects]
        else:
            found = [("line_too_long", None, part.lines.line)]
        records -= part.records if isinstance(part, Part) else 0
        for reason, column, line in found:
            reasons[reason, column] += 1
            first.setdefault((reason, column), f"{printable(part.item.source_file)}:{line}")
        rejected += len(found)
    counted = tuple(Rejected(count, *key, first[key]) for key, count in reasons.most_common())
    return Trial(accepted + rejected, accepted, rescued, dict(skipped.most_common()), counted)


def _names(name: str, known: Iterable[Contract]) -> tuple[str, str]:
    domain, slash, feed = name.partition("/")
    if not slash:
        raise ConfigError(f"'{name}' is not a feed; expected domain/feed, as in engagement/ratings")
    for part in (domain, feed):
        try:
            lower_snake_case(part)
        except ValueError as error:
            raise ConfigError(f"{error}, as in engagement/ratings") from None
    if feed in KEYWORDS:
        raise ConfigError(f"'{feed}' is an SQL keyword and cannot name a table; expected another name")
    if taken := next((other for other in known if other.feed == feed and other.domain != domain), None):
        raise ConfigError(f"feed '{feed}' is already declared by {taken.name}; expected another name")
    return domain, feed


def _blank(domain: str, feed: str, is_csv: bool) -> Contract:
    """A contract that knows no field of the samples, by which they are converted without a decision about types."""
    return Contract.model_validate(
        {
            "domain": domain,
            "feed": feed,
            "version": 1,
            "kind": "entity",
            "owner": domain,
            "description": "-",
            "source": {"bucket": "samples", "format": "csv" if is_csv else "auto"},
            "key": ["lakemesh_no_field"],
            "freshness_seconds": 1,
            "columns": [{"name": "lakemesh_no_field", "type": "string", "required": True, "description": "-"}],
        }
    )


def _are_changes(places: list[Place], blank: Contract, most: Most) -> bool:
    """Whether the first records of the samples are change events."""
    few = replace(most, records=min(most.records, HEAD_RECORDS), records_per_object=HEAD_PER_OBJECT)
    found = (part for part in read_samples(places, blank, few) if isinstance(part, Part) and part.source == "json")
    return are_changes([text for part in found for text in part.texts])


def _observe(
    places: list[Place], blank: Contract, most: Most, *, of_changes: bool
) -> tuple[Observation, int, list[str]]:
    """What the samples are like, the number of records that were read, and the objects that were not."""
    observation = Observation(of_changes=of_changes)
    notes: list[str] = []
    records = 0
    for part in read_samples(places, blank, most):
        if isinstance(part, Part):
            records += part.records
            observation.declare(part.types)
            for text in part.texts:
                observation.observe(text, part.source, part.types)
        else:
            notes.append(f"{printable(part.item.source_file)} cannot be read: {part.detail}")
    return observation, records, notes


def _nothing_readable(addresses: list[str], observation: Observation, notes: list[str]) -> str:
    where = ", ".join(addresses[:3])
    if observation.records:
        return (
            f"{where}: none of {observation.records:,} records is a JSON object; expected JSON lines, a JSON array of "
            "objects, Parquet, or CSV with a header (named .csv, or with --csv)"
        )
    if notes:
        return f"{where}: nothing could be read: {notes[0]}"
    return f"{where}: the samples are empty; expected at least one record"


def _read(places: list[Place], observation: Observation) -> str:
    objects, found = (sum(len(place.objects) for place in places), sum(place.found for place in places))
    of = f" of {found:,}" if found != objects else ""
    formats = " and ".join(sorted(observation.sources))
    names = {"json": "JSON", "csv": "CSV", "parquet": "Parquet"}
    for name, label in names.items():
        formats = formats.replace(name, label)
    return f"{_count(observation.records, 'record')} ({formats}) of {objects:,}{of} object{'' if found == 1 else 's'}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _parsed(domain: str, feed: str, text: str) -> Contract:
    try:
        return Contract.model_validate({"feed": feed, "domain": domain} | load_yaml(text))
    except ValidationError as error:
        raise Unexpected(f"{domain}/{feed}", ValueError(faults(error))) from error
    except yaml.YAMLError as error:
        raise Unexpected(f"{domain}/{feed}", error) from error
