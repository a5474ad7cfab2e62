"""Sessions of the shop and the reports on them as docs/metrics.md defines them, from raw clicks in plain Python.

Nothing here is shared with the models but the seeds. `random_clicks` makes clicks on and around every boundary of the
definitions.
"""

from __future__ import annotations

import csv
import datetime as dt
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Any
from zoneinfo import ZoneInfo

from ingest.settings import PROJECT

DAY, PAUSE = dt.timedelta(days=1), dt.timedelta(minutes=30)
MICROSECOND = dt.timedelta(microseconds=1)
ZONE = "Europe/Berlin"
SHOP_HOST = "shop.example.com"
STEPS = ("view", "add_to_cart", "begin_checkout", "purchase")
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
MEDIA = {
    **dict.fromkeys(("cpc", "ppc", "paid"), "paid_search"),
    **dict.fromkeys(("paid_social", "social_paid"), "paid_social"),
    **dict.fromkeys(("display", "banner"), "display"),
    "email": "email",
    "affiliate": "affiliate",
    "social": "organic_social",
    "organic": "organic_search",
}
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Session:
    """A row of gold.fct_sessions; the columns as there."""

    session_key: str
    visitor_key: str
    customer_id: int | None
    date: dt.date
    business_date: dt.date
    channel: str
    device: str
    country_code: str | None
    is_customer: bool
    has_purchase: bool
    has_view: bool
    has_cart: bool
    has_checkout: bool
    has_funnel_purchase: bool
    clicks: int
    purchases: int
    started_at: dt.datetime
    ended_at: dt.datetime


def moment(text: str) -> dt.datetime:
    """A time in UTC; without an offset it is one."""
    found = dt.datetime.fromisoformat(text)
    return found.astimezone(dt.UTC).replace(tzinfo=None) if found.tzinfo else found


def business_date(time: dt.datetime, zone: str = ZONE) -> dt.date:
    return time.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)).date()


def newest(lines: Iterable[Record]) -> list[Record]:
    """One version of each click and UTC date, the last of the lines, which are in the order in which they landed."""
    found = {(line["event_id"], moment(line["occurred_at"]).date()): line for line in lines}
    return list(found.values())


def seed(name: str) -> list[dict[str, str]]:
    with (PROJECT / "seeds" / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def is_bot(agent: str | None, patterns: Sequence[str]) -> bool:
    agent = (agent or "").strip().lower()
    return not agent or any(pattern.lower() in agent for pattern in patterns)


def is_automaton(click: dt.datetime, run: dt.datetime) -> bool:
    """Whether a click is of a visitor who has clicked without a pause since before the UTC date before.

    Args:
        run: the first click since the last pause.
    """
    return run < dt.datetime.combine(click.date() - DAY, dt.time())


def runs(lines: Iterable[Record]) -> Iterator[list[Record]]:
    """The clicks of each session, in order."""
    patterns = [row["pattern"] for row in seed("bot_agents")]
    by_visitor: dict[str, list[Record]] = defaultdict(list)
    for line in newest(lines):
        if not is_bot(line.get("user_agent"), patterns):
            by_visitor[line["visitor_id"]].append(line)
    for clicks in by_visitor.values():
        clicks.sort(key=lambda click: (moment(click["occurred_at"]), _step(click), click["event_id"]))
        run: list[Record] = []
        for click in clicks:
            if run and moment(click["occurred_at"]) - moment(run[-1]["occurred_at"]) >= PAUSE:
                yield _human(run)
                run = []
            run.append(click)
        yield _human(run)


def _step(click: Record) -> int:
    return STEPS.index(click["event_type"]) if click["event_type"] in STEPS else -1


def _human(run: list[Record]) -> list[Record]:
    start = moment(run[0]["occurred_at"])
    return [click for click in run if not is_automaton(moment(click["occurred_at"]), start)]


def channel(click: Record) -> str:
    """The channel of a session by its first click."""
    medium, source = (str(click.get(name) or "").strip().lower() for name in ("utm_medium", "utm_source"))
    if medium in MEDIA:
        return MEDIA[medium]
    if source:
        return "other"
    address = re.match(r"[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?(?:www\.)?([^/?#@:]+)", str(click.get("referrer")).lower())
    if not address or address[1] == SHOP_HOST:
        return "direct"
    return next((row["channel"] for row in seed("referrers") if row["host"] == address[1]), "referral")


def reached(clicks: Iterable[Record]) -> list[bool]:
    """Whether a session reached each step of the funnel, walking its clicks in order."""
    place = 0
    for click in clicks:
        kind = click["event_type"]
        if place == 0 and kind == "view" and click.get("product_id") is not None:
            place = 1
        elif place == 1 and kind == "add_to_cart":
            place = 2
        elif place in (1, 2) and kind == "begin_checkout":  # from 1 it is an express checkout
            place = 3
        elif place == 3 and kind == "purchase":
            place = 4
    return [place > step for step in range(4)]


def sessions(lines: Iterable[Record], zone: str = ZONE) -> list[Session]:
    """The rows of gold.fct_sessions of all dates.

    Args:
        lines: the records of all objects in the order in which they landed.
    """
    found = []
    for clicks in runs(lines):
        first, start = clicks[0], moment(clicks[0]["occurred_at"])
        purchases = sum(click["event_type"] == "purchase" for click in clicks)
        found.append(
            Session(
                md5(f"{first['visitor_id']}|{_text(start)}".encode()).hexdigest(),
                md5(first["visitor_id"].encode()).hexdigest(),
                customer(clicks),
                start.date(),
                business_date(start, zone),
                channel(first),
                first.get("device") or "unknown",
                first.get("country_code"),
                customer(clicks) is not None,
                purchases > 0,
                *reached(clicks),
                len(clicks),
                purchases,
                start,
                moment(clicks[-1]["occurred_at"]),
            )
        )
    return found


def _text(time: dt.datetime) -> str:
    """A time as SQL writes it: a fraction without zeros at its end."""
    return str(time).rstrip("0") if time.microsecond else str(time)


def customer(clicks: Iterable[Record]) -> int | None:
    """The customer of a session."""
    return next((click["customer_id"] for click in clicks if click.get("customer_id") is not None), None)


def customers(lines: Iterable[Record]) -> dict[tuple[str, dt.datetime], int | None]:
    """The customers of the sessions by visitor and start, as in silver.sessions."""
    return {(run[0]["visitor_id"], moment(run[0]["occurred_at"])): customer(run) for run in runs(lines)}


def funnel(rows: Iterable[Session]) -> list[tuple[Any, ...]]:
    """Rows of gold.rpt_funnel_daily: business date, device, channel, sessions, those that bought, and each step's."""
    groups: dict[tuple[Any, ...], list[Session]] = defaultdict(list)
    for row in rows:
        groups[row.business_date, row.device, row.channel].append(row)
    steps = ("has_purchase", "has_view", "has_cart", "has_checkout", "has_funnel_purchase")
    return [
        (*key, len(items), *(sum(getattr(item, step) for item in items) for step in steps))
        for key, items in groups.items()
    ]


def conversion(rows: Iterable[Session]) -> list[tuple[Any, ...]]:
    """Rows of gold.rpt_conversion_daily with sessions: business date, sessions, those that bought, visitors, clicks."""
    groups: dict[dt.date, list[Session]] = defaultdict(list)
    for row in rows:
        groups[row.business_date].append(row)
    return [
        (
            day,
            len(items),
            sum(item.has_purchase for item in items),
            len({item.visitor_key for item in items}),
            sum(item.clicks for item in items),
        )
        for day, items in groups.items()
    ]


def click(name: str, at: dt.datetime | str, kind: str = "view", **fields: Any) -> Record:
    """A click of the visitor `v1` on a product; None leaves a field out."""
    text = at if isinstance(at, str) else f"{at.isoformat()}Z"
    given = {"visitor_id": "v1", "product_id": 1, "device": "mobile", "country_code": "DE", "user_agent": BROWSER}
    record = given | {"event_id": name, "event_type": kind, "occurred_at": text} | fields
    return {name: value for name, value in record.items() if value is not None}


_KINDS = ("view", "view", "view", "search", "add_to_cart", "remove_from_cart", "begin_checkout", "purchase")
_GAPS = (
    *(dt.timedelta(0), dt.timedelta(0), dt.timedelta(seconds=1), dt.timedelta(minutes=7)),
    *(PAUSE - MICROSECOND, PAUSE - MICROSECOND, PAUSE, PAUSE, PAUSE + MICROSECOND, dt.timedelta(hours=5)),
)
_AGENTS = (*[BROWSER] * 12, "Googlebot/2.1", "curl/8.5", "My-CRAWLER", "", " ", None)
_MEDIA = (*[None] * 8, *MEDIA, "CPC", "banner ", "newsletter", "")
_SOURCES = (*[None] * 6, "google", " ", "")
_REFERRERS = (
    *(None, None, "", "/cart", f"https://{SHOP_HOST}/p/1", f"https://www.{SHOP_HOST.upper()}:443/", "https://x.com"),
    *(
        "https://www.google.de/search?q=a",
        "http://google.com:80",
        "https://l.facebook.com/l.php",
        "https://www.blog.org",
    ),
    *("https://me@t.co/abc", "android-app://com.google.android.gm", "about:blank", "https://notgoogle.com#bing.com"),
)


def random_clicks(number: int, first: dt.date, days: int) -> list[Record]:
    """Clicks of five visitors from a date on; some of them are sent again, with other values."""
    dice = random.Random(number)
    start = dt.datetime.combine(first, dt.time())
    end = start + days * DAY
    records: list[Record] = []

    def add(visitor: str, at: dt.datetime, **fields: Any) -> None:
        if not start <= at < end:
            return
        found = {
            "visitor_id": visitor,
            "product_id": dice.choice((None, 1, 2)),
            "customer_id": dice.choice((None, None, None, 7, 8)),
            "device": dice.choice((None, "desktop", "mobile", "tablet")),
            "country_code": dice.choice((None, "DE", "FR")),
            "utm_medium": dice.choice(_MEDIA),
            "utm_source": dice.choice(_SOURCES),
            "referrer": dice.choice(_REFERRERS),
            "user_agent": dice.choice(_AGENTS),
        }
        records.append(click(f"c{len(records)}", _written(dice, at), dice.choice(_KINDS), **(found | fields)))

    for visitor in ("v1", "v2", "v3"):  # people: bursts around midnights, in UTC and in the shop
        for _ in range(dice.randrange(4, 4 + 2 * days)):
            midnight = start + dice.randrange(days + 1) * DAY
            at = midnight + dice.choice(
                (
                    -PAUSE,
                    -PAUSE + MICROSECOND,
                    -MICROSECOND,
                    dt.timedelta(0),
                    dice.random() * DAY,
                    -dt.timedelta(hours=1),
                )
            )
            for _ in range(dice.randrange(1, 8)):
                add(visitor, at)
                at += dice.choice(_GAPS)
    for visitor in ("v4", "v5"):  # automata, with pauses of exactly the length and just below
        at = start + dice.random() * days / 2 * DAY
        agent = {"user_agent": BROWSER}
        while at < end and len(records) < 3000:
            add(visitor, at, **(agent if dice.random() < 0.97 else {}))
            at += PAUSE if dice.random() < 0.01 else dice.choice((PAUSE - MICROSECOND, dt.timedelta(minutes=25)))
    for record in dice.sample(records, len(records) // 12):  # the same click again, or corrected, or on another date
        change: Record = dice.choice(({}, {"event_type": "purchase"}, {"visitor_id": "v2"}, {"user_agent": "bot"}))
        if dice.random() < 0.3:
            later = moment(record["occurred_at"]) + dice.choice((-DAY, PAUSE, MICROSECOND))
            change = {"occurred_at": _written(dice, min(max(later, start), end - MICROSECOND))}
        records.append(record | change)
    return records


def _written(dice: random.Random, at: dt.datetime) -> str:
    """A time as producers write it, some with an offset."""
    hours = dice.choice((0, 0, 0, 2, -5))
    return at.replace(tzinfo=dt.UTC).astimezone(dt.timezone(dt.timedelta(hours=hours))).isoformat()
