"""Sample objects of a feed by the addresses that a person gives: files, folders, places in the landing or a store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ingest.contracts.source import BUCKET, Source
from ingest.errors import ConfigError
from ingest.records.waiting import Waiting
from ingest.schemes import FOLDER, KINDS, is_remote, remote_schemes, scheme_of
from ingest.settings import Settings
from ingest.storage.landing import Landing
from ingest.storage.names import REASONS, NotLoaded, classify
from ingest.storage.objects import StoredObject


@dataclass(frozen=True, slots=True)
class Place:
    """Objects of one landing.

    Attributes:
        objects: the chosen ones, in key order.
        found: number of objects that were found.
        bucket: the bucket's name; empty of files that are in no landing.
        prefix: the common folder below it, with a trailing slash; empty for none.
        left_out: objects that are ignored or cannot be loaded, by reason.
    """

    landing: Landing
    objects: list[Waiting]
    found: int
    bucket: str = ""
    prefix: str = ""
    left_out: tuple[NotLoaded, ...] = field(default=())


def locate(addresses: Sequence[str], options: Settings, most: int) -> list[Place]:
    """Find the objects at some addresses, at most `most` in all, spread evenly over the key order of each.

    An address is a file or a folder, s3://bucket[/prefix], or bucket[/prefix] of the landing; a path that exists wins.

    Raises:
        ConfigError: there is nothing at an address, or it cannot be read.
        RetriableError: a store cannot be reached.
    """
    if not addresses:
        raise ConfigError("no samples: expected files, folders, s3://bucket/prefix or bucket/prefix of the landing")
    places = [_place(address, options, most) for address in addresses]
    left = most
    for number, place in enumerate(places):
        share = max(1, left // (len(places) - number))
        places[number] = replace(place, objects=[place.objects[item] for item in spread(len(place.objects), share)])
        left -= len(places[number].objects)
    return places


def spread(count: int, most: int) -> list[int]:
    """Return the positions of at most `most` of some items at even distances, the first and the last among them.

    >>> spread(7, 3), spread(2, 3), spread(3, 1)
    ([0, 3, 6], [0, 1], [2])
    """
    if count <= most:
        return list(range(count))
    if most == 1:
        return [count - 1]
    return [number * (count - 1) // (most - 1) for number in range(most)]


def _place(address: str, options: Settings, most: int) -> Place:
    if is_remote(address):
        scheme, _, rest = address.partition("://")
        bucket, _, prefix = rest.partition("/")
        if not bucket:
            raise ConfigError(f"'{address}' names no bucket; expected {scheme}://bucket[/prefix]")
        return _listed(address, Landing(f"{scheme}://{bucket}", options), bucket, prefix, most)
    if scheme_of(address) not in KINDS:
        raise ConfigError(f"'{address}' has an unknown scheme; expected a file, a folder or {remote_schemes()}")
    path = Path(address).expanduser()
    try:
        if path.is_file():
            return _file(path.resolve(), options)
        if path.is_dir():
            return _folder(path.resolve(), options, most)
    except OSError as error:
        raise ConfigError(f"{address} cannot be read: {error.strerror}; check its permissions") from None
    bucket, _, prefix = address.partition("/")
    if re.fullmatch(BUCKET, bucket):
        landing = Landing(options.landing(bucket), options)
        if landing.is_there():
            return _listed(address, landing, bucket, prefix, most)
    raise ConfigError(
        f"there is nothing at '{address}': expected a file, a folder, s3://bucket[/prefix], or bucket[/prefix] of the "
        f"landing {options.landing_uri}"
    )


def _file(path: Path, options: Settings) -> Place:
    bucket, prefix = _in_landing(path.parent, options)
    landing = Landing(str(path.parent), options)
    version = landing.find(path.name)
    if version is None:
        raise ConfigError(f"{path} cannot be read as an object; expected a file with a name in UTF-8")
    return Place(landing, [_waiting(path.parent.name, version)], 1, bucket, prefix)


def _folder(path: Path, options: Settings, most: int) -> Place:
    bucket, prefix = _in_landing(path, options)
    return replace(_listed(str(path), Landing(str(path), options), path.name, "", most), bucket=bucket, prefix=prefix)


def _in_landing(folder: Path, options: Settings) -> tuple[str, str]:
    """The bucket and prefix of a folder in the landing; both empty if it is elsewhere."""
    if scheme_of(options.landing_uri) != FOLDER:
        return "", ""
    before, _, after = options.landing_uri.partition("{bucket}")
    pattern = rf"{re.escape(str(Path(before).resolve()))}/({BUCKET}){re.escape(after)}(?:/(.*))?"
    if not before.endswith("/"):
        return "", ""
    found = re.fullmatch(pattern, str(folder))
    return (found[1], f"{found[2]}/" if found[2] else "") if found else ("", "")


def _listed(address: str, landing: Landing, bucket: str, prefix: str, most: int) -> Place:
    folder = prefix.rstrip("/")
    source = Source.model_construct(bucket=bucket, prefix=folder)
    if folder and not prefix.endswith("/"):
        seen = landing.inspect(folder)
        if seen and seen[1]:
            raise ConfigError(f"'{address}' cannot be loaded: {REASONS.get(seen[1], seen[1])}; rename the object")
        if seen:
            parent = folder.rpartition("/")[0]
            return Place(landing, [_waiting(bucket, seen[0])], 1, bucket, f"{parent}/" if parent else "")
    found = classify(source, landing.listing(folder))
    left_out = (*found.ignored, *found.unloadable)
    if not len(found.table):
        more = f"; not loaded are {'; '.join(map(str, left_out))}" if left_out else ""
        raise ConfigError(f"there are no objects at '{address}'; expected samples of the feed{more}")
    table = found.table.filter(pc.greater(found.table.column("size"), 0)).sort_by("key")
    chosen = table.take(pa.array(spread(len(table), most), pa.int64()))
    return Place(
        landing,
        [_waiting(bucket, StoredObject(**row)) for row in chosen.to_pylist()],
        len(found.table),
        bucket,
        f"{folder}/" if folder else "",
        left_out,
    )


def _waiting(bucket: str, version: StoredObject) -> Waiting:
    return Waiting(f"{bucket}/{version.key}", version, False)
