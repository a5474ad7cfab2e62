"""The pictures of a report: Vega-Lite dictionaries, drawn as PNG."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from ingest.errors import ConfigError
from pipeline.metrics.definition import Format
from pipeline.metrics.period import Grain
from pipeline.report.figures import Figure
from pipeline.report.unusual import Course

ACCENT, QUIET, BAND, LINE, BAD, GOOD = "#1d5fa8", "#566273", "#e4eef9", "#e6eaf0", "#a8341c", "#0b6b50"
"""Colours of the portal's light theme."""
SCALE = 2
"""Pixels per point, so that pictures are sharp on screens of double density."""
SPARK = (120, 30)
BANDED = (560, 150)
"""Sizes in points."""
_FONT = "system-ui, Segoe UI, Roboto, Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif"
_FORMATS = {Format.PERCENT: ".0%", Format.INTEGER: ",.0f", Format.CURRENCY: ",.0f"}


def draw(spec: Mapping[str, Any]) -> bytes:
    """Draw a Vega-Lite specification as PNG.

    Raises:
        ConfigError: the library that draws it is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise ConfigError(
            "the charts of a report need vl-convert-python, which is not installed: "
            "run `make setup-portal`, or install the extra `portal` (pip install 'lakemesh[portal]'); `--json` works "
            "without it"
        ) from None
    drawn: bytes = vl_convert.vegalite_to_png(dict(spec), scale=SCALE, allowed_base_urls=[])
    return drawn


def spark(figure: Figure) -> dict[str, Any]:
    """The course of a figure, with a dot at its end."""
    points = [{"at": _at(day), "value": _number(value)} for day, value in figure.series()]
    last = [point for point in points if point["value"] is not None][-1:]
    x = {"field": "at", "type": "temporal", "axis": None, "scale": {"domain": [points[0]["at"], points[-1]["at"]]}}
    y = {"field": "value", "type": "quantitative", "axis": None, "scale": {"zero": False, "padding": 3}}
    line = {"type": "line", "color": ACCENT, "strokeWidth": 1.5, "invalid": "break-paths-show-path-domains"}
    return _chart(
        SPARK,
        [
            {"data": {"values": points}, "mark": line, "encoding": {"x": x, "y": y}},
            {"data": {"values": last}, "mark": _dot(ACCENT, 28), "encoding": {"x": x, "y": y}},
        ],
    )


def banded(course: Course) -> dict[str, Any]:
    """The course of a metric with the band of what is usual, and what is not as dots."""
    points = [
        {
            "at": _at(span.first),
            "value": value,
            "low": course.usual[span.first].shown_low if span.first in course.usual else None,
            "high": course.usual[span.first].high if span.first in course.usual else None,
        }
        for span, value in course.points
    ]
    grain = course.points[-1][0].grain
    quiet = {"title": None, "labelColor": QUIET, "labelFontSize": 11, "tickColor": LINE, "domainColor": LINE}
    number = {"format": _FORMATS.get(course.metric.format, ",.1f"), "tickCount": 4, "gridColor": LINE}
    days = {"format": "%-d %b", "grid": False, "tickCount": 7 if grain == Grain.DAY else 6}
    x = {"field": "at", "type": "temporal", "axis": quiet | days}
    y = {"field": "value", "type": "quantitative", "scale": {"zero": False, "nice": True}}
    y["axis"] = quiet | number | {"domain": False, "ticks": False}
    marked = {_at(item.span.first): (QUIET, GOOD, BAD)[item.verdict] for item in course.unusual}
    dots = [point | {"color": marked[point["at"]]} for point in points if point["at"] in marked]
    band = {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}}
    color = {"field": "color", "type": "nominal", "scale": None}
    here = {"x": x, "y": y}
    return _chart(
        BANDED,
        [
            {"data": {"values": points}, "mark": {"type": "area", "color": BAND}, "encoding": band},
            {"data": {"values": points}, "mark": {"type": "line", "color": ACCENT, "strokeWidth": 2}, "encoding": here},
            {"data": {"values": points[-1:]}, "mark": _dot(ACCENT, 40), "encoding": here},
            {"data": {"values": dots}, "mark": _dot(BAD, 90), "encoding": here | {"color": color}},
        ],
    )


def _dot(color: str, size: int) -> dict[str, Any]:
    return {"type": "point", "filled": True, "size": size, "color": color, "opacity": 1}


def _chart(size: tuple[int, int], layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "width": size[0],
        "height": size[1],
        "padding": {"left": 4, "right": 6, "top": 4, "bottom": 4},
        "background": "#ffffff",
        "autosize": {"type": "fit", "contains": "padding"},
        "config": {"view": {"stroke": None}, "font": _FONT},
        "layer": list(layers),
    }


def _at(day: dt.date) -> str:
    """Midnight of the machine's time zone, in which Vega labels its axes."""
    return f"{day}T00:00:00"


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
