"""Why a feed has personal data, how long it is kept, and what is left of a person who is to be forgotten."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from ingest.contracts.source import Strict

MOST_DAYS = 36_500


class LegalBasis(StrEnum):
    """The legal bases of GDPR article 6(1)."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    VITAL_INTERESTS = "vital_interests"
    PUBLIC_TASK = "public_task"
    LEGITIMATE_INTERESTS = "legitimate_interests"


class OnErasure(StrEnum):
    """What an erasure does with the records of a person.

    `delete`: they are removed. `pseudonymise`: they stay, without the person: identifiers become keyed hashes, other
    personal values null. `keep`: they stay as they are.
    """

    DELETE = "delete"
    PSEUDONYMISE = "pseudonymise"
    KEEP = "keep"


class Processing(Strict):
    """The processing of personal data in a feed (GDPR articles 5, 6, 17 and 30).

    Attributes:
        retention_days: days after which records are removed, counted from event time or from a subject's last activity;
            None: no limit.
        basis: why records are not deleted when a person is to be forgotten; needed unless on_erasure is delete.
        until_days: of `keep`, how many days after the request the records stay.
        keep: of `pseudonymise`, quasi-identifying columns that stay, since totals are divided by them.
    """

    purpose: str = Field(min_length=1)
    legal_basis: LegalBasis
    retention_days: int | None = Field(default=None, ge=1, le=MOST_DAYS)
    on_erasure: OnErasure
    basis: str = ""
    until_days: int | None = Field(default=None, ge=1, le=MOST_DAYS)
    keep: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        if self.on_erasure is not OnErasure.DELETE and not self.basis:
            raise ValueError(f"on_erasure: {self.on_erasure} has no basis; expected why records may stay")
        if (self.on_erasure is OnErasure.KEEP) != (self.until_days is not None):
            raise ValueError("until_days is needed for on_erasure: keep, and for nothing else")
        if self.keep and self.on_erasure is not OnErasure.PSEUDONYMISE:
            raise ValueError(f"keep is of on_erasure: pseudonymise; expected none for {self.on_erasure}")
        return self
