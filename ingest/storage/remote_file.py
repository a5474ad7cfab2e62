"""An object in a remote store as a Python file."""

from __future__ import annotations

import io
from typing import Any

from ingest.storage.traffic import count


class RemoteFile(io.RawIOBase):
    """An object as a Python file; obstore's own reader lacks methods that pyarrow requires.

    Args:
        uri: of the store, for the count of requests; a read that obstore answers from its buffer counts as one too.
    """

    def __init__(self, reader: Any, uri: str) -> None:
        self._reader, self._uri = reader, uri

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())

    def readinto(self, buffer: Any) -> int:
        data = self._reader.read(len(buffer))
        buffer[: len(data)] = bytes(data)
        count(self._uri, "get")
        count(self._uri, "read", len(data))
        return len(data)
