"""`lake drill`: restores a back-up elsewhere, rebuilds all tables from bronze, and compares them with its release."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlglot import exp
from sqlmesh.core.model import Model, SqlModel

from ingest.errors import ConfigError, RetriableError
from ingest.ledger.identity import end_restoring
from ingest.settings import Settings, settings
from pipeline.backup.compare import Compared, Fingerprint, fingerprint
from pipeline.backup.contents import fetch
from pipeline.backup.manifest import STATE, WAREHOUSE, Backup
from pipeline.backup.place import Backups
from pipeline.backup.restore import restore_lake, restore_releases
from pipeline.cycle.rebuild import rebuild
from pipeline.invalidation.completeness import as_released
from pipeline.lake import Lake
from pipeline.releases.release import Release, Releases
from pipeline.releases.released_days import released_days
from pipeline.warehouse.operations import RECORDED
from pipeline.warehouse.project import Progress, open_project, plain_name

_CLOCKS = (exp.CurrentDate, exp.CurrentDatetime, exp.CurrentTime, exp.CurrentTimestamp)
_ELSEWHERE = {
    "LAKE_GATEWAY": "local",
    "LANDING_URI": "{folder}/landing/{{bucket}}",
    "LAKE_URI": "{folder}/lake",
    "PUBLISHED_URI": "{folder}/published",
    "WAREHOUSE_PATH": "{folder}/warehouse.duckdb",
    "STATE_PATH": "{folder}/state.duckdb",
    "NOTIFICATIONS_PATH": "{folder}/notifications",
    "LAKE_HOME": "{folder}",
    "SQLMESH_DOTENV_PATH": "{folder}/settings",
}
_NOWHERE = (
    *("SERVING_DSN", "NOTIFY_WEBHOOK_URL", "SLACK_WEBHOOK_URL", "SMTP_HOST", "METRICS_FILE"),
    *("OPENLINEAGE_URL", "KAFKA_BOOTSTRAP_SERVERS", "LAKE_ROLE_KEYS"),
)
"""Settings that a drill leaves out, so that nobody hears of it."""


@dataclass(frozen=True, slots=True)
class Drilled:
    """A drill.

    Attributes:
        backup: number of the back-up.
        release: number of the release that was rebuilt.
        tables: by name, the release's and the rebuilt ones.
        left_out: why tables were not compared, by name.
        seconds: of each stage.
        bytes: restored and compared with their hashes.
        recovery_seconds: of all stages: how long it takes until readers have what they had.
        recovery_point_seconds: age of the newest commit in the back-up: what was loaded later would have to be loaded
            again.
        notes: what is worth knowing.
    """

    backup: int
    created_at: str
    release: int
    tables: tuple[Compared, ...]
    left_out: Mapping[str, str]
    seconds: Mapping[str, float]
    bytes: int
    recovery_seconds: float
    recovery_point_seconds: float
    notes: tuple[str, ...] = field(default=())

    @property
    def differences(self) -> list[str]:
        """Names of the tables that are others than in the release."""
        return [item.name for item in self.tables if not item.is_equal]

    @property
    def exit_code(self) -> int:
        """0 if all tables are equal, else 1."""
        return int(bool(self.differences))


def drill(
    options: Settings,
    uri: str,
    number: int | None = None,
    into: str | None = None,
    keep: bool = False,
    computing: Progress | None = None,
) -> Drilled:
    """Restore a back-up to a new folder, rebuild warehouse, state and release there, and compare every table.

    The ledgers are restored up to the positions of its newest release, whose tables then have to come out again. All
    other contents of the back-up are compared with their hashes. Nothing else is read or changed.

    Args:
        into: a folder that does not exist or is empty; by default a temporary one.
        keep: whether what was made there stays.

    Raises:
        ConfigError: there is no such back-up or no release in it, or the folder is not empty.
        RetriableError: contents are damaged, or the rebuild failed.
    """
    backups = Backups(uri, options)
    backup = backups.get(number)
    about = backup.about
    if not about.newest:
        raise ConfigError(f"{uri}: back-up {about.number} has no release to compare with; run `lake run`, then back up")
    if about.unavailable:
        raise RetriableError(
            f"{uri}: files of release {about.newest} were deleted before back-up {about.number} was taken "
            f"({', '.join(about.unavailable)}); run `lake publish`, then back up again"
        )
    now = dt.datetime.now(dt.UTC)
    with _folder(into, keep) as folder, _elsewhere(folder) as other:
        stages: dict[str, float] = {}
        with _timed(stages, "restore"):
            written = restore_lake(backups, backup, other.store, until=about.at_newest)
            end_restoring(other.store, about.lake_id)
            written += restore_releases(backups, backup, other.releases, show=True)
            written += _check_others(backups, backup, folder)
        before = other.releases.get(about.newest)
        with _timed(stages, "rebuild"), as_released(before.published_at, _released_days(other, before)):
            summary = rebuild(other, computing, now=before.published_at)
        if summary.errors:
            raise RetriableError(f"the rebuild failed: {'; '.join(summary.errors)}")
        after = other.releases.newest()
        if after is None or after.number == before.number:
            raise RetriableError("the rebuild published nothing; expected a release to compare")
        with _timed(stages, "compare"):
            left_out = _left_out(other, before)
            tables = tuple(_compared(other.releases, before, after, set(left_out)))
    later = backups.tombstones() - backup.tombstones
    notes = (
        [f"{len(later)} erasures are newer than this back-up; `lake backup --to {uri}` replaces it"] if later else []
    )
    point = dt.datetime.fromisoformat(about.committed_at or about.created_at)
    return Drilled(
        about.number,
        about.created_at,
        about.newest,
        tables,
        left_out,
        {name: round(seconds, 3) for name, seconds in stages.items()},
        written,
        round(sum(stages.values()), 3),
        round((now - point).total_seconds(), 3),
        tuple(notes),
    )


def _check_others(backups: Backups, backup: Backup, folder: Path) -> int:
    """Compare state and warehouse with their hashes."""
    items = [*backup.of(STATE), *backup.of(WAREHOUSE)]
    path = folder / "checked"
    for item in items:
        fetch(backups.store, item, path)
        path.unlink()
    return sum(item.size for item in items)


def _compared(published: Releases, before: Release, after: Release, left_out: set[str]) -> Iterator[Compared]:
    with published.connect(before.number) as old, published.connect(after.number) as new:
        for name in sorted({*before.tables, *after.tables} - left_out):
            sides: list[Fingerprint | None] = []
            for release, reader in ((before, old), (after, new)):
                sides.append(fingerprint(reader, name) if name in release.tables else None)
            yield Compared(name, *sides)


def _released_days(lake: Lake, release: Release) -> dict[str, set[dt.date]]:
    with open_project(lake.state) as project, lake.releases.connect(release.number) as reader:
        return released_days(project.context.models, release.tables.keys(), reader)


def _left_out(lake: Lake, release: Release) -> dict[str, str]:
    """Tables that do not follow from bronze: of records of past cycles, or of the clock, and what reads them."""
    with open_project(lake.state) as project:
        models = {plain_name(name): item for name, item in project.snapshots().items() if item.is_model}
        parents = {name: {plain_name(parent.name) for parent in item.parents} for name, item in models.items()}
        of_clock = {name for name, item in models.items() if _asks_the_clock(item.model)}
    reasons = [("of records of past cycles", set(RECORDED)), ("of the time at which it was computed", of_clock)]
    left_out: dict[str, str] = {}
    for reason, found in reasons:
        while more := {name for name, read in parents.items() if read & found} - found:
            found |= more
        left_out |= dict.fromkeys(found & release.tables.keys(), reason)
    return dict(sorted(left_out.items()))


def _asks_the_clock(model: Model) -> bool:
    """Whether a model's query asks the wall clock instead of the time for which it is computed."""
    query = model.render_query() if isinstance(model, SqlModel) else None
    return query is not None and any(query.find_all(*_CLOCKS))


@contextmanager
def _timed(stages: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        stages[name] = time.monotonic() - began


@contextmanager
def _folder(into: str | None, keep: bool) -> Iterator[Path]:
    """A folder for the drill, which is removed afterwards.

    Raises:
        ConfigError: it has something in it.
    """
    folder = Path(into or tempfile.mkdtemp(prefix="lakemesh-drill-")).absolute()
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty; expected a new folder for the drill")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _elsewhere(folder: Path) -> Iterator[Lake]:
    """A lake in a folder of its own, which SQLMesh finds by the settings of this process while the body runs."""
    (folder / "settings").touch()
    wanted = {name: value.format(folder=folder) for name, value in _ELSEWHERE.items()} | dict.fromkeys(_NOWHERE, "")
    wanted["OPENLINEAGE_DISABLED"] = "true"
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    settings.cache_clear()
    try:
        yield Lake(settings())
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        settings.cache_clear()
