"""Records of the revenue feeds: a customer, a change of a subscription, a version of an invoice."""

from __future__ import annotations

from typing import Any


def account(account_id: str, updated_at: str, **fields: Any) -> dict[str, Any]:
    made = {"account_id": account_id, "user_id": f"u-{account_id}", "created_at": "2026-01-01T00:00:00Z"}
    return made | {"updated_at": updated_at} | fields


def change(subscription_id: str, version: int, updated_at: str, **fields: Any) -> dict[str, Any]:
    return {
        "subscription_id": subscription_id,
        "version": version,
        "account_id": "a1",
        "plan_id": "plus",
        "status": "active",
        "interval": "month",
        "quantity": 1,
        "unit_amount": 1000,
        "currency": "EUR",
        "started_at": "2026-01-05T00:00:00Z",
        "updated_at": updated_at,
    } | fields


def invoice(invoice_id: str, updated_at: str, **fields: Any) -> dict[str, Any]:
    line = {"plan_id": "plus", "amount": 1000, "tax": 190}
    period = {"period_start": "2026-01-31T00:00:00Z", "period_end": "2026-02-28T00:00:00Z"}
    return {
        "invoice_id": invoice_id,
        "account_id": "a1",
        "status": "paid",
        "currency": "EUR",
        "issued_at": "2026-01-31T00:00:00Z",
        "lines": [line | period],
        "amount_due": 1190,
        "amount_paid": 1190,
        "amount_refunded": 0,
        "updated_at": updated_at,
    } | fields
