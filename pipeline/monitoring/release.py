"""Measures of the release that readers get, and of what is stored."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from ingest.errors import LakemeshError
from ingest.settings import Settings
from pipeline.monitoring.definitions import Measured, Sample
from pipeline.process.contain import contained
from pipeline.releases.release import Release, Releases

QUALITY = "ops.quality_daily"
DIMENSIONS = ("validity", "completeness", "uniqueness")
"""Shares of QUALITY; its freshness is that of a day, and lakemesh_feed_newest_object_timestamp_seconds is newer."""
Quality = dict[int, tuple[Sample, ...]]
"""Samples by release, of which there is at most one."""


def release_measures(releases: Releases, known: Quality | None = None) -> Measured:
    """Measure the current release.

    Args:
        known: quality of an earlier call, which spares opening the same release again; it is brought up to date.
    """
    samples: list[Sample] = []
    errors: list[LakemeshError] = []
    with contained("the releases", errors.append):
        pointer = releases.pointer()
        release = releases.get(pointer["state"]) if pointer else None
        sizes = [item.size for item in releases.store.list()]
        numbers = releases.numbers()
        samples.append(Sample("lakemesh_storage_bytes", float(sum(sizes)), ("releases",)))
        samples.append(Sample("lakemesh_releases_kept", float(len(numbers))))
        if release:
            files = [file for table in release.tables.values() for file in table.files]
            values = {
                "number": release.number,
                "published_timestamp_seconds": release.published_at.timestamp(),
                "tables": sum(not table.query for table in release.tables.values()),
                "rows": sum(file.rows for file in files),
                "bytes": sum(file.bytes for file in files),
                "is_held": bool(pointer.get("held")),
                "is_suspect": release.number in releases.suspects(),
            }
            samples += [Sample(f"lakemesh_release_{name}", float(value)) for name, value in values.items()]
            samples += _known_quality(releases, release, {} if known is None else known)
    return Measured(tuple(samples), tuple(errors))


def storage_measures(options: Settings, bronze: Iterable[Sample]) -> list[Sample]:
    """Measure what is stored besides releases.

    Args:
        bronze: the samples of feeds.
    """
    size = sum(sample.value for sample in bronze if sample.name == "lakemesh_feed_bytes")
    places = {"warehouse": [options.warehouse_path], "state": [options.state_path]}
    if options.has_spark:
        places["warehouse"] = [str(path) for path in (Path(options.lake_home) / "spark" / "warehouse").rglob("*")]
    found = [Sample("lakemesh_storage_bytes", float(size), ("bronze",))]
    for place, paths in places.items():
        own = [Path(path).stat().st_size for path in paths if Path(path).is_file()]
        found += [Sample("lakemesh_storage_bytes", float(sum(own)), (place,))] if own else []
    return found


def _known_quality(releases: Releases, release: Release, known: Quality) -> tuple[Sample, ...]:
    if release.number not in known:
        known.clear()
        known[release.number] = tuple(_quality(releases, release))
    return known[release.number]


def _quality(releases: Releases, release: Release) -> Iterable[Sample]:
    """The quality of each feed on the newest whole day that has a value, of the two weeks before the release."""
    if QUALITY not in release.tables:
        return
    with closing(releases.connect(release.number)) as reader:
        for dimension in DIMENSIONS:
            rows = reader.execute(
                f"SELECT feed, ARG_MAX({dimension}, date) FROM lake.{QUALITY} WHERE date < ?::DATE "
                f"AND date >= ?::DATE - 14 AND {dimension} IS NOT NULL GROUP BY feed ORDER BY feed",
                [release.published_at.date(), release.published_at.date()],
            ).fetchall()
            for feed, share in rows:
                yield Sample("lakemesh_feed_quality_ratio", float(share), (feed, dimension))
