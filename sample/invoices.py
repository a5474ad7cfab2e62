"""Invoices: billing of customers, and the versions of each invoice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from sample.customers import Customer
from sample.days import DAY_MS, MINUTE, stamp
from sample.objects import INVOICES
from sample.prices import TAX_OF, whole

_DUE_DAYS = 14


@dataclass(frozen=True, slots=True)
class Change:
    """A version of a record, with its time in milliseconds since 1970 UTC."""

    bucket: str
    moment: int
    record: dict[str, object]


@dataclass(frozen=True, slots=True)
class Line:
    """An invoice line; moments in milliseconds since 1970 UTC, amounts in minor units, without tax.

    Attributes:
        plan: None for a one-off item.
    """

    plan: str | None
    start: int
    end: int
    amount: int
    is_proration: bool = False


@dataclass(slots=True)
class Invoice:
    """An invoice in its current state; each `update` adds a version."""

    changes: list[Change]
    record: dict[str, object]
    due: int
    moment: int = 0
    refunded: int = 0

    def update(self, moment: int, **changed: object) -> int:
        """Add a version, at least a second after the previous one; return its time."""
        self.moment = max(moment, self.moment + 1000)
        self.record = self.record | changed | {"updated_at": stamp(self.moment)}
        record = {name: value for name, value in self.record.items() if value is not None}
        self.changes.append(Change(INVOICES, self.moment, record))
        return self.moment

    def pay(self, moment: int) -> int:
        """Pay it in full."""
        return self.update(moment, status="paid", amount_paid=self.due, paid_at=stamp(max(moment, self.moment + 1000)))

    def refund(self, moment: int, amount: int) -> None:
        """Refund a part of it, or all."""
        self.refunded = min(self.refunded + amount, self.due)
        self.update(moment, amount_refunded=self.refunded)


@dataclass(slots=True)
class Invoices:
    """The invoices of one customer.

    Attributes:
        credits: credits not used on an invoice yet, by subscription.
    """

    customer: Customer
    changes: list[Change]
    credits: dict[str, list[Line]] = field(default_factory=dict)
    count: int = 0

    def issue(
        self, subscription_id: str | None, currency: str, lines: list[Line], moment: int, drafted: bool
    ) -> Invoice:
        """Bill the lines, reduced by the remaining credits as far as the amount allows.

        Args:
            drafted: whether a draft is reported ten minutes before.
        """
        self.count += 1
        token = self.customer.account_id.removeprefix("acc_")
        billed = [*lines, *self._used(subscription_id, sum(line.amount for line in lines))]
        taxes = [whole(Decimal(line.amount) * TAX_OF[self.customer.country]) for line in billed]
        due = sum(line.amount for line in billed) + sum(taxes)
        if due < 0:  # the amounts are 0, but their taxes were rounded
            taxes[-1], due = taxes[-1] - due, 0
        record: dict[str, object] = {
            "invoice_id": f"inv_{token}_{self.count}",
            "number": None,
            "account_id": self.customer.account_id,
            "subscription_id": subscription_id,
            "status": "draft",
            "currency": currency,
            "issued_at": None,
            "due_at": None,
            "paid_at": None,
            "lines": [_record(line, tax) for line, tax in zip(billed, taxes, strict=True)],
            "amount_due": due,
            "amount_paid": 0,
            "amount_refunded": 0,
        }
        invoice = Invoice(self.changes, record, due)
        if drafted:
            invoice.update(moment, status="draft")
            moment += 10 * MINUTE
        issued = {"issued_at": stamp(moment), "due_at": stamp(moment + _DUE_DAYS * DAY_MS)}
        invoice.update(moment, status="open", number=f"{token[:6].upper()}-{self.count:04d}", **issued)
        return invoice

    def credit(self, subscription_id: str, *lines: Line) -> None:
        """Keep lines for the next invoice of a subscription."""
        self.credits.setdefault(subscription_id, []).extend(lines)

    def _used(self, subscription_id: str | None, amount: int) -> list[Line]:
        """Take the kept lines that an amount covers; of a larger credit a part, whose rest is kept."""
        kept = self.credits.pop(subscription_id or "", [])
        used, left = [line for line in kept if line.amount >= 0], []
        amount += sum(line.amount for line in used)
        for line in (line for line in kept if line.amount < 0):
            part = max(line.amount, -amount)
            if part:
                used.append(replace(line, amount=part))
            if part != line.amount:
                left.append(replace(line, amount=line.amount - part))
            amount += part
        if left:
            self.credits[subscription_id or ""] = left
        return used


def _record(line: Line, tax: int) -> dict[str, object]:
    record: dict[str, object] = {
        "plan_id": line.plan,
        "period_start": stamp(line.start),
        "period_end": stamp(line.end),
        "amount": line.amount,
        "proration": line.is_proration,
        "tax": tax,
    }
    return {name: value for name, value in record.items() if value is not None}
