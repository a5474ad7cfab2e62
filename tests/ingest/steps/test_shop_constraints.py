"""What the contracts of the shop's tables reject, and what they load with a warning."""

from __future__ import annotations

from typing import Any

import pytest

from tests.envelopes import envelope

ORDER = {"order_id": 1, "status": "paid", "total_amount": "46.61", "ordered_at": "2026-01-05T10:00:00Z"}


@pytest.mark.parametrize(
    ("changed", "reason", "column", "detail"),
    [
        (
            {"status": "lost"},
            "constraint_violated",
            "status",
            "status_accepted_values: expected one of pending, paid, shipped, delivered, cancelled, found 'lost'",
        ),
        (
            {"total_amount": "100001"},
            "constraint_violated",
            "total_amount",
            "total_amount_range: expected at least 0 and at most 100000, found 100001.00",
        ),
        ({"total_amount": None}, "missing_required", "total_amount", "expected a value"),
    ],
)
def test_an_order_that_cannot_be_is_quarantined_with_its_reason(
    lake: Any, changed: dict[str, Any], reason: str, column: str, detail: str
) -> None:
    lake.agree("orders", max_quarantined_share=1)
    lake.put("orders", "a.json", envelope(after=ORDER | changed), envelope(after=ORDER | {"order_id": 2}))
    report = lake.ingest("orders")
    assert (report.rows, report.quarantined, report.reasons) == (1, 1, ((reason, 1),))
    (record,) = lake.quarantine("orders")
    assert (record["reason"], record["column"], record["detail"]) == (reason, column, detail)
    assert [row["order_id"] for row in lake.bronze("orders")] == [2]


def test_a_deleted_order_needs_no_total(lake: Any) -> None:
    gone = envelope("d", before={"order_id": 1}, after=None)
    lake.put("orders", "a.json", gone)
    assert (lake.ingest("orders").rows, lake.quarantine("orders")) == (1, [])


def test_an_address_without_an_at_sign_is_loaded_with_a_warning(lake: Any) -> None:
    addresses = ("ada@example.com", "ada.example.com", None)
    rows = [{"customer_id": number, "email": address} for number, address in enumerate(addresses)]
    lake.put("customers", "a.json", *(envelope(after=row) for row in rows))
    report = lake.ingest("customers")
    assert (report.rows, report.quarantined, report.warnings) == (3, 0, (("email_pattern", 1),))
    assert [row["_warnings"] for row in lake.bronze("customers", "_warnings")] == [None, ["email_pattern"], None]


def test_a_refund_of_no_order_is_quarantined(lake: Any) -> None:
    """Nothing downstream would miss it."""
    lake.agree("refunds", max_quarantined_share=1)
    refund = {"refund_id": 1, "order_id": 1, "line_number": 1, "quantity": 1, "amount": "1.00", "tax_amount": "0.19"}
    refunds = (refund, refund | {"refund_id": 2, "order_id": None})
    gone = envelope("d", before={"refund_id": 3}, after=None)
    lake.put("refunds", "a.json", *(envelope(after=row) for row in refunds), gone)
    report = lake.ingest("refunds")
    assert (report.rows, report.quarantined, report.reasons) == (2, 1, (("missing_required", 1),))
    assert [record["column"] for record in lake.quarantine("refunds")] == ["order_id"]
