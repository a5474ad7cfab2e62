"""`lake backup` and `lake restore`, killed at each of their writes.

    python -m tests.backup_kills backup|restore FOLDER PLACE

The lake of the settings is backed up to a new place below FOLDER for each kill; or PLACE is restored to a new home
there. Everything happens in children of this process, which has opened no store before: a runtime of threads does not
survive a fork. Prints the number of kills.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingest.errors import ConfigError
from ingest.ledger.identity import lake_id
from ingest.settings import settings
from ingest.storage.store import Store
from pipeline.backup.place import Backups
from pipeline.cycle.backup import back_up, restore_backup
from pipeline.lake import Lake
from pipeline.state.duck import DuckDatabase  # noqa: F401  what the commands import later


def in_child(work: Callable[[], object]) -> int:
    """Run a function in a child; return its exit code, or the negative number of the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at(number: int, after: bool) -> None:
    """Kill this process before or after its write of that number."""
    lock, left = threading.Lock(), [number]

    def around(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with lock:
                left[0] -= 1
                is_it = left[0] == 0
            if is_it and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*arguments, **options)
            if is_it:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in ("put", "put_new", "publish"):
        setattr(Store, name, around(getattr(Store, name)))


def finish_backup(place: str) -> None:
    """Back up once more, and check that it is whole."""
    backups = Backups(place, settings())
    before = backups.numbers()
    written = sum(1 for _ in backups.store.list("objects"))
    taken = back_up(Lake(settings()), place)
    assert taken.about.number == len(before) + 1, (before, taken)
    objects = backups.get().objects.values()
    if not before:  # what was written is not written again
        assert taken.put_objects == len({item.sha256 for item in objects}) - written, (taken, written)
    for item in objects:
        assert hashlib.sha256(backups.store.get(item.object)).hexdigest() == item.sha256, item


def use_home(folder: Path) -> Lake:
    """The handle on a home in a folder."""
    os.environ["LAKE_HOME"] = str(folder)
    settings.cache_clear()
    return Lake(settings())


def finish_restore(folder: Path, place: str) -> None:
    """Check that nobody can write to what a killed restore left, restore once more, and check that it is whole."""
    lake = use_home(folder)
    backup = Backups(place, lake.options).get()
    try:
        is_open = lake_id(lake.store) == backup.about.lake_id
    except ConfigError:
        is_open = False
    missing = [item.key for item in backup.of("lake") if lake.store.find(item.key) is None]
    assert not (is_open and missing), missing
    if not is_open:
        restore_backup(lake, place, None)
    assert lake_id(lake.store) == backup.about.lake_id
    for item in backup.of("lake"):
        assert hashlib.sha256(lake.store.get(item.key)).hexdigest() == item.sha256, item
    for item in backup.of("releases"):
        assert hashlib.sha256(lake.releases.store.get(item.key)).hexdigest() == item.sha256, item
    if backup.about.release:
        with lake.releases.connect() as reader:
            reader.execute("SHOW ALL TABLES")
        assert lake.releases.pointer()["state"] == backup.about.release
    with lake.state.open() as state:
        assert state.row("SELECT id FROM lakemesh.lake") == (backup.about.lake_id,)


def main() -> None:
    """Kill it at each write until one call survives."""
    verb, folder, place = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    for kills in range(10_000):
        number, after = kills // 2 + 1, bool(kills % 2)
        target = folder / str(kills)

        def killed(number: int = number, after: bool = after, target: Path = target) -> None:
            lake = Lake(settings()) if verb == "backup" else use_home(target)
            kill_at(number, after)
            if verb == "backup":
                back_up(lake, str(target))
            else:
                restore_backup(lake, place, None)

        def finished(target: Path = target) -> None:
            finish_backup(str(target)) if verb == "backup" else finish_restore(target, place)

        code = in_child(killed)
        if code == 0:
            print(kills)
            return
        assert code == -signal.SIGKILL, code
        assert in_child(finished) == 0, f"after a kill {'after' if after else 'before'} write {number}"
    raise AssertionError("it never ended")


if __name__ == "__main__":
    main()
