"""Writing of Parquet files that are either complete or absent, even on a full disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


@contextmanager
def parquet_file(path: Path, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """Write a file, and delete it if the body or the writing fails.

    Args:
        options: options of `pyarrow.parquet.ParquetWriter`.
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
    """Close a writer whose file is not needed; errors, such as a full disk without room for the footer, are ignored."""
    with suppress(OSError):
        writer.close()
    writer.is_open = False  # otherwise its destructor would try again and print to stderr
