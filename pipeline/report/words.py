"""How a report shows values, changes and names, the same in HTML, text and subject."""

from __future__ import annotations

from typing import Any

from ingest.text import printable
from pipeline.metrics.definition import REPORTING_CURRENCY, Format, Metric
from pipeline.metrics.shown import shown

UNKNOWN, MINUS = "\u2013", "\u2212"
_LONGEST = 60


def value(metric: Metric, number: Any, currency: str = "", signed: bool = False) -> str:
    """A value of a metric: a share in percent, seconds as minutes or hours; of money without cents from 10,000 on.

    Args:
        currency: ISO code of the reporting currency, shown with amounts in it.
        signed: whether it is a difference; that of a share is in percentage points.
    """
    if number is None:
        return UNKNOWN
    is_money = metric.format == Format.CURRENCY
    has_cents = is_money and abs(number) < 10_000
    text = shown(number, metric.format, signed, is_points=signed, has_cents=has_cents)
    return _minus(f"{text} {currency}" if is_money and currency and metric.unit == REPORTING_CURRENCY else text)


def change(metric: Metric, difference: Any, share: float | None) -> str:
    """A change: in percent of the value before, of shares in percentage points."""
    if difference is None:
        return UNKNOWN
    if metric.format == Format.PERCENT:
        return _minus(shown(difference, Format.PERCENT, is_signed=True, is_points=True))
    if share is None:
        return "from 0" if difference else "0 %"
    return _minus(shown(share, Format.PERCENT, is_signed=True))


def named(text: str | None) -> str:
    """A value of a dimension: data, which is never markup nor control characters, and not too long."""
    if text is None:
        return "unknown"
    shown = printable(text) or "(empty)"
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 2]} …"


def _minus(text: str) -> str:
    """With a minus sign, and none before what is rounded to zero."""
    if text[:1] in "+-" and not any(digit in text for digit in "123456789"):
        text = text[1:]
    return text.replace("-", MINUS)
