"""Disks: free space and inodes where the lake writes on this host, and who may read there."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from ingest.settings import Settings
from pipeline.doctor.finding import Finding, Reporter
from pipeline.lake import Lake

LEAST_BYTES = 256 << 20
"""Below this, a load or a computation may not end."""
LEAST_INODES = 1_000
WARN_SHARE = 0.05
"""Share of all inodes that should be free."""
_GROUP_AND_OTHERS = 0o077


def check(lake: Lake) -> Iterator[Finding]:
    """See the module."""
    report, options = Reporter("disk"), lake.options
    places = dict(_places(lake))
    needs = _size(Path(options.warehouse_path)) + _size(Path(options.state_path))
    seen: set[int] = set()
    for setting, folder in places.items():
        about, exists = f"{setting} ({folder})", folder.is_dir()
        place = folder if exists else next(item for item in folder.parents if item.is_dir())
        if not os.access(place, os.W_OK | os.X_OK):
            step = f"let this user write there, or point {setting} elsewhere"
            yield report.fail(about, f"{place} cannot be written", "a folder that this user can write", step)
        device = place.stat().st_dev
        if device not in seen:
            seen.add(device)
            yield from space(report, about, place, max(needs, options.lake_load_bytes))
    yield from _modes(report, options, places)


def space(report: Reporter, about: str, folder: Path, needs: int) -> Iterator[Finding]:
    """Free space and inodes of the file system of a folder.

    Args:
        needs: bytes that a computation may take there beside what it has.
    """
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    step = "free space there: `lake maintain`, fewer releases (PUBLISHED_STATES), `sqlmesh janitor`; or a larger disk"
    if free < LEAST_BYTES:
        yield report.fail(about, f"{_shown(free)} free", f"at least {_shown(LEAST_BYTES)}", step)
    elif free < needs:
        expected = f"{_shown(needs)}: as much as warehouse and state again, or one load (LAKE_LOAD_BYTES)"
        yield report.warn(about, f"{_shown(free)} free", expected, step)
    else:
        yield report.ok(about, f"{_shown(free)} free")
    if not found.f_files:  # file systems such as btrfs have no limit
        return
    about += ", inodes"
    if found.f_favail < LEAST_INODES:
        yield report.fail(about, f"{found.f_favail:,} free", f"at least {LEAST_INODES:,}", "delete or join small files")
    elif found.f_favail < WARN_SHARE * found.f_files:
        share = f"{found.f_favail / found.f_files:.1%} free"
        yield report.warn(about, share, f"at least {WARN_SHARE:.0%}", "`lake maintain` joins small files of the lake")


def _places(lake: Lake) -> Iterator[tuple[str, Path]]:
    """The folders of this host that are written, by the setting that names them."""
    options = lake.options
    yield "LAKE_HOME", Path(options.lake_home)
    for setting, store in (("LAKE_URI", lake.store), ("PUBLISHED_URI", lake.releases.store)):
        if store.root is not None:
            yield setting, store.root
    yield "WAREHOUSE_PATH", Path(options.warehouse_path).parent
    if not options.has_postgres_state:
        yield "STATE_PATH", Path(options.state_path).parent
    if options.metrics_file:
        yield "METRICS_FILE", Path(options.metrics_file).parent
    yield "TMPDIR", Path(tempfile.gettempdir())


def _modes(report: Reporter, options: Settings, places: Mapping[str, Path]) -> Iterator[Finding]:
    """Who else can read the folder with everything; releases may be open on purpose."""
    home = places["LAKE_HOME"]
    if not home.is_dir():
        return
    mode = stat.S_IMODE(home.stat().st_mode)
    about, allowed = f"LAKE_HOME ({home}), mode", options.lake_folder_mode
    if mode & _GROUP_AND_OTHERS & ~allowed:
        step = f"chmod {allowed:o} {home}, or set LAKE_FOLDER_MODE to what is meant (docs/operations.md)"
        yield report.warn(about, f"{mode:04o}", f"{allowed:04o}, or stricter: rows of persons are in it", step)
    else:
        yield report.ok(about, f"{mode:04o}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _shown(size: int) -> str:
    """Bytes for people."""
    for unit, bytes_of_one in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= bytes_of_one:
            return f"{size / bytes_of_one:,.1f} {unit}"
    return f"{size} bytes"
