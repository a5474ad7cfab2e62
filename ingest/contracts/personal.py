"""Which columns look like values of a person, by one table of rules over names and values.

A rule proposes; a person decides. docs/privacy.md says how a class is chosen.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ingest.contracts.classes import Class
from ingest.contracts.national_ids import is_national_id

LEAST_SHARE = 0.9
"""Share of a column's values that have to match a rule of values."""
_EMAIL = re.compile(r"[^@\s,;:/<>]{1,64}@[^@\s,;<>]+\.[^@\s,;<>.]{2,}")
_EMAIL_WITHIN = re.compile(
    r"(?<![\w./:@])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b(?![:/])"
)
_PHONE = re.compile(r"\+[1-9][\d ()./-]{6,20}\d")
_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
LEAST_IN_TEXT = 0.02
"""Share of the texts of a column in which an address has to stand for the column to be free text about persons."""
LEAST_DIGITS = 5
"""Least number of values by which a kind is recognised whose test some numbers of things pass by chance."""
LEAST_CARDS = 3
"""The same of card numbers: one of ten numbers of as many digits passes their test."""
_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")
_CARD = re.compile(r"[3-6]\d{12,18}|2[2-7]\d{14}")


def is_email(text: str) -> bool:
    """Whether a text is an e-mail address."""
    return _EMAIL.fullmatch(text) is not None


def is_phone(text: str) -> bool:
    """Whether a text is a telephone number with its country code."""
    return _PHONE.fullmatch(text) is not None and 8 <= sum(map(str.isdigit, text)) <= 15


def is_ip_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address.

    >>> is_ip_address("192.0.2.7"), is_ip_address("2001:db8::1"), is_ip_address("1.2.3")
    (True, True, False)
    """
    if not ("." in text or ":" in text):
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_iban(text: str) -> bool:
    """Whether a text is an IBAN with a correct checksum (ISO 13616: modulo 97 is 1).

    >>> is_iban("DE89 3704 0044 0532 0130 00"), is_iban("DE88370400440532013000")
    (True, False)
    """
    plain = text.replace(" ", "")
    if not _IBAN.fullmatch(plain):
        return False
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


def is_card_number(text: str) -> bool:
    """Whether a text is the number of a payment card, by its first digits and its checksum (ISO 7812: Luhn).

    >>> is_card_number("4111 1111 1111 1111"), is_card_number("4111111111111112")
    (True, False)
    """
    plain = text.replace(" ", "").replace("-", "")
    if not _CARD.fullmatch(plain):
        return False
    doubled = (int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(plain)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def is_mac_address(text: str) -> bool:
    """Whether a text is the address of a network interface, with separators.

    >>> is_mac_address("00:1B:44:11:3A:B7"), is_mac_address("001B44113AB7")
    (True, False)
    """
    return _MAC.fullmatch(text) is not None


def has_email(text: str) -> bool:
    """Whether an e-mail address stands within a longer text.

    >>> has_email("please write to ada@example.com, she knows"), has_email("a@b")
    (True, False)
    """
    return _EMAIL_WITHIN.search(text) is not None


@dataclass(frozen=True, slots=True)
class Rule:
    """What a kind of personal value is recognised by.

    Attributes:
        label: the kind of value, in words.
        names: matches the whole name of a column.
        matches: whether one value is of this kind.
        least: number of values that are needed to judge by them.
        subject: whose value it is; by default it follows from the column's name.
    """

    label: str
    class_: Class
    names: re.Pattern[str]
    matches: Callable[[str], bool] | None = None
    subject: str = ""
    least: int = 1


def _words(*alternatives: str) -> re.Pattern[str]:
    """A pattern for names in which one of the alternatives stands as whole words."""
    return re.compile(rf"(.*_)?({'|'.join(alternatives)})s?(_.*)?")


_PERSONS = "user|customer|client|child|kid|student|employee|patient|member|guest|contact|parent|guardian|person|account"
_ABOUT = re.compile(
    r"(n|nr|num|number_of|count|total|max|min|avg|mean|sum|is|has|had|was|can|accepts|allows|hide|show|share_of)_.*|"
    r".*_(counts?|counter|totals?|sum|avg|mean|rate|ratio|share|pct|percent|length|size|bytes|seconds|days|"
    r"at|on|date|time|ts|since|until|verified|verification|valid|confirmed|enabled|required|allowed|opt_?(in|out)|"
    r"flag|status|state|type|kind|format|version|source|template|subject_line|provider|policy|label|limit|quota|"
    r"changes|attempts|failures|clicks|opens|sent|bounces|delivered)"
)
"""Names of what is said about a value rather than of the value: counts, flags, times, kinds."""
_OF_PERSONS = re.compile(r"(.*_)?(birth_date|date_of_birth|born_(on|at)|blood_type)")
"""Names of values that look like those of what is said about one."""
RULES = (
    Rule("value of a child", Class.SENSITIVE, _words("child(ren)?", "kid", "pupil"), subject="child"),
    Rule("password or secret", Class.SENSITIVE, _words("password(_hash)?", "passwd", "secret")),
    Rule("pay", Class.SENSITIVE, _words("salary", "salaries", "wage", "payroll")),
    Rule("health, belief or origin", Class.SENSITIVE, _words("diagnos[ie]s", "religion", "ethnicity", "blood_type")),
    Rule("e-mail address", Class.DIRECT, _words("e_?mails?(_address)?"), is_email),
    Rule("IBAN", Class.DIRECT, _words("iban", "bank_account"), is_iban),
    Rule(
        "card number", Class.DIRECT, _words("card_(number|no)", "pan", "credit_card"), is_card_number, least=LEAST_CARDS
    ),
    Rule(
        "telephone number",
        Class.DIRECT,
        _words("phone(_number)?", "telephone", "tel", "mobile(_number)?", "fax"),
        is_phone,
    ),
    Rule("IP address", Class.DIRECT, _words("ip", "ip_?addr(ess)?", "ip_?v[46]"), is_ip_address),
    Rule(
        "name of a person",
        Class.DIRECT,
        re.compile(
            rf"(.*_)?((first|last|full|middle|family|given|maiden|sur|nick|display|fore)_?name|user_?name|login|"
            rf"({_PERSONS})_name)|[fl]name"
        ),
    ),
    Rule(
        "identity document",
        Class.DIRECT,
        _words(
            "ssn|passport(_number|_no)?|national_id|tax_id|social_security(_number)?|driv(er|ing)s?_licen[cs]e",
            "steuer_id|nino|bsn|pesel|codice_fiscale|dni|nif",
        ),
        is_national_id,
        least=LEAST_DIGITS,
    ),
    Rule(
        "identifier of a device",
        Class.DIRECT,
        _words("device_id", "idfa", "gaid", "advertising_id", "mac(_address)?", "imei", "cookie_id", "visitor_id"),
        is_mac_address,
    ),
    Rule(
        "postal address",
        Class.DIRECT,
        re.compile(r"(.*_)?(street(_.*)?|(postal_|home_|billing_|shipping_)?addr(ess)?(_?line)?(_?\d)?)"),
    ),
    Rule("identifier of a person", Class.DIRECT, re.compile(rf"({_PERSONS})_?(id|ids|uuid|key|number)")),
    Rule(
        "date of birth",
        Class.QUASI,
        _words("dob", "birth(day|date)?", "birth_(date|year|day)", "date_of_birth", "born"),
    ),
    Rule("gender", Class.QUASI, re.compile(r"(.*_)?(gender|sex)")),
    Rule("place", Class.QUASI, re.compile(r"(.*_)?(country(_code)?|city|zip(_?code)?|post(al)?_?code|region)")),
    Rule("position", Class.QUASI, re.compile(r"(.*_)?(latitude|longitude|lat|lng|lon)")),
)
"""The rules; the first that matches a name wins, else the first whose values match."""
_ANY_PERSON = "person"
_SUBJECTS = {
    "child": "child",
    "children": "child",
    "kid": "child",
    "pupil": "child",
    "user": "account",
    "account": "account",
    "customer": "customer",
    "client": "customer",
    "employee": "employee",
    "patient": "patient",
    "student": "student",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a column looks like.

    Attributes:
        label: the kind of value, in words.
        by: `its name`, `its name in this feed` or `its values`.
    """

    label: str
    class_: Class
    subject: str
    by: str


def look(name: str, values: Iterable[str] = (), feed: str = "") -> Finding | None:
    """Return the class that a column's name or else its values suggest; None if they suggest none.

    Args:
        name: its dotted path; the last part counts, and a plain `name` is that of a person only outside structs.
        values: some of its values, as text.
        feed: the feed's name, which tells whose values they are where the column's name does not.
    """
    around, _, last = name.rpartition(".")
    plain = plain_name(last)
    if not _ABOUT.fullmatch(plain) or _OF_PERSONS.fullmatch(plain):
        for rule in RULES:
            if rule.names.fullmatch(plain):
                return Finding(rule.label, rule.class_, rule.subject or _subject(plain, feed), "its name")
        if plain == "name" and not around and _subject(feed) != _ANY_PERSON:
            return Finding("name of a person", Class.DIRECT, _subject(feed), "its name in this feed")
    found = list(values)
    for rule in RULES if found else ():
        enough = max(rule.least, LEAST_SHARE * len(found))
        if rule.matches and sum(map(rule.matches, found)) >= enough:
            return Finding(rule.label, rule.class_, rule.subject or _subject(plain, feed), "its values")
    within = sum(has_email(value) and not is_email(value) for value in found)
    if len(found) >= LEAST_DIGITS and within >= max(1, LEAST_IN_TEXT * len(found)):
        return Finding("text with e-mail addresses", Class.SENSITIVE, _subject(plain, feed), "its values")
    return None


def plain_name(name: str) -> str:
    """A name in lower_snake_case, however it is written.

    >>> plain_name("Full Name"), plain_name("customerEmail"), plain_name("R_NAME"), plain_name("IPAddress")
    ('full_name', 'customer_email', 'r_name', 'ip_address')
    """
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")


def may_be_personal(name: str, values: Iterable[str] = ()) -> bool:
    """Whether a column's values had better not be shown: one of them, or the name, looks like a person's."""
    if "name" in name.lower() or look(name):
        return True
    return any(rule.matches(value) for value in values for rule in RULES if rule.matches)


def _subject(*names: str) -> str:
    words = (word for name in names for word in re.findall(r"[a-z]+", name.lower()))
    return next(
        (_SUBJECTS[one] for word in words for one in (word, word.removesuffix("s")) if one in _SUBJECTS), _ANY_PERSON
    )
