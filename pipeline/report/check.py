"""Check reports against the classes of columns: none names a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pipeline.metrics.definition import Metric
from pipeline.report.definition import ReportDefinition


def faults(
    reports: Iterable[ReportDefinition], metrics: Mapping[str, Metric], is_restricted: Callable[[str, str], bool]
) -> list[str]:
    """Dimensions of reports that no page may show, one line each.

    Args:
        is_restricted: whether a column of a table is direct or sensitive.
    """
    return [
        f"reports/{report.name}.yaml: explain: {name} by {dimension}: {metrics[name].table}.{dimension} is direct or "
        "sensitive, which no page may show; expected another dimension"
        for report in reports
        for section in report.sections
        for name, dimensions in section.explain.items()
        for dimension in dimensions
        if is_restricted(metrics[name].table, dimension)
    ]
