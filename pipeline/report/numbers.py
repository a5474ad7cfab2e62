"""A report as numbers, for machines."""

from __future__ import annotations

from typing import Any

from pipeline.report.figures import Figure
from pipeline.report.page import Page
from pipeline.report.report import Report
from pipeline.report.span import Span


def numbers(report: Report, page: Page) -> dict[str, Any]:
    """The content of a report for `--json`; dates by their first and last day, amounts exact."""
    return {
        "report": report.definition.name,
        "period": _span(report.span),
        "release": report.release,
        "currency": report.currency,
        "subject": page.subject,
        "sections": [
            {
                "title": section.title,
                "metrics": [_figure(report.figures[name]) for name in section.metrics if name in report.figures],
                "incomplete": [name for name in section.metrics if name not in report.figures],
            }
            for section in report.definition.sections
        ],
        "unusual": [
            {
                "metric": item.metric.name,
                "period": _span(item.span),
                "is_change": item.is_change,
                "value": item.value,
                "usual": item.usual.middle,
                "low": item.usual.low,
                "high": item.usual.high,
                "spreads": item.distance,
            }
            for item in report.unusual
        ],
        "moved": [
            {
                "metric": item.metric.name,
                "dimension": item.dimension,
                "period": _span(item.span),
                "before": _span(item.before),
                "change": item.change,
                "values": [
                    {
                        "value": effect.value,
                        "before": effect.before,
                        "now": effect.now,
                        "effect": effect.effect,
                        "expected": effect.expected,
                        **({"rate": effect.rate, "mix": effect.mix} if item.metric.measure.ratio else {}),
                    }
                    for effect in item.effects
                ],
                "others": {"count": item.hidden, "effect": item.small.effect},
            }
            for item in report.movements
        ],
        "health": [
            {"name": fact.name, "state": fact.state, "text": fact.text, **fact.values} for fact in report.health
        ],
    }


def _span(span: Span) -> dict[str, str]:
    return {"grain": span.grain, "first": str(span.first), "last": str(span.last)}


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "name": figure.metric.name,
        "period": _span(figure.span),
        "value": figure.value,
        "changes": [
            {
                "before": _span(change.span),
                "value": change.before,
                "difference": change.difference,
                "share": change.share,
                "news": {1: "good", -1: "bad"}.get(change.verdict, "neither"),
            }
            for change in figure.changes
        ],
    }
