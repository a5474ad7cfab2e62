"""The list of metrics in docs/metrics.md, generated from the definitions between two markers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ingest.errors import ConfigError
from pipeline.metrics.definition import Metric
from pipeline.metrics.measure import Kind

BEGIN = "<!-- generated from metrics/*.yaml by `lake metrics check --write` -->"
END = "<!-- end of the generated list -->"


def document(text: str, definitions: Mapping[str, Metric]) -> str:
    """Replace the list in a text by that of the definitions.

    Raises:
        ConfigError: the text lacks the markers.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ConfigError(f"docs/metrics.md lacks the markers of the generated list; expected {BEGIN} and {END}, once")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{chr(10).join(_lines(definitions))}\n{END}{rest.partition(END)[2]}"


def _lines(definitions: Mapping[str, Metric]) -> Iterator[str]:
    for domain in dict.fromkeys(metric.domain for metric in definitions.values()):
        yield f"### {domain.replace('_', ' ').capitalize()}"
        yield ""
        yield "| metric | meaning | computed from | by |"
        yield "|---|---|---|---|"
        for metric in definitions.values():
            if metric.domain == domain:
                cells = (
                    f"`{metric.name}`",
                    f"**{metric.label}**: {metric.description}",
                    _computed(metric),
                    _by(metric),
                )
                yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
        yield ""


def _computed(metric: Metric) -> str:
    measure = metric.measure
    if measure.ratio:
        return " ÷ ".join(f"`{name}`" for name in measure.ratio)
    words = {Kind.SUM: "sum of", Kind.COUNT: "count of", Kind.LAST: "last", Kind.STORED: "stored"}[metric.kind]
    where = f" where `{metric.where}`" if metric.where else ""
    return f"{words} `{measure.expression}` in `{metric.table}`{where}"


def _by(metric: Metric) -> str:
    dimensions = (f"{name} (never summed)" if name in metric.not_over else name for name in metric.dimensions)
    return ", ".join([*metric.grains, *dimensions])
