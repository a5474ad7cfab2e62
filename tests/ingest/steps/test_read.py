"""Objects that are read as a whole give what they give as pieces."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ingest.contracts.contract import contracts
from ingest.records.parts import ObjectEnd, Part, Piece, WholeObject
from ingest.records.waiting import Waiting
from ingest.steps import read
from ingest.storage.landing import Landing

CONTENT = {
    "lines": b'{"a": 1}\n{"a": 2}\n',
    "without a last newline": b'{"a": 1}\n{"a": 2}',
    "one line": b'{"a": 1}',
    "blank lines": b'{"a": 1}\n\n\r\n {"a": 2}\n\n',
    "blank first": b'\n{"a": 1}\n',
    "byte order mark": b'\xef\xbb\xbf{"a": 1}\n',
    "empty": b"",
    "array": b'[{"a": 1}, {"a": 2}]',
    "text": b"hello\n",
    "brace": b"{",
    "not UTF-8": b'{"a": "\xff"}\n',
    "returns": b'{"a": 1}\r{"a": 2}\r\n',
    "too long": b'{"a": "' + b"x" * 400 + b'"}\n{"a": 1}\n',
    "many lines": b'{"a": 1}\n' * 300,
}
NAMES = ("a.json", "a.csv", "A.CSV.gz", "a")


def parts(landing: Landing, objects: list[Waiting], source_format: str) -> list[Part]:
    contract = contracts()["events"]
    source = contract.source.model_copy(update={"format": source_format})
    contract = contract.model_copy(update={"max_line_bytes": 300, "source": source})
    found: list[Part] = []
    for part in read.read_pieces(landing, contract, objects):
        if isinstance(part, WholeObject):
            found += [Piece(part.source, 1, part.data), ObjectEnd(part.source, part.content_hash)]
        else:
            found.append(part)
    return found


@pytest.mark.parametrize("source_format", ["auto", "csv"])
def test_whole_objects_are_their_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source_format: str) -> None:
    landing = Landing(str(tmp_path))
    for number, content in enumerate(CONTENT.values()):
        for name in NAMES:
            landing.put(f"{number}/{name}", content)
    objects = [Waiting(f"b/{item.key}", item, False) for item in sorted(landing.list(), key=lambda item: item.key)]
    whole: list[int] = []
    real = read.is_plain
    monkeypatch.setattr(read, "is_plain", lambda *a: real(*a) and (whole.append(1) or True))
    fast = parts(landing, objects, source_format)
    monkeypatch.setattr(read, "is_plain", lambda *_: False)
    assert fast == parts(landing, objects, source_format)
    assert len(whole) == (0 if source_format == "csv" else 14)
    hashes = {part.source: part.content_hash for part in fast if isinstance(part, ObjectEnd)}
    for number, item in enumerate(objects):
        content = list(CONTENT.values())[int(item.version.key.split("/")[0])]
        assert hashes[number] == hashlib.sha256(content).hexdigest()
