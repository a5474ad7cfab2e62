"""The simulated history of a customer: trial, payments and failures, changes, pauses, end and possible return.

Shares that are not in `SampleOptions` are defined here; monthly shares apply to paid subscriptions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import TypeVar

from sample.customers import Customer, account_records
from sample.days import DAY_MS, HOUR, MINUTE, midnight, months_after
from sample.draw import Stream, generator, pick
from sample.invoices import Change, Invoice, Invoices, Line
from sample.objects import ACCOUNTS
from sample.options import SampleOptions
from sample.prices import CURRENCIES, PLAN_SHARES, PLANS, SCHOOL, price
from sample.subscriptions import State, Subscription

T = TypeVar("T")

# Shares: sign up only; have a second subscription; have it in a random currency; make a one-off purchase.
_NEVER, _SECOND, _SECOND_ELSEWHERE, _ONE_OFF = 0.06, 0.06, 0.4, 0.04
_TRIAL_DAYS, _CONVERTED = (7, 14), 0.61
# Share billed at midnight UTC, and of these the share billed on the first of the month.
_AT_MIDNIGHT, _ON_THE_FIRST = 0.25, 0.5
_SEATS, _SIBLINGS, _NO_SEATS = (5, 60), (1, 4), 0.08
_DISCOUNTED, _PERCENTS, _DISCOUNT_MONTHS = 0.25, ("10", "12.5", "20", "25", "33.33", "50", "100"), (1, 3, 6)
# Per month: change of seats (schools, others), from monthly to yearly, price increase.
_OTHER_SEATS, _OTHER_SIBLINGS, _TO_YEAR, _PRICE_RISE = 0.10, 0.01, 0.015, 0.004
# Of plan changes: upgrades, reverted within hours. Of yearly subscriptions: back to monthly.
_UPGRADED, _REVERTED, _TO_MONTH = 0.6, 0.1, 0.15
_PAUSED_DAYS, _LEFT_PAUSED = (20, 90), 0.15
# Of cancellations: at once, reported as canceled while still served, reported late. Of requested ones: withdrawn.
_AT_ONCE, _REPORTED_EARLY, _REPORTED_LATE, _WITHDRAWN = 0.12, 0.2, 0.2, 0.15
_LATE_DAYS = (1, 6)
# Of renewals: retracted days later, because the service had ended before.
_RETRACTED = 0.004
# Of failed payments: paid at a retry; of the rest: canceled; of the unpaid: paid months later. Days of the retries.
_RECOVERED, _GIVEN_UP, _PAID_AFTER_ALL = 0.7, 0.5, 0.25
_RETRY_DAYS, _LAST_RETRY_DAY = (3, 7, 14), 21
# Of returns: share with the previous subscription; mean days until the return.
_SAME_SUBSCRIPTION, _AWAY_DAYS = 0.4, 60.0


def simulate(options: SampleOptions, customer: Customer, year: int) -> list[Change]:
    """All changes of a customer up to the end of the year after sign-up."""
    life = _Life(options, customer, year)
    life.run()
    return [change for change in life.changes if change.moment < life.until]


class _Life:
    def __init__(self, options: SampleOptions, customer: Customer, year: int) -> None:
        self.options, self.customer = options, customer
        self.rng = generator(options.seed, year, Stream.LIVES, customer.number + 1)
        self.until = midnight(dt.date(year + 2, 1, 1).toordinal())
        self.changes = [Change(ACCOUNTS, moment, record) for moment, record in account_records(customer)]
        self.invoices = Invoices(customer, self.changes)
        self.count = 0

    def run(self) -> None:
        begin = self.customer.created_at + self._ms(1 * MINUTE, 20 * MINUTE)
        if self._chance(_ONE_OFF):
            item = Line(None, begin, begin + DAY_MS, price("starter", "month", self.customer.currency) * 3)
            self.invoices.issue(None, self.customer.currency, [item], begin, drafted=False).pay(begin + 5 * MINUTE)
        if self._chance(_NEVER):
            return
        self._run_subscriptions(begin, self.customer.currency)
        if self._chance(_SECOND):
            currency = self._choice(CURRENCIES) if self._chance(_SECOND_ELSEWHERE) else self.customer.currency
            self._run_subscriptions(begin + self._ms(DAY_MS, 90 * DAY_MS), currency)

    def _run_subscriptions(self, begin: int, currency: str) -> None:
        """Subscribe, leave and return, possibly repeatedly."""
        subscription = self._new(begin, currency)
        end = self._start(subscription, begin)
        while end is not None and self._chance(self.options.comebacks):
            at = end + HOUR + int(self.rng.exponential(_AWAY_DAYS) * DAY_MS)
            if self._chance(_SAME_SUBSCRIPTION):
                fresh = {"cancel_at": -1, "canceled": -1, "ended": -1, "discount": Decimal(0)}
                end = self._pay_periods(subscription, at, **fresh)
            else:
                subscription = self._new(at, currency)
                end = self._pay_periods(subscription, at)

    def _start(self, subscription: Subscription, at: int) -> int | None:
        """Start with a trial or a payment; return when the end was reported, None if there is none yet."""
        if self._chance(self.options.trials):
            ends = self._billing_moment(at + self._choice(_TRIAL_DAYS) * DAY_MS)
            subscription.update(at, status="trialing", trial_end=ends, period_start=at, period_end=ends)
            if not self._chance(_CONVERTED):
                requested = self._ms(at + HOUR, ends - HOUR)
                subscription.update(requested, cancel_at=ends, canceled=requested)
                return subscription.update(ends, status="canceled", ended=ends)
            at = ends
        return self._pay_periods(subscription, at)

    def _pay_periods(self, subscription: Subscription, at: int, **changed: object) -> int | None:
        """Pay period by period until the end; return when that was reported, None if there is none yet."""
        anchor, number, is_free_to = at, 0, self._discounted_to(subscription.state, at)
        while at < self.until:
            state = subscription.state
            end = months_after(anchor, (number + 1) * state.months)
            if state.discount and at >= is_free_to:
                changed["discount"] = Decimal(0)
            if number and self._chance(_PRICE_RISE * state.months):
                changed["unit_amount"] = state.unit_amount * 11 // 10
            subscription.update(at, status="active", period_start=at, period_end=end, **changed)
            changed = {}
            invoice = self._bill(subscription, [subscription.line()], at)
            if number and self._chance(_RETRACTED):
                retracted = subscription.update(at + self._late(), status="canceled", canceled=at, ended=at)
                return invoice.update(retracted, status="void")
            if invoice.due > 0 and self._chance(self.options.failed_payments):
                ended, paid = self._fail_payment(subscription, invoice, at)
                if paid is None:
                    return ended
                if paid >= end:  # the billing cycle restarts
                    anchor, number, at = paid + HOUR, 0, paid + HOUR
                    continue
                is_unpaid = subscription.state.status == "unpaid"
                begin = subscription.update(paid, status="active") if is_unpaid else paid
            else:
                begin = invoice.pay(invoice.moment + self._ms(MINUTE, 30 * MINUTE))
                if self._chance(self.options.refunds) and invoice.due > 0:
                    part = invoice.due if self._chance(0.5) else invoice.due // 2
                    invoice.refund(begin + self._ms(HOUR, 10 * DAY_MS), part)
            reported, restart = self._period(subscription, invoice, begin, end)
            if restart is None and reported is not None:
                return reported
            if restart is not None:
                anchor, number, at = restart, 0, restart
                continue
            at, number = end, number + 1
            if subscription.state.interval == "year" and self._chance(_TO_MONTH):
                monthly = subscription.state.priced(interval="month")
                changed |= {"interval": "month", "unit_amount": monthly.unit_amount}
                anchor, number = at, 0
        return None

    def _fail_payment(self, subscription: Subscription, invoice: Invoice, at: int) -> tuple[int | None, int | None]:
        """Fail a payment: (when the end was reported, when it was paid), one of them."""
        subscription.update(invoice.moment + HOUR, status="past_due")
        if self._chance(_RECOVERED):
            retry = at + self._choice(_RETRY_DAYS) * DAY_MS + self._ms(HOUR, 4 * HOUR)
            return None, subscription.update(invoice.pay(retry), status="active")
        last = at + _LAST_RETRY_DAY * DAY_MS + self._ms(HOUR, 4 * HOUR)
        if self._chance(_GIVEN_UP):
            reported = last + (self._late() if self._chance(_REPORTED_LATE) else 0)
            invoice.update(last, status="uncollectible" if self._chance(0.5) else "void")
            return subscription.update(reported, status="canceled", canceled=last, ended=last), None
        subscription.update(last, status="unpaid")
        if self._chance(_PAID_AFTER_ALL):
            return None, invoice.pay(months_after(at, 1) + self._ms(DAY_MS, 60 * DAY_MS))
        return invoice.update(last + 30 * DAY_MS, status="uncollectible"), None

    def _period(
        self, subscription: Subscription, invoice: Invoice, begin: int, end: int
    ) -> tuple[int | None, int | None]:
        """Simulate a paid period: (when the end was reported, when a new period began), both None for neither.

        After a cancellation request there are no more changes, but the request may be withdrawn.
        """
        for moment, event in self._draw_events(subscription.state, begin + HOUR, end - 6 * HOUR):
            if moment <= subscription.moment + MINUTE:
                continue
            if event == "plan":
                self._change_plan(subscription, moment)
            elif event == "seats":
                self._change(subscription, moment, quantity=self._quantity(subscription.state.plan))
            elif event == "year":
                yearly = subscription.state.priced(interval="year")
                period = {"period_start": moment, "period_end": months_after(moment, 12)}
                self._change(subscription, moment, interval="year", unit_amount=yearly.unit_amount, **period)
                reported, restart = self._period(
                    subscription, invoice, subscription.moment + HOUR, period["period_end"]
                )
                return reported, restart or (None if reported is not None else period["period_end"])
            elif event == "pause":
                subscription.update(moment, status="paused")
                later = moment + self._ms(_PAUSED_DAYS[0] * DAY_MS, _PAUSED_DAYS[1] * DAY_MS)
                if self._chance(_LEFT_PAUSED):
                    return subscription.update(later, status="canceled", canceled=later, ended=later), None
                return None, later
            elif event == "leave":
                reported = self._leave(subscription, invoice, moment, end)
                if reported is not None:
                    return reported, None
        return None, None

    def _draw_events(self, state: State, begin: int, end: int) -> list[tuple[int, str]]:
        """Draw the events within a period, in order."""
        seats = _OTHER_SEATS if state.plan == PLANS[SCHOOL] else _OTHER_SIBLINGS
        rates = {
            "plan": self.options.plan_changes,
            "seats": seats,
            "year": _TO_YEAR if state.interval == "month" else 0.0,
            "pause": self.options.pauses,
            "leave": self.options.churn,
        }
        found = []
        for name, rate in rates.items():
            draw, place = self.rng.random(2)
            if draw < 1 - (1 - rate) ** state.months and begin < end:
                found.append((begin + int(place * (end - begin)), name))
        return sorted(found)

    def _leave(self, subscription: Subscription, invoice: Invoice, requested: int, end: int) -> int | None:
        """Cancel at once or at period end; return when the end was reported, None if the request is withdrawn."""
        draw = self.rng.random()
        if draw < _AT_ONCE:
            reported = subscription.update(requested, status="canceled", canceled=requested, ended=requested)
            if self._chance(0.5) and invoice.due > 0:
                left = Decimal(end - requested) / Decimal(end - subscription.state.period_start)
                invoice.refund(requested + HOUR, int(invoice.due * left))
            return reported
        if draw < _AT_ONCE + _REPORTED_EARLY:
            subscription.update(requested, status="canceled", canceled=requested, cancel_at=end, ended=end)
            return end
        subscription.update(requested, canceled=requested, cancel_at=end)
        if self._chance(_WITHDRAWN):
            subscription.update(self._ms(requested, end - HOUR), canceled=-1, cancel_at=-1)
            return None
        reported = end + (self._late() if self._chance(_REPORTED_LATE) else self._ms(0, MINUTE))
        return subscription.update(reported, status="canceled", ended=end)

    def _change_plan(self, subscription: Subscription, moment: int) -> None:
        """Move to the next plan up or down, but never from or to the school plan."""
        old = subscription.state
        place = PLANS.index(old.plan) + (1 if self._chance(_UPGRADED) else -1)
        if old.plan == PLANS[SCHOOL] or not 0 <= place < SCHOOL:
            return
        new = old.priced(plan=PLANS[place])
        self._change(subscription, moment, plan=new.plan, unit_amount=new.unit_amount)
        if self._chance(_REVERTED):
            later = subscription.moment + self._ms(MINUTE, 4 * HOUR)
            self._change(subscription, later, plan=old.plan, unit_amount=old.unit_amount)

    def _change(self, subscription: Subscription, moment: int, **changed: object) -> None:
        """Change a paid subscription; a surcharge is billed at once, a credit with the next invoice."""
        before = subscription.state
        subscription.update(moment, **changed)
        back, cost = subscription.settle(before, moment)
        lines = [back, cost] if cost.is_proration else [cost]
        if not cost.is_proration:
            self.invoices.credit(subscription.subscription_id, back)
        elif back.amount + cost.amount <= 0:
            self.invoices.credit(subscription.subscription_id, back, cost)
            return
        invoice = self._bill(subscription, lines, subscription.moment)
        invoice.pay(invoice.moment + self._ms(MINUTE, 30 * MINUTE))

    def _bill(self, subscription: Subscription, lines: list[Line], moment: int) -> Invoice:
        state = subscription.state
        drafted = state.interval == "year" or state.plan == PLANS[SCHOOL]
        return self.invoices.issue(subscription.subscription_id, state.currency, lines, moment, drafted=drafted)

    def _new(self, at: int, currency: str) -> Subscription:
        self.count += 1
        plan = PLANS[int(pick(self.rng, PLAN_SHARES, 1)[0])]
        interval = "year" if self._chance(self.options.annual) else "month"
        discount = Decimal(self._choice(_PERCENTS)) if self._chance(_DISCOUNTED) else Decimal(0)
        quantity = int(self.rng.integers(*_SEATS)) if plan == PLANS[SCHOOL] else 1
        state = State(plan, interval, quantity, price(plan, interval, currency), currency, discount, at)
        name = f"sub_{self.customer.account_id.removeprefix('acc_')}_{self.count}"
        return Subscription(name, self.customer.account_id, state, self.changes)

    def _quantity(self, plan: str) -> int:
        if plan == PLANS[SCHOOL]:
            return 0 if self._chance(_NO_SEATS) else int(self.rng.integers(*_SEATS))
        return int(self.rng.integers(*_SIBLINGS))

    def _discounted_to(self, state: State, at: int) -> int:
        return months_after(at, self._choice(_DISCOUNT_MONTHS)) if state.discount else at

    def _billing_moment(self, at: int) -> int:
        """The moment itself, the next midnight, or midnight on the first of the next month."""
        if not self._chance(_AT_MIDNIGHT):
            return at
        day = -(-at // DAY_MS) * DAY_MS
        if not self._chance(_ON_THE_FIRST):
            return day
        date = dt.date(1970, 1, 1) + dt.timedelta(milliseconds=day)
        return months_after(day - (date.day - 1) * DAY_MS, 1) if date.day > 1 else day

    def _late(self) -> int:
        return self._ms(_LATE_DAYS[0] * DAY_MS, _LATE_DAYS[1] * DAY_MS)

    def _chance(self, share: float) -> bool:
        return float(self.rng.random()) < share

    def _ms(self, least: int, most: int) -> int:
        return int(self.rng.integers(least, max(most, least + 1)))

    def _choice(self, values: Sequence[T]) -> T:
        return values[int(self.rng.integers(0, len(values)))]
