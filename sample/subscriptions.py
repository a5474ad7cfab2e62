"""Subscriptions: their state and its versions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from sample.days import stamp
from sample.invoices import Change, Line
from sample.objects import SUBSCRIPTIONS
from sample.prices import price, whole


@dataclass(frozen=True, slots=True)
class State:
    """State of a subscription; moments in milliseconds since 1970 UTC, -1 for none, amounts in minor units.

    Attributes:
        discount: percent, 0 for none.
    """

    plan: str
    interval: str
    quantity: int
    unit_amount: int
    currency: str
    discount: Decimal
    started: int
    status: str = "active"
    trial_end: int = -1
    period_start: int = -1
    period_end: int = -1
    cancel_at: int = -1
    canceled: int = -1
    ended: int = -1

    @property
    def months(self) -> int:
        """Months of a period."""
        return 12 if self.interval == "year" else 1

    @property
    def amount(self) -> int:
        """Price of a period after discount, without tax."""
        return whole(self.unit_amount * self.quantity * (100 - self.discount) / 100)

    def priced(self, **changed: object) -> State:
        """The state with another plan, interval or currency at its list price."""
        state = replace(self, **changed)  # type: ignore[arg-type]  # the names are those of the fields
        return replace(state, unit_amount=price(state.plan, state.interval, state.currency))


@dataclass(slots=True)
class Subscription:
    """A subscription in its current state; each `update` adds a version."""

    subscription_id: str
    account_id: str
    state: State
    changes: list[Change]
    version: int = 0
    moment: int = 0

    def update(self, moment: int, **changed: object) -> int:
        """Add a version, at least a second after the previous one; return its time."""
        self.state = replace(self.state, **changed)  # type: ignore[arg-type]  # the names are those of the fields
        self.moment, self.version = max(moment, self.moment + 1000), self.version + 1
        self.changes.append(Change(SUBSCRIPTIONS, self.moment, self._record()))
        return self.moment

    def line(self) -> Line:
        """The line that bills the period."""
        return Line(self.state.plan, self.state.period_start, self.state.period_end, self.state.amount)

    def settle(self, before: State, moment: int) -> tuple[Line, Line]:
        """The credit for the rest of the period in the state `before`, and the charge for the new state."""
        start, end = before.period_start, before.period_end
        share = Decimal(end - moment) / Decimal(end - start)
        back = Line(before.plan, moment, end, -whole(before.amount * share), is_proration=True)
        is_new_period = self.state.period_start == moment
        cost = self.state.amount if is_new_period else whole(self.state.amount * share)
        return back, Line(self.state.plan, moment, self.state.period_end, cost, is_proration=not is_new_period)

    def _record(self) -> dict[str, object]:
        state = self.state
        discount = float(state.discount) if state.discount else None
        record: dict[str, object] = {
            "subscription_id": self.subscription_id,
            "version": self.version,
            "account_id": self.account_id,
            "plan_id": state.plan,
            "status": state.status,
            "interval": state.interval,
            "quantity": state.quantity,
            "unit_amount": state.unit_amount,
            "currency": state.currency,
            "discount_percent": discount,
            "started_at": stamp(state.started),
            "trial_end_at": _stamp(state.trial_end),
            "current_period_start": _stamp(state.period_start),
            "current_period_end": _stamp(state.period_end),
            "cancel_at": _stamp(state.cancel_at),
            "canceled_at": _stamp(state.canceled),
            "ended_at": _stamp(state.ended),
            "updated_at": stamp(self.moment),
        }
        return {name: value for name, value in record.items() if value is not None}


def _stamp(moment: int) -> str | None:
    return stamp(moment) if moment >= 0 else None
