"""Every encoding of a value is found, and no part of another value."""

from __future__ import annotations

import base64
import hashlib
import random
import uuid

import pytest

from ingest.errors import ConfigError
from pipeline.checks.traces.matcher import Matcher
from pipeline.checks.traces.value import Value
from tests.pipeline.checks.traces.planted import (
    CUSTOMER,
    EMAIL,
    LONG,
    MATCHER,
    NAME,
    NEIGHBOURS,
    USER,
    VALUES,
    escaped,
    found,
    hashed,
)

AROUND = ((b"", b""), (b'{"a": "', b'", "b": 1}\n'), (b"x,", b",y\r\n"), (b"\0", b"\0"), (b"\xff\xfe ", b" \xc3\x28"))
ENCODED = [(value, *one) for value in (USER, EMAIL, NAME, LONG) for one in (*escaped(value.text), *hashed(value.text))]


@pytest.mark.parametrize(("value", "name", "data"), ENCODED, ids=[f"{v.label} {name}" for v, name, _ in ENCODED])
def test_each_encoding_is_found_in_any_surroundings(value: Value, name: str, data: bytes) -> None:
    for before, after in AROUND:
        assert found(before + data + after) == {value.label}, (before, after)


@pytest.mark.parametrize("text", NEIGHBOURS)
def test_parts_of_other_values_are_no_trace(text: str) -> None:
    for name, data in escaped(text):
        assert not found(b"(" + data + b")"), name


def test_hashes_of_short_values_and_of_pairs_of_a_person_are_found() -> None:
    for name, data in (*hashed("17"), *hashed("user-0001234|17"), *hashed("17|user-0001234")):
        assert found(b"<" + data + b">"), name
    assert not found(hashlib.md5(b"17|0b9d6a52-7c0e-4a3b-9d0f-2f6f3c1e8a55").hexdigest().encode())


def test_letter_case_matters_except_where_it_does_not() -> None:
    for text in ("ANNA.SCHMIDT@EXAMPLE.COM", "anna.schmidt@example.com", "anna.Schmidt@Example.Com"):
        assert found(text.encode()) == {"email"}
        assert found(text.encode().hex().encode()) == ({"email"} if text != "anna.Schmidt@Example.Com" else set())
    assert not found(b"USER-0001234")
    assert not found("ZOË GRÖSSENWAHN".encode())


def test_uuids_are_found_as_bytes_without_dashes_and_in_upper_case() -> None:
    number = uuid.UUID(LONG.text)
    for data in (number.bytes, number.hex.encode(), LONG.text.upper().encode(), number.hex.upper().encode()):
        assert found(b"\1" + data + b"\1") == {"visitor_id"}


@pytest.mark.parametrize(
    "text",
    [
        '{"customer_id": 17}',
        '{"customer_id":"17","a":1}',
        '{\\"customer_id\\": 17}',
        '{"customerId": 17}',
        "customer_id=17&a=1",
        "a?buyer_id%3D17%26b",
        "CUSTOMER_ID = '17'",
    ],
)
def test_short_values_are_found_after_the_name_of_their_column(text: str) -> None:
    assert found(text.encode()) == {"customer_id"}


@pytest.mark.parametrize(
    "text", ['{"product_id": 17}', '{"customer_id": 170}', '{"customer_id": 17.5}', "17", "customer_id, 17, 3"]
)
def test_short_values_are_found_nowhere_else(text: str) -> None:
    assert not found(text.encode())


@pytest.mark.parametrize(
    ("name", "is_found"),
    [
        ("customer_id=17/a.parquet", True),
        ("raw/17.json", True),
        ("raw/customer-17.json.gz", True),
        ("raw/17/a", True),
        ("event_date=2026-01-17/a.parquet", False),
        ("00000000000000000017.parquet", False),
        ("3-of-17.parquet", False),
        ("part-17.parquet", False),
        ("a/user-0001234.json", True),
        ("a/user-00012345.json", False),
        ("a/anna.schmidt%40example.com", True),
    ],
)
def test_names_of_objects(name: str, is_found: bool) -> None:
    matcher = MATCHER
    assert bool(matcher.in_name(name)) is is_found
    if is_found and "%" not in name:
        assert not matcher.in_name(matcher.masked(name).replace("<", "(").replace(">", ")"))


def test_values_that_would_be_found_everywhere_are_refused() -> None:
    with pytest.raises(ConfigError, match="is empty"):
        Value("name", " ")
    with pytest.raises(ConfigError, match="found everywhere"):
        Value("name", "Anna")
    with pytest.raises(ConfigError, match="found everywhere"):
        Value("telephone", "123456789")


def test_random_bytes_and_texts_raise_no_false_alarm() -> None:
    draw = random.Random(19)
    matcher = MATCHER
    assert not matcher.search(draw.randbytes(8 << 20))
    words = [draw.choice(NEIGHBOURS) for _ in range(50_000)]
    assert not matcher.search("\n".join(words).encode())
    encoded = base64.b64encode("\n".join(words).encode())
    assert not matcher.search(encoded)


def test_values_at_random_places_are_found_whatever_the_blocks() -> None:
    draw = random.Random(7)
    matcher = MATCHER
    for _ in range(300):
        value, name, data = draw.choice(ENCODED)
        text = draw.choice((b" ", b"\n", b"{}", b"\0")) * draw.randrange(3 * matcher.overlap) + b" "
        whole = text + data + b" " + b"." * draw.randrange(2 * matcher.overlap)
        cut = draw.randrange(len(whole))
        first, second = whole[: max(cut, 1)], whole[max(0, cut - matcher.overlap) :]
        labels = {one.value for one in matcher.search(first, is_last=False)}
        labels |= {one.value for one in matcher.search(second, is_first=cut <= matcher.overlap)}
        assert {VALUES[number].label for number in labels} == {value.label}, (name, cut, len(text))


def test_a_thousand_persons_are_found_at_once() -> None:
    values = [Value(f"user {number}", f"user-{number:07}") for number in range(0, 2000, 2)]
    matcher = Matcher(values)
    text = "\n".join(f'{{"id": "user-{number:07}"}}' for number in range(2000))
    assert {one.value for one in matcher.search(text.encode())} == set(range(1000))
    assert CUSTOMER.is_in(("Buyer-ID",))
