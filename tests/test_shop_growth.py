"""What random shops over fifteen months contain, and single cases of their definitions."""

from __future__ import annotations

import datetime as dt

from tests.e2e.test_shop_sales import DIGITS, RATES, ZONE
from tests.random_growth import ENDS, START, random_growth
from tests.shop_growth import WINDOW, Growth, after, complete_months
from tests.shop_recommendations import COUNT, Recommendations
from tests.shop_sessions import MICROSECOND


def test_months_are_complete_with_their_last_date() -> None:
    first = dt.date(2026, 1, 31)
    assert complete_months(first, dt.date(2026, 2, 27)) == [dt.date(2026, 1, 1)]
    assert complete_months(first, dt.date(2026, 2, 28)) == [dt.date(2026, 1, 1), dt.date(2026, 2, 1)]
    assert [after(dt.date(2026, 1, 1), months) for months in (-1, 11, 12)] == [
        dt.date(2025, 12, 1),
        dt.date(2026, 12, 1),
        dt.date(2027, 1, 1),
    ]


def of_acquisitions(growth: Growth) -> set[str]:
    """The cases that the acquisitions of a shop are of."""
    found = set()
    orders = growth.database.rows["orders"]
    for customer, row in growth.acquisitions.items():
        own = [
            session for session in growth.sessions if session.customer_id == customer and session.channel != "direct"
        ]
        distances = {row.ordered_at - session.started_at for session in own}
        chosen = [session.started_at for session in own if session.session_key == row.session_key]
        found |= {"direct"} if row.session_key is None else {"not direct"}
        found |= {"just too old"} if WINDOW + MICROSECOND in distances else set()
        found |= {"just too late"} if -MICROSECOND in distances else set()
        for start in chosen:
            found |= {"at the moment"} if start == row.ordered_at else set()
            found |= {"thirty days before"} if row.ordered_at - start == WINDOW else set()
            found |= {"tie"} if sum(session.started_at == start for session in own) > 1 else set()
        earlier = [key for key, item in orders.items() if item["customer_id"] == customer and key[0] != row.order_id]
        found |= {"unpaid before"} if any(growth.placed(key) < row.ordered_at for (key,) in earlier) else set()
        found |= {"cancelled"} if growth.sales.cancelled_at(row.order_id) else set()
        found |= {"another month in UTC"} if row.ordered_at.month != row.business_date.month else set()
    return found


def of_reports(growth: Growth) -> set[str]:
    """The cases that cohorts, values and months of a shop are of."""
    found = set()
    for row in growth.cohorts():
        found |= {"nobody orders"} if not row[4] else {"some order"}
        found |= {"sales without orders"} if row[7] and not row[6] else set()
        found |= {"cost unknown"} if row[7] != row[8] else set()
    for row in growth.values():
        found |= {"valued"} if row[3] else {"not valued yet"}
    for *_, customers, spend, _, _, _, _, payback in growth.acquired_monthly():
        found |= {"spend without customers"} if spend and not customers else set()
        found |= {"customers without spend"} if customers and not spend else set()
        found |= {"paid back at once"} if payback == 1 else {"paid back later"} if payback else set()
        found |= {"not paid back"} if customers and spend and not payback else set()
    return found


def of_recommendations(rows: Recommendations) -> set[str]:
    """The cases that recommendations of a shop are of."""
    found = {row.basis for row in rows.rows}
    products = {(row.month_date, row.product_id) for row in rows.rows}
    counts = [sum((row.month_date, row.product_id) == product for row in rows.rows) for product in products]
    found |= {"places left"} if min(counts) < COUNT else set()
    lifts: dict[tuple[dt.date, int], list[float]] = {}
    for row in rows.rows:
        if row.lift:
            lifts.setdefault((row.month_date, row.product_id), []).append(row.lift)
    found |= {"equal lifts"} if any(len(set(own)) < len(own) for own in lifts.values()) else set()
    for _, _, hits, popular, *_ in rows.hits:
        found |= {"better than popularity"} if hits > popular else {"worse"} if hits < popular else set()
    return found


def test_together_shops_have_every_case() -> None:
    found: set[str] = set()
    for number in range(6):
        shop, clicks, spend = random_growth(number)
        computed = (START, ENDS[number % len(ENDS)])
        growth = Growth(shop.database, RATES, DIGITS, ZONE, clicks, spend, computed)
        found |= of_acquisitions(growth) | of_reports(growth) | of_recommendations(Recommendations(growth, ZONE))
    wanted = {"direct", "not direct", "just too old", "just too late", "at the moment", "thirty days before", "tie"}
    wanted |= {"unpaid before", "cancelled", "another month in UTC", "nobody orders", "some order"}
    wanted |= {"sales without orders", "cost unknown", "valued", "not valued yet", "spend without customers"}
    wanted |= {"customers without spend", "paid back at once", "paid back later", "not paid back"}
    wanted |= {"lift", "popularity", "places left", "equal lifts", "better than popularity", "worse"}
    assert wanted - found == set()
