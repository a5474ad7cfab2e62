"""Which objects of the releases belong to a back-up: files and manifests of all that are kept.

Catalogs have absolute addresses and are written again where they are restored; pages and the releases of roles follow
from the releases.
"""

from __future__ import annotations

from dataclasses import dataclass

from ingest.errors import ConfigError, RetriableError
from ingest.storage.objects import StoredObject
from pipeline.backup.contents import Named, Writer
from pipeline.backup.manifest import RELEASES, Copied
from pipeline.releases import erasures
from pipeline.releases.release import Release, Releases, manifest_key, suspect_key

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class ReleaseCopy:
    """The releases as they were copied.

    Attributes:
        current: number of the release that readers get; 0 if there is none.
        withheld: whether readers were rolled back to it.
        newest: None if there is none.
    """

    current: int
    withheld: bool
    newest: Release | None
    objects: tuple[Copied, ...]


def copy_releases(published: Releases, writer: Writer) -> ReleaseCopy:
    """Copy all kept releases. Those that are pruned or withdrawn meanwhile make it start again.

    Raises:
        RetriableError: files of a release are missing, or the store cannot be reached.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _copy(published, writer)
        except ConfigError:  # a release that was just pruned, or a wrong setting
            if attempt == ATTEMPTS - 1:
                raise
        except FileNotFoundError as error:
            lost = str(error).splitlines()[0]
    raise RetriableError(f"{published.store.uri}: a release lacks files ({lost}); nothing was backed up")


def _copy(published: Releases, writer: Writer) -> ReleaseCopy:
    store = published.store
    pointer = published.pointer()
    releases = [published.get(number) for number in published.numbers()]
    files = {file.key: file for release in releases for table in release.tables.values() for file in table.files}
    wanted: list[Named | StoredObject] = [Named(file.key, file.bytes) for file in files.values()]
    numbers = {release.number for release in releases}
    keys = {key(number) for number in numbers for key in (manifest_key, suspect_key)}
    wanted += [item for item in store.list("states") if item.key in keys]
    wanted += store.list(erasures.FOLDER)
    current = int(pointer.get("state", 0))
    if current and current not in numbers:
        raise FileNotFoundError(manifest_key(current))
    objects = tuple(writer.copy_all(RELEASES, store, wanted))
    return ReleaseCopy(current, bool(pointer.get("held")), releases[-1] if releases else None, objects)
