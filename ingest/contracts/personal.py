"""Which columns look like values of a person, by one table of rules over names and values.

A rule proposes; a person decides. docs/privacy.md says how a class is chosen.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ingest.contracts.classes import Class

LEAST_SHARE = 0.9
"""Share of a column's values that have to match a rule of values."""
_EMAIL = re.compile(r"[^@\s,;<>]{1,64}@[^@\s,;<>]+\.[^@\s,;<>.]{2,}")
_PHONE = re.compile(r"\+[1-9][\d ()./-]{6,20}\d")
_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
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


@dataclass(frozen=True, slots=True)
class Rule:
    """What a kind of personal value is recognised by.

    Attributes:
        label: the kind of value, in words.
        names: matches the whole name of a column.
        matches: whether one value is of this kind.
        subject: whose value it is; by default it follows from the column's name.
    """

    label: str
    class_: Class
    names: re.Pattern[str]
    matches: Callable[[str], bool] | None = None
    subject: str = ""


def _words(*alternatives: str) -> re.Pattern[str]:
    """A pattern for names in which one of the alternatives stands as whole words."""
    return re.compile(rf"(.*_)?({'|'.join(alternatives)})s?(_.*)?")


_PERSONS = "user|customer|client|child|kid|student|employee|patient|member|guest|contact|parent|guardian|person|account"
RULES = (
    Rule("value of a child", Class.SENSITIVE, _words("child(ren)?", "kid", "pupil"), subject="child"),
    Rule("password or secret", Class.SENSITIVE, _words("password(_hash)?", "passwd", "secret")),
    Rule("pay", Class.SENSITIVE, _words("salary", "salaries", "wage", "payroll")),
    Rule("health, belief or origin", Class.SENSITIVE, _words("diagnos[ie]s", "religion", "ethnicity", "blood_type")),
    Rule("e-mail address", Class.DIRECT, _words("e_?mails?(_address)?"), is_email),
    Rule("IBAN", Class.DIRECT, _words("iban", "bank_account"), is_iban),
    Rule("card number", Class.DIRECT, _words("card_(number|no)", "pan", "credit_card"), is_card_number),
    Rule("telephone number", Class.DIRECT, _words("phone(_number)?", "telephone", "mobile(_number)?", "fax"), is_phone),
    Rule("IP address", Class.DIRECT, _words("ip", "ip_?addr(ess)?", "ip_?v[46]"), is_ip_address),
    Rule(
        "name of a person",
        Class.DIRECT,
        re.compile(
            rf"(.*_)?((first|last|full|middle|family|given|maiden|sur|nick|display)_?name|user_?name|login|"
            rf"({_PERSONS})_name)"
        ),
    ),
    Rule("identity document", Class.DIRECT, _words("ssn", "passport", "national_id", "tax_id", "social_security")),
    Rule("identifier of a device", Class.DIRECT, _words("device_id", "idfa", "gaid", "advertising_id", "mac_address")),
    Rule(
        "postal address", Class.DIRECT, re.compile(r"(.*_)?(street(_.*)?|(postal_|home_|billing_|shipping_)?address)")
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
        by: `its name` or `its values`.
    """

    label: str
    class_: Class
    subject: str
    by: str


def look(name: str, values: Iterable[str] = (), feed: str = "") -> Finding | None:
    """Return the class that a column's name or else its values suggest; None if they suggest none.

    Args:
        values: some of its values, as text.
        feed: the feed's name, which tells whose values they are where the column's name does not.
    """
    for rule in RULES:
        if rule.names.fullmatch(name.lower()):
            return Finding(rule.label, rule.class_, rule.subject or _subject(name, feed), "its name")
    found = list(values)
    for rule in RULES if found else ():
        if rule.matches and sum(map(rule.matches, found)) >= LEAST_SHARE * len(found):
            return Finding(rule.label, rule.class_, rule.subject or _subject(name, feed), "its values")
    return None


def may_be_personal(name: str, values: Iterable[str] = ()) -> bool:
    """Whether a column's values had better not be shown: one of them, or the name, looks like a person's."""
    if "name" in name.lower() or look(name):
        return True
    return any(rule.matches(value) for value in values for rule in RULES if rule.matches)


def _subject(*names: str) -> str:
    words = (word for name in names for word in re.findall(r"[a-z]+", name.lower()))
    return next(
        (_SUBJECTS[one] for word in words for one in (word, word.removesuffix("s")) if one in _SUBJECTS), "person"
    )
