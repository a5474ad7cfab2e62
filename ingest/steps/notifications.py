"""Bucket notifications as hints: S3 event documents in a spool folder name the objects to look up.

A document is a JSON file `*.json` with `Records` as S3, MinIO and others send them, bare or in the envelopes of SNS,
SQS and EventBridge. Producers write it under another name and rename it. A hint proves nothing: the object is looked
up, and full sweeps find the objects that no hint named.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from ingest.contracts.contract import Contract
from ingest.errors import ConfigError
from ingest.storage.names import key_problem

MAX_DOCUMENTS = 50_000
MAX_BYTES = 16 << 20
MALFORMED_AFTER_SECONDS = 60
"""Until this age a document that is not JSON may still be being written."""
MAX_KEY_BYTES = 1024
MALFORMED = ".malformed"
CREATED = "ObjectCreated:"
"""Part of the names of creation events; by itself it marks an event from EventBridge, whose keys are not encoded."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file of the spool.

    Attributes:
        version: inode, time and size when it was read; any change makes it another document.
        objects: (bucket, key) of each object that was created, by the document.
    """

    path: Path
    version: tuple[int, int, int]
    objects: frozenset[tuple[str, str]]


@dataclass(slots=True)
class Spool:
    """The content of the spool folder.

    Attributes:
        hints: number of objects created, by the documents, duplicates included.
        ignored: number of records of other events, or with keys that cannot be loaded.
        malformed: files that are not event documents.
        elsewhere: number of objects that no feed reads.
        left: number of documents beyond the limit, left for the next run.
    """

    documents: list[Document] = field(default_factory=list)
    hints: int = 0
    ignored: int = 0
    malformed: list[Path] = field(default_factory=list)
    elsewhere: int = 0
    left: int = 0

    def keys(self, contract: Contract) -> list[str]:
        """The distinct hinted keys of one feed, sorted."""
        return sorted({key for document in self.documents for _, key in _objects_of(document, contract)})

    def note(self) -> str:
        """A summary for people."""
        counts = {
            "ignored": self.ignored,
            "of no feed": self.elsewhere,
            "malformed documents": len(self.malformed),
            "documents left for the next run": self.left,
        }
        rest = "".join(f", {count:,} {name}" for name, count in counts.items() if count)
        return f"hints: {self.hints:,} in {len(self.documents):,} documents{rest}"


def read_spool(folder: Path, contracts: Collection[Contract], now: float | None = None) -> Spool:
    """Read the spool without changing it.

    Args:
        contracts: all feeds, selected or not.
        now: seconds since 1970.

    Raises:
        ConfigError: the folder cannot be read.
    """
    spool = Spool()
    try:
        paths = sorted(path for path in folder.glob("*.json") if path.is_file())
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}; expected a folder that this user can read") from error
    spool.left = max(0, len(paths) - MAX_DOCUMENTS)
    for path in paths[:MAX_DOCUMENTS]:
        try:
            status = path.stat()
            records = _records(path, status.st_size)
        except FileNotFoundError:
            continue  # another ingester has deleted it
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; expected a file that this user can read") from error
        except (ValueError, RecursionError):
            if (time.time() if now is None else now) - status.st_mtime > MALFORMED_AFTER_SECONDS:
                spool.malformed.append(path)
            continue
        objects = [_object(record) for record in records]
        created = [item for item in objects if item is not None]
        spool.hints += len(created)
        spool.ignored += len(objects) - len(created)
        known = frozenset(item for item in created if any(contract.source.bucket == item[0] for contract in contracts))
        document = Document(path, _version(status), known)
        read = {item for contract in contracts for item in _objects_of(document, contract)}
        spool.elsewhere += len(set(created)) - len(read)
        spool.documents.append(document)
    return spool


def finish(spool: Spool, contracts: Iterable[Contract], done: Collection[str]) -> None:
    """Delete the documents whose hints are all done, and rename malformed documents.

    Args:
        contracts: all feeds.
        done: feeds whose hinted objects were looked up and, if found, committed.
    """
    others = [contract for contract in contracts if contract.feed not in done]
    for document in spool.documents:
        with suppress(FileNotFoundError):
            if not any(_objects_of(document, contract) for contract in others) and (
                _version(document.path.stat()) == document.version
            ):
                document.path.unlink()
    for path in spool.malformed:
        with suppress(FileNotFoundError):
            path.rename(path.with_name(path.name + MALFORMED))


def _objects_of(document: Document, contract: Contract) -> set[tuple[str, str]]:
    source = contract.source
    return {item for item in document.objects if item[0] == source.bucket and source.contains(item[1])}


def _version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _records(path: Path, size: int) -> list[Any]:
    """The records of one document.

    Raises:
        ValueError: the file is not an event document.
    """
    if size > MAX_BYTES:
        raise ValueError(f"{size} bytes")
    return list(_unwrap(json.loads(path.read_bytes())))


def _unwrap(content: Any) -> Iterator[Any]:
    """The records of an event document, unwrapped from the envelopes of SNS, SQS and EventBridge.

    Raises:
        ValueError: it is not an event document.
    """
    if not isinstance(content, dict):
        raise ValueError("not an object")  # noqa: TRY004  as for text that is not JSON
    if content.get("Event") == "s3:TestEvent":  # AWS sends one at setup
        return
    if isinstance(content.get("Message"), str):  # SNS
        yield from _unwrap(json.loads(content["Message"]))
    elif content.get("source") == "aws.s3" and "detail" in content:  # EventBridge, whose keys are not encoded
        yield {"eventName": str(content.get("detail-type")).replace("Object Created", CREATED), "s3": content["detail"]}
    else:
        records = content.get("Records", content.get("Messages"))  # Messages: the response of SQS
        if not isinstance(records, list):
            raise ValueError("no Records")  # noqa: TRY004
        for record in records:
            yield from _delivered(record)


def _delivered(record: Any) -> Iterator[Any]:
    """The records in one record, which may be a message of SQS or SNS; None in place of one that cannot be read."""
    fields = record if isinstance(record, dict) else {}
    texts = [fields.get("Body"), fields.get("body")]
    wrapped = next((text for text in texts if isinstance(text, str)), None)
    try:
        if wrapped is not None:
            yield from _unwrap(json.loads(wrapped))
        elif isinstance(fields.get("Sns"), dict):
            yield from _unwrap(fields["Sns"])
        else:
            yield record
    except ValueError:
        yield None


def _object(record: Any) -> tuple[str, str] | None:
    """(bucket, key) of the object that a record reports as created; None for any other record.

    >>> _object({"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "raw"}, "object": {"key": "a+b%2Bc"}}})
    ('raw', 'a b+c')
    """
    try:
        event, place = record["eventName"], record["s3"]
        bucket, key = place["bucket"]["name"], place["object"]["key"]
        if event != CREATED:
            key = unquote_plus(key, errors="strict")
        size = len(key.encode())
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
    if not isinstance(event, str) or not isinstance(bucket, str) or CREATED not in event:
        return None
    return (bucket, key) if key and key_problem(key) is None and size <= MAX_KEY_BYTES else None
