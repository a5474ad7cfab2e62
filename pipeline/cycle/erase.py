"""Erasure of persons: `lake erase`. Tombstones, then every feed, then an ordinary cycle, then whatever has old bytes.

Each step is safe to repeat, and nothing that was done is undone: an erasure that was interrupted or failed somewhere
goes on with `lake erase --resume`, or by itself in the next cycle as far as cycles go.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ingest.contracts.contract import Contract, contracts
from ingest.contracts.processing import OnErasure
from ingest.errors import ConfigError, LakemeshError, RetriableError
from ingest.ledger.holds import Hold, read_holds
from ingest.ledger.tombstones import Request, checked_key, read_requests, read_tombstones, write_tombstones
from ingest.steps.erase import Erasure, erase, pending
from ingest.steps.matchers import Named
from ingest.upkeep.clean import clean
from ingest.upkeep.landed import Landed, forget_landed
from ingest.upkeep.orphans import landed_objects
from pipeline.backup.known import bring_to_backups
from pipeline.checks.traces.find import find_traces
from pipeline.checks.traces.places import places_of
from pipeline.cycle.cycle import exclusive_cycle, run_cycle
from pipeline.cycle.erase_requests import OPEN, REPORTS, requests_of
from pipeline.cycle.erase_target import Person, Values, find, personal_values, searched
from pipeline.cycle.purge import purge
from pipeline.invalidation.continuity import require_writable
from pipeline.lake import Lake
from pipeline.process.contain import contained

if TYPE_CHECKING:
    from pipeline.warehouse.project import Progress

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(slots=True)
class EraseSummary:
    """An erasure.

    Attributes:
        request: its id.
        identifiers: number of the person's identifiers, by name.
        feeds: what was found in each feed.
        landed: what became of source objects.
        release: the release without the person; None if there is none yet.
        purged: what else was removed, and what was not, a line each.
        beyond: what cannot be reached from here, such as back-ups.
        traces: where values of the person still are, after everything; None if nothing was looked for.
        kept: feeds whose records stay, with the reason and until when.
        is_purged: whether everything behind bronze was purged.
        errors: one line per failed step.
        exit_code: 0 done and nothing found, 1 something is left or failed, 2 misuse.
    """

    request: str
    identifiers: Mapping[str, int] = field(default_factory=dict)
    feeds: list[Erasure] = field(default_factory=list)
    landed: list[Landed] = field(default_factory=list)
    release: int | None = None
    purged: list[str] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)
    traces: list[str] | None = None
    kept: list[str] = field(default_factory=list)
    is_purged: bool = False
    errors: list[str] = field(default_factory=list)
    exit_code: int = 0

    def failed(self, error: LakemeshError) -> None:
        """Add an error without stopping the rest."""
        if str(error) not in self.errors:
            self.errors.append(str(error))
        self.exit_code = max(self.exit_code, 2 if isinstance(error, ConfigError) else 1)


def erase_persons(
    lake: Lake,
    persons: Sequence[Person],
    because: str,
    name: str,
    deadline: dt.date | None = None,
    computing: Progress | None = None,
    wait_seconds: float = 0.0,
) -> EraseSummary:
    """Forget persons.

    Args:
        persons: the named identifiers of each; one who is under a legal hold does not stop the others.
        because: the reason, without personal values; kept with the tombstones and in the audit log.
        name: the id of the request; the same one goes on with it.

    Raises:
        ConfigError: the key is missing, the name is none, or a hold covers everybody; nothing was changed.
        RetriableError: the lake cannot be reached.
    """
    key = lake.options.lake_erasure_key
    secret = checked_key(key)
    if not because.strip():
        raise ConfigError("no reason given; expected a text after --because, without personal values")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"'{name}' is no id of a request; expected lower-case letters, digits, dots and dashes")
    read_tombstones(lake.store, key)  # a wrong key is noticed before anything changes
    require_writable(lake.landings, lake.store, contracts().values(), lake.records())
    free, held = _without_held(lake, persons, secret)
    if not free:
        raise held[0]
    subject, _ = find(lake, free)
    values = personal_values(lake, subject)
    request = Request(name, dt.datetime.now(dt.UTC), because, deadline)
    tombstones = write_tombstones(lake.store, key, request, subject.values)
    bring_to_backups(lake.store, lake.options)  # before anything that could be interrupted
    summary = EraseSummary(name, {one: len(found) for one, found in sorted(subject.values.items()) if found})
    for error in held:
        summary.failed(error)
    _forget(lake, summary, Named(dict(subject.values), frozenset({tombstones})), computing, wait_seconds)
    _prove(lake, summary, values)
    _report(lake, summary)
    return summary


def resume(lake: Lake, computing: Progress | None = None, wait_seconds: float = 0.0) -> EraseSummary:
    """Go on with every erasure that was interrupted, or whose person has further identifiers; by tombstones alone.

    Raises:
        ConfigError: the key is missing.
        RetriableError: the lake cannot be reached.
    """
    read_tombstones(lake.store, lake.options.lake_erasure_key)
    require_writable(lake.landings, lake.store, contracts().values(), lake.records())
    summary = EraseSummary(f"resumed-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}".lower())
    _forget(lake, summary, None, computing, wait_seconds)
    if not summary.errors:
        for item in requests_of(lake):
            if item.status == OPEN:
                _report(lake, EraseSummary(item.name, release=summary.release))
    return summary


def prove(lake: Lake, named: Mapping[str, frozenset[str]], name: str, texts: Sequence[str] = ()) -> EraseSummary:
    """Look for the values of persons who were forgotten in everything that Lakemesh has.

    Args:
        named: the identifiers, which are stored nowhere: they have to be given again, and are checked.
        name: the id of the request.
        texts: further values to look for, such as e-mail addresses.

    Raises:
        ConfigError: there is no such request, or it is about other identifiers.
    """
    stones = read_tombstones(lake.store, lake.options.lake_erasure_key)
    if name not in {request.name for request in read_requests(lake.store).values()}:
        raise ConfigError(f"no request {name}; `lake erase --list` shows all")
    if any(not stones.has(one, value) for one, found in named.items() for value in found):
        raise ConfigError(f"request {name} is about other identifiers; expected those that it was made with")
    summary = EraseSummary(name, {one: len(found) for one, found in named.items()})
    values = {**{f"value {number}": text for number, text in enumerate(texts, 1)}}
    _prove(lake, summary, (named, values))
    return summary


def _without_held(lake: Lake, persons: Sequence[Person], secret: bytes) -> tuple[list[Person], list[ConfigError]]:
    """The persons who are under no legal hold, and why the others are not erased."""
    holds = read_holds(lake.store)
    if not holds or not _covering(lake, persons, holds, secret):
        return list(persons), []
    free, held = [], []
    for number, person in enumerate(persons, 1):
        hold = _covering(lake, [person], holds, secret)
        if hold:
            which = f"person {number} of {len(persons)}" if len(persons) > 1 else "the person"
            held.append(
                ConfigError(
                    f"{which} is under the legal hold {hold.name} ({hold.because}), and was not erased. Once it has "
                    f"ended: `lake erase --release {hold.name}`, then ask again"
                )
            )
        else:
            free.append(person)
    return free, held


def _covering(lake: Lake, persons: Sequence[Person], holds: Iterable[Hold], secret: bytes) -> Hold | None:
    """A hold that one of these persons is under, by any identifier that records lead to."""
    subject, _ = find(lake, persons)
    return next((hold for hold in holds if hold.covers(secret, subject.values)), None)


def _forget(
    lake: Lake, summary: EraseSummary, named: Named | None, computing: Progress | None, wait_seconds: float
) -> None:
    """All steps but the proof."""
    feeds = list(contracts().values())
    with lake.writable():
        for contract in feeds:
            with contained(contract.feed, summary.failed):
                done = erase(
                    contract, lake.store, lake.ledger(contract.feed), lake.tombstones, dt.datetime.now(dt.UTC), named
                )
                summary.feeds.append(done)
                if done.lines:
                    _keep(summary, contract)
        for contract in feeds:
            with contained(f"the landing of {contract.feed}", summary.failed):
                now = dt.datetime.now(dt.UTC)
                landing, ledger = lake.landing(contract), lake.ledger(contract.feed)
                summary.landed.append(forget_landed(contract, landing, lake.store, ledger, now))
    with contained("the audit log", summary.failed):
        counts = {item.feed: asdict(item) | {"lines": None} for item in summary.feeds if item.position}
        about = {"request": summary.request, "identifiers": dict(summary.identifiers), "feeds": counts}
        lake.audit_log.append("subject_erased", about)
    if any(contract.feed not in {item.feed for item in summary.feeds} for contract in feeds):
        return
    run = run_cycle(lake, (), lambda _: lambda objects, size: None, computing, wait_seconds)
    summary.release = run.state
    for error in run.errors:
        summary.failed(RetriableError(error))
    if run.errors or _is_pending(lake, feeds):
        summary.failed(
            RetriableError(
                "the cycle failed, so old data stays where it was: fix its errors, then `lake erase --resume` goes on"
            )
        )
        return
    _purge(lake, summary, feeds, wait_seconds)


def _is_pending(lake: Lake, feeds: Iterable[Contract]) -> bool:
    stones = lake.tombstones.read(again=True)
    return any(pending(lake.ledger(item.feed).live(), stones) for item in feeds)


def _keep(summary: EraseSummary, contract: Contract) -> None:
    about = contract.personal
    if about and contract.on_erasure is not OnErasure.DELETE:
        until = f", for {about.until_days} days" if about.until_days else ""
        summary.kept.append(f"{contract.feed}: {about.on_erasure}{until}; {about.basis}")


def _purge(lake: Lake, summary: EraseSummary, feeds: Sequence[Contract], wait_seconds: float) -> None:
    """Delete what has old bytes: replaced files of the lake, then everything behind bronze."""
    summary.beyond += bring_to_backups(lake.store, lake.options)
    now = dt.datetime.now(dt.UTC)
    with exclusive_cycle(lake, wait_seconds), lake.writable():  # no cycle reads the files that go
        for contract in feeds:
            with contained(contract.feed, summary.failed):
                if contract.source.kafka and lake.ledger(contract.feed).live().ranges:
                    summary.beyond.append(f"{contract.feed}: topic {contract.source.kafka.topic}, until its retention")
                landing = lake.landing(contract)
                landed = partial(landed_objects, contract, landing)
                done = clean(lake.store, lake.ledger(contract.feed), landed, now, dt.timedelta(0), landing.hide)
                if done.files:
                    summary.purged.append(f"{contract.feed}: deleted {done.files:,} files that were replaced")
                for path, why in done.kept:
                    summary.failed(RetriableError(f"{path} was not deleted: {why}"))
    if summary.release is None:
        summary.failed(
            RetriableError("nothing was published yet, so no more was removed; `lake erase --resume` goes on")
        )
        return
    with contained("what is behind bronze", summary.failed):
        purged = purge(lake, summary.request, summary.release, wait_seconds)
        summary.is_purged = purged.is_complete
        for place in purged.places:
            summary.purged += [f"{place.name}: {line}" for line in place.removed.done]
            summary.beyond += [f"{place.name}: {line}" for line in place.removed.beyond]
            if place.error:
                summary.failed(place.error)
            for line in place.removed.left:
                summary.failed(RetriableError(f"{place.name}: {line}"))


def _prove(lake: Lake, summary: EraseSummary, values: Values) -> None:
    """Look for the values in everything."""
    with contained("the proof", summary.failed):
        places = places_of(lake.options, lake.store, lake.releases, rewritten=summary.is_purged)
        scan = find_traces(places, searched(lake, values))
        summary.traces = [str(trace) for trace in scan.traces]
        summary.traces += [f"{place}: {count:,} more" for place, count in scan.unlisted.items()]
    if summary.traces:
        summary.exit_code = max(summary.exit_code, 1)


def _report(lake: Lake, summary: EraseSummary) -> None:
    """Write what was done, without values, beside the tombstones."""
    with contained("the report", summary.failed):
        content: dict[str, Any] = asdict(summary) | {"at": dt.datetime.now(dt.UTC).isoformat()}
        lake.store.put(f"{REPORTS}/{summary.request}.json", json.dumps(content, indent=1, default=str).encode())
