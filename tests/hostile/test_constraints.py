"""`lake` with a contract that has constraints: what it reports, hides, fails on and repairs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hostile.checkout import Checkout, column

COLUMNS = (
    column("amount", "decimal(9, 2)"),
    column("email", "string", **{"class": "direct", "subject": "account"}),
)
SMALL = {"column": "amount", "range": {"min": 0, "max": 100}}
MAILS = {"column": "email", "pattern": "[^@ ]+@[^@ ]+", "policy": "warn"}
SHORT = {"column": "email", "length": {"max": 12}}
PERSONAL = {"purpose": "Bills.", "legal_basis": "contract", "on_erasure": "delete"}
BAD = ({"amount": "100.01"}, {"email": "alice@example.com"})
GOOD = tuple({"amount": number, "email": "secret"} for number in range(18))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    found = Checkout(tmp_path)
    found.agree(*COLUMNS, constraints=[SMALL, MAILS, SHORT])
    return found


def reported(checkout: Checkout, *arguments: str, code: int = 0) -> Any:
    return json.loads(checkout.lake(*arguments, "--json", code=code).stdout)


def test_an_ingest_counts_violations_and_fails_above_the_share_of_the_contract(checkout: Checkout) -> None:
    # GIVEN 2 of 20 records that violate a constraint, and a contract that accepts 5 %
    checkout.put("a.json", *GOOD, *BAD)
    # THEN the ingest fails, and the others are loaded
    report = reported(checkout, "ingest", code=1)
    (feed,) = report["feeds"]
    assert (feed["rows"], feed["quarantined"]) == (18, 2)
    assert feed["reasons"] == [["constraint_violated", 2]]
    assert feed["warnings"] == [["email_pattern", 18]]
    assert "max_quarantined_share" in report["errors"][0]
    # AND with a larger share it does not
    checkout.agree(*COLUMNS, constraints=[SMALL, MAILS, SHORT], max_quarantined_share=0.1)
    checkout.put("b.json", *GOOD, *BAD)
    shown = checkout.lake("ingest").stdout
    assert "quarantined in clicks: constraint_violated 2" in shown
    assert "loaded with a warning in clicks: email_pattern 18" in shown
    assert "agrees" in checkout.lake("verify", "--deep").stdout


def test_rejected_values_are_shown_unless_they_are_personal(checkout: Checkout) -> None:
    checkout.agree(*COLUMNS, constraints=[SMALL, MAILS, SHORT], max_quarantined_share=1)
    checkout.put("a.json", *BAD)
    checkout.lake("ingest")
    shown = checkout.lake("quarantine", "show", "clicks").stdout
    assert "constraint_violated amount: amount_range: expected at least 0 and at most 100, found 100.01" in shown
    assert (
        "email_length: expected a length of at most 12; the value is not shown, because the column is personal" in shown
    )
    assert "alice" not in shown
    assert "alice" in checkout.lake("quarantine", "show", "clicks", "--raw").stdout
    # WHEN a column becomes personal after its value was noted, or the constraint is gone, THEN it is hidden too
    amount = column("amount", "decimal(9, 2)", **{"class": "quasi", "subject": "account"})
    checkout.agree(amount, COLUMNS[1], constraints=[SMALL, MAILS, SHORT], max_quarantined_share=1)
    assert "100.01" not in checkout.lake("quarantine", "show", "clicks").stdout
    checkout.agree(*COLUMNS, version=2, max_quarantined_share=1)
    assert "found 100.01" not in checkout.lake("quarantine", "show", "clicks").stdout


def test_a_changed_constraint_is_refused_until_its_version_is_raised_and_replay_repairs(checkout: Checkout) -> None:
    checkout.agree(*COLUMNS, constraints=[SMALL, MAILS], max_quarantined_share=1)
    checkout.put("a.json", *BAD)
    checkout.lake("ingest")
    wide = SMALL | {"range": {"min": 0, "max": "100.01"}}
    checkout.agree(*COLUMNS, constraints=[wide, MAILS], max_quarantined_share=1)
    refused = checkout.lake("contracts", code=2).stderr
    assert "'amount_range' was amount at least 0 and at most 100 (quarantine) and is" in " ".join(refused.split())
    assert "web/clicks has personal columns (email), but does not say why" in refused
    checkout.agree(*COLUMNS, version=2, constraints=[wide, MAILS], max_quarantined_share=1, personal=PERSONAL)
    checkout.lake("contracts", "--write")
    (model,) = yaml.safe_load((checkout.folder / "external_models/bronze.yaml").read_text())
    assert model["columns"]["_warnings"] == "TEXT[]"
    (verdict,) = reported(checkout, "verify", "--deep")
    assert (verdict["rejudged"], verdict["differences"]) == (1, [])
    assert reported(checkout, "quarantine", "replay", "clicks")["feeds"]["clicks"] == {"tried": 1, "replayed": 1}
    (verdict,) = reported(checkout, "verify", "--deep")
    assert (verdict["rows"], verdict["rejudged"], verdict["differences"]) == (2, 0, [])


def test_a_contract_is_shown_with_its_constraints(checkout: Checkout) -> None:
    shown = " ".join(checkout.lake("contracts", "show", "clicks").stdout.split())
    assert "amount_range amount at least 0 and at most 100 quarantine" in shown
    assert "email_pattern email a text that matches [^@ ]+@[^@ ]+ warn" in shown


def test_a_contradictory_constraint_names_the_file_and_what_was_expected(checkout: Checkout) -> None:
    checkout.agree(*COLUMNS, constraints=[SMALL | {"range": {"min": 5, "max": 4}}, {"column": "email"}])
    error = " ".join(checkout.lake("contracts", code=2).stderr.split())
    assert "clicks.yaml: constraints.1: constraint of 'email': expected exactly one of range, accepted_values" in error
    checkout.agree(*COLUMNS, constraints=[SMALL | {"range": {"min": 5, "max": 4}}])
    error = " ".join(checkout.lake("contracts", code=2).stderr.split())
    assert "constraint 'amount_range': range: no decimal(9, 2) is at least 5 and at most 4" in error
