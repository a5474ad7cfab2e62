"""Records of processing follow from the contracts; a feed with personal columns has to say why it has them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ingest.contracts.contract import Contract, contracts
from ingest.settings import PROJECT
from pipeline.access.privacy import Privacy, load_privacy
from pipeline.access.processing import activity, records_of_processing, unexplained
from pipeline.access.roles import Role, load_roles
from pipeline.cli import main

DOCUMENT = PROJECT / "docs" / "records_of_processing.md"
NOTHING = Privacy({}, {})


def document(*known: Contract, roles: tuple[Role, ...] = (), privacy: Privacy = NOTHING) -> str:
    return records_of_processing(known, roles, privacy)


def test_document_is_up_to_date() -> None:
    found = records_of_processing(list(contracts().values()), load_roles(PROJECT), load_privacy(PROJECT / "privacy"))
    assert DOCUMENT.read_text(encoding="utf-8") == found, "run `lake contracts --write`"


def test_every_feed_with_personal_columns_is_in_it_with_all_of_them() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    sections = {part.split("\n", 1)[0]: part for part in re.split(r"^## ", text, flags=re.MULTILINE)}
    for contract in contracts().values():
        classed = [path for path, column in contract.walk() if column.is_personal]
        assert (contract.name in sections) == bool(classed)
        if contract.personal:
            assert contract.personal.purpose in sections[contract.name]
            for path in classed:
                assert f"`{path}`" in sections[contract.name]


def test_what_a_contract_states_is_in_its_table() -> None:
    accounts = contracts()["accounts"]
    about = accounts.personal
    assert about is not None
    limited = accounts.model_copy(
        update={"personal": about.model_copy(update={"retention_days": 3650, "purpose": "Bills | reports."})}
    )
    text = document(limited)
    assert "| purpose | Bills \\| reports. |" in text
    assert "| kept | 3,650 days |" in text
    assert "| direct data | `account_id`, `user_id`, `name`, `email` |" in text
    assert "| erasure | records are pseudonymised, with `country_code`: Invoices and revenue of closed periods" in text
    assert "- accounts: `account_id`, `user_id`" in text
    assert "| `user_id` | one person | `accounts.user_id` |" in text
    assert "`visitor_id` | several persons" in document(contracts()["clickstream"])
    assert activity(contracts()["products"]) is None


def test_roles_are_recipients() -> None:
    role = Role.model_validate(
        {"name": "analyst", "description": "Analysts.", "owner": "platform", "tables": ["gold.*"], "except": ["gold.x"]}
    )
    assert "- Role analyst (owner platform): Analysts. Tables `gold.*` but `gold.x`, masked" in document(roles=(role,))
    assert "Role" not in document()


def test_a_feed_that_does_not_say_why_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    users = contracts()["users"].model_copy(update={"personal": None})
    assert unexplained(contracts().values()) == []
    (line,) = unexplained([users, contracts()["events"]])
    assert line.startswith(
        "engagement/users has personal columns (children_ids, country_code, user_id), but does not say"
    )
    assert "| purpose | not stated |" in document(users)
    monkeypatch.setattr("ingest.contracts.contract.contracts", lambda: {"users": users})
    result = CliRunner().invoke(main, ["contracts", "--offline"])
    assert result.exit_code == 2
    assert "add `personal:` with purpose, legal_basis and on_erasure" in result.stderr


def test_command_writes_and_checks_the_document(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("external_models", "docs"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(sys.modules["pipeline.cli.contracts"], "PROJECT", tmp_path)

    def lake(*options: str) -> int:
        return CliRunner().invoke(main, ["contracts", *options]).exit_code

    assert (lake("--offline", "--write"), lake("--offline")) == (0, 0)
    written = tmp_path / "docs" / DOCUMENT.name
    printed = CliRunner().invoke(main, ["contracts", "processing"])
    assert (printed.exit_code, printed.stdout) == (0, written.read_text(encoding="utf-8"))
    written.write_text("old", encoding="utf-8")
    assert lake("--offline") == 1
