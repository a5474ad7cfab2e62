"""Numbers of persons by country: published examples pass, and no number with one digit changed does."""

from __future__ import annotations

import pytest

from ingest.contracts.national_ids import CHECKS

EXAMPLES = {
    "US": ["078-05-1120"],
    "DE": ["86095742719", "65929970489"],
    "FR": ["2 55 08 14 168 025 38"],
    "ES": ["12345678Z", "X1234567L"],
    "IT": ["RSSMRA85T10A562S"],
    "NL": ["111222333"],
    "PL": ["44051401359"],
    "GB": ["AB123456C", "AB 12 34 56 C"],
}


@pytest.mark.parametrize(("country", "text"), [(name, text) for name, texts in EXAMPLES.items() for text in texts])
def test_examples_pass(country: str, text: str) -> None:
    assert CHECKS[country](text)
    assert not CHECKS[country](text + "1")
    assert not CHECKS[country]("")


@pytest.mark.parametrize("country", [name for name in EXAMPLES if name not in ("US", "GB")])
def test_a_changed_digit_is_noticed(country: str) -> None:
    text = EXAMPLES[country][0]
    places = [place for place, sign in enumerate(text) if sign.isdigit()]
    changed = [f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}" for place in places]
    assert [other for other in changed if CHECKS[country](other)] == []


def test_every_country_has_an_example() -> None:
    assert EXAMPLES.keys() == CHECKS.keys()


@pytest.mark.parametrize("text", ["000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000"])
def test_numbers_that_are_never_issued(text: str) -> None:
    assert not CHECKS["US"](text)
