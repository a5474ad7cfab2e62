"""What looks like a person's: by names and by values, with checksums where there are any."""

from __future__ import annotations

import pytest

from ingest.contracts.classes import Class
from ingest.contracts.personal import look, may_be_personal
from tests.ingest.contracts.labelled_columns import labelled


@pytest.mark.parametrize(
    ("name", "label", "class_", "subject"),
    [
        ("email", "e-mail address", Class.DIRECT, "person"),
        ("customer_email", "e-mail address", Class.DIRECT, "customer"),
        ("e_mail_address", "e-mail address", Class.DIRECT, "person"),
        ("mobile_number", "telephone number", Class.DIRECT, "person"),
        ("last_login_ip", "IP address", Class.DIRECT, "person"),
        ("first_name", "name of a person", Class.DIRECT, "person"),
        ("employee_name", "name of a person", Class.DIRECT, "employee"),
        ("user_id", "identifier of a person", Class.DIRECT, "account"),
        ("child_id", "value of a child", Class.SENSITIVE, "child"),
        ("children_ids", "value of a child", Class.SENSITIVE, "child"),
        ("date_of_birth", "date of birth", Class.QUASI, "person"),
        ("shipping_address", "postal address", Class.DIRECT, "person"),
        ("address_line_1", "postal address", Class.DIRECT, "person"),
        ("customer_address2", "postal address", Class.DIRECT, "customer"),
        ("mac_address", "identifier of a device", Class.DIRECT, "person"),
        ("postal_code", "place", Class.QUASI, "person"),
        ("gender", "gender", Class.QUASI, "person"),
        ("salary", "pay", Class.SENSITIVE, "person"),
        ("password_hash", "password or secret", Class.SENSITIVE, "person"),
        ("iban", "IBAN", Class.DIRECT, "person"),
    ],
)
def test_names_are_recognised(name: str, label: str, class_: Class, subject: str) -> None:
    found = look(name)
    assert found is not None
    assert (found.label, found.class_, found.subject, found.by) == (label, class_, subject, "its name")


@pytest.mark.parametrize(
    "name",
    ["name", "order_id", "amount", "shipped_at", "ship", "recipe", "company", "tip", "zipped", "description", "pin"],
)
def test_names_of_things_are_none(name: str) -> None:
    assert look(name) is None


@pytest.mark.parametrize(
    ("values", "label"),
    [
        (["a@example.com", "b.c@example.org"], "e-mail address"),
        (["+49 30 1234567", "+1 (202) 555-0123"], "telephone number"),
        (["192.0.2.7", "2001:db8::1"], "IP address"),
        (["DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19"], "IBAN"),
        (["4111111111111111", "5500-0000-0000-0004", "378282246310005"], "card number"),
        (["DE88370400440532013000"], None),
        (["4111111111111112"], None),
        (["1767323045123"], None),
        (["2026-01-02"], None),
        (["1.2.3"], None),
        (["a@example.com", "none", "none"], None),
        ([], None),
    ],
)
def test_values_are_recognised_with_their_checksums(values: list[str], label: str | None) -> None:
    found = look("contact", values)
    assert (found and (found.label, found.by)) == (label and (label, "its values"))


def test_one_value_of_ten_may_be_another() -> None:
    assert look("contact", [*["a@example.com"] * 9, "unknown"]) is not None
    assert look("contact", [*["a@example.com"] * 8, "unknown", "unknown"]) is None


def test_feed_tells_whose_values_they_are() -> None:
    found = look("country_code", (), "users")
    assert found is not None
    assert found.subject == "account"


def test_one_personal_value_hides_all_of_a_column() -> None:
    assert may_be_personal("note", ["call", "a@example.com"])
    assert may_be_personal("nickName")
    assert not may_be_personal("note", ["call", "later"])


@pytest.mark.parametrize("seed", [1, 2])
def test_three_hundred_columns_are_distinguished(seed: int) -> None:
    """What stays: names of persons in a column called c7, and `children_in_cart`, which says nothing of a child."""
    columns = list(labelled(seed))
    assert len(columns) >= 300
    judged = [(column, look(column.name, column.values)) for column in columns]
    found = [(column, finding) for column, finding in judged if finding]
    right = [(column, finding) for column, finding in found if column.class_.is_personal]
    personal = [column for column in columns if column.class_.is_personal]
    assert len(right) / len(found) >= 0.95  # precision
    assert len(right) / len(personal) >= 0.95  # recall
    assert [column.name for column, finding in right if finding.class_ is not column.class_] == []


@pytest.mark.parametrize("name", ["Full Name", "fullName", "FULL_NAME", "full-name"])
def test_names_are_read_however_they_are_written(name: str) -> None:
    found = look(name)
    assert found is not None
    assert found.label == "name of a person"


@pytest.mark.parametrize(
    "name", ["R_NAME", "address_count", "numAddresses", "email_sent_at", "is_email_valid", "phone_type", "ip_version"]
)
def test_what_is_said_about_a_value_is_not_the_value(name: str) -> None:
    assert look(name) is None


def test_plain_name_is_that_of_a_person_where_the_feed_is_of_persons() -> None:
    assert look("name", (), "customers") is not None
    assert look("name", (), "products") is None
    assert look("plan.name", (), "customers") is None


def test_few_numbers_that_pass_a_test_by_chance_prove_nothing() -> None:
    assert look("reference", ["111222333"] * 4) is None
    assert look("reference", ["111222333"] * 5) is not None
    assert look("tracking", ["4005550000000001"]) is None


def test_addresses_with_a_user_are_no_email() -> None:
    assert look("remote", ["git@example.com:team/repository.git", "https://ada@example.com/x"] * 5) is None
