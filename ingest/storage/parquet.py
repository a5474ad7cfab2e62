"""Parquet files that are there whole or not at all, on a full disk too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


@contextmanager
def parquet_file(path: Path, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """Writes a file, and deletes it again when the body or the writing fails.

    Args:
        options: as `pyarrow.parquet.ParquetWriter` takes them.
    """
    writer = None
    try:
        writer = pq.ParquetWriter(path, schema, **options)
        yield writer
        writer.close()
    except BaseException:
        if writer:
            give_up(writer)
        with suppress(OSError):
            path.unlink()
        raise


def give_up(writer: pq.ParquetWriter) -> None:
    """Closes a writer whose file nobody wants; a full disk has no room for the footer, and that is no news."""
    with suppress(OSError):
        writer.close()
    writer.is_open = False  # or its destructor would try again, and complain on stderr
