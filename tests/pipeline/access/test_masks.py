"""Masks of columns: what DuckDB makes of them is what their definition says."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from typing import Any

import duckdb
import pytest

from pipeline.access.masks import Mask
from pipeline.access.role_keys import fingerprint, key_statements

KEYS = ("a key of some length", "k" * 64, "ключ" * 40)


def shown(mask: Any, kind: str, value: Any, key: str = KEYS[0], subject: str = "customer") -> Any:
    with duckdb.connect() as connection:
        for statement in key_statements(key):
            connection.execute(statement)
        sql = Mask.parse(mask).sql("value", kind, subject)
        ((found,),) = connection.execute(f"SELECT {sql} FROM (SELECT CAST(? AS {kind}) AS value)", [value]).fetchall()
    return found


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [("BIGINT", 12, "12"), ("TEXT", "Zoë 🎈", "Zoë 🎈"), ("TEXT", "", ""), ("DATE", "2026-03-01", "2026-03-01")],
)
def test_hash_is_hmac_sha256_of_subject_and_value(key: str, kind: str, value: Any, text: str) -> None:
    expected = hmac.new(key.encode(), f"customer:{text}".encode(), hashlib.sha256).hexdigest()[:32]
    assert shown("hash", kind, value, key) == expected


def test_hash_differs_by_key_and_subject() -> None:
    found = {shown("hash", "TEXT", "7", key, subject) for key in KEYS for subject in ("customer", "account")}
    assert len(found) == 6
    assert len({fingerprint(key) for key in KEYS}) == 3
    assert not any(key in fingerprint(key) or key in " ".join(key_statements(key)) for key in KEYS)


@pytest.mark.parametrize(
    ("mask", "kind", "value", "expected"),
    [
        ("clear", "TEXT", "Ada", "Ada"),
        ("null", "TEXT", "Ada", None),
        (None, "BIGINT", 7, None),
        ({"partial": 2}, "TEXT", "Adalbert", "Ad…"),
        ({"partial": 6}, "TEXT", "Adalbert", "Adal…"),  # never more than half
        ({"partial": 3}, "TEXT", "A", "…"),
        ({"bucket": 10}, "BIGINT", 37, 30),
        ({"bucket": 10}, "BIGINT", -3, -10),
        ({"bucket": 5}, "DOUBLE", 12.5, 10.0),
        ({"bucket": "month"}, "DATE", "2026-03-31", dt.date(2026, 3, 1)),
        ({"bucket": "year"}, "TIMESTAMP", "2026-03-31 10:00:00", dt.datetime(2026, 1, 1)),
    ],
)
def test_mask_shows(mask: Any, kind: str, value: Any, expected: Any) -> None:
    assert shown(mask, kind, value) == expected


@pytest.mark.parametrize("mask", ["clear", "hash", "null", {"partial": 2}])
def test_null_stays_null(mask: Any) -> None:
    assert shown(mask, "TEXT", None) is None


@pytest.mark.parametrize(
    ("mask", "kind"),
    [
        ("hash", "TEXT[]"),
        ("hash", "STRUCT(a INT)"),
        ({"partial": 2}, "BIGINT"),
        ({"bucket": 10}, "TEXT"),
        ({"bucket": "month"}, "BIGINT"),
        ({"bucket": 10}, "DATE"),
    ],
)
def test_mask_that_does_not_suit_a_type_is_refused(mask: Any, kind: str) -> None:
    with pytest.raises(ValueError, match=r"value is of type .*does not suit; expected"):
        Mask.parse(mask).sql("value", kind, "customer")


@pytest.mark.parametrize(
    "value", ["open", 7, {"partial": 0}, {"bucket": "hour"}, {"partial": 1, "bucket": 2}, ["hash"]]
)
def test_no_mask(value: Any) -> None:
    with pytest.raises(ValueError, match="is no mask; expected clear, hash, null"):
        Mask.parse(value)
