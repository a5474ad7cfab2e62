"""Numbers by which states know a person, recognised by their checksums.

Some are digits alone, and one of eleven numbers of nine digits passes the test of a BSN: a column is judged by many
values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_NIF = "TRWAGMYFPDXBNJZSQVHLCKE"
_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
"""Values of letters at odd places of an Italian codice fiscale; digits count as the letters A to J."""


def _social_security(text: str) -> bool:
    """United States, SSN: no checksum; groups that the authority never issues are excluded."""
    found = re.fullmatch(r"(\d{3})-(\d{2})-(\d{4})", text)
    if not found or found[1] in ("000", "666") or found[1] >= "900":
        return False
    return found[2] != "00" and found[3] != "0000"


def _steuer_id(text: str) -> bool:
    """Germany, Steueridentifikationsnummer: ISO 7064 MOD 11,10, one digit of the first ten twice or three times."""
    if not re.fullmatch(r"[1-9]\d{10}", text):
        return False
    counts = sorted((text[:10].count(digit) for digit in set(text[:10])), reverse=True)
    product = 10
    for digit in text[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return counts[0] in (2, 3) and counts[1:2] <= [1] and (11 - product) % 10 == int(text[10])


def _nir(text: str) -> bool:
    """France, numéro de sécurité sociale: 97 less the number modulo 97; Corsica's 2A and 2B count as 19 and 18."""
    plain = text.replace(" ", "")
    if not re.fullmatch(r"[12]\d{4}(\d{2}|2A|2B)\d{8}", plain):
        return False
    number = int(plain[:13].replace("2A", "19").replace("2B", "18"))
    return 97 - number % 97 == int(plain[13:])


def _nif(text: str) -> bool:
    """Spain, DNI and NIE: a letter by the number modulo 23."""
    found = re.fullmatch(r"([XYZ]?)(\d{7,8})([A-Z])", text.replace("-", ""))
    if not found or len(found[1] + found[2]) != 8:
        return False
    return _NIF[int(str("XYZ".find(found[1])) * bool(found[1]) + found[2]) % 23] == found[3]


def _codice_fiscale(text: str) -> bool:
    """Italy, codice fiscale: a letter by the sum of values by place, modulo 26."""
    if not re.fullmatch(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", text):
        return False
    places = [ord(sign) - (48 if sign.isdigit() else 65) for sign in text[:15]]
    total = sum(_ODD[value] if number % 2 == 0 else value for number, value in enumerate(places))
    return total % 26 == ord(text[15]) - 65


def _bsn(text: str) -> bool:
    """Netherlands, BSN: the eleven test, with the last digit subtracted."""
    if not re.fullmatch(r"\d{9}", text) or text == "0" * 9:
        return False
    return sum(int(digit) * weight for digit, weight in zip(text, (9, 8, 7, 6, 5, 4, 3, 2, -1), strict=True)) % 11 == 0


def _pesel(text: str) -> bool:
    """Poland, PESEL: weights 1, 3, 7, 9, and a date of birth."""
    if not re.fullmatch(r"\d{2}(0[1-9]|1[0-2]|[2468]\d)\d{7}", text):
        return False
    total = sum(int(digit) * (1, 3, 7, 9)[number % 4] for number, digit in enumerate(text[:10]))
    return (10 - total % 10) % 10 == int(text[10])


def _nino(text: str) -> bool:
    """United Kingdom, National Insurance number: no checksum; prefixes that are never issued are excluded."""
    found = re.fullmatch(r"([A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z])\d{6}[A-D]", text.replace(" ", ""))
    return found is not None and found[1] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


CHECKS: Mapping[str, Callable[[str], bool]] = {
    "US": _social_security,
    "DE": _steuer_id,
    "FR": _nir,
    "ES": _nif,
    "IT": _codice_fiscale,
    "NL": _bsn,
    "PL": _pesel,
    "GB": _nino,
}
"""By country, ISO 3166 alpha-2."""


def is_national_id(text: str) -> bool:
    """Whether a text is the number of a person in one of the countries of CHECKS.

    >>> is_national_id("12345678Z"), is_national_id("12345678A"), is_national_id("RSSMRA85T10A562S")
    (True, False, True)
    """
    return any(check(text) for check in CHECKS.values())
