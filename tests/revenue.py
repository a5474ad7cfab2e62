"""The expected numbers of the subscription business, computed from the raw lines in plain Python without the SQL.

Follows docs/metrics.md word for word. Amounts are decimals of six digits, ratios exact fractions.
"""

from __future__ import annotations

import calendar
import datetime as dt
import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

PAYING = ("active", "past_due")
MOVEMENTS = ("fx", "new", "reactivation", "expansion", "contraction", "churn")
_MICRO = Decimal("0.000001")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)?")
_TEXTS = ("subscription_id", "account_id", "plan_id", "status", "interval", "currency")
_NUMBERS = ("version", "quantity", "unit_amount")
_TIMES = (
    *("started_at", "updated_at", "trial_end_at", "current_period_start", "current_period_end"),
    *("cancel_at", "canceled_at", "ended_at"),
)
_REQUIRED = (*_TEXTS, *_NUMBERS, "started_at", "updated_at")


class MrrDay(NamedTuple):
    """MRR of a subscription at the end of a day, in its currency; only where it is not 0."""

    mrr_date: dt.date
    subscription_id: str
    account_id: str
    currency: str
    mrr: Decimal


class Movement(NamedTuple):
    """A movement of an account in a month (its first day), in the reporting currency."""

    account_id: str
    month_date: dt.date
    movement: str
    amount: Decimal


class Month(NamedTuple):
    """The monthly report's row of a month (its first day); amounts in the reporting currency."""

    month_date: dt.date
    opening: Decimal
    fx: Decimal
    new: Decimal
    reactivation: Decimal
    expansion: Decimal
    contraction: Decimal
    churn: Decimal
    closing: Decimal
    opening_accounts: int
    accounts: int
    churned_accounts: int
    arpa: Fraction | None
    logo_churn_rate: Fraction | None
    gross_retention: Fraction | None
    net_retention: Fraction | None
    quick_ratio: Fraction | None


class CohortMonth(NamedTuple):
    """A cohort (its first paid month) a number of months later; amounts in the reporting currency."""

    cohort_month: dt.date
    months_since: int
    accounts: int
    retained_accounts: int
    retained_share: Fraction
    opening_mrr: Decimal
    retained_mrr: Decimal
    revenue_retained: Fraction


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a subscription's state, as far as it affects MRR; moments are UTC."""

    subscription_id: str
    version: int
    account_id: str
    status: str
    interval: str
    quantity: int
    unit_amount: int
    currency: str
    discount: Fraction
    trial_end_at: dt.datetime | None
    cancel_at: dt.datetime | None
    ended_at: dt.datetime | None
    updated_at: dt.datetime

    @property
    def counts_from(self) -> dt.datetime:
        """When the change starts to count: one that ends the service counts from the end, where that is earlier."""
        if self.status == "canceled" and self.ended_at is not None:
            return min(self.ended_at, self.updated_at)
        return self.updated_at

    @property
    def ends(self) -> dt.datetime | None:
        """When the service ends according to this change."""
        return self.ended_at or self.cancel_at

    def mrr(self, moment: dt.datetime, digits: Mapping[str, int]) -> Decimal:
        """MRR just before a moment at which this change counts."""
        ends = self.ends
        is_served = ends is None or ends >= moment
        is_trial = ends is not None and self.trial_end_at is not None and self.trial_end_at >= ends
        is_running_out = self.status == "canceled" and ends is not None and not is_trial
        if not is_served or not (self.status in PAYING or is_running_out):
            return Decimal(0)
        amount = Fraction(self.unit_amount * self.quantity) * (100 - self.discount) / 100
        return rounded(amount / {"month": 1, "year": 12}[self.interval] / 10 ** digits[self.currency])


class Rates:
    """The exchange rates of months.

    Args:
        seed: rows of the seed `exchange_rates`.
        reporting: the currency whose rate is 1, whatever the seed contains.
    """

    def __init__(self, seed: Iterable[Mapping[str, str]], reporting: str) -> None:
        self._reporting = reporting
        self._known: dict[str, list[tuple[dt.date, Fraction]]] = defaultdict(list)
        for row in seed:
            self._known[row["currency"]].append((dt.date.fromisoformat(row["month_date"]), Fraction(row["rate"])))

    def rate(self, currency: str, month: dt.date) -> Fraction:
        """The latest rate at or before a month.

        Raises:
            LookupError: there is none.
        """
        if currency == self._reporting:
            return Fraction(1)
        known = [item for item in self._known[currency] if item[0] <= month]
        if not known:
            raise LookupError(f"no rate of {currency} at or before {month}; expected a row in seeds/exchange_rates.csv")
        return max(known)[1]

    def value(self, balance: Mapping[str, Decimal], month: dt.date) -> Decimal:
        """An account's balance by currency, converted to the reporting currency and rounded per currency."""
        return sum(
            (rounded(Fraction(amount) * self.rate(currency, month)) for currency, amount in balance.items()), Decimal(0)
        )


def rounded(amount: Fraction) -> Decimal:
    """The amount rounded half up to six digits."""
    micros = (abs(amount) * 2_000_000 + 1) // 2
    return Decimal(micros if amount >= 0 else -micros) * _MICRO


def subscription_changes(landing: Path) -> dict[str, list[Change]]:
    """The changes of each subscription in order; of several records of one version the latest."""
    newest: dict[tuple[str, int], tuple[tuple[Any, ...], Change]] = {}
    for source, record in _records(landing / "raw-subscriptions"):
        change = _change(record)
        if change is None:
            continue
        key, order = (change.subscription_id, change.version), (change.updated_at, *source)
        if key not in newest or newest[key][0] < order:
            newest[key] = (order, change)
    found: dict[str, list[Change]] = defaultdict(list)
    for _, change in newest.values():
        found[change.subscription_id].append(change)
    for changes in found.values():
        changes.sort(key=lambda change: (change.updated_at, change.version))
    return dict(found)


def mrr_daily(
    landing: Path, currencies: Iterable[Mapping[str, str]], last_day: dt.date, first_day: dt.date | None = None
) -> list[MrrDay]:
    """MRR of each subscription on each day up to the last computed one, zeros omitted.

    Args:
        currencies: rows of the seed `currencies`.
        first_day: the first computed day; None for the first day with a change.
    """
    digits = {row["currency"]: int(row["digits"]) for row in currencies}
    rows = []
    for name, changes in subscription_changes(landing).items():
        marks = {change.counts_from.date() for change in changes}
        marks |= {change.ends.date() for change in changes if change.ends is not None}
        days = sorted(day for day in marks if day <= last_day)
        for day, following in pairwise([*days, last_day + dt.timedelta(1)]):
            midnight = dt.datetime.combine(day + dt.timedelta(1), dt.time())
            change = _counting(changes, midnight)
            mrr = change.mrr(midnight, digits) if change else Decimal(0)
            if change is None or not mrr:
                continue
            for place in range((following - day).days):  # nothing happens between two marks
                date = day + dt.timedelta(place)
                if first_day is None or date >= first_day:
                    rows.append(MrrDay(date, name, change.account_id, change.currency, mrr))
    return sorted(rows)


def movements(daily: Iterable[MrrDay], rates: Rates, last_day: dt.date) -> list[Movement]:
    """The movements of every account and month whose last day has been computed."""
    return [row for account in _accounts(daily, rates, last_day).values() for row in account.movements]


def monthly(daily: Iterable[MrrDay], rates: Rates, last_day: dt.date) -> list[Month]:
    """The monthly report, from the first month that closed above 0 to the last reported."""
    accounts = _accounts(daily, rates, last_day).values()
    rows: list[Month] = []
    for month in _months(min(account.first for account in accounts), last_day) if accounts else ():
        before = _add_months(month, -1)
        sums = dict.fromkeys(MOVEMENTS, Decimal(0))
        churned = 0
        for account in accounts:
            for row in account.movements:
                if row.month_date == month:
                    sums[row.movement] += row.amount
            churned += account.closing(before) > 0 and account.closing(month) == 0
        opening = sum((account.closing(before) for account in accounts), Decimal(0))
        closing = sum((account.closing(month) for account in accounts), Decimal(0))
        opening_accounts = sum(account.closing(before) > 0 for account in accounts)
        alive = sum(account.closing(month) > 0 for account in accounts)
        base, lost = opening + sums["fx"], sums["contraction"] + sums["churn"]
        gained = sums["new"] + sums["reactivation"] + sums["expansion"]
        rows.append(
            Month(
                month,
                opening,
                sums["fx"],
                sums["new"],
                sums["reactivation"],
                sums["expansion"],
                sums["contraction"],
                sums["churn"],
                closing,
                opening_accounts,
                alive,
                churned,
                _ratio(closing, alive),
                _ratio(churned, opening_accounts),
                _ratio(base + lost, base),
                _ratio(base + sums["expansion"] + lost, base),
                _ratio(gained, -lost),
            )
        )
    return rows


def trailing(daily: Iterable[MrrDay], rates: Rates, last_day: dt.date) -> list[tuple[Any, ...]]:
    """(month, base accounts, retained accounts, base, retained and capped MRR, net and gross retention) of each month.

    The base is what the accounts paid at the end of the month twelve months before, at the rates of the month.
    """
    balances = _balances(daily, last_day)
    bases: dict[dt.date, dict[str, Decimal]] = defaultdict(dict)
    for name, by_month in balances.items():
        for month, balance in by_month.items():
            later = _add_months(month, 12)
            if _last_of(later) <= last_day:
                bases[later][name] = rates.value(balance, later)
    rows = []
    for month, base in sorted(bases.items()):
        now = {name: rates.value(balances[name].get(month, {}), month) for name in base}
        paid, kept = sum(base.values(), Decimal(0)), sum(now.values(), Decimal(0))
        capped = sum((min(now[name], base[name]) for name in base), Decimal(0))
        retained = sum(amount > 0 for amount in now.values())
        rows.append((month, len(base), retained, paid, kept, capped, _ratio(kept, paid), _ratio(capped, paid)))
    return rows


def cohorts(daily: Iterable[MrrDay], rates: Rates, last_day: dt.date) -> list[CohortMonth]:
    """Each cohort in each month since its first, to the last reported, zeros included."""
    members: dict[dt.date, list[_Account]] = defaultdict(list)
    for account in _accounts(daily, rates, last_day).values():
        members[account.first].append(account)
    rows = []
    for cohort, accounts in sorted(members.items()):
        opening = sum((account.closing(cohort) for account in accounts), Decimal(0))
        for number, month in enumerate(_months(cohort, last_day)):
            closings = [account.closing(month) for account in accounts]
            retained, mrr = sum(closing > 0 for closing in closings), sum(closings, Decimal(0))
            share, revenue = Fraction(retained, len(accounts)), Fraction(mrr) / Fraction(opening)
            rows.append(CohortMonth(cohort, number, len(accounts), retained, share, opening, mrr, revenue))
    return rows


@dataclass(frozen=True, slots=True)
class _Account:
    """An account that closed a month above 0.

    Attributes:
        first: the first such month.
        closings: its closing in the reporting currency, by month, where it is not 0.
    """

    first: dt.date
    closings: dict[dt.date, Decimal]
    movements: list[Movement]

    def closing(self, month: dt.date) -> Decimal:
        return self.closings.get(month, Decimal(0))


def _balances(daily: Iterable[MrrDay], last_day: dt.date) -> dict[str, dict[dt.date, dict[str, Decimal]]]:
    """The closing balance of each account by month and currency, where it is not 0."""
    balances: dict[str, dict[dt.date, dict[str, Decimal]]] = defaultdict(lambda: defaultdict(dict))
    for row in daily:
        month = row.mrr_date.replace(day=1)
        if row.mrr_date == _last_of(month) <= last_day:
            balance = balances[row.account_id][month]
            balance[row.currency] = balance.get(row.currency, Decimal(0)) + row.mrr
    return balances


def _accounts(daily: Iterable[MrrDay], rates: Rates, last_day: dt.date) -> dict[str, _Account]:
    balances = _balances(daily, last_day)
    found = {}
    for name, by_month in sorted(balances.items()):
        account = _account(name, by_month, rates, last_day)
        if account is not None:
            found[name] = account
    return found


def _account(
    name: str, balances: Mapping[dt.date, Mapping[str, Decimal]], rates: Rates, last_day: dt.date
) -> _Account | None:
    rows: list[Movement] = []
    closings: dict[dt.date, Decimal] = {}
    first: dt.date | None = None
    for month in _months(min(balances), last_day):
        before = _add_months(month, -1)
        opening = closings.get(before, Decimal(0))
        revalued = rates.value(balances.get(before, {}), month)
        closing = rates.value(balances.get(month, {}), month)
        moved: dict[str, Decimal] = {"fx": revalued - opening}
        if opening == 0 and closing > 0:
            moved["new" if first is None else "reactivation"] = closing
        elif opening > 0 and closing > 0:
            moved["expansion" if closing > revalued else "contraction"] = closing - revalued
        elif opening > 0:
            moved["churn"] = -revalued
        rows += [Movement(name, month, kind, amount) for kind, amount in moved.items() if amount]
        if closing > 0:
            closings[month] = closing
            first = first or month
    return _Account(first, closings, rows) if first else None


def _counting(changes: list[Change], before: dt.datetime) -> Change | None:
    """The change that counts just before a moment: the last one that has started to count."""
    begun = [change for change in changes if change.counts_from < before]
    return begun[-1] if begun else None


def _months(first: dt.date, last_day: dt.date) -> Iterator[dt.date]:
    """The months from that of a first day on, as far as their last day is not after a last day."""
    month = first.replace(day=1)
    while _last_of(month) <= last_day:
        yield month
        month = _add_months(month, 1)


def _add_months(month: dt.date, count: int) -> dt.date:
    year, number = divmod(month.year * 12 + month.month - 1 + count, 12)
    return dt.date(year, number + 1, 1)


def _last_of(month: dt.date) -> dt.date:
    return month.replace(day=calendar.monthrange(month.year, month.month)[1])


def _ratio(part: Decimal | int, whole: Decimal | int) -> Fraction | None:
    return Fraction(part) / Fraction(whole) if whole else None


def _records(bucket: Path) -> Iterator[tuple[tuple[int, str, int], dict[str, Any]]]:
    """((modification time in microseconds, object name, line), record) of each line that is one JSON object."""
    for path in sorted(item for item in bucket.rglob("*") if item.name.endswith((".json", ".json.gz"))):
        body = path.read_bytes()
        if path.suffix == ".gz":
            body = gzip.decompress(body)
        modified, name = path.stat().st_mtime_ns // 1000, f"{bucket.name}/{path.relative_to(bucket)}"
        for number, line in enumerate(body.split(b"\n"), 1):
            try:
                record = json.loads(
                    line.decode(), object_pairs_hook=_once, parse_float=Decimal, parse_constant=_no_number
                )
            except ValueError:
                continue
            if isinstance(record, dict):
                yield (modified, name, number), record


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _change(record: dict[str, Any]) -> Change | None:
    """The change of a record; None for a record that violates the contract."""
    values = {name: value for name, value in record.items() if value is not None}
    texts = all(isinstance(values.get(name, ""), str) for name in (*_TEXTS, *_TIMES))
    numbers = all(type(values.get(name, 0)) is int for name in _NUMBERS)
    if not texts or not numbers or any(name not in values for name in _REQUIRED):
        return None
    discount = values.get("discount_percent", 0)
    if not all(_TIME.fullmatch(values[name]) for name in _TIMES if name in values) or not _is_percent(discount):
        return None
    try:
        times = {name: _moment(values[name]) for name in _TIMES if name in values}
    except ValueError:  # no such day or hour
        return None
    return Change(
        values["subscription_id"],
        values["version"],
        values["account_id"],
        values["status"],
        values["interval"],
        values["quantity"],
        values["unit_amount"],
        values["currency"],
        Fraction(discount),
        times.get("trial_end_at"),
        times.get("cancel_at"),
        times.get("ended_at"),
        times["updated_at"],
    )


def _is_percent(value: Any) -> bool:
    """Whether a value fits decimal(5, 2)."""
    return (
        isinstance(value, str | int | Decimal)
        and not isinstance(value, bool)
        and re.fullmatch(r"-?\d{1,3}(\.\d{1,2})?", str(value)) is not None
    )


def _moment(text: str) -> dt.datetime:
    """A timestamp of a record, UTC, cut to microseconds."""
    at = dt.datetime.fromisoformat(text)
    return at.astimezone(dt.UTC).replace(tzinfo=None) if at.tzinfo else at
