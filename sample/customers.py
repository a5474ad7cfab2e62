"""Customers: sign-ups per year, their country and channel, and their link to a user of the app."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from sample.days import DAY_MS, HOUR, date_of, midnight, stamp, times_of_day
from sample.draw import Stream, cumulative, generator, pick, uuid_texts
from sample.options import SampleOptions
from sample.prices import COUNTRIES, COUNTRY_SHARES, CURRENCIES, CURRENCY_OF
from sample.users import cohort

CHANNELS = ("organic", "paid_search", "referral", "app_store", "partner")
_CHANNELS = cumulative([34, 26, 16, 18, 6])
# Share that pays in another currency than that of its country.
_FOREIGN = 0.06
# Share linked to a user of the app; of these, the share linked on the day of sign-up; days within which the rest is.
_LINKED, _LINKED_AT_ONCE, _LINKED_WITHIN = 0.6, 0.5, 300
# Days until a customer continues with another user: users play for a month only, and a sample has those of its dates.
_LINKED_AGAIN = 56
# Share that changes name or address, and mean days from sign-up to the change, which precedes the link.
_CHANGED, _CHANGED_AFTER = 0.15, 40.0
_FIRST = "Ada Bruno Chiara Daan Elif Farah Greta Hana Iris Jules Kenji Lena Mateo Noor Olga Paul Rosa Sora".split()
_LAST = "Abe Bakker Costa Dubois Evans Fischer García Haas Ito Jansen Keller López Meyer Núñez Okada Smith".split()


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer; moments in milliseconds since 1970 UTC.

    Attributes:
        number: number within the year of sign-up.
        renamed_at: when name or address changed, -1 for never.
        linked_at: when the first user of the app was linked, -1 for never.
        app_user: the linked user, as a share of the users who registered on the date of the link.
    """

    number: int
    account_id: str
    name: str
    email: str
    country: str
    currency: str
    channel: str
    created_at: int
    renamed_at: int
    linked_at: int
    app_user: float


def draw_customers(options: SampleOptions, year: int) -> Iterator[Customer]:
    """Draw the customers who sign up in a year, each from its own stream: more customers do not change the others."""
    first, days = dt.date(year, 1, 1).toordinal(), 365 + calendar.isleap(year)
    for number in range(options.accounts):
        rng = generator(options.seed, year, Stream.CUSTOMERS, number + 1)
        day = first + int(rng.integers(0, days))
        created = midnight(day) + min(int(times_of_day(rng, 1)[0]), DAY_MS - 2 * HOUR)
        country = COUNTRIES[int(pick(rng, COUNTRY_SHARES, 1)[0])]
        foreign = CURRENCIES[int(rng.integers(0, len(CURRENCIES)))]
        is_foreign, is_linked, at_once, is_renamed = rng.random(4) < (_FOREIGN, _LINKED, _LINKED_AT_ONCE, _CHANGED)
        linked, renamed = created + HOUR + int(rng.integers(0, HOUR // 2)), -1
        if not at_once:
            linked = midnight(day + 1 + int(rng.integers(0, _LINKED_WITHIN))) + 23 * HOUR
        if is_renamed:
            renamed = created + 2 * HOUR + int(rng.exponential(_CHANGED_AFTER) * DAY_MS)
            renamed = -1 if is_linked and renamed > linked else renamed
        first_name, last_name = (words[int(rng.integers(0, len(words)))] for words in (_FIRST, _LAST))
        token = rng.bytes(8).hex()
        yield Customer(
            number,
            f"acc_{token}",
            f"{first_name} {last_name}",
            f"{first_name.lower()}.{token[:6]}@example.com",
            country,
            foreign if is_foreign else CURRENCY_OF[country],
            CHANNELS[int(pick(rng, _CHANNELS, 1)[0])],
            created,
            renamed,
            linked if is_linked else -1,
            float(rng.random()),
        )


def addresses(options: SampleOptions, year: int) -> list[str]:
    """The e-mail addresses with which the customers of a year sign up."""
    return [customer.email for customer in draw_customers(options, year)]


def account_records(customer: Customer) -> Iterator[tuple[int, dict[str, object]]]:
    """(moment, record) of each version without a link to the app."""
    yield customer.created_at, _record(customer, customer.created_at)
    if customer.renamed_at >= 0:
        changed = {"name": f"{customer.name}-{_LAST[customer.number % len(_LAST)]}", "email": f"new.{customer.email}"}
        yield customer.renamed_at, _record(customer, customer.renamed_at) | changed


def links(customer: Customer, until: int) -> Iterator[int]:
    """The moments before another at which users of the app are linked, each replacing the one before."""
    if customer.linked_at < 0:
        return
    moment = customer.linked_at
    while moment < until:
        yield moment
        moment = midnight(date_of(moment) + _LINKED_AGAIN) + 23 * HOUR


def linked_record(options: SampleOptions, customer: Customer, moment: int) -> dict[str, object]:
    """The version that names the user of the app linked at a moment, who registered on that date."""
    users = cohort(options, date_of(moment))
    place = int(customer.app_user * len(users.ids))
    records = [record for _, record in account_records(customer)]
    linked = {"user_id": uuid_texts(users.ids[place : place + 1])[0], "updated_at": stamp(moment)}
    return records[-1] | linked


def _record(customer: Customer, updated_at: int) -> dict[str, object]:
    return {
        "account_id": customer.account_id,
        "name": customer.name,
        "email": customer.email,
        "country_code": customer.country,
        "acquisition_channel": customer.channel,
        "created_at": stamp(customer.created_at),
        "updated_at": stamp(updated_at),
    }
