"""Columns with values, some of persons and some that only look so, each with what it is."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ingest.contracts.classes import Class
from ingest.contracts.national_ids import CHECKS

_FIRST = "Ada Bruno Chiara Daan Elif Farah Greta Hana Iris Jules Kenji Lena Mateo Noor Olga Paul Rosa Sora".split()
_LAST = "Abe Bakker Costa Dubois Evans Fischer García Haas Ito Jansen Keller López Meyer Okada Smith".split()
_STREETS = "Main Oak Park Elm Station Church Mill".split()
_CITIES = "Berlin Lyon Utrecht Porto Leeds Austin Gdańsk".split()
_WORDS = "order arrived late again customer asked whether box was damaged will call back tomorrow thanks".split()
Values = Callable[[random.Random], str]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A column.

    Attributes:
        class_: what it is; Class.NONE if it is not personal.
    """

    name: str
    class_: Class
    values: list[str]


def _digits(dice: random.Random, count: int) -> str:
    return "".join(str(dice.randrange(10)) for _ in range(count))


def _person(dice: random.Random) -> str:
    return f"{dice.choice(_FIRST)} {dice.choice(_LAST)}"


def _email(dice: random.Random) -> str:
    return f"{dice.choice(_FIRST).lower()}.{dice.randrange(999)}@{dice.choice(['example.com', 'mail.example.org'])}"


def _phone(dice: random.Random) -> str:
    return dice.choice(["+49 30 {}", "+1 (202) {}", "+33-1-{}", "+44 20 {}"]).format(_digits(dice, 7))


def _card(dice: random.Random) -> str:
    body = "4" + _digits(dice, 14)
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(body)]
    total = sum(value - 9 if value > 9 else value for value in doubled)
    return f"{body}{-total % 10}"


def _iban(dice: random.Random) -> str:
    account = _digits(dice, 18)
    check = 98 - int(f"{account}131400") % 97
    return f"DE{check:02d}{account}"


def _id_of(country: str, make: Values) -> Values:
    def drawn(dice: random.Random) -> str:
        while not CHECKS[country](found := make(dice)):
            pass
        return found

    return drawn


def _text(dice: random.Random) -> str:
    return " ".join(dice.choices(_WORDS, k=9))


def _text_with_email(dice: random.Random) -> str:
    return f"{_text(dice)}, write to {_email(dice)} please" if dice.random() < 0.2 else _text(dice)


_IP: Values = lambda dice: ".".join(str(dice.randrange(1, 255)) for _ in range(4))  # noqa: E731
_UUID: Values = lambda dice: str(uuid.UUID(int=dice.getrandbits(128), version=4))  # noqa: E731
_COUNT: Values = lambda dice: str(dice.randrange(40))  # noqa: E731
_DAY: Values = lambda dice: f"{dice.randrange(1950, 2010)}-{dice.randrange(1, 13):02d}-{dice.randrange(1, 29):02d}"  # noqa: E731
_FLAG: Values = lambda dice: dice.choice(["true", "false"])  # noqa: E731
_MOMENT: Values = lambda dice: f"2026-03-{dice.randrange(1, 29):02d}T10:00:00Z"  # noqa: E731

PERSONAL: list[tuple[Class, Values, str]] = [
    (
        Class.DIRECT,
        _email,
        "email Email e_mail customerEmail contact_email EMAIL_ADDRESS mail_to owner reply_to col_17",
    ),
    (
        Class.DIRECT,
        _phone,
        "phone phone_number PhoneNumber mobile telephone fax customer_phone contact hotline2 c3 tel",
    ),
    (
        Class.DIRECT,
        _person,
        "Full~Name first_name lastName LAST_NAME surname display_name customer_name nickname user_name c7 "
        "owner_of_case",
    ),
    (Class.DIRECT, _iban, "iban bank_account payout_target account_iban IBAN field_9"),
    (Class.DIRECT, _card, "card_number credit_card pan CardNumber payment_ref x1"),
    (Class.DIRECT, _IP, "ip ip_address IPAddress client_ip last_login_ip remote_addr host_of_visit"),
    (
        Class.DIRECT,
        _UUID,
        "user_id customer_id UserId account_id visitor_id device_id cookie_id idfa member_uuid guest_id",
    ),
    (
        Class.DIRECT,
        lambda dice: f"{dice.randrange(1, 99)} {dice.choice(_STREETS)} Street, {dice.choice(_CITIES)}",
        "address street shipping_address Billing~Address home_address street_line_1 addr deliver_to",
    ),
    (
        Class.DIRECT,
        _id_of("US", lambda dice: f"{_digits(dice, 3)}-{_digits(dice, 2)}-{_digits(dice, 4)}"),
        "ssn SSN ref_a",
    ),
    (Class.DIRECT, _id_of("NL", lambda dice: _digits(dice, 9)), "bsn burgerservice citizen"),
    (Class.DIRECT, _id_of("DE", lambda dice: _digits(dice, 11)), "steuer_id tax_id identnr"),
    (
        Class.DIRECT,
        _id_of("ES", lambda dice: _digits(dice, 8) + dice.choice("TRWAGMYFPDXBNJZSQVHLCKE")),
        "dni nif documento",
    ),
    (
        Class.DIRECT,
        _id_of("PL", lambda dice: f"{_digits(dice, 2)}0{dice.randrange(1, 10)}{_digits(dice, 7)}"),
        "pesel numer",
    ),
    (
        Class.DIRECT,
        lambda dice: f"{dice.choice('CFGHJKLMN')}{_digits(dice, 8)}",
        "passport passport_number PassportNo",
    ),
    (
        Class.DIRECT,
        lambda dice: ":".join(f"{dice.randrange(256):02x}" for _ in range(6)),
        "mac mac_address hw_addr interface",
    ),
    (Class.QUASI, _DAY, "birth_date date_of_birth dob birthday BirthDate born"),
    (Class.QUASI, lambda dice: dice.choice(["f", "m", "d"]), "gender sex customer_gender"),
    (
        Class.QUASI,
        lambda dice: dice.choice(["DE", "FR", "US"]),
        "country country_code CountryCode billing_country region",
    ),
    (Class.QUASI, lambda dice: dice.choice(_CITIES), "city City home_city"),
    (Class.QUASI, lambda dice: _digits(dice, 5), "zip zip_code postal_code PostCode postcode"),
    (Class.QUASI, lambda dice: f"{dice.uniform(-90, 90):.5f}", "latitude longitude lat lng"),
    (
        Class.SENSITIVE,
        lambda dice: str(dice.randrange(20_000, 90_000)),
        "salary wage base_salary payroll_amount",
    ),
    (Class.SENSITIVE, _UUID, "child_id children_ids kid_name pupil"),
    (
        Class.SENSITIVE,
        lambda dice: dice.choice(["flu", "asthma", "none"]),
        "diagnosis religion ethnicity blood_type",
    ),
    (Class.SENSITIVE, lambda dice: f"{dice.getrandbits(160):040x}", "password password_hash secret"),
    (Class.SENSITIVE, _text_with_email, "note comment message body description_of_case free_text"),
]
THINGS: list[tuple[Values, str]] = [
    (
        _COUNT,
        "email_count n_emails phone_count address_count num_addresses login_count ip_count children_count",
    ),
    (
        _COUNT,
        "customer_count user_count number_of_users total_customers card_count max_phone_attempts emails_sent",
    ),
    (
        _FLAG,
        "is_email_valid email_verified has_phone phone_confirmed address_verified accepts_email email_opt_in",
    ),
    (_FLAG, "is_customer has_children was_guest show_address password_required iban_valid"),
    (
        _MOMENT,
        "email_sent_at phone_verified_at address_changed_on password_changed_at last_login_at ip_seen_at",
    ),
    (
        lambda dice: dice.choice(["visa", "sepa", "paypal"]),
        "card_type email_provider phone_type address_type id_card_kind",
    ),
    (lambda dice: dice.choice(["AFRICA", "ASIA", "EUROPE"]), "R_NAME P_NAME N_NAME"),
    (
        lambda dice: f"Supplier#{_digits(dice, 9)}",
        "S_NAME supplier_ref vendor brand_name product_name file_name",
    ),
    (
        lambda dice: dice.choice(["red", "blue", "green"]),
        "colour name category_name plan_name event_name campaign_name",
    ),
    (
        _UUID,
        "event_id order_id invoice_id product_id session_key message_id request_id trace_id batch file_id",
    ),
    (
        lambda dice: _digits(dice, 9),
        "sku_number article order_number barcode9 invoice_no tracking quantity_key",
    ),
    (lambda dice: _digits(dice, 11), "reference11 parcel serial lot"),
    (lambda dice: _digits(dice, 13), "ean gtin epoch_ms created_ms updated_ms"),
    (lambda dice: _digits(dice, 16), "transaction_ref span trace16 snowflake"),
    (
        lambda dice: f"{dice.uniform(0, 900):.2f}",
        "amount price total net_amount tax discount weight_kg mrr score",
    ),
    (
        lambda dice: f"{dice.randrange(9)}.{dice.randrange(20)}.{dice.randrange(99)}",
        "version app_version build sdk os_version",
    ),
    (
        lambda dice: f"{dice.randrange(9)}.{dice.randrange(20)}.{dice.randrange(99)}.{dice.randrange(9999) + 300}",
        "build4 release",
    ),
    (
        lambda dice: dice.choice(["pending", "paid"]),
        "status state payment_status address_status order_state subscription_status",
    ),
    (lambda dice: f"https://shop.example.com/p/{dice.randrange(999)}", "url page referrer link image"),
    (lambda dice: f"@{dice.choice(_WORDS)}", "handle_of_bot hashtag topic channel"),
    (_text, "description title summary terms review_of_product faq log_line"),
    (lambda dice: dice.choice(["EUR", "USD"]), "currency unit language locale tz"),
    (_DAY, "valid_from founded first_sold release_date expiry due_date shipped period_start"),
    (
        lambda dice: str(dice.randrange(1, 200)),
        "position rank line_number zipped shipping_days recipes tips companies pins ages",
    ),
    (_COUNT, "addresses_per_customer users_online children_in_cart streets_served country_rank phones_in_stock"),
    (_UUID, "address_key street_segment phone_model_id country_group gender_segment"),
    (lambda dice: str(dice.choice([80, 443, 8080])), "port ttl timeout retries shard partition_no offset"),
    (lambda dice: f"{dice.getrandbits(64):016x}", "etag checksum digest fingerprint_of_file commit"),
]


def labelled(seed: int, values: int = 120) -> Iterator[Labelled]:
    """All columns, with values that follow from the seed."""
    dice = random.Random(seed)
    for class_, make, names in PERSONAL:
        for name in names.split():
            yield Labelled(name.replace("~", " "), class_, [make(dice) for _ in range(values)])
    for make, names in THINGS:
        for name in names.split():
            yield Labelled(name, Class.NONE, [make(dice) for _ in range(values)])
