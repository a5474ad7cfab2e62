"""`lake quarantine show` and `lake why` hide personal, unknown or unreadable data unless --raw is given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ingest.contracts.contract import Contract, load_contract
from pipeline.access.masking import masked_detail, masked_record, masked_row
from tests.hostile.checkout import Checkout, column

SECRETS = ("alice@example.com", "0611223344", "secret-device", "hunter2", "4111111111111111")
OWNED = {"class": "direct", "subject": "account"}
COLUMNS = (
    column("amount", "integer"),
    column("email", "string", **OWNED),
    column("phones", "string", repeated=True, **OWNED),
    column("plan", "string"),
    column(
        "device",
        "struct",
        fields=[column("id", "string", **OWNED), column("os", "string"), column("n", "integer", repeated=True)],
    ),
    column("owner", "struct", **OWNED, fields=[column("city", "string")]),
    column("lines", "struct", repeated=True, fields=[column("sku", "string"), column("buyer", "string", **OWNED)]),
)
RECORD = {
    "amount": "x",
    "email": "alice@example.com",
    "phones": ["0611223344", None],
    "plan": "gold",
    "device": {"id": "secret-device", "os": "iOS", "n": [1, 2], "token": "hunter2"},
    "owner": {"city": "secret-device"},
    "lines": [{"sku": "s", "buyer": "alice@example.com"}, None],
    "password": "hunter2",
    "card": 4111111111111111,
    "tags": ["hunter2"],
    "more": {"email": "alice@example.com"},
}
SHOWN = (
    '{"id": "a", "at": "2026-01-02T10:00:00Z", "amount": "<string>", "email": "***", "phones": "***", "plan": "gold", '
    '"device": {"id": "***", "os": "iOS", "n": [1, 2], "token": "<string>"}, "owner": "***", '
    '"lines": [{"sku": "s", "buyer": "***"}, null], "password": "<string>", "card": "<number>", "tags": "<list>", '
    '"more": "<object>"}'
)
BAD: tuple[bytes, ...] = (
    json.dumps({"id": "a", "at": "2026-01-02T10:00:00Z"} | RECORD).encode(),
    b'{"id":"b","email":"alice@example.com","phones":',
    b"alice@example.com",
    b'["0611223344"]',
    b'{"id":"c","at":"2026-01-02T10:00:00Z","email":"alice@example.com","email":"alice@example.com"}',
    b'{"id":"d","at":"2026-01-02T10:00:00Z","email":"alice@example.com\xff"}',
    b'{"id":"e","at":"0611223344","email":"alice@example.com"}',
    b'{"id":"f","at":"2026-01-02T10:00:00Z","email":4111111111111111}',
    b'{"id":"g","at":"2026-01-02T10:00:00Z","device":"hunter2","lines":"hunter2","plan":{"a":"hunter2"}}',
)


@pytest.fixture(scope="module")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = Checkout(tmp_path_factory.mktemp("masking"))
    checkout.agree(*COLUMNS, max_quarantined_share=1, clock_skew_seconds=10**9)
    checkout.put("bad.json", *BAD)
    checkout.put("odd.csv", b"id,at,email", b"z,2026-01-02T10:00:00Z,alice@example.com,0611223344")
    checkout.put("twice.csv", b"alice@example.com,alice@example.com", b"a,b")
    checkout.lake("ingest")
    return checkout


def none_of(secrets: Sequence[str], text: str) -> bool:
    return not [secret for secret in secrets if secret in text]


@pytest.mark.parametrize(
    "command",
    [
        ("quarantine", "show"),
        ("quarantine", "show", "--json"),
        ("why", "raw-clicks/bad.json"),
        ("why", "raw-clicks/bad.json", "--json"),
        ("why", "raw-clicks/odd.csv"),
        ("why", "raw-clicks/twice.csv", "--json"),
    ],
    ids=" ".join,
)
def test_nothing_personal_is_shown(rejected: Checkout, command: tuple[str, ...]) -> None:
    shown = rejected.lake(*command)
    # the time is a column that is not personal, and is shown with its fault
    assert none_of(
        SECRETS,
        (shown.stdout + shown.stderr).replace('"at": "0611223344"', "").replace('\\"at\\": \\"0611223344\\"', ""),
    )


def test_data_that_is_not_personal_is_shown(rejected: Checkout) -> None:
    rows = json.loads(rejected.lake("quarantine", "show", "--json").stdout)
    by_place = {(row["source_file"][len("raw-clicks/") :], row["line"]): row for row in rows}
    assert by_place["bad.json", 1]["raw"] == SHOWN
    assert by_place["bad.json", 1]["detail"].startswith("Expected `int | null`, got `str`")
    assert by_place["bad.json", 2]["raw"] == f"<{len(BAD[1])} bytes, not a JSON object>"
    assert by_place["bad.json", 9]["raw"] == (
        '{"id": "g", "at": "2026-01-02T10:00:00Z", "device": "<string>", "lines": "<string>", "plan": "<object>"}'
    )
    assert {row["masked"] for row in rows} == {True}


def test_raw_shows_all_of_it(rejected: Checkout) -> None:
    rows = json.loads(rejected.lake("quarantine", "show", "--raw", "--json").stdout)
    assert [row["raw"].encode() for row in rows if row["source_file"].endswith("bad.json")] == [
        line.replace(b"\xff", b"\\xff") for line in BAD
    ]
    assert {row["masked"] for row in rows} == {False}
    assert "alice@example.com" in rejected.lake("quarantine", "show", "--raw").stdout
    life = json.loads(rejected.lake("why", "raw-clicks/bad.json", "--raw", "--json").stdout)
    assert life["bad_lines"][1]["raw"] == BAD[1].decode()


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    checkout = Checkout(tmp_path)
    checkout.agree(*COLUMNS)
    return load_contract(checkout.folder / "ingest/contracts/web/clicks.yaml")


@pytest.mark.parametrize(
    ("reason", "path", "detail"),
    [
        ("wrong_type", None, "Failed to convert JSON to int64, couldn't parse:alice@example.com"),
        ("wrong_type", "email", "Expected `decimal(5, 2)`, got `alice@example.com` - at `$.email`"),
        ("wrong_type", "lines[0].buyer", "`hunter2` does not fit `decimal(5, 2)`"),
        ("wrong_type", "owner.city", "hunter2 is outside"),
        ("wrong_type", "device", "hunter2 is no struct"),
        ("number_out_of_range", "card", "4111111111111111 is outside ±1e150"),
        ("corrupt_object", None, "CSV: the header names 'alice@example.com, hunter2' more than once"),
        ("corrupt_object", None, "Parquet: casting would lose data: 4111111111111111"),
        ("a_new_reason", None, "of alice@example.com"),
    ],
)
def test_details_that_may_quote_a_value_are_hidden(contract: Contract, reason: str, path: str, detail: str) -> None:
    assert none_of(SECRETS, masked_detail(contract, reason, path, detail))


@pytest.mark.parametrize(
    ("reason", "path", "detail"),
    [
        ("wrong_type", "email", "Expected `str | null`, got `int` - at `$.email`"),
        ("wrong_type", None, "Invalid RFC3339 encoded datetime - at `$.at`"),
        ("wrong_type", "amount", "Failed to convert JSON to int64, couldn't parse:1.5"),
        ("wrong_type", "lines[3].sku", "Expected `decimal(5, 2)`, got `1.555`"),
        ("unparsable", None, "JSON is malformed: expected ',' or '}' (byte 12)"),
        ("unparsable", None, "Input data was truncated"),
        ("missing_required", "id", "expected a value"),
        ("event_time_in_future", "at", "2999-01-01 is after the object's time plus skew"),
        ("corrupt_object", None, "gzip: the stream ends too early"),
    ],
)
def test_helpful_details_that_quote_nothing_are_kept(contract: Contract, reason: str, path: str, detail: str) -> None:
    assert masked_detail(contract, reason, path, detail) == detail


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"12",
        b'"alice@example.com"',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"{" + b"9" * 10_000,
        b"\xff\xfe",
    ],
)
def test_text_that_cannot_be_read_is_hidden_as_a_whole(contract: Contract, raw: bytes) -> None:
    assert masked_record(contract, raw) == f"<{len(raw):,} bytes, not a JSON object>"


def test_rows_found_by_audits_are_masked_by_the_names_of_personal_columns() -> None:
    row: dict[str, Any] = {"user_id": "u1", "email": None, "date": "2026-01-02", "rows": 2}
    masked = {"user_id": "***", "email": None, "date": "2026-01-02", "rows": 2}
    assert masked_row(row) == masked
    assert masked_row({**row, "account_name": "Alice"}, {"account_name"}) == {**masked, "account_name": "***"}
