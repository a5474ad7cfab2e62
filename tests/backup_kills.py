"""`lake backup` and `lake restore`, killed at each of their writes.

    python -m tests.backup_kills backup|restore FOLDER PLACE [all]

The lake of the settings is backed up to a new place below FOLDER for each kill; or PLACE is restored to a new home
there. Everything happens in children of this process, which has opened no store before: a runtime of threads does not
survive a fork. Prints the number of writes; without `all` only the first, some within and the last are kills.
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


def count_writes(number: int, after: bool) -> list[int]:
    """Kill this process before or after its write of that number; return what counts down from it."""
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
    return left


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
    """Count the writes of a call that is not killed, then kill calls before and after all or some of them."""
    verb, folder, place, is_thorough = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:] == ["all"]

    def work(target: Path, kill: tuple[int, bool] | None) -> None:
        lake = Lake(settings()) if verb == "backup" else use_home(target)
        counted = count_writes(*kill) if kill else count_writes(0, False)
        if verb == "backup":
            back_up(lake, str(target))
        else:
            restore_backup(lake, place, None)
        (folder / "writes").write_text(str(-counted[0]))

    def finish(target: Path) -> None:
        finish_backup(str(target)) if verb == "backup" else finish_restore(target, place)

    folder.mkdir()
    assert in_child(lambda: work(folder / "whole", None)) == 0
    writes = int((folder / "writes").read_text())
    numbers = {1, 2, writes // 3, writes // 2, *range(writes - 3, writes + 1)}
    kills = [(number, after) for number in range(1, writes + 1) for after in (False, True)]
    for number, after in kills if is_thorough else [kill for kill in kills if kill[0] in numbers]:
        target = folder / f"{number}-{after}"
        code = in_child(lambda at=(number, after), target=target: work(target, at))  # type: ignore[misc]
        assert code == -signal.SIGKILL, (code, number, writes)
        code = in_child(lambda target=target: finish(target))  # type: ignore[misc]
        assert code == 0, f"after a kill {'after' if after else 'before'} write {number} of {writes}"
    print(writes)


if __name__ == "__main__":
    main()
