"""Processes of our own without what they never use: half of the time of a run over small files."""

from __future__ import annotations

import gc
import sys


def lean_process() -> None:
    """Prepares a process of our own for many small objects; for processes that do not load SQLMesh.

    At its first conversion of Python values pyarrow imports pandas, where installed, only to recognise pandas' own:
    a quarter of a second and 60 MB. From here on this process cannot import it.
    """
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _WithoutPandas)
    collect_rarely()


def collect_rarely() -> None:
    """Leaves what is imported out of the garbage collections of this process, and makes them rare.

    The collector walks all modules again and again, while neither records nor the models that SQLMesh reads make much
    garbage of its kind: 5 to 15 % of a cycle's CPU, 40 % where a process loads the project again and again.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class _WithoutPandas:
    """A finder of modules that says of pandas that it is not there."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Refuses pandas, leaves everything else to the others."""
        if name == "pandas":
            raise ImportError("this process runs without pandas, see ingest/process.py")
