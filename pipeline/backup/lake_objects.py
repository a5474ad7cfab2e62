"""Which objects of a lake belong to a back-up, and in which order they are copied.

A copy is consistent if its records are no newer than its logs, and its logs no newer than its files. Bronze,
quarantine and discarded records are copied as entries of the ledger name them, so loads, compaction and clean-up may
run meanwhile. Records that are written after their entry are copied before the logs; all others, which are written
before the entries that rely on them (tombstones, horizons, reasons of drops), after the logs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ingest.errors import RetriableError
from ingest.ledger.files import LAYERS, LakeFile
from ingest.ledger.identity import PLACES
from ingest.ledger.ledger import DIGITS, Ledger
from ingest.storage.objects import StoredObject
from ingest.storage.store import Store
from pipeline.backup import known
from pipeline.backup.contents import Named, Writer
from pipeline.backup.manifest import LAKE, Copied

ATTEMPTS = 5
_SETTLED, _TOPICS, _LEDGER, _SWEEP = "settled/", "topics/", "ledger/", "/_sweep"
_SKIPPED = (*LAYERS, "_probe", known.FOLDER)


@dataclass(frozen=True, slots=True)
class FeedCopy:
    """A feed as it was copied.

    Attributes:
        position: of its ledger.
        committed_at: of the entry there, ISO 8601.
        at_newest: position whose live rows are those of the newest release; 0 if the release lacks the feed.
        is_available: whether all files of that position were copied.
    """

    feed: str
    position: int
    committed_at: str
    at_newest: int
    is_available: bool
    objects: tuple[Copied, ...]


def early_records(lake: Store, others: Collection[str] = ()) -> list[StoredObject]:
    """Records that must not be newer than the logs.

    Args:
        others: beginnings of keys that are not the lake's, see `others_within`.
    """
    return [item for item in _records(lake, others) if _is_early(item.key)]


def late_records(lake: Store, others: Collection[str] = ()) -> list[StoredObject]:
    """All other records outside of logs and files, the identity of the lake excepted; arguments as before."""
    found = (item for item in _records(lake, others) if not (_is_early(item.key) or _is_of_log(item.key)))
    return [item for item in found if item.key not in PLACES]


def others_within(lake_uri: str, published_uri: str, landing_uri: str) -> tuple[str, ...]:
    """Beginnings of keys below a lake that are of releases, also of roles, or of the landing."""
    places = (published_uri, landing_uri.partition("{bucket}")[0])
    return tuple(place.removeprefix(f"{lake_uri}/") for place in places if place.startswith(f"{lake_uri}/"))


def _records(lake: Store, others: Collection[str]) -> Iterator[StoredObject]:
    """All objects but files, of which there may be millions: a listing in order passes over them."""
    after: str | None = None
    while True:
        for item in lake.list(after=after):
            folder = item.key.partition("/")[0]
            if folder in _SKIPPED:
                if lake.root is None:
                    after = f"{folder}0"  # the character after the slash
                    break
            elif not item.key.startswith(tuple(others)):
                yield item
        else:
            return


def feeds(lake: Store) -> list[str]:
    """The feeds that have a log, those without a contract included."""
    found = {item.key.split("/")[1] for item in lake.list("ledger") if item.key.count("/") > 1}
    return sorted(name for name in found if not name.startswith("_"))


def copy_feed(lake: Store, writer: Writer, feed: str, released: int) -> FeedCopy | None:
    """Copy the log of a feed and the files that are live at its end, and as the newest release and the state know them.

    Files that compaction, an overwritten object or an erasure replaces meanwhile make it start again.

    Args:
        released: its position in the newest release; 0 if there is none.

    Returns:
        None if the log is empty.

    Raises:
        LostLedger: entries are missing.
        RetriableError: live files are missing.
    """
    lost = ""
    for _ in range(ATTEMPTS):
        try:
            return _copy_feed(lake, writer, feed, released)
        except FileNotFoundError as error:
            lost = str(error).splitlines()[0]
    raise RetriableError(
        f"{feed}: files that its ledger names are missing, or keep being replaced ({lost}); `lake verify --deep` names "
        "them. Nothing was backed up"
    )


def _copy_feed(lake: Store, writer: Writer, feed: str, released: int) -> FeedCopy | None:
    ledger = Ledger(lake, feed)
    live = ledger.live()
    if not live.position:
        return None
    items = list(_copied(lake, writer, live.files.values()))
    at_newest = _same_rows(ledger, released, live.position) if released else 0
    found, is_available = _as_far_as_there(lake, writer, ledger, at_newest, live.files)
    items += found
    items += _as_far_as_there(lake, writer, ledger, _settled(lake, feed), live.files)[0]
    entries = [item for item in lake.list(ledger.prefix) if _number(item.key, ledger) in range(1, live.position + 1)]
    items += writer.copy_all(LAKE, lake, entries)
    committed_at = ledger.committed_at(live.position).isoformat()
    return FeedCopy(feed, live.position, committed_at, at_newest, is_available, tuple(items))


def _copied(lake: Store, writer: Writer, files: Iterable[LakeFile]) -> Iterator[Copied]:
    return writer.copy_all(LAKE, lake, (Named(file.path, file.bytes) for file in files))


def _as_far_as_there(
    lake: Store, writer: Writer, ledger: Ledger, position: int, live: dict[str, LakeFile]
) -> tuple[list[Copied], bool]:
    """Copy the files of an earlier position that were not deleted since; also returns whether these are all."""
    if not position or position > ledger.position() or position < ledger.first():
        return [], not position
    found: list[Copied] = []
    is_complete = True
    for file in ledger.live(position).files.values():
        if file.path in live:
            continue
        try:
            found += _copied(lake, writer, [file])
        except FileNotFoundError:
            is_complete = False
    return found, is_complete


def _same_rows(ledger: Ledger, position: int, newest: int) -> int:
    """The last position with the rows and rejected records of a position: compaction and clean-up change neither."""
    if position < ledger.first() or position > newest:
        return position
    for number, entry in ledger.entries_without_objects(position, newest):
        is_of_records = entry.has_objects or entry.ranges or entry.forgets or entry.expires or entry.begins
        if is_of_records or any(not file.path.startswith("bronze/") for file in entry.added):
            return number - 1
    return newest


def _settled(lake: Store, feed: str) -> int:
    """The applied position of a feed, as the lake records it; 0 if it does not."""
    try:
        return int(json.loads(lake.get(f"{_SETTLED}{feed}"))["position"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0


def _number(key: str, ledger: Ledger) -> int:
    """The number of an entry; 0 of any other object."""
    name = key.removeprefix(f"{ledger.prefix}/").removesuffix(".parquet")
    return int(name) if len(name) == DIGITS and name.isdigit() else 0


def _is_early(key: str) -> bool:
    return key.startswith((_SETTLED, _TOPICS)) or (key.startswith(_LEDGER) and key.endswith(_SWEEP))


def _is_of_log(key: str) -> bool:
    """Whether an object is an entry or a checkpoint, which follow from the log, or of a log that was moved aside."""
    if not key.startswith(_LEDGER):
        return False
    first, _, rest = key.removeprefix(_LEDGER).partition("/")
    return first == "_lost" or (bool(rest) and not first.startswith("_"))
