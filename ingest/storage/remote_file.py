"""An object in a remote store as a Python file."""

from __future__ import annotations

import io
from typing import Any


class RemoteFile(io.RawIOBase):
    """An object as a Python file; obstore's own reader lacks methods that pyarrow requires."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

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
        return len(data)
