"""How the value of a metric is written for people, by its format."""

from __future__ import annotations

from typing import Any

from pipeline.metrics.definition import Format


def shown(number: Any, format: Format, is_signed: bool = False, is_points: bool = False, has_cents: bool = True) -> str:
    """Write a known value: a share in percent, seconds as minutes or hours, money without its currency.

    Args:
        is_signed: whether a rise has a plus sign.
        is_points: whether it is the difference of shares, in percentage points.
        has_cents: whether money is written with two decimals, rather than none.
    """
    sign = "+" if is_signed else ""
    match format:
        case Format.INTEGER:
            return f"{number:{sign},.0f}"
        case Format.PERCENT:
            return f"{number * 100:{sign},.1f} {'pp' if is_points else '%'}"
        case Format.DURATION:
            return _duration(float(number), sign)
        case Format.CURRENCY:
            return f"{number:{sign},.{2 if has_cents else 0}f}"
    return f"{number:{sign},.2f}"


def _duration(seconds: float, sign: str) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if abs(seconds) >= size:
            return f"{seconds / size:{sign},.1f} {unit}"
    return f"{seconds:{sign},.1f} s"
