"""How a report shows values, changes and names, the same in HTML, text and subject."""

from __future__ import annotations

from typing import Any

from ingest.text import printable
from pipeline.metrics.definition import Format, Metric

UNKNOWN, MINUS = "\u2013", "\u2212"
MONEY = "reporting_currency"
_LONGEST = 60


def value(metric: Metric, number: Any, currency: str = "", signed: bool = False) -> str:
    """A value of a metric: a share in percent, seconds as minutes or hours; of money without cents from 10,000 on.

    Args:
        currency: ISO code of the reporting currency, shown with amounts in it.
        signed: whether it is a difference; that of a share is in percentage points.
    """
    if number is None:
        return UNKNOWN
    sign = "+" if signed else ""
    match metric.format:
        case Format.INTEGER:
            text = f"{number:{sign},.0f}"
        case Format.PERCENT:
            text = f"{number * 100:{sign},.1f} {'pp' if signed else '%'}"
        case Format.DURATION:
            text = _duration(float(number), sign)
        case Format.CURRENCY:
            text = f"{number:{sign},.{2 if abs(number) < 10_000 else 0}f}"
            text += f" {currency}" if currency and metric.unit == MONEY else ""
        case _:
            text = f"{number:{sign},.2f}"
    return _minus(text)


def change(metric: Metric, difference: Any, share: float | None) -> str:
    """A change: in percent of the value before, of shares in percentage points."""
    if difference is None:
        return UNKNOWN
    if metric.format == Format.PERCENT:
        return _minus(f"{difference * 100:+,.1f} pp")
    if share is None:
        return "from 0" if difference else "0 %"
    return _minus(f"{share * 100:+,.1f} %")


def named(text: str | None) -> str:
    """A value of a dimension: data, which is never markup nor control characters, and not too long."""
    if text is None:
        return "unknown"
    shown = printable(text) or "(empty)"
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 2]} …"


def _duration(seconds: float, sign: str) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if abs(seconds) >= size:
            return f"{seconds / size:{sign},.1f} {unit}"
    return f"{seconds:{sign},.0f} s"


def _minus(text: str) -> str:
    """With a minus sign, and none before what is rounded to zero."""
    if text[:1] in "+-" and not any(digit in text for digit in "123456789"):
        text = text[1:]
    return text.replace("-", MINUS)
