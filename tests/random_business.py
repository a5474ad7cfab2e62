"""Small subscription businesses with every kind of trouble, for comparing computations of the same numbers.

A business consists of customers as `lake sample` draws them, and of subscriptions whose changes make no sense: moments
on and around midnights and ends of months, versions out of order, repeated and reported again with other values, ends
reported late or in the future, other plans, currencies and accounts; all of it in objects that arrive in any order,
some of them compressed, with broken lines, unknown fields and blank lines.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sample.generate import generate
from sample.objects import ACCOUNTS, REVENUE, SUBSCRIPTIONS, USERS
from sample.options import SHARES, SampleOptions
from sample.trouble import CHANGE_FORMS, broken_change

FIRST, LAST = dt.date(2025, 1, 1), dt.date(2026, 3, 31)
CURRENCIES = ("EUR", "USD", "GBP", "JPY")
_STATUSES = ("active", "active", "active", "past_due", "trialing", "paused", "unpaid", "canceled", "canceled")
_DISCOUNTS = (None, None, 0, 10, 12.5, 33.33, "66.67", 99.99, 100, "100.00")
_CLOCK = ("00:00:00", "00:00:00.000001", "00:00:01", "11:30:00", "12:00:00.5", "23:59:59", "23:59:59.999999")
_ZONES = ("", "", "", "", "Z", "+05:30", "-08:00")
_MODIFIED = 1_780_000_000
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Landed:
    """An object of the landing.

    Attributes:
        modified: its modification time, seconds since 1970.
    """

    bucket: str
    key: str
    body: bytes
    modified: int


@dataclass(frozen=True, slots=True)
class RandomBusiness:
    """The objects of the landing in the order of arrival, and the last day to compute."""

    objects: list[Landed]
    last_day: dt.date

    def write(self, landing: Path) -> None:
        """Write all objects below a landing on disk."""
        for item in self.objects:
            path = landing / item.bucket / item.key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(item.body)
            os.utime(path, (item.modified, item.modified))


def random_business(seed: int, currencies: Sequence[str] = CURRENCIES) -> RandomBusiness:
    """A business of about fifty subscriptions from FIRST to LAST at the latest.

    Args:
        currencies: the currencies of the nonsensical subscriptions; the others are in CURRENCIES.
    """
    rng = random.Random(seed)
    last = rng.choice([LAST, dt.date(2026, 1, 31), dt.date(2026, 2, 28), dt.date(2026, 3, 30), dt.date(2025, 12, 31)])
    records = [record for number in range(25) for record in _nonsense(rng, f"odd-{seed}-{number}", currencies)]
    accounts = sorted({record["account_id"] for record in records})
    objects = _sampled(rng, seed, last)
    objects += _landed(rng, SUBSCRIPTIONS, records)
    objects += _landed(rng, ACCOUNTS, [_account(rng, name) for name in accounts])
    rng.shuffle(objects)
    return RandomBusiness(objects, last)


def random_rates(seed: int, currencies: Sequence[str] = CURRENCIES, reporting: str = "EUR") -> list[dict[str, str]]:
    """Rows of exchange rates: each currency has one before FIRST; some later months have none."""
    rng = random.Random(f"rates {seed}")
    rows = []
    for currency in currencies:
        level = 1.0 if currency == reporting else rng.uniform(0.005, 1.5)
        for number in range(-rng.randint(1, 3), 16):
            year, month = divmod(FIRST.year * 12 + number, 12)
            rate = level if currency == reporting else level * rng.uniform(0.9, 1.1)
            if number < 0 or rng.random() < 0.7:
                date = dt.date(year, month + 1, 1)
                rows.append({"month_date": str(date), "currency": currency, "rate": f"{rate:.6f}"})
    rng.shuffle(rows)
    return rows


def _sampled(rng: random.Random, seed: int, last: dt.date) -> list[Landed]:
    """Customers as the sample draws them, with unusual shares; only those of 2025 and later."""
    odd: dict[str, Any] = {name: rng.choice([0.02, 0.1, 0.3, 0.6]) for name in SHARES}
    odd |= {name: rng.choice([0.0, 0.1, 0.3]) for name in ("late", "duplicates", "malformed", "unknown_fields")}
    end = max(last, dt.date(2026, 1, 2))  # so that no customer of 2024 is reported
    options = SampleOptions(end=end, events=1, days=1, seed=seed, accounts=12, compress=seed % 3 == 0, **odd)
    return [
        Landed(item.bucket, item.key, item.body, _MODIFIED + rng.randint(0, 100))
        for item in generate(options)
        if item.bucket in (*REVENUE, USERS)
    ]


def _nonsense(rng: random.Random, name: str, currencies: Sequence[str]) -> list[Record]:
    """The changes of one subscription, and further records of some of its versions."""
    currency, account = rng.choice(currencies), f"acc-{name.rsplit('-', 1)[0]}-{rng.randint(1, 12)}"
    start = FIRST + dt.timedelta(rng.randint(0, 400))
    moments = sorted(_moment(rng, start) for _ in range(rng.randint(1, 8)))
    if len(moments) > 2 and rng.random() < 0.3:
        moments[1] = moments[2]
    records = []
    for number, moment in enumerate(moments, 1):
        if rng.random() < 0.05:
            currency = rng.choice(currencies)
        if rng.random() < 0.03:
            account = f"{account}-moved"
        records.append(_change(rng, name, number, account, currency, moment))
    if rng.random() < 0.2:  # versions that do not increase with the time of change
        numbers = [record["version"] for record in records]
        rng.shuffle(numbers)
        records = [record | {"version": number} for record, number in zip(records, numbers, strict=True)]
    for record in list(records):
        if rng.random() < 0.15:
            records.append(dict(record))
        if rng.random() < 0.15:  # object and line decide which of them counts
            records.append(record | {"quantity": rng.randint(0, 9), "status": rng.choice(_STATUSES)})
        if rng.random() < 0.1:
            records.append(record | {"quantity": rng.randint(0, 9), "updated_at": _moment(rng, start)})
    return [_as_json(rng, record) for record in records]


def _change(rng: random.Random, name: str, version: int, account: str, currency: str, moment: dt.datetime) -> Record:
    status = rng.choice(_STATUSES)
    record: Record = {
        "subscription_id": name,
        "version": version,
        "account_id": account,
        "plan_id": rng.choice(["starter", "plus", "family", "school"]),
        "status": status,
        "interval": rng.choice(["month", "month", "year"]),
        "quantity": rng.choice([0, 1, 1, 1, 2, 3, 7, 113]),
        "unit_amount": rng.choice([100, 333, 999, 1000, 1001, 12_345, 99_999, rng.randint(1000, 2_000_000)]),
        "currency": currency,
        "discount_percent": rng.choice(_DISCOUNTS),
        "started_at": dt.datetime.combine(FIRST, dt.time()),
        "updated_at": moment,
    }
    fate = rng.random()
    if status == "canceled" and fate < 0.5:  # reported at once, late, or very late
        record["ended_at"] = moment - rng.choice([0, 0, 1, 3, 40, 200]) * dt.timedelta(hours=13)
    elif fate < 0.75 and status in ("canceled", "active", "past_due"):
        record[rng.choice(["cancel_at", "ended_at"])] = _moment(rng, moment.date())
    elif fate < 0.8:
        record["cancel_at"] = moment - dt.timedelta(rng.randint(0, 40))
        record["ended_at"] = rng.choice([None, _moment(rng, moment.date())])
    return record


def _moment(rng: random.Random, after: dt.date) -> dt.datetime:
    """A moment on or after a date, often on the last or the first day of a month, often near midnight."""
    day = after + dt.timedelta(int(rng.expovariate(1 / 45)))
    if rng.random() < 0.4:
        day = (day.replace(day=28) + dt.timedelta(4)).replace(day=1) - dt.timedelta(rng.choice([0, 0, 1]))
    return dt.datetime.combine(day, dt.time.fromisoformat(rng.choice(_CLOCK)))


def _as_json(rng: random.Random, record: Record) -> Record:
    """The record as JSON: moments as text, absent values omitted or null."""
    written = {name: _text(rng, value) if isinstance(value, dt.datetime) else value for name, value in record.items()}
    return {name: value for name, value in written.items() if value is not None or rng.random() < 0.3}


def _text(rng: random.Random, moment: dt.datetime) -> str:
    zone = rng.choice(_ZONES)
    if zone in ("", "Z"):
        return moment.isoformat(rng.choice(" T")) + zone
    hours, minutes = map(int, zone[1:].split(":"))
    ahead = dt.timedelta(hours=hours, minutes=minutes) * (1 if zone[0] == "+" else -1)
    return (moment + ahead).isoformat("T") + zone


def _account(rng: random.Random, name: str) -> Record:
    channel = rng.choice(["organic", "referral", None])
    record = {"account_id": name, "country_code": "de", "acquisition_channel": channel}
    return record | {"created_at": f"{FIRST} 00:00:00", "updated_at": f"{FIRST} 00:00:00"}


def _landed(rng: random.Random, bucket: str, records: list[Record]) -> list[Landed]:
    """The records in any order in small objects, with lines between them that are no records."""
    rng.shuffle(records)
    objects: list[Landed] = []
    while records:
        part = [records.pop() for _ in range(min(len(records), rng.randint(1, 12)))]
        lines = [json.dumps(record | ({"odd": {"a": [1]}} if rng.random() < 0.1 else {})) for record in part]
        for _ in range(rng.randint(0, 2)):
            lines.insert(rng.randint(0, len(lines)), broken_change(lines[0], rng.randrange(CHANGE_FORMS)))
        lines.insert(rng.randint(0, len(lines)), "")
        body = ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")
        key = f"{rng.choice('abc')}/{len(objects):03d}.json"
        if rng.random() < 0.2:
            key, body = f"{key}.gz", gzip.compress(body, mtime=0)
        objects.append(Landed(bucket, key, body, _MODIFIED + rng.randint(0, 3)))
    return objects
