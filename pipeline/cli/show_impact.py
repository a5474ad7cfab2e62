"""Human-readable output of `lake impact`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pipeline.cli.layout import table, text
from pipeline.portal.catalog.compare import Change, Comparison
from pipeline.portal.catalog.graph import Impact, Reached

_WORDS = {
    Change.ADDED: "is new",
    Change.REMOVED: "is gone",
    Change.TYPE: "has another type",
    Change.VALUES: "is computed differently",
    Change.ROWS: "has other rows",
    Change.DEFINITION: "is defined differently",
}


def show_impact(found: Impact) -> str:
    """What a change of columns reaches."""
    name = ", ".join(found.changed)
    if not (found.columns or found.metrics or found.tiles):
        return text(f"nothing is computed from {name}")
    return text(f"a change of {name} reaches {_counts(found)}", "", *_reached(found))


def show_comparison(found: Comparison, revision: str) -> str:
    """What a branch changes."""
    if not found.differences:
        return text(f"nothing is computed differently than in {revision}")
    changes = table("changed", "how", texts=2)
    for item in found.differences:
        changes.add_row(item.name, _WORDS[item.change])
    items = [f"against {revision}:", "", changes]
    if found.impact.columns or found.impact.metrics or found.impact.tiles:
        items += ["", f"that reaches {_counts(found.impact)}", "", *_reached(found.impact)]
    return text(*items)


def _counts(found: Impact) -> str:
    parts = (("column", found.columns), ("metric", found.metrics), ("tile", found.tiles))
    return ", ".join(f"{len(items):,} {name}{'s' * (len(items) != 1)}" for name, items in parts if items)


def _reached(found: Impact) -> list[object]:
    rows = table("reached", "kind", "by", "steps", texts=3)
    for kind, items in (("column", found.columns), ("metric", found.metrics), ("tile", found.tiles)):
        for item in _short(items) if kind == "column" else items:
            rows.add_row(item.name, kind, item.by, str(item.steps))
    return [rows]


def _short(items: Sequence[Reached]) -> list[Reached]:
    """Columns with those that are reached only by rows summed up per table, since that is all columns of the table."""
    found = [item for item in items if item.by == "values"]
    others = sorted((item for item in items if item.by != "values"), key=lambda item: item.name.split(".")[:2])
    for names, members in groupby(others, key=lambda item: item.name.split(".")[:2]):
        own = list(members)
        found.append(Reached(f"{'.'.join(names)}.* ({len(own)})", min(item.steps for item in own), "rows"))
    return found
