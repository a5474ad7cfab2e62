"""Values of persons that stand where none belong are hidden: in other columns, as names of fields, in errors."""

from __future__ import annotations

import json
import logging
from io import StringIO

import duckdb
import pytest

from ingest.contracts.contract import contracts
from pipeline.access.masking import masked_detail, masked_record, masked_row
from pipeline.process.redact import redact, redact_logs

ADA = "ada@example.com"


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"occurred_at": ADA}, '"occurred_at": "<string>"'),
        ({"occurred_at": "ada lovelace"}, '"occurred_at": "<string>"'),
        ({"occurred_at": "2026-13-45 25:00"}, '"occurred_at": "2026-13-45 25:00"'),
        ({"data": {"duration": "ada"}}, '"data": {"duration": "<string>"}'),
        ({"data": {"duration": "1.5e3"}}, '"data": {"duration": "1.5e3"}'),
        ({"data": {"duration": "+49 30 1234567"}}, '"data": {"duration": "<string>"}'),
        ({"data": {"completed": "yes"}}, '"data": {"completed": "yes"}'),
        ({"data": {"completed": "ada"}}, '"data": {"completed": "<string>"}'),
        ({"data": {"source": "home"}}, '"data": {"source": "home"}'),
        ({"data": {"source": f"by {ADA}"}}, '"data": {"source": "<string>"}'),
        ({"data": {"source": 4111111111111111}}, '"data": {"source": "<number>"}'),
        ({ADA: 1}, '"***": "<number>"'),
        ({"+49 30 1234567": {}}, '"***": "<object>"'),
        ({"mood": "fine"}, '"mood": "<string>"'),
    ],
)
def test_values_are_shown_only_where_they_can_belong(fields: dict[str, object], shown: str) -> None:
    assert masked_record(contracts()["events"], json.dumps(fields).encode()) == f"{{{shown}}}"


def test_details_and_rows_do_not_quote_persons() -> None:
    orders = contracts()["orders"]
    detail = "status_accepted_values: expected one of 'paid', found '{}'"
    assert masked_detail(orders, "constraint_violated", "status", detail.format("gone")).endswith("'gone'")
    assert ADA not in masked_detail(orders, "constraint_violated", "status", detail.format(ADA))
    assert masked_row({"label": ADA, "note": "x", "n": 3}) == {"label": "***", "note": "***", "n": 3}


QUERIES = (
    "SELECT '{}'::INT",
    "SELECT '{}'::DATE",
    "SELECT '{}'::TIMESTAMP",
    "SELECT '{}'::DECIMAL(9, 2)",
    "SELECT '{}'::UUID",
    "SELECT STRPTIME('{}', '%Y')",
    "SELECT '{{\"{}'::JSON",
    "SELECT '{{{}: 1}}'::STRUCT(a INT)",
    "INSERT INTO persons VALUES ('{}'), ('{}')",
)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("value", [ADA, "ada''s", 'ada "x" lovelace', "ada\nlovelace", "ada to INT"])
def test_errors_of_the_engine_do_not_quote_values(query: str, value: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE persons (key TEXT PRIMARY KEY)")
        with pytest.raises(duckdb.Error) as raised:
            connection.execute(query.replace("{}", value) if "{{" not in query else query.format(value)).fetchall()
    message = str(raised.value).split("\n\nLINE 1")[0]
    assert "ada" in message
    assert "ada" not in redact(message)
    assert "***" in redact(message)


@pytest.mark.parametrize(
    "message",
    [
        'ERROR:  duplicate key value violates unique constraint "x"\nDETAIL:  Key (user_id)=(ada) already exists.',
        'ERROR:  null value in column "a" violates not-null constraint\nDETAIL:  Failing row contains (ada, null, 1).',
        'ERROR:  invalid input syntax for type integer: "ada"\nCONTEXT:  x',
        '[CAST_INVALID_INPUT] The value \'ada\' of the type "STRING" cannot be cast to "INT"',
    ],
)
def test_errors_of_other_engines_do_not_either(message: str) -> None:
    assert "ada" not in redact(message)
    assert redact(message).startswith(message[:20])


def test_log_files_of_sqlmesh_have_no_value() -> None:
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(levelname)s - %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        redact_logs()
        redact_logs()
        try:
            with duckdb.connect() as connection:
                connection.execute(f"SELECT '{ADA}'::INT")
        except duckdb.Error:
            root.exception("Execution failed")
    finally:
        root.removeHandler(handler)
    assert "ERROR - Execution failed" in written.getvalue()
    assert "Could not convert string *** to INT32" in written.getvalue()
