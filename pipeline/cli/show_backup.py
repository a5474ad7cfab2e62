"""How back-ups and restores are shown."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.settings import Settings
from pipeline.backup.manifest import Backup
from pipeline.backup.place import Swept
from pipeline.backup.restore import Restored
from pipeline.backup.take import Taken
from pipeline.cli.layout import table, text


def show_backup(taken: Taken, uri: str) -> str:
    """What a back-up has, and what was copied for it."""
    about = taken.about
    lines = [
        f"back-up {about.number} at {uri}: {taken.objects:,} objects, {taken.bytes:,} bytes",
        f"copied: {taken.put_objects:,} new contents, {taken.put_bytes:,} bytes, in {taken.seconds:.1f} s",
        f"release: {about.release or 'none'}; state: {about.state or 'none'}; newest commit: "
        f"{about.committed_at[:19] or 'none'}",
    ]
    lines += _swept("withdrew, since an erasure came after them", taken.withdrawn)
    lines += _swept("deleted", taken.pruned)
    return text(*lines)


def _swept(what: str, swept: Swept) -> list[str]:
    if not (swept.numbers or swept.objects):
        return []
    which = ", ".join(map(str, swept.numbers)) or "none"
    return [f"{what}: back-ups {which} with {swept.objects:,} contents, {swept.bytes:,} bytes"]


def show_backups(backups: Sequence[Backup]) -> str:
    """The back-ups of a place."""
    if not backups:
        return "no back-ups"
    listed = table("back-up", "created at", "newest commit", "state", "release", "objects", "bytes", texts=4)
    for item in backups:
        about = item.about
        kind = about.state or "-"
        kind += " and warehouse" if item.has_warehouse else ""
        counts = (str(about.release or "-"), f"{len(item.objects):,}", f"{item.size:,}")
        listed.add_row(str(about.number), about.created_at[:19], about.committed_at[:19] or "-", kind, *counts)
    return text(listed)


def next_steps(restored: Restored, options: Settings) -> list[str]:
    """What is to be done after a restore, in order."""
    steps = []
    if restored.tombstones:
        steps.append(
            f"persons of {len(restored.tombstones)} later erasures were forgotten in the lake again: after the rebuild "
            "run `lake erase --resume`, which removes them from releases; until then readers get no release"
        )
    steps.append(
        f"requests of erasure since {restored.about.began_at[:19]} that `lake erase --list` does not show have to be "
        "given again"
    )
    if restored.tombstones or not (restored.has_warehouse and restored.has_state):
        steps.insert(0, "`lake rebuild` computes warehouse and state from bronze, and publishes")
    steps.append(
        "`lake run` loads what was landed since; without the landing (LANDING_URI) it waits for the producers' buckets"
    )
    steps.append("`lake verify --deep` checks the lake against its ledgers and the landing")
    return steps


def show_restored(restored: Restored, steps: Sequence[str], options: Settings) -> str:
    """What was restored, and what is next."""
    about = restored.about
    lines = [
        f"restored back-up {about.number} of {about.created_at[:19]} to {options.lake_uri}: "
        f"{restored.objects:,} objects, {restored.bytes:,} bytes written, all hashes equal",
        f"state: {'restored' if restored.has_state else 'none'}; warehouse: "
        f"{'restored' if restored.has_warehouse else 'none'}; readers get "
        f"{f'release {about.release}' if restored.has_release else 'no release'}",
    ]
    return text(*lines, *(f"next {number}: {step}" for number, step in enumerate(steps, 1)))
