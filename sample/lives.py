"""The life of a customer: trial, payment or failure of it, changes, pauses, the end, and perhaps a return.

Shares that `SampleOptions` does not ask for stand here; those "of a month" are of the subscriptions that are paid for.
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

# Those who only sign up; who has a second subscription, sometimes in another currency; who buys something once.
_NEVER, _SECOND, _SECOND_ELSEWHERE, _ONE_OFF = 0.06, 0.06, 0.4, 0.04
_TRIAL_DAYS, _CONVERTED = (7, 14), 0.61
# Who is billed at midnight UTC, and of those who on the first of the month.
_AT_MIDNIGHT, _ON_THE_FIRST = 0.25, 0.5
_SEATS, _SIBLINGS, _NO_SEATS = (5, 60), (1, 4), 0.08
_DISCOUNTED, _PERCENTS, _DISCOUNT_MONTHS = 0.25, ("10", "12.5", "20", "25", "33.33", "50", "100"), (1, 3, 6)
# Of a month: another number of seats (schools, others), from month to year, a dearer price.
_OTHER_SEATS, _OTHER_SIBLINGS, _TO_YEAR, _DEARER = 0.10, 0.01, 0.015, 0.004
# Of those changing the plan: to a dearer one, taken back within hours; of those paying by the year, back to months.
_UPGRADED, _TAKEN_BACK, _TO_MONTH = 0.6, 0.1, 0.15
_PAUSED_DAYS, _LEFT_PAUSED = (20, 90), 0.15
# Of those who leave: at once, told as canceled though it is still served, told late; of those who asked, who stay.
_AT_ONCE, _TOLD_EARLY, _TOLD_LATE, _STAYED = 0.12, 0.2, 0.2, 0.15
_LATE_DAYS = (1, 6)
# Of a renewal: taken back days later, since the service had ended before.
_RETRACTED = 0.004
# Of failed payments: paid at a retry; of the others: canceled; of those unpaid: paid months later. Days of the retries.
_RECOVERED, _GIVEN_UP, _PAID_AFTER_ALL = 0.7, 0.5, 0.25
_RETRY_DAYS, _LAST_RETRY_DAY = (3, 7, 14), 21
# Of those who return: with the subscription that they had; days until then.
_SAME_SUBSCRIPTION, _AWAY_DAYS = 0.4, 60.0


def live(options: SampleOptions, customer: Customer, year: int) -> list[Change]:
    """All that is told of a customer to the end of the year after the one of sign-up."""
    life = _Life(options, customer, year)
    life.run()
    return [change for change in life.told if change.moment < life.until]


class _Life:
    def __init__(self, options: SampleOptions, customer: Customer, year: int) -> None:
        self.options, self.customer = options, customer
        self.rng = generator(options.seed, year, Stream.LIVES, customer.number + 1)
        self.until = midnight(dt.date(year + 2, 1, 1).toordinal())
        self.told = [Change(ACCOUNTS, moment, record) for moment, record in account_records(customer)]
        self.invoices = Invoices(customer, self.told)
        self.count = 0

    def run(self) -> None:
        begin = self.customer.created_at + self._ms(1 * MINUTE, 20 * MINUTE)
        if self._chance(_ONE_OFF):
            item = Line(None, begin, begin + DAY_MS, price("starter", "month", self.customer.currency) * 3)
            self.invoices.issue(None, self.customer.currency, [item], begin, drafted=False).pay(begin + 5 * MINUTE)
        if self._chance(_NEVER):
            return
        self._subscribes(begin, self.customer.currency)
        if self._chance(_SECOND):
            currency = self._among(CURRENCIES) if self._chance(_SECOND_ELSEWHERE) else self.customer.currency
            self._subscribes(begin + self._ms(DAY_MS, 90 * DAY_MS), currency)

    def _subscribes(self, begin: int, currency: str) -> None:
        """Subscribes, leaves, comes back, perhaps again and again."""
        subscription = self._new(begin, currency)
        end = self._first(subscription, begin)
        while end is not None and self._chance(self.options.comebacks):
            at = end + HOUR + int(self.rng.exponential(_AWAY_DAYS) * DAY_MS)
            if self._chance(_SAME_SUBSCRIPTION):
                fresh = {"cancel_at": -1, "canceled": -1, "ended": -1, "discount": Decimal(0)}
                end = self._paying(subscription, at, **fresh)
            else:
                subscription = self._new(at, currency)
                end = self._paying(subscription, at)

    def _first(self, subscription: Subscription, at: int) -> int | None:
        """Tries or pays; returns when the end was told, None when it has not come."""
        if self._chance(self.options.trials):
            ends = self._billing_moment(at + self._among(_TRIAL_DAYS) * DAY_MS)
            subscription.tell(at, status="trialing", trial_end=ends, period_start=at, period_end=ends)
            if not self._chance(_CONVERTED):
                asked = self._ms(at + HOUR, ends - HOUR)
                subscription.tell(asked, cancel_at=ends, canceled=asked)
                return subscription.tell(ends, status="canceled", ended=ends)
            at = ends
        return self._paying(subscription, at)

    def _paying(self, subscription: Subscription, at: int, **changed: object) -> int | None:
        """Pays period by period until the end; returns when that was told, None when it has not come."""
        anchor, number, is_free_to = at, 0, self._discounted_to(subscription.state, at)
        while at < self.until:
            state = subscription.state
            end = months_after(anchor, (number + 1) * state.months)
            if state.discount and at >= is_free_to:
                changed["discount"] = Decimal(0)
            if number and self._chance(_DEARER * state.months):
                changed["unit_amount"] = state.unit_amount * 11 // 10
            subscription.tell(at, status="active", period_start=at, period_end=end, **changed)
            changed = {}
            invoice = self._bill(subscription, [subscription.line()], at)
            if number and self._chance(_RETRACTED):
                retracted = subscription.tell(at + self._late(), status="canceled", canceled=at, ended=at)
                return invoice.tell(retracted, status="void")
            if invoice.due > 0 and self._chance(self.options.failed_payments):
                ended, paid = self._failing(subscription, invoice, at)
                if paid is None:
                    return ended
                if paid >= end:  # begins anew
                    anchor, number, at = paid + HOUR, 0, paid + HOUR
                    continue
                is_unpaid = subscription.state.status == "unpaid"
                begin = subscription.tell(paid, status="active") if is_unpaid else paid
            else:
                begin = invoice.pay(invoice.moment + self._ms(MINUTE, 30 * MINUTE))
                if self._chance(self.options.refunds) and invoice.due > 0:
                    part = invoice.due if self._chance(0.5) else invoice.due // 2
                    invoice.refund(begin + self._ms(HOUR, 10 * DAY_MS), part)
            told, restart = self._period(subscription, invoice, begin, end)
            if restart is None and told is not None:
                return told
            if restart is not None:
                anchor, number, at = restart, 0, restart
                continue
            at, number = end, number + 1
            if subscription.state.interval == "year" and self._chance(_TO_MONTH):
                monthly = subscription.state.priced(interval="month")
                changed |= {"interval": "month", "unit_amount": monthly.unit_amount}
                anchor, number = at, 0
        return None

    def _failing(self, subscription: Subscription, invoice: Invoice, at: int) -> tuple[int | None, int | None]:
        """A payment fails: (when the end was told, when it was paid), one of them."""
        subscription.tell(invoice.moment + HOUR, status="past_due")
        if self._chance(_RECOVERED):
            retry = at + self._among(_RETRY_DAYS) * DAY_MS + self._ms(HOUR, 4 * HOUR)
            return None, subscription.tell(invoice.pay(retry), status="active")
        last = at + _LAST_RETRY_DAY * DAY_MS + self._ms(HOUR, 4 * HOUR)
        if self._chance(_GIVEN_UP):
            told = last + (self._late() if self._chance(_TOLD_LATE) else 0)
            invoice.tell(last, status="uncollectible" if self._chance(0.5) else "void")
            return subscription.tell(told, status="canceled", canceled=last, ended=last), None
        subscription.tell(last, status="unpaid")
        if self._chance(_PAID_AFTER_ALL):
            return None, invoice.pay(months_after(at, 1) + self._ms(DAY_MS, 60 * DAY_MS))
        return invoice.tell(last + 30 * DAY_MS, status="uncollectible"), None

    def _period(
        self, subscription: Subscription, invoice: Invoice, begin: int, end: int
    ) -> tuple[int | None, int | None]:
        """What happens within a paid period: (when the end was told, when a new period began), both None for neither.

        Whoever asked to leave changes no more, but may think again.
        """
        for moment, happens in self._happenings(subscription.state, begin + HOUR, end - 6 * HOUR):
            if moment <= subscription.moment + MINUTE:
                continue
            if happens == "plan":
                self._other_plan(subscription, moment)
            elif happens == "seats":
                self._change(subscription, moment, quantity=self._quantity(subscription.state.plan))
            elif happens == "year":
                yearly = subscription.state.priced(interval="year")
                period = {"period_start": moment, "period_end": months_after(moment, 12)}
                self._change(subscription, moment, interval="year", unit_amount=yearly.unit_amount, **period)
                told, restart = self._period(subscription, invoice, subscription.moment + HOUR, period["period_end"])
                return told, restart or (None if told is not None else period["period_end"])
            elif happens == "pause":
                subscription.tell(moment, status="paused")
                later = moment + self._ms(_PAUSED_DAYS[0] * DAY_MS, _PAUSED_DAYS[1] * DAY_MS)
                if self._chance(_LEFT_PAUSED):
                    return subscription.tell(later, status="canceled", canceled=later, ended=later), None
                return None, later
            elif happens == "leave":
                told = self._leave(subscription, invoice, moment, end)
                if told is not None:
                    return told, None
        return None, None

    def _happenings(self, state: State, begin: int, end: int) -> list[tuple[int, str]]:
        """What is to happen within a period, in order."""
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

    def _leave(self, subscription: Subscription, invoice: Invoice, asked: int, end: int) -> int | None:
        """Leaves, at once or with the period; returns when the end was told, None for whoever stays after all."""
        draw = self.rng.random()
        if draw < _AT_ONCE:
            told = subscription.tell(asked, status="canceled", canceled=asked, ended=asked)
            if self._chance(0.5) and invoice.due > 0:
                left = Decimal(end - asked) / Decimal(end - subscription.state.period_start)
                invoice.refund(asked + HOUR, int(invoice.due * left))
            return told
        if draw < _AT_ONCE + _TOLD_EARLY:
            subscription.tell(asked, status="canceled", canceled=asked, cancel_at=end, ended=end)
            return end
        subscription.tell(asked, canceled=asked, cancel_at=end)
        if self._chance(_STAYED):
            subscription.tell(self._ms(asked, end - HOUR), canceled=-1, cancel_at=-1)
            return None
        told = end + (self._late() if self._chance(_TOLD_LATE) else self._ms(0, MINUTE))
        return subscription.tell(told, status="canceled", ended=end)

    def _other_plan(self, subscription: Subscription, moment: int) -> None:
        """To the next plan up or down, but never from or to a school."""
        old = subscription.state
        place = PLANS.index(old.plan) + (1 if self._chance(_UPGRADED) else -1)
        if old.plan == PLANS[SCHOOL] or not 0 <= place < SCHOOL:
            return
        new = old.priced(plan=PLANS[place])
        self._change(subscription, moment, plan=new.plan, unit_amount=new.unit_amount)
        if self._chance(_TAKEN_BACK):
            later = subscription.moment + self._ms(MINUTE, 4 * HOUR)
            self._change(subscription, later, plan=old.plan, unit_amount=old.unit_amount)

    def _change(self, subscription: Subscription, moment: int, **changed: object) -> None:
        """Changes what is paid for; what is dearer is billed at once, a credit with the next invoice."""
        before = subscription.state
        subscription.tell(moment, **changed)
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
        discount = Decimal(self._among(_PERCENTS)) if self._chance(_DISCOUNTED) else Decimal(0)
        quantity = int(self.rng.integers(*_SEATS)) if plan == PLANS[SCHOOL] else 1
        state = State(plan, interval, quantity, price(plan, interval, currency), currency, discount, at)
        name = f"sub_{self.customer.account_id.removeprefix('acc_')}_{self.count}"
        return Subscription(name, self.customer.account_id, state, self.told)

    def _quantity(self, plan: str) -> int:
        if plan == PLANS[SCHOOL]:
            return 0 if self._chance(_NO_SEATS) else int(self.rng.integers(*_SEATS))
        return int(self.rng.integers(*_SIBLINGS))

    def _discounted_to(self, state: State, at: int) -> int:
        return months_after(at, self._among(_DISCOUNT_MONTHS)) if state.discount else at

    def _billing_moment(self, at: int) -> int:
        """The moment, or the next midnight, or that of the next month."""
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

    def _among(self, values: Sequence[T]) -> T:
        return values[int(self.rng.integers(0, len(values)))]
