"""What one request may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ingest.settings import Settings


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits per request; those of `workers` and `per_minute` are per server and per caller.

    Attributes:
        rows: of an answer.
        bytes: of an answer's body.
        seconds: of computing it, from when a worker takes it.
        memory: bytes that a worker may use for it.
        per_minute: requests of one caller.
        workers: processes that compute answers, each one at a time.
        body: bytes of a request's body.
    """

    rows: int = 100_000
    bytes: int = 32 << 20
    seconds: float = 30
    memory: int = 512 << 20
    per_minute: int = 600
    workers: int = 4
    body: int = 64 << 10

    @classmethod
    def of(cls, options: Settings) -> Self:
        """The limits of the settings."""
        return cls(
            options.lake_api_rows,
            options.lake_api_bytes,
            options.lake_api_seconds,
            options.lake_api_memory,
            options.lake_api_rate,
            options.lake_api_workers,
        )

    @property
    def statements(self) -> int:
        """How many workers may compute SQL of callers at a time, so that tables and metrics never wait for it."""
        return max(1, self.workers - 1) if self.workers > 1 else 1
