"""Opening of many files of a landing in turn, with one walk for all consecutive files of a folder."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from ingest.storage.local import FILE, FOLDER, open_file


class FolderReader:
    """Opens files below a root like `open_file`, and keeps the folder of the last one open.

    That folder was reached without following a link, so a file in it is as safe as one whose whole path is walked
    again. What cannot be opened like this is left to `open_file`.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._path = ""
        self._folder = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._leave()

    def open(self, key: str) -> int:
        """Open a file for reading; the caller closes the descriptor.

        Raises:
            Refused, OSError: as `open_file`.
        """
        path, _, name = key.rpartition("/")
        try:
            if self._folder < 0 or path != self._path:
                self._enter(path)
            return os.open(name, FILE, dir_fd=self._folder)
        except OSError:
            return open_file(self._root, key)

    def _enter(self, path: str) -> None:
        self._leave()
        place = os.open(self._root, FOLDER)
        try:
            for folder in path.split("/") if path else ():
                below = os.open(folder, FOLDER | os.O_NOFOLLOW, dir_fd=place)
                os.close(place)
                place = below
        except OSError:
            os.close(place)
            raise
        self._folder, self._path = place, path

    def _leave(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1
